import { createServer } from 'node:http'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { CHROMIUM_PATH, launchBrowser } from '../support/browser.ts'
import { listen, stop } from '../support/hub-server.ts'
import { bundle } from './bundle.ts'
import type { Driver } from './driver.ts'
import { resumeSuite } from './resume-suite.ts'
import { startScriptedHub } from './scripted-hub.ts'
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
/** How long a condition may take to come true; conditions end their wait at once. */
const PATIENCE = { timeout: 15_000, interval: 10 }
const exceptions: string[] = []
let script = ''
let browser: Browser
let page: Page
const place = { driver: remoteDriver(() => page), origin: '' }

/** Loads the page anew, in a new tab unless one is given. */
async function load(tab?: Page): Promise<Page> {
  const loaded = tab ?? (await browser.newPage())
  loaded.on('pageerror', (error) => exceptions.push(error.message))
  await loaded.goto(place.origin)
  await loaded.waitForFunction(() => 'driver' in globalThis)
  return loaded
}

/** The driver of a page. */
function remoteDriver(tab: () => Page): RemoteDriver {
  const call =
    (method: keyof Driver) =>
    (...args: unknown[]) =>
      tab().evaluate(
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
  page = await load()
}, 60_000)

afterAll(async () => {
  await browser?.close()
  if (server.listening) await stop(server)
})

describe.skipIf(CHROMIUM_PATH === '')('the client in Chromium', { timeout: 60_000 }, () => {
  clientSuite(place)
  resumeSuite(place)

  test('comes back at once when the browser is online again', async () => {
    const hub = await startScriptedHub()
    await place.driver.start('surfer', hub.url, { isTimeManual: true })
    onTestFinished(() => place.driver.close('surfer'))
    const first = await hub.next()
    first.open()
    await expect.poll(async () => (await place.driver.told('surfer')).state, PATIENCE).toBe('open')
    first.cut()
    await expect.poll(async () => (await place.driver.told('surfer')).state, PATIENCE).toBe('waiting')
    await page.context().setOffline(true)
    await page.context().setOffline(false)
    await hub.next()
  })

  test('remembers from page to page of a tab which transport failed', async () => {
    const hub = await startScriptedHub()
    hub.refused = (transport) => (transport === 'websocket' ? 502 : null)
    const tab = await load()
    onTestFinished(() => tab.close())
    const driver = remoteDriver(() => tab)
    for (let n = 0; n < 2; n++) {
      await driver.start('visitor', hub.url, { isRemembered: true })
      const connection = await hub.next()
      expect(connection.transport).toBe('sse')
      connection.open()
      await expect.poll(async () => (await driver.told('visitor')).state, PATIENCE).toBe('open')
      await load(tab)
    }
    expect(hub.refusals).toEqual(['websocket'])
  })

  test('nothing was thrown that nobody caught', () => {
    expect(exceptions).toEqual([])
  })
})
