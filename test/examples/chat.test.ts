import type { Page } from 'playwright-core'
import { describe, expect, onTestFinished, test } from 'vitest'
import { start } from '../../examples/chat/server.js'
import { openClient, type TestClient } from '../support/clients.ts'
import { until, within } from '../support/until.ts'
import { listen, startExample } from './example.ts'
import { expectReadable, openPages, testInBrowser } from './pages.ts'

/** What the page offers. */
const TRANSPORTS = ['websocket', 'sse'] as const

/** Enters a room by URL. The client leaves with the test. */
async function enter(kind: (typeof TRANSPORTS)[number], url: string): Promise<TestClient> {
  const client = await openClient(kind, url)
  onTestFinished(() => client.close())
  return client
}

const joined = (name: string, transport: string) => JSON.stringify({ name, transport, type: 'chat.joined' })
const said = (name: string, text: string) => JSON.stringify({ name, text, type: 'chat.message' })
const left = (name: string) => JSON.stringify({ name, type: 'chat.left' })

describe.each(TRANSPORTS)('over %s', (kind) => {
  test('people of a room hear each other, whatever they came by', async () => {
    const { url } = await startExample(start)
    const ann = await enter(kind, `${url}/chat/lobby?name=ann`)
    const bob = await enter('websocket', `${url}/chat/lobby/?name=bob`)
    const other = await enter(kind, `${url}/chat/other?name=eve`)
    await ann.send({ type: 'chat.say', text: '  hi, bob ' })
    await until('bob heard it', () => bob.messages.length === 2)
    await bob.send({ type: 'chat.say', text: 'hi, ann' })
    await until('ann heard it', () => ann.messages.length === 4)
    expect(ann.messages).toEqual([
      joined('ann', kind),
      joined('bob', 'websocket'),
      said('ann', 'hi, bob'),
      said('bob', 'hi, ann'),
    ])
    bob.close()
    await until('ann knows that bob left', () => ann.messages.length === 5)
    expect(ann.messages.at(-1)).toBe(left('bob'))
    expect(other.messages).toEqual([joined('eve', kind)])
  })

  test('nobody speaks in the name of others, or says what does not fit', async () => {
    const { url } = await startExample(start)
    const ann = await enter('websocket', `${url}/chat/lobby?name=ann`)
    const messages = [
      { type: 'chat.message', name: 'ann', text: 'I owe bob money' },
      { type: 'chat.say', text: 'x'.repeat(501) },
      { type: 'chat.say', text: '   ' },
      { type: 'chat.say' },
      { type: 'chat.shout', text: 'hi' },
    ]
    for (const [n, message] of messages.entries()) {
      const bob = await enter(kind, `${url}/chat/lobby?name=bob${n}`)
      await bob.send(message)
      if (kind === 'websocket') {
        expect(await within('the end', bob.ended)).toMatchObject({ code: 4522 })
      } else {
        await until('the refusal has come', () => bob.controls.some((control) => 'error' in control))
        bob.close()
      }
      await until('ann knows that bob left', () => ann.messages.includes(left(`bob${n}`)))
    }
    expect(ann.messages.some((text) => text.includes('chat.message'))).toBe(false)
  })

  test('who has no name, or asks for an impossible room, does not get in, and nobody hears of it', async () => {
    const { url } = await startExample(start)
    const ann = await enter('websocket', `${url}/chat/lobby?name=ann`)
    for (const path of ['/chat/lobby', '/chat/lobby?name=%20', `/chat/lobby?name=${'n'.repeat(31)}`]) {
      await expectRefused(await enter(kind, url + path), { status: 403, closeCode: 4503 })
    }
    await expectRefused(await enter(kind, `${url}/chat/l%C3%B6bby?name=bob`), {
      status: 400,
      closeCode: 4520,
    })
    // What comes now would come after the notices of the others.
    await ann.send({ type: 'chat.say', text: 'quiet here' })
    await until('ann heard herself', () => ann.messages.length > 1)
    expect(ann.messages).toEqual([joined('ann', 'websocket'), said('ann', 'quiet here')])
  })

  async function expectRefused(client: TestClient, as: { status: number; closeCode: number }) {
    if (kind === 'websocket')
      expect(await within('the end', client.ended)).toMatchObject({ code: as.closeCode })
    else expect(client.status).toBe(as.status)
  }
})

test('an EventSource that is not ours hears the room, and speaks by posting', async () => {
  const { url } = await startExample(start)
  const room = `${url}/chat/lobby?name=ann`
  const { id, texts } = await listen(room)
  const response = await fetch(room, {
    method: 'POST',
    headers: { 'Groupcast-Connection': id, 'Content-Type': 'application/json' },
    body: '{"type":"chat.say","text":"hi"}',
  })
  expect(response.status).toBe(202)
  await until('it has come back', () => texts.length === 2)
  expect(texts).toEqual([joined('ann', 'sse'), said('ann', 'hi')])
})

test('when the chat restarts, nobody has left', async () => {
  const { url, close } = await startExample(start)
  const clients = [
    await enter('websocket', `${url}/chat/lobby?name=ann`),
    await enter('sse', `${url}/chat/lobby?name=bob`),
  ]
  await within('the end', close())
  for (const client of clients) {
    expect(await within('the goodbye', client.ended)).toMatchObject({ code: 1012 })
    expect(client.messages.at(-1)).toBe(joined('bob', 'sse'))
  }
})

