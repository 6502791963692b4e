/**
 * What a page gets that knows nothing of us: a plain `EventSource` in Chromium, behind a proxy that cuts, comes back by itself and misses
 * nothing, by `Last-Event-ID` alone.
 */
import { createServer, type RequestListener } from 'node:http'
import type { HistoryOptions } from 'groupcast'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { CHROMIUM_PATH, launchBrowser } from '../support/browser.ts'
import { startCuttingProxy } from '../support/cutting-proxy.ts'
import { listen, startTestHub, stop } from '../support/hub-server.ts'
import { until } from '../support/until.ts'

/** What a page has heard. */
interface Heard {
  readonly messages: readonly { readonly n: number; readonly id: string }[]
  readonly resets: readonly { readonly groups: readonly string[]; readonly id: string }[]
  readonly opens: number
  readonly readyState: number
}

/** The whole of the page's code, as text: the types of this project know no browser. */
const LISTEN = (url: string) => `
  const source = new EventSource(${JSON.stringify(url)})
  globalThis.heard = { messages: [], resets: [], opens: 0 }
  source.onopen = () => heard.opens++
  source.onmessage = ({ data, lastEventId: id }) => heard.messages.push({ n: JSON.parse(data).n, id })
  source.addEventListener('groupcast.reset', ({ data, lastEventId: id }) => {
    heard.resets.push({ groups: JSON.parse(data).groups, id })
  })
  globalThis.hear = () => ({ ...heard, readyState: source.readyState })
`
const HTML = '<!doctype html><link rel="icon" href="data:,"><title>plain</title>'
const PAGE: RequestListener = (_request, response) =>
  response.writeHead(200, { 'Content-Type': 'text/html' }).end(HTML)

let browser: Browser

beforeAll(async () => {
  if (CHROMIUM_PATH !== '') browser = await launchBrowser()
}, 60_000)

afterAll(async () => {
  await browser?.close()
})

interface SetUpOptions {
  readonly history?: HistoryOptions
  /** Whether the page comes from elsewhere. */
  readonly isElsewhere?: boolean
}

