import { describe, expect, test } from 'vitest'
import { start } from '../../examples/send-event/server.js'
import { openClient } from '../support/clients.ts'
import { until } from '../support/until.ts'
import { listen, startExample } from './example.ts'
import { expectReadable, openPages, testInBrowser } from './pages.ts'

const HELLO = '{"type":"send_message","text":"hello & <b>goodbye</b>"}'
const SEND_HELLO = `/send?${new URLSearchParams({ text: 'hello & <b>goodbye</b>' })}`

test('an event reaches EventSource and WebSocket clients as the same text', async () => {
  const { url } = await startExample(start)
  const listeners = [await listen(`${url}/events/`), await listen(`${url}/events`)]
  const webSocket = await openClient('websocket', `${url}/events/`)

  const response = await fetch(url + SEND_HELLO, { method: 'POST' })
  expect(response.status).toBe(200)
  expect(response.headers.get('content-type')).toBe('application/json')
  expect(await response.text()).toBe('{"status":"Event sent"}')

  for (const heard of [...listeners.map(({ texts }) => texts), webSocket.messages]) {
    await until('the event has come', () => heard.length === 1)
    expect(heard).toEqual([HELLO])
  }
})

test('other requests are answered by the program itself, and send nothing', async () => {
  const { url } = await startExample(start)
  const { texts } = await listen(`${url}/events/`)
  expect((await fetch(url + SEND_HELLO)).status).toBe(404)
  expect((await fetch(`${url}/eventsource`)).status).toBe(404)
  expect((await fetch(`${url}//`)).status).toBe(404)
  const page = await fetch(`${url}/?from=somewhere`)
  expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8')
  expect(await page.text()).toContain("new EventSource('/events/')")

  await fetch(url + SEND_HELLO, { method: 'POST' })
  await until('the event has come', () => texts.length > 0)
  expect(texts).toEqual([HELLO])
})

/** A page has loaded before its stream is open, and what is sent before is not for it: under load an event never came. */
const openListening: typeof openPages = async (...given) => {
  const pages = await openPages(...given)
  await Promise.all(pages.map((page) => page.waitForFunction('events.readyState === EventSource.OPEN')))
  return pages
}

describe('the page', () => {
  testInBrowser('shows on all open pages what one of them sends, as text', async () => {
    const { url } = await startExample(start)
    const [sender, reader] = await openListening(url, 2)
    await sender.getByLabel('Text').fill('first')
    await sender.getByRole('button', { name: 'Send' }).click()
    await sender.getByText('first', { exact: true }).waitFor()
    await expect.poll(() => sender.getByLabel('Text').inputValue()).toBe('')
    await sender.getByLabel('Text').fill('<img src=x onerror=alert(1)>')
    await sender.getByLabel('Text').press('Enter')

    for (const page of [sender, reader]) {
      const items = page.getByRole('listitem')
      await items.nth(1).waitFor()
      // The newest on top.
      expect(await items.allTextContents()).toEqual(['<img src=x onerror=alert(1)>', 'first'])
      expect(await page.locator('ol img').count()).toBe(0)
    }
  })

  testInBrowser.for(['light', 'dark'] as const)('can be read in %s colours', async (colorScheme) => {
    const { url } = await startExample(start)
    const [page] = await openListening(url, 1, { colorScheme })
    await fetch(url + SEND_HELLO, { method: 'POST' })
    await page.getByRole('listitem').waitFor()
    await expectReadable(page)
  })

  testInBrowser('could use a WebSocket instead, as its comment says', async () => {
    const { url } = await startExample(start)
    const html = await (await fetch(url)).text()
    const [, line] = /\/\/ (const events = new WebSocket\(.*\))/.exec(html) ?? []
    expect(line).toBeDefined()

    const [page] = await openListening(url, 1)
    const text = page.evaluate<string>(`new Promise((resolve) => {
      ${line}
      events.onopen = () => fetch('/send?text=hi', { method: 'POST' })
      events.onmessage = ({ data }) => resolve(data)
    })`)
    expect(await text).toBe('{"type":"send_message","text":"hi"}')
    await page.getByText('hi', { exact: true }).waitFor()
  })
})
