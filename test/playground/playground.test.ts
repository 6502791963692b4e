import type { Browser, BrowserContextOptions, Locator, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { CHROMIUM_PATH, launchBrowser, openPage, type WatchedPage } from '../support/browser.ts'
import { contrastOf, LEAST_FOR_GRAPHICS, LEAST_FOR_TEXT, shownTexts } from '../support/contrast.ts'
import { startCuttingProxy } from '../support/cutting-proxy.ts'
import { KEEP_HISTORY, startTestServer, type TestServer } from './server.ts'

const TRANSPORTS = ['websocket', 'sse'] as const
type Transport = (typeof TRANSPORTS)[number]

/** What the page says that a connection speaks. */
const NAMES = { websocket: 'over WebSocket', sse: 'over SSE' }

/** How long a condition may take to come true; conditions end their wait at once. */
const PATIENCE = { timeout: 15_000, interval: 25 }
const API_KEY = 'a-key-of-the-playground-tests'
const HOSTILE = '<img src=x onerror="document.title=\'owned\'"><script>document.title="owned"</script>'

let server: TestServer
let browser: Browser
let opened: WatchedPage[] = []

beforeAll(async () => {
  if (CHROMIUM_PATH === '') return
  server = await startTestServer()
  browser = await launchBrowser()
}, 60_000)

afterAll(async () => {
  await browser?.close()
  await server?.close()
})

afterEach(async () => {
  const watched = opened
  opened = []
  for (const { page } of watched) await page.context().close()
  expect(watched.flatMap(({ offences }) => offences)).toEqual([])
})

describe.skipIf(CHROMIUM_PATH === '')('the playground', { timeout: 60_000 }, () => {
  it('joins over both transports, publishes, and shows the message on both sides', async () => {
    const page = await open()
    await joinBoth(page)
    await publishText(page, 'hello, both of you')
    for (const transport of TRANSPORTS) {
      await see(messages(page, transport), ['{"type":"chat.message","text":"hello, both of you"}'])
      await seeText(received(page, transport), '1')
    }
    await seeText(page.locator('#publish-status'), /^Published in [\d,]+ ms\. Cursor: /)
  })

  it('leaves, and hears no more', async () => {
    const page = await open()
    await joinBoth(page)
    await page.getByRole('button', { name: 'Leave over WebSocket' }).click()
    await seeState(page, 'websocket', 'closed')
    await publishText(page, 'only one hears this')
    await seeText(received(page, 'sse'), '1')
    expect(await received(page, 'websocket').textContent()).toBe('0')
  })

  it('shows hostile messages as the text they are', async () => {
    const page = await open()
    await joinBoth(page)
    await publishText(page, HOSTILE)
    for (const transport of TRANSPORTS) {
      await see(messages(page, transport), [JSON.stringify({ type: 'chat.message', text: HOSTILE })])
    }
    expect(await page.locator('img, .feed script').count()).toBe(0)
    expect(await page.title()).toBe('groupcast playground')
  })

  it('gets a burst of 1,000 on both sides, keeps the last 500 in view and plots the rate', async () => {
    const page = await open()
    await joinBoth(page)
    await page.getByLabel('Messages', { exact: true }).fill('1000')
    await page.getByRole('button', { name: 'Send' }).click()
    await seeText(page.locator('#burst-status'), /^1,000 published in /)
    for (const transport of TRANSPORTS) {
      await seeText(received(page, transport), '1,000')
      await expect.poll(() => messages(page, transport).count(), PATIENCE).toBeGreaterThan(490)
      expect(await page.locator(`#${transport} .row`).count()).toBeLessThanOrEqual(500)
      await seeText(messages(page, transport).last(), '{"type":"playground.burst","number":1000,"of":1000}')
      await expect.poll(() => plottedPoints(page, '#rates-plot', transport), PATIENCE).toBeGreaterThan(0)
    }
  })

  it('counts the connections of the chosen groups', async () => {
    const page = await open()
    await joinBoth(page)
    for (const transport of TRANSPORTS) {
      await seeText(page.locator(`#count-${transport}`), '1')
      await expect.poll(() => plottedPoints(page, '#counts-plot', transport), PATIENCE).toBeGreaterThan(0)
    }
    await seeText(page.locator('#count-ndjson'), '0')
    await seeText(page.locator('.chip-counts'), '2 connections')
    await page.getByRole('button', { name: 'Leave both' }).click()
    for (const transport of TRANSPORTS) await seeText(page.locator(`#count-${transport}`), '0')
  })

  it('comes back when it is told to, and says how long it waits', async () => {
    const page = await open()
    await joinBoth(page)
    for (const transport of TRANSPORTS) {
      await seeText(page.locator(`#${transport} .transport-name`), NAMES[transport])
      const id = await connectionId(page, transport)
      await drop(page, transport)
      await seeState(page, transport, 'waiting')
      await seeText(page.locator(`#${transport} .state-text`), /^waiting \d+ s$/)
      await seeNote(page, transport, 'The server closed: 4000.')
      await expect.poll(() => connectionId(page, transport), PATIENCE).not.toBe(id)
      await seeState(page, transport, 'open')
    }
  })

  it('has everything again that was sent while it was dropped, in order', async () => {
    const kept = await startTestServer(KEEP_HISTORY)
    onTestFinished(() => kept.close())
    const page = await open({ url: kept.url })
    await joinBoth(page)
    const expected: string[] = []
    for (const transport of TRANSPORTS) {
      await publishText(page, `before ${transport}`)
      await seeText(page.locator('#publish-status'), /^Published/)
      expected.push(`{"type":"chat.message","text":"before ${transport}"}`)
      for (const each of TRANSPORTS) await see(messages(page, each), expected)
      await drop(page, transport)
      await seeState(page, transport, 'waiting')
      expected.push(...WHILE_AWAY)
      await seeNote(page, transport, 'Resumed: 3 messages.')
      for (const each of TRANSPORTS) await see(messages(page, each), expected)
      const cursor = await page.locator(`#${transport} .cursor`).getAttribute('title')
      expect(cursor).toMatch(/^[a-z0-9]+\.\d+$/)
      await seeText(page.locator(`#${transport} .cursor`), `…${cursor?.slice(-9)}`)
    }
    await publishText(page, 'after')
    for (const transport of TRANSPORTS)
      await see(messages(page, transport), [...expected, '{"type":"chat.message","text":"after"}'])
  })

  it('has everything again with nothing but an EventSource', async () => {
    const kept = await startTestServer(KEEP_HISTORY)
    onTestFinished(() => kept.close())
    const page = await open({ url: kept.url })
    for (const format of ['plain', 'envelope'] as const) {
      await choose(page, 'sse', format)
      await page.getByRole('button', { name: 'Clear Server-Sent Events' }).click()
      await page.getByRole('button', { name: 'Join over Server-Sent Events' }).click()
      await seeState(page, 'sse', 'open')
      await drop(page, 'sse')
      await seeNote(page, 'sse', 'Resumed: 3 messages.')
      const texts = await messages(page, 'sse').allTextContents()
      expect(texts).toEqual(WHILE_AWAY.map((text) => expect.stringContaining(text)))
      await page.getByRole('button', { name: 'Leave over Server-Sent Events' }).click()
    }
  })

  it('says that messages may have been missed, where the history was too short', async () => {
    const kept = await startTestServer({ groups: [{ match: '*', history: { count: 2 } }] })
    onTestFinished(() => kept.close())
    const group = uniqueGroup()
    const page = await open({ url: kept.url, groups: [group] })
    await joinBoth(page)
    await publishText(page, 'before')
    for (const transport of TRANSPORTS) await seeText(received(page, transport), '1')
    for (const transport of TRANSPORTS) {
      await drop(page, transport)
      await seeNote(page, transport, new RegExp(`^Reset: messages of ${group} may have been missed`))
    }
    // The other one was there the first time.
    await seeText(received(page, 'websocket'), '4')
    await seeText(received(page, 'sse'), '4')
  })

  it('says so where no history is kept, and what that means', async () => {
    const page = await open()
    await joinBoth(page)
    for (const transport of TRANSPORTS) {
      await seeNote(page, transport, /^No history here: what is sent while this connection is away is missed/)
      await seeText(page.locator(`#${transport} .cursor`), 'none')
    }
    await drop(page, 'websocket')
    await seeNote(page, 'websocket', 'What was sent meanwhile is missed: these groups keep no history.')
    await see(messages(page, 'sse'), WHILE_AWAY)
    expect(await messages(page, 'websocket').count()).toBe(0)
  })

  it('falls back to events where WebSockets do not get through, and says so', async () => {
    const proxy = await startCuttingProxy(server.url)
    proxy.refused.add('websocket')
    const page = await open({ url: proxy.url })
    await page.getByRole('button', { name: 'Join over WebSocket' }).click()
    await seeState(page, 'websocket', 'open')
    await seeText(page.locator('#websocket .transport-name'), NAMES.sse)
    await publishText(page, 'the long way round')
    await seeText(received(page, 'websocket'), '1')
    forgiveFailedRequests()
  })

  it('shows envelopes with their connection; a WebSocket by itself does not come back', async () => {
    const page = await open()
    for (const transport of TRANSPORTS) await choose(page, transport, 'envelope')
    await joinBoth(page)
    await publishText(page, 'wrapped')
    for (const transport of TRANSPORTS) {
      await seeText(messages(page, transport), /^\{"group":"[^"]+",.*"message":\{.*"text":"wrapped"\}\}$/)
      await closeConnection(await connectionId(page, transport), 4000)
    }
    await seeState(page, 'websocket', 'ended')
    await seeNote(page, 'websocket', /^Closed with 4000.* does not come back by itself/)
    await seeNote(page, 'sse', /^Back, in /)
    await seeState(page, 'sse', 'open')
  })

  it('shows what a plain page gets', async () => {
    const page = await open()
    for (const transport of TRANSPORTS) await choose(page, transport, 'plain')
    await joinBoth(page)
    await publishText(page, 'bare')
    for (const transport of TRANSPORTS)
      await see(messages(page, transport), ['{"type":"chat.message","text":"bare"}'])
    await seeText(page.locator('#websocket .connection'), 'not told')
    expect(await page.locator('#websocket .drop').isDisabled()).toBe(true)
    await seeText(page.locator('#sse .row.control .event-name'), 'groupcast.open ')
  })

  it.each(['library', 'envelope'] as const)('stays away when it is told to: %s', async (format) => {
    const page = await open()
    for (const transport of TRANSPORTS) await choose(page, transport, format)
    await joinBoth(page)
    for (const transport of TRANSPORTS) {
      await closeConnection(await connectionId(page, transport), 4500)
      await seeState(page, transport, 'ended')
      await seeText(notes(page, transport).last(), /losed(?: with|:) 4500/)
    }
  })

  it('says so when the answer is not a stream', async () => {
    const page = await open()
    await page.route('**/events?*', (route) => route.fulfill({ status: 403, body: 'no' }))
    for (const [format, text] of [
      ['library', 'Server: 403.'],
      ['plain', 'The answer was not an event stream: EventSource stops for good.'],
    ] as const) {
      await choose(page, 'sse', format)
      await page.getByRole('button', { name: 'Join over Server-Sent Events' }).click()
      await seeState(page, 'sse', 'ended')
      await seeNote(page, 'sse', text)
    }
    forgiveFailedRequests()
  })

  it('comes back by itself when the server was away', async () => {
    const first = await startTestServer()
    const page = await open({ url: first.url })
    await joinBoth(page)
    await first.close()
    for (const transport of TRANSPORTS) await seeState(page, transport, 'waiting')
    await seeText(page.locator('#counts-failure'), 'The server cannot be reached.')
    const second = await startTestServer({ port: Number(new URL(first.url).port) })
    onTestFinished(() => second.close())
    for (const transport of TRANSPORTS) await seeState(page, transport, 'open')
    await publishText(page, 'good as new')
    for (const transport of TRANSPORTS) await seeText(received(page, transport), '1')
    forgiveFailedRequests()
  })

  it('moves to other groups as they are chosen, and carries them in its address', async () => {
    const [one, other] = [uniqueGroup(), uniqueGroup()]
    const page = await open({ groups: [one] })
    await joinBoth(page)
    const ids = await Promise.all(TRANSPORTS.map((transport) => connectionId(page, transport)))
    await addGroup(page, other)
    for (const transport of TRANSPORTS) await seeNote(page, transport, `Joined ${other}.`)
    expect(new URL(page.url()).searchParams.getAll('group')).toEqual([one, other])
    for (const transport of TRANSPORTS) await seeState(page, transport, 'open')
    await page.getByLabel('Group', { exact: true }).fill(other)
    await publishText(page, 'to the other')
    for (const transport of TRANSPORTS) await seeText(received(page, transport), '1')
    await page.getByRole('button', { name: `Remove ${one}` }).click()
    expect(new URL(page.url()).searchParams.getAll('group')).toEqual([other])
    for (const transport of TRANSPORTS) await seeNote(page, transport, `Left ${one}.`)
    // By commands, over the connections that there were.
    expect(await Promise.all(TRANSPORTS.map((transport) => connectionId(page, transport)))).toEqual(ids)
  })

  it('takes no bad names, neither typed nor from the address', async () => {
    const page = await open({ groups: ['<img src=x onerror=alert(1)>', 'good'] })
    expect(await page.locator('.chip-name').allTextContents()).toEqual(['good'])
    await addGroup(page, 'bär')
    await seeText(page.locator('#groups-hint'), /“bär” cannot name a group\. Use 1–255 characters/)
    expect(await page.locator('.chip-name').allTextContents()).toEqual(['good'])
  })

  it.each([
    ['{"type":', /^This is not JSON: /],
    ['[1]', /^A message is a JSON object/],
    ['{"text":"hi"}', /^A message needs a "type"/],
  ])('does not publish %s, and says why', async (json, reason) => {
    const page = await open()
    await publishJson(page, json)
    await seeText(page.locator('#publish-status'), reason)
    expect(await page.locator('#publish-body').getAttribute('aria-invalid')).toBe('true')
  })

  it('shows what the server says against a message', async () => {
    const page = await open()
    const answered = page.waitForResponse((response) => response.request().method() === 'POST')
    await publishJson(page, '{"type":"groupcast.reset"}')
    const { detail } = (await (await answered).json()) as { detail: string }
    expect(detail).not.toBe('')
    await seeText(page.locator('#publish-status'), `422 invalid-message: ${detail}`)
    forgiveFailedRequests()
  })

  it('asks for the API key where the server wants one, and keeps it nowhere', async () => {
    const guarded = await startTestServer({ apiKeys: [API_KEY] })
    onTestFinished(() => guarded.close())
    const page = await open({ url: guarded.url })
    await seeText(page.locator('#counts-failure'), /^401 unauthorized: /)
    await joinBoth(page)
    await publishText(page, 'without a key')
    await seeText(page.locator('#publish-status'), /^401 unauthorized: /)
    await page.getByLabel('Key for publishing and counts').fill(API_KEY)
    await publishText(page, 'with a key')
    await seeText(page.locator('#publish-status'), /^Published/)
    for (const transport of TRANSPORTS) {
      await seeText(received(page, transport), '1')
      await seeText(page.locator(`#count-${transport}`), '1')
    }
    await expect.poll(() => page.locator('#counts-failure').isVisible(), PATIENCE).toBe(false)
    forgiveFailedRequests()
    expect(await page.evaluate('[localStorage.length, sessionStorage.length, document.cookie]')).toEqual([
      0,
      0,
      '',
    ])
  })

  it('tells a newcomer what to do, with commands that can be copied', async () => {
    const group = uniqueGroup()
    const page = await open({ groups: [group], permissions: ['clipboard-read', 'clipboard-write'] })
    await page.getByRole('button', { name: 'Copy the command (WebSocket)' }).click()
    await seeText(page.locator('#announcer'), 'Copied')
    const command = await page.evaluate<string>('navigator.clipboard.readText()')
    expect(command).toMatch(/^curl -H /)
    expect(command).toContain(`'${server.url}/api/groups/${group}/messages'`)
    await page.getByRole('button', { name: 'Copy the code (Server-Sent Events)' }).click()
    await expect
      .poll(() => page.evaluate<string>('navigator.clipboard.readText()'), PATIENCE)
      .toContain(
        `\nconst client = connect('${server.url}/events', { groups: ['${group}'], transports: ['sse'] })\n`,
      )
    await choose(page, 'sse', 'plain')
    await page.getByRole('button', { name: 'Copy the code (Server-Sent Events)' }).click()
    await expect
      .poll(() => page.evaluate<string>('navigator.clipboard.readText()'), PATIENCE)
      .toBe(`new EventSource('${server.url}/events?group=${group}')`)
  })

  it('stands still while the reader has scrolled up, and counts what is new', async () => {
    const page = await open()
    await joinBoth(page)
    await page.getByLabel('Messages', { exact: true }).fill('100')
    await page.getByRole('button', { name: 'Send' }).click()
    await seeText(messages(page, 'sse').last(), /"number":100/)
    await page.getByLabel('Messages over Server-Sent Events').press('Home')
    const newest = page.locator('#sse .newest')
    await newest.waitFor()
    await publishText(page, 'below the fold')
    await seeText(newest, '1 new ↓')
    await seeText(messages(page, 'websocket').last(), /below the fold/)
    expect(await messages(page, 'sse').last().textContent()).toContain('"number":100')
    await newest.click()
    await seeText(messages(page, 'sse').last(), /below the fold/)
    await expect.poll(() => newest.isVisible(), PATIENCE).toBe(false)
  })

  it('names every control for those who cannot see it', async () => {
    const page = await open()
    const names = await page.evaluate<string[]>(`
      [...document.querySelectorAll('button, input, select, textarea, summary, progress')]
        .filter((element) => element.checkVisibility() || element.type === 'radio')
        .map((element) => {
          const labels = [...(element.labels ?? [])].map((label) => label.textContent)
          return element.getAttribute('aria-label') || labels.join(' ').trim() || element.textContent.trim()
        })
    `)
    expect(names.length).toBeGreaterThan(20)
    expect(names).not.toContain('')
  })

  it('can be worked by keyboard alone', async () => {
    const page = await open()
    await groupField(page).focus()
    await page.keyboard.type('typed')
    await page.keyboard.press('Enter')
    await seeText(page.locator('.chip-name').last(), 'typed')
    await pressTabUntil(page, 'join-all')
    await page.keyboard.press('Enter')
    for (const transport of TRANSPORTS) await seeState(page, transport, 'open')
    await pressTabUntil(page, 'publish-body')
    await page.keyboard.press('Enter')
    for (const transport of TRANSPORTS) await seeText(received(page, transport), '1')
  })

  it('fits a phone, with one panel above the other', async () => {
    const page = await open({ viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true })
    await joinBoth(page)
    await publishText(page, 'w'.repeat(400))
    for (const transport of TRANSPORTS) await seeText(received(page, transport), '1')
    expect(await page.evaluate('document.documentElement.scrollWidth - innerWidth')).toBeLessThanOrEqual(0)
    const [above, below] = await Promise.all(
      TRANSPORTS.map((transport) => side(page, transport).boundingBox()),
    )
    expect((above?.y ?? 0) + (above?.height ?? 0)).toBeLessThanOrEqual(below?.y ?? 0)
  })

  describe.each(['light', 'dark'] as const)('in %s', (colorScheme) => {
    it('has tokens with enough contrast', async () => {
      const page = await open({ colorScheme })
      const tokens = await tokensOf(page)
      for (const [text, grounds] of Object.entries(TEXT_TOKENS)) {
        for (const ground of grounds) {
          expect(tokenContrast(tokens, text, ground), `${text} on ${ground}`).toBeGreaterThanOrEqual(
            LEAST_FOR_TEXT,
          )
        }
      }
      for (const graphic of ['control-line', 'websocket', 'sse']) {
        const contrast = tokenContrast(tokens, graphic, 'surface')
        expect(contrast, `${graphic} on surface`).toBeGreaterThanOrEqual(LEAST_FOR_GRAPHICS)
      }
    })

    it('shows every text with enough contrast, idle, busy and in trouble', async () => {
      const page = await open({ colorScheme })
      await expectContrast(page)
      await choose(page, 'sse', 'envelope')
      await joinBoth(page)
      await publishText(page, 'can you read me?')
      for (const transport of TRANSPORTS) await seeText(received(page, transport), '1')
      await publishJson(page, 'not JSON')
      await addGroup(page, 'bär')
      await closeConnection(await connectionId(page, 'sse'), 4500)
      await seeState(page, 'sse', 'ended')
      await expectContrast(page)
    })
  })
})

/** Text tokens, and the grounds that they stand on. */
const TEXT_TOKENS = {
  text: ['ground', 'surface', 'sunken', 'websocket-soft', 'sse-soft'],
  muted: ['ground', 'surface', 'sunken', 'websocket-soft', 'sse-soft'],
  websocket: ['surface', 'sunken', 'websocket-soft'],
  sse: ['surface', 'sunken', 'sse-soft'],
  bad: ['ground', 'surface', 'bad-soft'],
  inverse: ['text'],
}

interface OpenOptions extends BrowserContextOptions {
  readonly url?: string
  readonly groups?: readonly string[]
}

/** Opens the page with groups that no other test uses, unless told which. */
async function open({
  url = server.url,
  groups = [uniqueGroup()],
  ...options
}: OpenOptions = {}): Promise<Page> {
  const query = new URLSearchParams(groups.map((group): [string, string] => ['group', group]))
  const watched = await openPage(browser, url, `/?${query}`, options)
  opened.push(watched)
  return watched.page
}

let groupCount = 0

function uniqueGroup(): string {
  groupCount++
  return `playground.test-${groupCount}`
}

const FAILED_REQUEST = /^console: (Failed to load resource|WebSocket connection to '[^']+' failed)/

/** The browser reports failed requests on the console: where the test asks for one, that is no offence. */
function forgiveFailedRequests(): void {
  for (const { offences } of opened) {
    const others = offences.filter((offence) => !FAILED_REQUEST.test(offence))
    offences.splice(0, offences.length, ...others)
  }
}

async function joinBoth(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'Join both' }).click()
  for (const transport of TRANSPORTS) await seeState(page, transport, 'open')
}

