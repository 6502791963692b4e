import { createServer } from 'node:http'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CHROMIUM_PATH, launchBrowser } from '../support/browser.ts'
import { listen, stop } from '../support/hub-server.ts'
import { bundle } from './bundle.ts'
import type { Driver } from './driver.ts'
import { clientSuite, type RemoteDriver } from './suite.ts'

// Its hubs listen elsewhere, so everything crosses origins, as it often does.
const server = createServer((request, response) => {
  const isScript = request.url === '/page.js'
  response.writeHead(200, { 'Content-Type': isScript ? 'text/javascript' : 'text/html' })
  response.end(
    isScript
      ? script
      : '<!doctype html><link rel="icon" href="data:,"><script type="module" src="/page.js"></script>',
  )
})
const exceptions: string[] = []
let script = ''
let browser: Browser
let page: Page
const place = { driver: remoteDriver(), origin: '' }

/** Calls the driver in the page. */
function remoteDriver(): RemoteDriver {
  const call =
    (method: keyof Driver) =>
    (...args: unknown[]) =>
      page.evaluate(
        ([name, values]) => {
          const { driver } = globalThis as unknown as {
            driver: Record<string, (...args: unknown[]) => unknown>
          }
          return driver[name]?.(...values)
        },
        [method, args] as const,
      )
  const methods = ['start', 'told', 'call', 'advance', 'close'] as const satisfies readonly (keyof Driver)[]
  return Object.fromEntries(methods.map((method) => [method, call(method)])) as unknown as RemoteDriver
}

beforeAll(async () => {
  if (CHROMIUM_PATH === '') return
  script = (await bundle(new URL('page.ts', import.meta.url).pathname)).code
  place.origin = await listen(server)
  browser = await launchBrowser()
  page = await browser.newPage()
  page.on('pageerror', (error) => exceptions.push(error.message))
  await page.goto(place.origin)
  await page.waitForFunction(() => 'driver' in globalThis)
}, 60_000)

afterAll(async () => {
  await browser?.close()
  if (server.listening) await stop(server)
})

describe.skipIf(CHROMIUM_PATH === '')('the client in Chromium', { timeout: 60_000 }, () => {
  clientSuite(place)

  test('nothing was thrown that nobody caught', () => {
    expect(exceptions).toEqual([])
  })
})
