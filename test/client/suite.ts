/** What the client promises, over every transport, wherever it runs: `node.test.ts` and `chromium.test.ts` run this. */
import { createServer } from 'node:http'
import { createHub, groupsConsumer, type Hub, Refusal } from 'groupcast'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { ClientTransport } from '../../src/client/link.ts'
import { hostileStrings } from '../hostile-strings.ts'
import { listen, startTestHub, stop, type TestHub } from '../support/hub-server.ts'
import type { DrivenOptions, Driver, Outcome, Told } from './driver.ts'
import { startScriptedHub } from './scripted-hub.ts'

/** A driver in another process, or one that could be. */
export type RemoteDriver = {
  readonly [K in keyof Driver]: (...args: Parameters<Driver[K]>) => Promise<Awaited<ReturnType<Driver[K]>>>
}

/** Where clients run. */
export interface Place {
  readonly driver: RemoteDriver
  /** The origin of its page, which hubs must allow; `null`: none. */
  readonly origin: string | null
}

const TRANSPORTS: readonly ClientTransport[] = ['websocket', 'sse']
const BOTH: readonly ClientTransport[] = TRANSPORTS

/** A client in its place. */
export interface Subject {
  told(): Promise<Told>
  /** Waits until what it has told is as wanted. */
  until(what: string, isSo: (told: Told) => boolean): Promise<Told>
  call(method: 'send' | 'publish' | 'join' | 'leave', ...args: unknown[]): Promise<Outcome>
  advance(ms: number): Promise<void>
  close(): Promise<void>
}

let lastSubject = 0