function groupField(page: Page): Locator {
  return page.getByRole('combobox', { name: 'Groups', exact: true })
}

async function addGroup(page: Page, name: string): Promise<void> {
  await groupField(page).fill(name)
  await groupField(page).press('Enter')
}

async function publishText(page: Page, text: string): Promise<void> {
  await page.locator('#publish').getByLabel('Text').first().check()
  await page.locator('#publish-body').fill(text)
  await page.getByRole('button', { name: 'Publish' }).click()
}

async function publishJson(page: Page, json: string): Promise<void> {
  await page.locator('#publish').getByLabel('JSON').check()
  await page.locator('#publish-body').fill(json)
  await page.getByRole('button', { name: 'Publish' }).click()
}

async function closeConnection(id: string, code: number): Promise<void> {
  const response = await fetch(`${server.url}/api/connections/${id}?code=${code}`, { method: 'DELETE' })
  expect(response.ok).toBe(true)
}

function side(page: Page, transport: Transport): Locator {
  return page.locator(`#${transport}`)
}

function messages(page: Page, transport: Transport): Locator {
  return page.locator(`#${transport} .row.message .body`)
}

function received(page: Page, transport: Transport): Locator {
  return page.locator(`#${transport} .received`)
}

/** The id of the connection that is open, `''` while there is none. */
async function connectionId(page: Page, transport: Transport): Promise<string> {
  const id = page.locator(`#${transport}[data-state=open] .connection[data-known]`)
  await id.waitFor()
  return (await id.textContent()) ?? ''
}

