/** The README's code compiles and runs, its commands exist, and the links of all pages lead somewhere. */
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { dirname, join } from 'node:path'
import { EventSource } from 'eventsource'
import type { Hub } from 'groupcast'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { WebSocket } from 'ws'
import { stop } from '../support/hub-server.ts'
import { until } from '../support/until.ts'

const ROOT = new URL('../..', import.meta.url).pathname
const README = readFileSync(join(ROOT, 'README.md'), 'utf8')

/** The code blocks of one language, in order. */
function blocks(language: string): string[] {
  return [...README.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, 'gms'))].map(
    ([, code]) => code ?? '',
  )
}

test('is under 150 lines', () => {
  expect(README.split('\n').length).toBeLessThan(150)
})

describe('the server and the browser of the README', () => {
  const [server = ''] = blocks('ts')
  const [browser = '', client = ''] = blocks('js')

  test('the server compiles', { timeout: 60_000 }, () => {
    const folder = mkdtempSync(join(ROOT, 'test-results-readme-'))
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
    writeFileSync(join(folder, 'server.ts'), server)
    const config = {
      extends: join(ROOT, 'tsconfig.json'),
      compilerOptions: { noUnusedParameters: false, paths: { groupcast: [join(ROOT, 'src/index.ts')] } },
      include: ['server.ts'],
    }
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config))
    execFileSync(join(ROOT, 'node_modules/.bin/tsc'), ['-p', folder], { encoding: 'utf8' })
  })

  /** Imports code as a file of its own, which is gone with the test. */
  async function run(name: string, code: string): Promise<unknown> {
    const folder = mkdtempSync(join(ROOT, 'test-results-readme-'))
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
    writeFileSync(join(folder, name), code)
    return import(join(folder, name))
  }

  async function startServer() {
    expect(server).toContain('server.listen(8000)')
    const code = `${server.replace('listen(8000)', "listen(0, '127.0.0.1')")}\nexport { hub, server }\n`
    const running = (await run('server.ts', code)) as { hub: Hub; server: Server }
    onTestFinished(async () => {
      await running.hub.close({ deadlineMs: 1_000 })
      await stop(running.server)
    })
    if (!running.server.listening) await once(running.server, 'listening')
    const { port } = running.server.address() as AddressInfo
    return { ...running, port }
  }

  test('who comes gets the last 20, and who comes back what it missed', async () => {
    const { port, hub } = await startServer()
    const cursors: (string | null)[] = []
    for (let n = 1; n <= 22; n++) {
      const { cursor } = await hub.groupSend('chat.lobby', {
        type: 'chat.message',
        user: 'ann',
        text: `${n}`,
      })
      cursors.push(cursor)
    }
    const heardAt = (query: string): string[] => {
      const heard: string[] = []
      const source = new EventSource(`http://127.0.0.1:${port}/chat/lobby${query}`)
      onTestFinished(() => source.close())
      source.onmessage = ({ data }) => heard.push((JSON.parse(data) as { text: string }).text)
      return heard
    }
    const newcomer = heardAt('')
    const comingBack = heardAt(`?cursor=${cursors[19]}`)
    await until('both have what they get', () => newcomer.length >= 20 && comingBack.length >= 2)
    expect(newcomer).toEqual(Array.from({ length: 20 }, (_, n) => String(n + 3)))
    expect(comingBack).toEqual(['21', '22'])
  })

  test('they talk to each other', async () => {
    const { port, ...running } = await startServer()
    const sockets: { close(): void }[] = []
    const tracked = <T extends { close(): void }>(socket: T) => {
      sockets.push(socket)
      return socket
    }
    const lines: unknown[][] = []
    const open = new Function(
      'WebSocket',
      'EventSource',
      'console',
      browser.replaceAll(':8000/', `:${port}/`),
    )
    open(
      function open(url: string) {
        return tracked(new WebSocket(url))
      },
      function open(url: string) {
        return tracked(new EventSource(url))
      },
      { log: (...words: unknown[]) => lines.push(words) },
    )
    onTestFinished(() => {
      for (const socket of sockets) socket.close()
    })
    const message = { type: 'chat.message', user: 'ann', text: 'hi' }
    await until('the WebSocket has its message', () => lines.some(([name]) => name === 'WebSocket'))
    await until('the event stream is in', () => running.hub.group('chat.lobby').connections.sse === 1)
    await running.hub.groupSend('chat.lobby', message)
    await until('the event stream has a message', () => lines.some(([name]) => name === 'SSE'))
    for (const [, value] of lines) expect(value).toEqual(message)
  })

  test('the client library talks to the server', async () => {
    const { port } = await startServer()
    const log = vi.spyOn(console, 'log').mockImplementation(() => {})
    vi.stubGlobal('WebSocket', WebSocket)
    onTestFinished(() => {
      log.mockRestore()
      vi.unstubAllGlobals()
    })
    expect(client).toContain(':8000/')
    const code = `${client.replace(':8000/', `:${port}/`)}\nexport { client }\n`
    const running = (await run('client.js', code)) as { client: { close(): void } }
    await until('its message is back', () => log.mock.calls.length === 2)
    running.client.close()
    expect(log.mock.calls).toEqual([['open'], ['bob', 'hello'], ['closed']])
  })
})

describe('commands', () => {
  test('npm scripts that pages name exist', () => {
    const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
      scripts: Record<string, string>
    }
    for (const page of pages()) {
      for (const [, name = ''] of readFileSync(page, 'utf8').matchAll(/npm run ([a-z0-9:]+)/g)) {
        expect(Object.keys(scripts), `${page}: npm run ${name}`).toContain(name)
      }
    }
    expect(scripts).toMatchObject({ start: expect.any(String), test: expect.any(String) })
  })

  test('the two commands are npm ci and npm start, npm ci and npm test; CI runs the second', () => {
    expect(blocks('sh')[0]).toMatch(/^npm ci && npm start .*\nnpm ci && npm test /)
    const ci = readFileSync(join(ROOT, '.ci/run'), 'utf8')
    expect(ci).toContain('npm ci')
    expect(ci).toContain('npm test')
  })
})

test.each(pages())('the links of %s lead somewhere', (page) => {
  const text = readFileSync(page, 'utf8').replace(/^```.*?^```/gms, '')
  for (const [, target = ''] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
    if (/^https?:/.test(target)) continue
    const [path = ''] = target.split('#')
    expect(path === '' || existsSync(join(dirname(page), path)), `${page} links to ${target}`).toBe(true)
  }
})

function pages(): string[] {
  const inDocs = readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' }).map((file) =>
    join(ROOT, 'docs', file),
  )
  return [
    join(ROOT, 'README.md'),
    join(ROOT, 'CHANGELOG.md'),
    join(ROOT, 'examples/README.md'),
    ...inDocs,
  ].filter((file) => file.endsWith('.md'))
}