/** Starts a client that is closed with the test. */
export async function start(place: Place, url: string, options: DrivenOptions): Promise<Subject> {
  const { driver } = place
  const name = `client ${++lastSubject}`
  await driver.start(name, url, options)
  onTestFinished(() => driver.close(name))
  return {
    told: () => driver.told(name),
    async until(what, isSo) {
      const deadline = Date.now() + 15_000
      for (;;) {
        const told = await driver.told(name)
        if (isSo(told)) return told
        if (Date.now() > deadline) throw new Error(`Waited in vain until ${what}: ${JSON.stringify(told)}`)
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
    },
    call: (method, ...args) => driver.call(name, method, args),
    advance: (ms) => driver.advance(name, ms),
    close: () => driver.close(name),
  }
}

const isOpen = ({ state }: Told) => state === 'open'
const texts = ({ messages }: Told) => messages.map(({ text }) => text)
const hello = (text: unknown) => ({ type: 'chat.message', text })

function addConsumer(hub: Hub): void {
  const groups = groupsConsumer({
    rules: [
      { match: 'secret.*', join: 'nobody' },
      { match: 'open.*', send: 'anyone' },
    ],
  })
  hub.consumer('/live', {
    ...groups,
    async receive(connection, message) {
      if (message.type === 'refuse') throw new Refusal('forbidden', 'Not today.')
      if (message.type === 'whisper') connection.send(message)
      if (message.type === 'close') connection.close(message.code as number, 'as you wish')
      return { got: message }
    },
  })
}

async function startHub({ origin }: Place): Promise<TestHub & { readonly liveUrl: string }> {
  const testHub = await startTestHub(origin === null ? {} : { allowedOrigins: [origin] })
  addConsumer(testHub.hub)
  return { ...testHub, liveUrl: `${testHub.url}/live` }
}

/** Runs the suite in a place. */
export function clientSuite(place: Place): void {
  describe.each(TRANSPORTS)('over %s', (transport) => {
    const only = { transports: [transport] }

    test('gets the messages of its groups with their context, and those for it alone', async () => {
      const { hub, liveUrl } = await startHub(place)
      const one = await start(place, liveUrl, { ...only, groups: ['a', 'b'] })
      const other = await start(place, liveUrl, { ...only, groups: ['b'] })
      for (const client of [one, other])
        expect((await client.until('it is open', isOpen)).transport).toBe(transport)
      await hub.groupSend('a', hello(1))
      await hub.groupSend('b', hello(2))
      await one.call('send', { type: 'whisper', text: 3 })
      const told = await one.until('it has all', ({ messages }) => messages.length === 3)
      expect(told.messages).toEqual([hello(1), hello(2), { type: 'whisper', text: 3 }])
      expect(told.contexts.map(({ group }) => group)).toEqual(['a', 'b', null])
      expect(
        texts(await other.until('the other has its one', ({ messages }) => messages.length > 0)),
      ).toEqual([2])
      expect(told.states).toEqual(['open'])
    })

    test('gets any text as it was sent', async () => {
      const { hub, liveUrl } = await startHub(place)
      const client = await start(place, liveUrl, { ...only, groups: ['a'] })
      await client.until('it is open', isOpen)
      const wellFormed = hostileStrings.filter((text) => text.isWellFormed() && text.length < 50_000)
      for (const text of wellFormed) await hub.groupSend('a', hello(text))
      const told = await client.until('it has all', ({ messages }) => messages.length === wellFormed.length)
      expect(texts(told)).toEqual(wellFormed)
      const outcome = await client.call('send', { type: 'echo', texts: wellFormed })
      expect(outcome).toEqual({ result: { got: { type: 'echo', texts: wellFormed } } })
    })

    test('is answered: with results, and with refusals', async () => {
      const { liveUrl } = await startHub(place)
      const client = await start(place, liveUrl, { ...only, groups: ['open.a'] })
      await client.until('it is open', isOpen)
      expect(await client.call('send', hello('hi'))).toEqual({ result: { got: hello('hi') } })
      expect(await client.call('send', { type: 'refuse' })).toMatchObject({
        error: { code: 'forbidden', text: expect.stringContaining('Not today.') },
      })
      expect(await client.call('send', { type: '' })).toMatchObject({ error: { code: 'invalid-message' } })
      expect(await client.call('publish', 'open.a', hello('to all'))).toHaveProperty('result')
      expect(await client.call('publish', 'closed', hello('to none'))).toMatchObject({
        error: { code: 'forbidden' },
      })
      const told = await client.until('its own has come', ({ messages }) => messages.length > 0)
      expect(texts(told)).toEqual(['to all'])
      expect(told.states).toEqual(['open'])
    })

    test('is heard in the order in which it speaks', async () => {
      const { liveUrl } = await startHub(place)
      const client = await start(place, liveUrl, only)
      await client.until('it is open', isOpen)
      const numbers = Array.from({ length: 20 }, (_, n) => n)
      await Promise.all(numbers.map((n) => client.call('send', { type: 'whisper', text: n })))
      expect(texts(await client.until('all are back', ({ messages }) => messages.length === 20))).toEqual(
        numbers,
      )
    })

    test('joins and leaves', async () => {
      const { hub, liveUrl } = await startHub(place)
      const client = await start(place, liveUrl, { ...only, groups: ['a'] })
      await client.until('it is open', isOpen)
      expect(await client.call('join', 'b')).toEqual({ result: null })
      expect(await client.call('leave', 'a')).toEqual({ result: null })
      expect(await client.call('join', 'secret.x')).toMatchObject({ error: { code: 'forbidden' } })
      expect(await client.call('join', 'no name')).toMatchObject({ error: { code: 'invalid-name' } })
      await hub.groupSend('a', hello('for nobody'))
      await hub.groupSend('b', hello('for it'))
      const told = await client.until('it has one', ({ messages }) => messages.length > 0)
      expect(texts(told)).toEqual(['for it'])
      expect(told.groups).toEqual(['b'])
    })

    test('comes back when it is told to, into the groups it was in', async () => {
      const { hub, liveUrl } = await startHub(place)
      const client = await start(place, liveUrl, { ...only, groups: ['a', 'b'] })
      await client.until('it is open', isOpen)
      await client.call('join', 'c')
      await client.call('leave', 'b')
      const { error } = (await client.call('send', { type: 'close', code: 4_000 })) as {
        error: { code: string }
      }
      expect(error.code).toBe('disconnected')
      const told = await client.until('it is open again', ({ states }) => states.length === 4)
      expect(told.states).toEqual(['open', 'waiting', 'connecting', 'open'])
      expect(told.reason).toBeNull()
      expect(['a', 'b', 'c'].map((group) => hub.group(group).connections[transport])).toEqual([1, 0, 1])
    })

    test('stays away when it is told to', async () => {
      const { liveUrl } = await startHub(place)
      const client = await start(place, liveUrl, only)
      await client.until('it is open', isOpen)
      await client.call('send', { type: 'close', code: 4_500 })
      const told = await client.until('it has closed', ({ state }) => state === 'closed')
      expect(told.states).toEqual(['open', 'closed'])
      expect(told.reason).toMatchObject({
        code: 'connection-closed',
        closeCode: 4_500,
        text: expect.stringContaining('as you wish'),
      })
      for (const call of [
        client.call('send', hello('too late')),
        client.call('join', 'x'),
        client.call('leave', 'x'),
      ]) {
        expect(await call).toMatchObject({ error: { code: 'closed' } })
      }
    })

    test('does not come in where it may not, and does not try again', async () => {
      const { hub, liveUrl } = await startHub(place)
      const client = await start(place, liveUrl, { ...only, groups: ['secret.x'] })
      const told = await client.until('it is closed', ({ state }) => state === 'closed')
      expect(told.states).toEqual(['closed'])
      expect(told.reason).toMatchObject(
        transport === 'sse'
          ? { code: 'forbidden', status: 403 }
          : { code: 'connection-closed', closeCode: 4_503 },
      )
      expect(hub.stats.denied).toBe(1)
    })

    test('leaves when it is closed', async () => {
      const { hub, liveUrl } = await startHub(place)
      const client = await start(place, liveUrl, { ...only, groups: ['a'] })
      await client.until('it is open', isOpen)
      await client.close()
      const told = await client.told()
      expect(told).toMatchObject({
        state: 'closed',
        transport: null,
        states: ['open', 'closed'],
        reason: { code: 'closed' },
      })
      await expect.poll(() => hub.group('a').connections[transport], { timeout: 10_000 }).toBe(0)
    })

    test('outlives a restart of the hub', async () => {
      const options = place.origin === null ? {} : { allowedOrigins: [place.origin] }
      const run = async (port: number) => {
        const hub = createHub(options)
        addConsumer(hub as unknown as Hub)
        const server = createServer()
        hub.attach(server)
        const url = await listen(server, port)
        return { hub, server, url, end: () => hub.close({ deadlineMs: 1_000 }).then(() => stop(server)) }
      }
      const first = await run(0)
      const client = await start(place, `${first.url}/live`, { ...only, groups: ['a'] })
      await client.until('it is open', isOpen)
      await first.end()
      await client.until('it has noticed', ({ state }) => state !== 'open')
      expect(await client.call('send', hello('into the void'))).toMatchObject({
        error: { code: 'not-connected' },
      })
      const joined = client.call('join', 'b')
      const second = await run(Number(new URL(first.url).port))
      onTestFinished(second.end)
      await client.until('it is open again', isOpen)
      expect(await joined).toEqual({ result: null })
      await second.hub.groupSend('a', hello(1))
      await second.hub.groupSend('b', hello(2))
      expect(texts(await client.until('it has both', ({ messages }) => messages.length === 2))).toEqual([
        1, 2,
      ])
    })

    test('resumes from its cursor, and hands out nothing twice', async () => {
      const hub = await startScriptedHub()
      const client = await start(place, hub.url, { ...only, groups: ['a', 'b'] })
      const publish = (n: number, group: string) => ({ group, cursor: `e.${n}`, message: hello(n) })
      const first = await hub.next()
      expect([first.query.getAll('group'), first.query.get('cursor')]).toEqual([['a', 'b'], null])
      first.open({ cursor: 'e.10' })
      await client.until('it is open', isOpen)
      expect((await client.told()).cursor).toBe('e.10')
      first.cut()

      const second = await hub.next()
      expect(second.query.get('cursor')).toBe('e.10')
      second.open({})
      for (const n of [11, 12]) second.say(publish(n, n % 2 ? 'a' : 'b'))
      await client.until('it has them', ({ messages }) => messages.length === 2)
      second.cut()

      const third = await hub.next()
      expect(third.query.get('cursor')).toBe('e.12')
      third.open({ cursor: 'e.12' })
      // As a hub that replays too much would.
      for (const n of [11, 12, 13, 13, 14]) third.say(publish(n, n % 2 ? 'a' : 'b'))
      const told = await client.until('it has the rest', ({ messages }) => messages.length >= 4)
      expect(texts(told)).toEqual([11, 12, 13, 14])
      expect(told.contexts.map(({ cursor }) => cursor)).toEqual(['e.11', 'e.12', 'e.13', 'e.14'])
      expect(told.cursor).toBe('e.14')
      expect(told.resets).toEqual([])
    })

    test('hears of resets and goes on from there, and of what was dropped', async () => {
      const hub = await startScriptedHub()
      const client = await start(place, hub.url, { ...only, groups: ['a'], cursor: 'old.99' })
      const first = await hub.next()
      expect(first.query.get('cursor')).toBe('old.99')
      first.open()
      first.say({ reset: { groups: ['a'], cursor: 'new.3' } })
      first.say({ dropped: { count: 17 } })
      first.say({ what: 'nobody knows yet' })
      first.say({ group: 'a', cursor: 'new.4', message: hello(4) })
      const told = await client.until('it has its message', ({ messages }) => messages.length === 1)
      expect(told.resets).toEqual([{ groups: ['a'], cursor: 'new.3' }])
      expect(told.dropped).toEqual([17])
      expect(told.cursor).toBe('new.4')
      first.cut()
      expect((await hub.next()).query.get('cursor')).toBe('new.4')
    })

    test('notices that its connection has fallen silent', async () => {
      const hub = await startScriptedHub()
      const client = await start(place, hub.url, { ...only, isTimeManual: true })
      const first = await hub.next()
      first.open({ heartbeatMs: 25_000 })
      await client.until('it is open', isOpen)
      await client.advance(25_000)
      first.heartbeat()
      first.say({ message: hello('after the heartbeat') })
      await client.until('it has heard it', ({ messages }) => messages.length === 1)
      await client.advance(34_999)
      expect((await client.told()).state).toBe('open')
      await client.advance(1)
      const told = await client.until('it has noticed', ({ state }) => state === 'waiting')
      expect(told.reason).toMatchObject({
        code: 'connection-lost',
        text: expect.stringContaining('35000 ms'),
      })
      await client.advance(1_000)
      await hub.next()
    })

    test('does not know what became of a message when it loses its connection before the answer', async () => {
      const hub = await startScriptedHub()
      const client = await start(place, hub.url, { ...only, isTimeManual: true })
      const first = await hub.next()
      first.open()
      await client.until('it is open', isOpen)
      const lost = client.call('send', hello('perhaps'))
      await expect.poll(() => first.commands.length, { timeout: 10_000 }).toBe(1)
      expect(first.commands[0]).toMatchObject({ send: hello('perhaps') })
      first.cut()
      expect(await lost).toMatchObject({ error: { code: 'disconnected' } })
    })
  })

  describe('over both', () => {
    test('falls back to events where no WebSocket can be opened, and stays there', async () => {
      const hub = await startScriptedHub()
      hub.refused = (transport) => (transport === 'websocket' ? 502 : null)
      const client = await start(place, hub.url, { transports: BOTH, groups: ['a'] })
      const first = await hub.next()
      expect([first.transport, first.query.getAll('group')]).toEqual(['sse', ['a']])
      first.open()
      const told = await client.until('it is open', isOpen)
      expect([told.transport, told.states]).toEqual(['sse', ['open']])
      first.cut()
      expect((await hub.next()).transport).toBe('sse')
      expect(hub.refusals).toEqual(['websocket'])
    })

    test('falls back where WebSockets are cut as soon as they are open', async () => {
      const hub = await startScriptedHub()
      const client = await start(place, hub.url, { transports: BOTH })
      for (let n = 0; n < 2; n++) {
        const connection = await hub.next()
        expect(connection.transport).toBe('websocket')
        connection.open()
        await client.until('it is open', isOpen)
        connection.cut()
      }
      const third = await hub.next()
      expect(third.transport).toBe('sse')
      third.open()
      expect((await client.until('it is open', ({ transport }) => transport === 'sse')).state).toBe('open')
    })

    test('prefers a WebSocket', async () => {
      const { liveUrl } = await startHub(place)
      const client = await start(place, liveUrl, { transports: BOTH })
      expect((await client.until('it is open', isOpen)).transport).toBe('websocket')
    })
  })
}