/** What a state is called, where it is not by its name. */
const STATE_TEXT: Readonly<Record<string, string | RegExp>> = {
  waiting: /^waiting( \d+ s)?$/,
  ended: 'closed for good',
}

async function seeState(page: Page, transport: Transport, state: string): Promise<void> {
  await seeText(page.locator(`#${transport} .state-text`), STATE_TEXT[state] ?? state)
  expect(await page.locator(`#${transport}`).getAttribute('data-state')).toBe(state)
}

/** Chooses how to listen. */
async function choose(
  page: Page,
  transport: Transport,
  format: 'library' | 'plain' | 'envelope',
): Promise<void> {
  await side(page, transport).getByLabel(format, { exact: true }).check()
}

function notes(page: Page, transport: Transport): Locator {
  return page.locator(`#${transport} .row.note .body`)
}

/** Waits for a note. */
async function seeNote(page: Page, transport: Transport, text: string | RegExp): Promise<void> {
  const matcher = typeof text === 'string' ? text : expect.stringMatching(text)
  await expect.poll(() => notes(page, transport).allTextContents(), PATIENCE).toContainEqual(matcher)
}

async function drop(page: Page, transport: Transport): Promise<void> {
  const title = transport === 'websocket' ? 'WebSocket' : 'Server-Sent Events'
  await page.getByRole('button', { name: `Drop the connection over ${title}` }).click()
}

