/** Pages of examples in a real Chromium, and the ways in which they must not fail. */
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import { afterAll, expect, onTestFinished, test } from 'vitest'
import { CHROMIUM_PATH, launchBrowser, openPage } from '../support/browser.ts'
import { contrastOf, LEAST_FOR_TEXT, shownTexts } from '../support/contrast.ts'

let browser: Promise<Browser> | null = null

afterAll(async () => {
  const last = browser
  // The next file of this process has one of its own.
  browser = null
  await (await last)?.close()
})

/** A test that needs a browser: skipped where there is none, see `test/global-setup.ts`. */
export const testInBrowser = test.skipIf(CHROMIUM_PATH === '')

/** A list that has at least one page, for tests that take their pages apart. */
type Pages = [Page, Page, ...Page[]]

/** What a test expects to go wrong. */
interface Expected {
  /** The browser logs each request that fails: a test of that allows it. */
  readonly mayFailToConnect?: boolean
}

const FAILED_REQUEST = /^console: (Failed to load resource|WebSocket connection to .* failed)/

/** Opens `count` pages, each in a profile of its own. With the test they are closed, and must have done nothing wrong. */
export async function openPages(
  url: string,
  count: number,
  options: BrowserContextOptions = {},
  { mayFailToConnect = false }: Expected = {},
): Promise<Pages> {
  browser ??= launchBrowser()
  const pages: Page[] = []
  for (let opened = 0; opened < count; opened++) {
    const { page, offences } = await openPage(await browser, url, '/', options)
    onTestFinished(async () => {
      await page.context().close()
      expect(offences.filter((text) => !(mayFailToConnect && FAILED_REQUEST.test(text)))).toEqual([])
    })
    pages.push(page)
  }
  return pages as Pages
}

/** Every text that the page shows can be read: WCAG 2.2, level AA. */
export async function expectReadable(page: Page): Promise<void> {
  const tooFaint = (await shownTexts(page)).filter(
    ({ color, background }) => contrastOf(color, background) < LEAST_FOR_TEXT,
  )
  expect(tooFaint).toEqual([])
}