/** A page that listens to a group, through a proxy. */
async function setUp({ history = {}, isElsewhere = false }: SetUpOptions = {}) {
  const elsewhere = createServer(PAGE)
  const origin = await listen(elsewhere)
  onTestFinished(() => stop(elsewhere))
  const { hub, url, errors } = await startTestHub(
    {
      groups: [{ match: '*', history }],
      allowedOrigins: [origin],
      // It comes back after a second, and not much later.
      limits: { retrySpreadMs: 1 },
    },
    (_request, response) => response.end(HTML, 200, 'text/html'),
  )
  const proxy = await startCuttingProxy(url)
  const page = await browser.newPage()
  onTestFinished(() => page.close())
  await page.goto(isElsewhere ? origin : proxy.url)
  await page.evaluate(LISTEN(`${isElsewhere ? proxy.url : ''}/events?group=a`))

  let n = 0
  const hears = async (what: string, isSo: (heard: Heard) => boolean): Promise<Heard> => {
    const deadline = Date.now() + 20_000
    for (;;) {
      const heard = await page.evaluate<Heard>('hear()')
      if (isSo(heard)) return heard
      if (Date.now() > deadline) throw new Error(`Waited in vain until ${what}: ${JSON.stringify(heard)}`)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
  await hears('it is open', ({ opens }) => opens === 1)
  return {
    errors,
    /** The heads of the requests for events, of whatever method. */
    requests: () => proxy.heads.filter((head) => /^\w+ \/events/.test(head)),
    hears,
    /** Publishes messages that are numbered from 0; large enough to be cut in the middle. */
    async publish(count: number) {
      for (let i = 0; i < count; i++) await hub.groupSend('a', { type: 'n', n: n++, text: 'x'.repeat(2_000) })
    },
    /** Cuts it off while `meanwhile` runs; `after` so many bytes of what comes next, unless `null`. */
    async cutOff(after: number | null, meanwhile: () => Promise<void>) {
      proxy.isDown = true
      if (after === null) proxy.cut()
      else proxy.cutAfter(after)
      await meanwhile()
      await until('it is cut', () => proxy.count === 0)
      // Attempts that fail on the way do no harm.
      await hears('it has noticed', ({ readyState }) => readyState === 0)
      proxy.isDown = false
    },
  }
}

const numbers = ({ messages }: Heard) => messages.map((message) => message.n)
const lastEventId = (head: string) => /^last-event-id: *(.*)\r$/im.exec(head)?.[1]
const upTo = (count: number) => Array.from({ length: count }, (_, n) => n)
const has = (count: number) => (heard: Heard) => heard.messages.length >= count

describe.skipIf(CHROMIUM_PATH === '')('a plain EventSource', { timeout: 60_000 }, () => {
  test.each([
    ['abruptly', null],
    ['in the middle of an event', 700],
    ['at its first byte', 1],
  ])('cut %s it gets what it missed, once, in order', async (_how, after) => {
    const { publish, cutOff, hears, requests, errors } = await setUp()
    await publish(2)
    const { messages: before } = await hears('the first came', has(2))
    await cutOff(after, () => publish(4))
    await publish(1)
    await hears('it is back', has(7))
    await publish(1)
    const heard = await hears('it is live again', has(8))
    expect(numbers(heard)).toEqual(upTo(8))
    expect(heard.resets).toEqual([])
    expect(requests().map(lastEventId)).toEqual([undefined, before[1]?.id])
    expect(errors).toEqual([])
  })

  test('cut before its first message it gets what it missed: the event of opening has an id', async () => {
    const { publish, cutOff, hears, requests } = await setUp()
    await cutOff(null, () => publish(3))
    const heard = await hears('it is back', has(3))
    expect(numbers(heard)).toEqual(upTo(3))
    expect(requests().map(lastEventId)).toEqual([undefined, expect.stringMatching(/^[a-z0-9]+\.0$/)])
  })

  test('cut time and again it misses nothing', async () => {
    const { publish, cutOff, hears } = await setUp()
    for (const [round, after] of [null, 2_500, 40, null].entries()) {
      await cutOff(after, () => publish(3))
      const heard = await hears('it is back', has(3 * (round + 1)))
      expect(numbers(heard)).toEqual(upTo(3 * (round + 1)))
      expect(heard.resets).toEqual([])
    }
  })

  test('from another origin that is allowed it does so without a preflight', async () => {
    const { publish, cutOff, hears, requests } = await setUp({ isElsewhere: true })
    await publish(1)
    await hears('the first came', has(1))
    await cutOff(700, () => publish(3))
    const heard = await hears('it is back', has(4))
    expect(numbers(heard)).toEqual(upTo(4))
    const expected = Array(2).fill(expect.stringMatching(/^GET .*^origin: http/ims))
    expect(requests()).toEqual(expected)
    // What the Fetch standard allows without one: section "CORS-safelisted request-header".
    for (const { id } of heard.messages) expect(id).toMatch(/^[A-Za-z0-9._~-]{1,128}$/)
  })

  test('is told where the history was too short, and goes on from there', async () => {
    const { publish, cutOff, hears, requests } = await setUp({ history: { count: 2 } })
    await publish(1)
    await hears('the first came', has(1))
    await cutOff(null, () => publish(5))
    const { resets, messages } = await hears('it is told', (heard) => heard.resets.length > 0)
    expect(resets).toEqual([{ groups: ['a'], id: expect.stringMatching(/\.6$/) }])
    expect(messages).toHaveLength(1)
    await publish(1)
    await hears('it is live again', has(2))
    await cutOff(null, () => publish(2))
    const heard = await hears('it is back', has(4))
    // The snapshot that the page loads at the reset has all before message 6.
    expect(numbers(heard)).toEqual([0, 6, 7, 8])
    expect(heard.resets).toHaveLength(1)
    expect(requests()).toHaveLength(3)
  })
})