/** The messages that are published while a connection is away that was dropped. */
const WHILE_AWAY = [1, 2, 3].map((number) => `{"type":"playground.while-away","number":${number},"of":3}`)

async function seeText(locator: Locator, expected: string | RegExp): Promise<void> {
  const matcher = typeof expected === 'string' ? expected : expect.stringMatching(expected)
  await expect.poll(() => locator.textContent(), PATIENCE).toEqual(matcher)
}

async function see(locator: Locator, texts: string[]): Promise<void> {
  await expect.poll(() => locator.allTextContents(), PATIENCE).toEqual(texts)
}

/** How many points of a plot's line are off the line in the middle. */
async function plottedPoints(page: Page, plot: string, transport: Transport): Promise<number> {
  const path = await page.locator(`${plot} .line.${transport}`).getAttribute('d')
  const heights = path?.match(/(?<=[LM][\d.]+ |V)[\d.]+/g) ?? []
  const isOffMiddle = transport === 'websocket' ? (y: number) => y < 100 : (y: number) => y > 100
  return heights.map(Number).filter(isOffMiddle).length
}

async function pressTabUntil(page: Page, id: string): Promise<void> {
  for (let presses = 0; presses < 60; presses++) {
    await page.keyboard.press('Tab')
    const focused = await page.evaluate<{ id: string; outline: string }>(
      '({ id: document.activeElement.id, outline: getComputedStyle(document.activeElement).outlineStyle })',
    )
    if (focused.id !== id) continue
    expect(focused.outline).toBe('solid')
    return
  }
  throw new Error(`Tab never reached #${id}`)
}

async function tokensOf(page: Page): Promise<Map<string, string>> {
  const names = ['control-line', ...Object.keys(TEXT_TOKENS), ...Object.values(TEXT_TOKENS).flat()]
  const values = await page.evaluate<string[]>(
    `${JSON.stringify(names)}.map((name) => getComputedStyle(document.documentElement).getPropertyValue('--' + name).trim())`,
  )
  return new Map(names.map((name, i) => [name, values[i] ?? '']))
}

function tokenContrast(tokens: ReadonlyMap<string, string>, one: string, other: string): number {
  return contrastOf(tokens.get(one) ?? '', tokens.get(other) ?? '')
}

async function expectContrast(page: Page): Promise<void> {
  const texts = await shownTexts(page)
  expect(texts.length).toBeGreaterThan(30)
  for (const { text, color, background } of texts) {
    expect(contrastOf(color, background), `${text}: ${color} on ${background}`).toBeGreaterThanOrEqual(
      LEAST_FOR_TEXT,
    )
  }
}
