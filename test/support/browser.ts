/** A real Chromium for the playground's tests, and what a page did in it that it should not have done. */
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'

/** Where Chromium is: as the environment says, else Debian's place. `''` says that there is none. */
export const CHROMIUM_PATH = process.env.CHROMIUM_PATH ?? '/usr/bin/chromium'

/** Starts the browser. */
export function launchBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: CHROMIUM_PATH,
    // Chromium's sandbox needs user namespaces, which containers and root do not have.
    args: ['--no-sandbox'],
  })
}

/** A page that is being watched. */
export interface WatchedPage {
  readonly page: Page
  /** Exceptions, errors on the console and requests to other hosts, as they happened. */
  readonly offences: string[]
}

/** Opens `path` of the server in a fresh browser profile. */
export async function openPage(
  browser: Browser,
  serverUrl: string,
  path = '/',
  options: BrowserContextOptions = {},
): Promise<WatchedPage> {
  // What moves is drawn by the processor here.
  const context = await browser.newContext({
    ...{ viewport: { width: 1360, height: 820 }, reducedMotion: 'reduce' },
    ...options,
  })
  const page = await context.newPage()
  const offences: string[] = []
  const { host } = new URL(serverUrl)
  page.on('pageerror', (error) => offences.push(`exception: ${error.message}`))
  page.on('console', (message) => {
    if (message.type() === 'error') offences.push(`console: ${message.text()}`)
  })
  page.on('request', (request) => {
    if (new URL(request.url()).host !== host) offences.push(`request: ${request.url()}`)
  })
  page.on('websocket', (websocket) => {
    if (new URL(websocket.url()).host !== host) offences.push(`websocket: ${websocket.url()}`)
  })
  await page.goto(`${serverUrl}${path}`)
  return { page, offences }
}
