import { readdir } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { loadPlayground } from '../../src/server/playground/assets.ts'

const FOLDER = new URL('../../src/server/playground/', import.meta.url)
const CLIENT = new URL('../../src/client/', import.meta.url)

describe('the files of the playground', () => {
  it('are all in the table', async () => {
    const assets = await loadPlayground({ eventsPath: '/events' })
    const files = (await readdir(FOLDER)).filter((name) => !name.endsWith('.ts'))
    const paths = files.map((name) => (name === 'index.html' ? '/' : `/playground/${name}`))
    const own = [...assets.keys()].filter((path) => !path.startsWith('/playground/client/'))
    expect(own.sort()).toEqual(paths.sort())
  })

  it('come with the whole client library, as it was built', async () => {
    const assets = await loadPlayground({ eventsPath: '/events' })
    const served = [...assets.keys()].filter((path) => path.startsWith('/playground/client/'))
    const names = (await readdir(CLIENT)).map((name) => name.replace(/\.ts$/, '.js'))
    expect(served.sort(), 'run "npm run build"').toEqual(
      names.map((name) => `/playground/client/${name}`).sort(),
    )
    // All that its modules import is there, and nothing else of the server is.
    for (const path of served) {
      const imports = [
        ...(assets
          .get(path)
          ?.body.toString()
          .matchAll(/from '([^']+)'/g) ?? []),
      ]
      for (const [, from] of imports)
        expect(served).toContain(new URL(from ?? '', `http://x${path}`).pathname)
    }
  })

  it('carry the headers of a page that trusts nobody', async () => {
    for (const { path, headers } of (await loadPlayground({ eventsPath: '/events' })).values()) {
      expect(headers, path).toMatchObject({
        'Content-Security-Policy': expect.stringContaining("default-src 'self'"),
        'X-Content-Type-Options': 'nosniff',
        'Referrer-Policy': 'no-referrer',
        'Cache-Control': 'no-cache',
        'Content-Type': expect.stringMatching(
          /^(text\/(html|css|javascript); charset=utf-8|image\/svg\+xml)$/,
        ),
      })
    }
  })

  it('hold nothing that the policy forbids: no script or style inside the page', async () => {
    const page = await pageWith('/events')
    expect(page).not.toMatch(/<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=/)
  })

  it('tell the page where the events are', async () => {
    expect(await pageWith('/live/now')).toContain('<meta name="groupcast-events-path" content="/live/now" />')
  })

  it('cannot be broken by the path of the events', async () => {
    const page = await pageWith('/a"><script>&$1')
    expect(page).toContain('content="/a&quot;>&lt;script>&amp;$1" />')
  })
})

async function pageWith(eventsPath: string): Promise<string> {
  const assets = await loadPlayground({ eventsPath })
  return assets.get('/')?.body.toString() ?? ''
}