test('the page is served so that no script but its own may run', async () => {
  const { url } = await startExample(start)
  for (const [path, type] of [
    ['/?room=a', 'text/html'],
    ['/page.js', 'text/javascript'],
    ['/page.css', 'text/css'],
  ]) {
    const { status, headers } = await fetch(url + path)
    expect(status).toBe(200)
    expect(headers.get('content-type')).toBe(`${type}; charset=utf-8`)
    expect(headers.get('content-security-policy')).toMatch(/^default-src 'self';/)
  }
  for (const path of ['/server.js', '/../server.js', '/page.js/', '/chat']) {
    expect((await fetch(url + path)).status).toBe(404)
  }
})

describe('the page', () => {
  testInBrowser('lets people talk over either transport', async () => {
    const { url } = await startExample(start)
    const [ann, bob] = await openPages(url, 2)
    await joinRoom(ann, 'ann', 'WebSocket')
    await joinRoom(bob, 'bob', 'Server-Sent Events')
    await say(ann, 'Hello, bob!')
    await bob.getByText('Hello, bob!').waitFor()
    await say(bob, 'Hello, ann!')
    await ann.getByText('Hello, ann!').waitFor()
    expect(await log(ann)).toEqual([
      'ann joined over WebSocket',
      'bob joined over SSE',
      'annHello, bob!',
      'bobHello, ann!',
    ])
    expect(await ann.locator('.mine').allTextContents()).toEqual(['annHello, bob!'])

    await bob.getByRole('button', { name: 'Leave' }).click()
    await ann.getByText('bob left').waitFor()
    // Back at the door, bob may choose otherwise.
    await joinRoom(bob, 'bob', 'WebSocket')
    await ann.getByText('bob joined over WebSocket').waitFor()
    await expectConnected(bob, 'bob, over WebSocket')
  })

  testInBrowser('shows what people write, and their names, as text', async () => {
    const { url } = await startExample(start)
    const [ann] = await openPages(url, 1)
    await joinRoom(ann, 'ann', 'Server-Sent Events')
    const markup = '<img src=x onerror="document.title=1">'
    const mallory = await enter('websocket', `${url}/chat/lobby?name=${encodeURIComponent('<i>ann</i>')}`)
    await mallory.send({ type: 'chat.say', text: markup })
    await ann.getByText(markup).waitFor()
    expect(await log(ann)).toEqual([
      'ann joined over SSE',
      '<i>ann</i> joined over WebSocket',
      `<i>ann</i>${markup}`,
    ])
    expect(await ann.locator('#log :is(img, i, script)').count()).toBe(0)
    expect(await ann.title()).toBe('Chat')
    expect(await ann.locator('.mine').count()).toBe(0)
  })

  testInBrowser.for(['WebSocket', 'Server-Sent Events'])(
    'comes back after a restart over %s',
    async (over) => {
      const { url, close } = await startExample(start)
      const [ann] = await openPages(url, 1, {}, { mayFailToConnect: true })
      await joinRoom(ann, 'ann', over)
      await say(ann, 'Are you there?')
      await ann.getByText('Are you there?').waitFor()
      await within('the end', close())
      await ann.getByText('Connecting again …').waitFor()
      // What cannot be sent stays in the field.
      await say(ann, 'Hello?')
      await ann.getByRole('alert').filter({ hasText: 'Not sent' }).waitFor()

      await startExample(() => start({ port: Number(new URL(url).port) }))
      await expectConnected(ann, /^ann, over /)
      await ann.getByRole('button', { name: 'Send' }).click()
      await ann.locator('.mine', { hasText: 'Hello?' }).waitFor()
      await expect.poll(() => ann.getByLabel('Message', { exact: true }).inputValue()).toBe('')
      expect(await ann.getByText('Not sent').count()).toBe(0)
    },
  )

  testInBrowser.for(['WebSocket', 'Server-Sent Events'])(
    'says so when it is refused over %s',
    async (over) => {
      const { url } = await startExample(start)
      const [ann] = await openPages(url, 1, {}, { mayFailToConnect: true })
      await ann.getByLabel('Your name').fill('   ')
      await ann.getByLabel(over, { exact: true }).check()
      await ann.getByRole('button', { name: 'Join' }).click()
      const refusal = over === 'WebSocket' ? /Say who you are/ : /The server refused/
      await ann.getByRole('alert').filter({ hasText: refusal }).waitFor()
      await joinRoom(ann, 'ann', over)
      expect(await log(ann)).toHaveLength(1)
    },
  )

  testInBrowser.for(['light', 'dark'] as const)('can be read in %s colours', async (colorScheme) => {
    const { url } = await startExample(start)
    const [ann] = await openPages(url, 1, { colorScheme })
    await expectReadable(ann)
    await joinRoom(ann, 'ann', 'WebSocket')
    await say(ann, 'Mine')
    for (const name of ['bob', 'cleo', 'dan', 'eve', 'mallory', 'trent']) {
      const client = await enter('sse', `${url}/chat/lobby?name=${name}`)
      await client.send({ type: 'chat.say', text: `I am ${name}` })
      await ann.getByText(`I am ${name}`).waitFor()
    }
    await expectReadable(ann)
  })
})

async function joinRoom(page: Page, name: string, over: string): Promise<void> {
  await page.getByLabel('Your name').fill(name)
  await page.getByLabel(over, { exact: true }).check()
  await page.getByRole('button', { name: 'Join' }).click()
  await expectConnected(page, new RegExp(`^${name}, over `))
  await page.getByText(`${name} joined over`).waitFor()
}

async function expectConnected(page: Page, text: string | RegExp): Promise<void> {
  await page.getByRole('status').and(page.getByText(text)).waitFor()
}

async function say(page: Page, text: string): Promise<void> {
  await page.getByLabel('Message', { exact: true }).fill(text)
  await page.getByLabel('Message', { exact: true }).press('Enter')
}

function log(page: Page): Promise<string[]> {
  return page.getByRole('log').getByRole('listitem').allTextContents()
}
