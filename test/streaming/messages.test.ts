/** `hub.groupStream` and `connection.stream`, over every transport. */
import { setImmediate as turn } from 'node:timers/promises'
import {
  type Connection,
  createHub,
  memoryBroker,
  memoryLayer,
  Refusal,
  type StreamedMessages,
  type StreamFields,
} from 'groupcast'
import { describe, expect, expectTypeOf, test, vi } from 'vitest'
import { z } from 'zod'
import { connect, KINDS_WITH_CURSOR } from '../server/history-client.ts'
import { CLIENT_KINDS, type TestClient } from '../support/clients.ts'
import { startTestHub } from '../support/hub-server.ts'
import { until, within } from '../support/until.ts'
import { EndlessSource, failingAfter, ManualSource } from './sources.ts'

const FAILED = { code: 'stream-failed', message: 'The stream failed: what came before is not the whole.' }
const ABORTED = { code: 'stream-aborted', message: 'The stream was stopped before its end.' }

const parsed = (client: TestClient) => client.messages.map((text) => JSON.parse(text))
const piece = (index: number, data: unknown) => ({ type: 't', stream: 's', index, data })

describe('hub.groupStream', () => {
  test.each(CLIENT_KINDS)('%s: each piece is a message, then comes the end', async (kind) => {
    const { hub, open } = await startTestHub()
    const clients = [await open(kind, '/events?group=a'), await open('websocket', '/events?group=a')]
    const source = new ManualSource().give('one')
    const done = hub.groupStream('a', source, { type: 't', id: 's' })
    await until('all have the first piece', () => clients.every(({ messages }) => messages.length === 1))
    source.give({ two: 2 }).end()
    expect(await done).toEqual({ stream: 's', pieces: 2, outcome: 'complete' })
    await until('all have the end', () => clients.every(({ messages }) => messages.length === 3))
    const texts = [
      '{"type":"t","stream":"s","index":0,"data":"one"}',
      '{"type":"t","stream":"s","index":1,"data":{"two":2}}',
      '{"type":"t","stream":"s","index":2,"end":true}',
    ]
    for (const { messages } of clients) expect(messages).toEqual(texts)
  })

  test('an empty source is an end alone; every stream has an id of its own', async () => {
    const { hub, open } = await startTestHub()
    const client = await open('sse', '/events?group=a')
    const results = [
      await hub.groupStream('a', [], { type: 't' }),
      await hub.groupStream('a', [], { type: 't' }),
    ]
    await until('both ends are there', () => client.messages.length === 2)
    expect(parsed(client)).toEqual(results.map(({ stream }) => ({ type: 't', stream, index: 0, end: true })))
    expect(results[0]?.stream).not.toBe(results[1]?.stream)
  })

  test('what the source throws is told to nobody but the caller', async () => {
    const { hub, open, errors } = await startTestHub()
    const client = await open('sse', '/events?group=a')
    const error = new Error('secret')
    await expect(hub.groupStream('a', failingAfter(['one'], error), { type: 't', id: 's' })).rejects.toBe(
      error,
    )
    await until('the error is there', () => client.messages.length === 2)
    expect(parsed(client)).toEqual([piece(0, 'one'), { type: 't', stream: 's', index: 1, error: FAILED }])
    expect(errors).toEqual([])
  })

  test('a Refusal of the source is told with its reason', async () => {
    const { hub, open } = await startTestHub()
    const client = await open('sse', '/events?group=a')
    const refusal = new Refusal('forbidden', 'Not this question')
    const source = new ManualSource().fail(refusal)
    await expect(hub.groupStream('a', source, { type: 't', id: 's' })).rejects.toBe(refusal)
    await until('the error is there', () => client.messages.length === 1)
    const error = { code: 'forbidden', message: 'Not this question' }
    expect(parsed(client)).toEqual([{ type: 't', stream: 's', index: 0, error }])
  })

  test('an aborted signal stops it and returns the source', async () => {
    const { hub, open } = await startTestHub()
    const client = await open('sse', '/events?group=a')
    const source = new ManualSource().give('one')
    const controller = new AbortController()
    const done = hub.groupStream('a', source, { type: 't', id: 's', signal: controller.signal })
    await until('the first piece is there', () => client.messages.length === 1)
    controller.abort()
    expect(await done).toEqual({ stream: 's', pieces: 1, outcome: 'aborted' })
    await until('the error is there', () => client.messages.length === 2)
    expect(parsed(client)[1]).toEqual({ type: 't', stream: 's', index: 1, error: ABORTED })
    expect(source.returns).toBe(1)
  })

  test('a signal that has aborted already leaves the source alone', async () => {
    const { hub } = await startTestHub()
    const source = new ManualSource()
    const result = await hub.groupStream('a', source, { type: 't', signal: AbortSignal.abort() })
    expect(result).toMatchObject({ outcome: 'aborted', pieces: 0 })
    expect(source.opened).toBe(0)
  })

  test('goes at the pace of the layer, whose refusal returns the source', async () => {
    const layer = memoryLayer()
    const sent: (() => void)[] = []
    let isDown = false
    const accept = layer.groupSend.bind(layer)
    vi.spyOn(layer, 'groupSend').mockImplementation(async (group, json) => {
      if (isDown) throw new Error('the broker is away')
      await new Promise<void>((resolve) => sent.push(resolve))
      return accept(group, json)
    })
    const { hub } = await startTestHub({ layer })
    const source = new ManualSource().give('one', 'two', 'three')
    const done = hub.groupStream('a', source, { type: 't' })
    done.catch(() => {})
    await until('the first piece was sent', () => sent.length === 1)
    await turn()
    expect(source.pulls).toBe(1)
    sent[0]?.()
    await until('the second piece was sent', () => sent.length === 2)
    expect(source.pulls).toBe(2)
    isDown = true
    sent[1]?.()
    await expect(done).rejects.toThrow('the broker is away')
    expect(source.returns).toBe(1)
  })

  test.each([undefined, () => {}, Buffer.from('bytes'), 1n])(
    'a piece that JSON cannot carry fails it: %o',
    async (value) => {
      const { hub, open } = await startTestHub()
      const client = await open('sse', '/events?group=a')
      const source = new ManualSource().give('one', value)
      await expect(hub.groupStream('a', source, { type: 't', id: 's' })).rejects.toMatchObject({
        code: 'invalid-message',
      })
      await until('the error is there', () => client.messages.length === 2)
      expect(parsed(client)[1]).toEqual({ type: 't', stream: 's', index: 1, error: FAILED })
      expect(source.returns).toBe(1)
    },
  )

  test('an endless source that never waits stops nobody else', async () => {
    const { hub, open } = await startTestHub()
    const client = await open('websocket', '/events?group=a')
    const controller = new AbortController()
    const done = hub.groupStream('a', new EndlessSource(10), { type: 't', signal: controller.signal })
    await until('many pieces are there', () => client.messages.length > 200)
    await hub.groupSend('a', { type: 'other' })
    await until('another message got through', () => client.messages.some((text) => text.includes('other')))
    controller.abort()
    expect(await done).toMatchObject({ outcome: 'aborted' })
  })

  test('when the hub closes, members on other nodes hear that no more will come', async () => {
    const broker = memoryBroker()
    const { open } = await startTestHub({ layer: memoryLayer({ broker }) })
    const client = await open('websocket', '/events?group=a')
    const leaving = createHub({ layer: memoryLayer({ broker }) })
    const source = new ManualSource().give('one')
    const done = leaving.groupStream('a', source, { type: 't', id: 's' })
    done.catch(() => {})
    await until('the first piece is there', () => client.messages.length === 1)
    await within('the end of the hub', leaving.close())
    await expect(done).rejects.toMatchObject({ code: 'hub-closed' })
    await until('the error is there', () => client.messages.length === 2)
    expect(parsed(client)[1]).toMatchObject({ index: 1, error: { code: 'restarting' } })
    expect(source.returns).toBe(1)
    await expect(leaving.groupStream('a', [], { type: 't' })).rejects.toMatchObject({ code: 'hub-closed' })
  })

  test('misuse leaves the source alone', async () => {
    const { hub } = await startTestHub()
    const source = new ManualSource()
    const bad: [string, unknown, string][] = [
      ['no such name', { type: 't' }, 'invalid-name'],
      ['a', { type: '' }, 'invalid-message'],
      ['a', { type: 'groupcast.x' }, 'invalid-message'],
      ['a', { type: 't', id: '' }, 'invalid-option'],
      ['a', { type: 't', id: 'x'.repeat(129) }, 'invalid-option'],
      ['a', { type: 't', signal: {} }, 'invalid-option'],
      ['a', { type: 't', format: 'sse' }, 'invalid-option'],
    ]
    for (const [group, options, code] of bad) {
      await expect(hub.groupStream(group, source, options as never)).rejects.toMatchObject({ code })
    }
    await expect(hub.groupStream('a', 'text' as never, { type: 't' })).rejects.toMatchObject({
      code: 'invalid-option',
    })
    expect(source.opened).toBe(0)
  })

  test('what return() fails with goes to onError', async () => {
    const { hub, errors } = await startTestHub()
    const source = new ManualSource().give('one')
    source.returnError = new Error('cannot return')
    const controller = new AbortController()
    const done = hub.groupStream('a', source, { type: 't', signal: controller.signal })
    await until('it waits for more', () => source.pulls === 2)
    controller.abort()
    await done
    await turn()
    expect(errors).toMatchObject([{ error: source.returnError, context: { where: 'stream' } }])
  })
})

describe.each(KINDS_WITH_CURSOR)('hub.groupStream with history, read on %s', (kind) => {
  const groups = [{ match: 'a', history: { count: 1000 } }]
  const data = Array.from({ length: 60 }, (_, n) => `piece ${n}`)
  const whole = [...data.map((text, n) => piece(n, text)), { type: 't', stream: 's', index: 60, end: true }]

  test('who comes late gets the whole of it, in order and once', async () => {
    const { hub, url } = await startTestHub({ groups })
    const source = new ManualSource().give(...data.slice(0, 20))
    const done = hub.groupStream('a', source, { type: 't', id: 's' })
    await until('a part was sent', () => source.pulls > 10)
    const late = await connect(kind, url, { groups: ['a'], history: 1000 })
    source.give(...data.slice(20)).end()
    await done
    await until('the end is there', () => late.messages.length >= whole.length)
    expect(late.messages).toEqual(whole)
    const after = await connect(kind, url, { groups: ['a'], history: 1000 })
    await until('the end is there, too', () => after.messages.length >= whole.length)
    expect(after.messages).toEqual(whole)
  })

  test('who is cut in the middle gets the rest when it comes back', async () => {
    const { hub, url } = await startTestHub({ groups })
    const source = new ManualSource()
    const done = hub.groupStream('a', source, { type: 't', id: 's' })
    const first = await connect(kind, url, { groups: ['a'] })
    source.give(...data.slice(0, 40))
    await until('it has a part', () => first.messages.length > 6)
    first.close()
    const had = [...first.messages]
    const where = { groups: ['a'], cursor: first.cursor ?? '' }
    await until('more was sent meanwhile', () => source.pulls > 30)
    const back = await connect(kind, url, where)
    source.give(...data.slice(40)).end()
    await done
    await until('the end is there', () => had.length + back.messages.length >= whole.length)
    expect([...had, ...back.messages]).toEqual(whole)
    expect(back.heard.filter((one) => one.startsWith('reset'))).toEqual([])
  })
})

describe('connection.stream', () => {
  /** A hub whose consumer at `/ask` hands its connections to the test. */
  async function startAsk() {
    const connections: Connection[] = []
    const started = await startTestHub()
    started.hub.consumer('/ask', { connect: (connection) => void connections.push(connection) })
    return {
      ...started,
      async ask(kind: TestClient['kind']) {
        const client = await started.open(kind, '/ask')
        await until('it is let in', () => connections.length > 0)
        return { client, connection: connections.shift() as Connection }
      },
    }
  }

  test.each(CLIENT_KINDS)('%s: goes to this client alone', async (kind) => {
    const { ask } = await startAsk()
    const one = await ask(kind)
    const other = await ask(kind)
    const source = new ManualSource().give('one')
    const done = one.connection.stream(source, { type: 't', id: 's' })
    await until('the first piece is there', () => one.client.messages.length === 1)
    source.give('two').end()
    expect(await done).toEqual({ stream: 's', pieces: 2, outcome: 'complete' })
    await until('the end is there', () => one.client.messages.length === 3)
    expect(parsed(one.client)).toEqual([
      piece(0, 'one'),
      piece(1, 'two'),
      { type: 't', stream: 's', index: 2, end: true },
    ])
    expect(other.client.messages).toEqual([])
  })

  test.each(CLIENT_KINDS)(
    '%s: a client that does not read stops the source; it misses nothing',
    async (kind) => {
      const { ask, hub } = await startAsk()
      const { client, connection } = await ask(kind)
      client.pause()
      let pulls = 0
      function* numbers() {
        for (; pulls < 300; pulls++) yield 'x'.repeat(64 * 1024)
      }
      const done = connection.stream(numbers(), { type: 't', id: 's' })
      let isDone = false
      void done.then(() => {
        isDone = true
      })
      await rests(() => pulls)
      expect(isDone).toBe(false)
      expect(pulls).toBeLessThan(200)
      client.resume()
      expect(await done).toEqual({ stream: 's', pieces: 300, outcome: 'complete' })
      await until('the end is there', () => client.messages.length === 301)
      expect(parsed(client).map(({ index }) => index)).toEqual(Array.from({ length: 301 }, (_, n) => n))
      expect(hub.stats).toMatchObject({ slowConsumers: 0, dropped: 0 })
    },
  )

  test.each(CLIENT_KINDS)('%s: a client that leaves returns the source', async (kind) => {
    const { ask } = await startAsk()
    const { client, connection } = await ask(kind)
    const source = new ManualSource().give('one')
    const done = connection.stream(source, { type: 't' })
    await until('the first piece is there', () => client.messages.length === 1)
    client.close()
    expect(await within('the end', done)).toMatchObject({ pieces: 1, outcome: 'left' })
    expect(source.returns).toBe(1)
  })

  test('a client that leaves while it does not read returns the source too', async () => {
    const { ask } = await startAsk()
    const { client, connection } = await ask('sse')
    client.pause()
    const source = new EndlessSource(64 * 1024)
    const done = connection.stream(source, { type: 't' })
    await rests(() => source.pulls)
    client.close()
    expect(await within('the end', done)).toMatchObject({ outcome: 'left' })
    expect(source.returns).toBe(1)
  })

  test('a connection that the application closes ends its streams at once', async () => {
    const { ask } = await startAsk()
    const { client, connection } = await ask('websocket')
    const sources = [new ManualSource(), new ManualSource()]
    const done = Promise.all(sources.map((source) => connection.stream(source, { type: 't' })))
    await until('both wait', () => sources.every(({ pulls }) => pulls === 1))
    connection.close()
    expect(await within('the end', done)).toMatchObject([{ outcome: 'left' }, { outcome: 'left' }])
    expect(sources.map(({ returns }) => returns)).toEqual([1, 1])
    expect(await connection.stream(new ManualSource(), { type: 't' })).toMatchObject({ outcome: 'left' })
    expect(client.messages).toEqual([])
  })

  test('what the source throws closes nothing by itself; awaited in a hook it does', async () => {
    const { hub, open, errors } = await startTestHub()
    const error = new Error('secret')
    hub.consumer('/caught', {
      receive: (connection) =>
        connection.stream(failingAfter(['one'], error), { type: 't', id: 's' }).catch(() => 'caught'),
    })
    hub.consumer('/thrown', {
      receive: (connection) => connection.stream(failingAfter(['one'], error), { type: 't', id: 's' }),
    })
    const caught = await open('websocket', '/caught')
    const thrown = await open('websocket', '/thrown')
    await caught.send({ type: 'ask' })
    await thrown.send({ type: 'ask' })
    expect(await within('the end', thrown.ended)).toMatchObject({ code: 1011 })
    await caught.send({ type: 'ask' })
    await until('it was answered twice', () => caught.messages.length === 4)
    const told = { type: 't', stream: 's', index: 1, error: FAILED }
    expect(parsed(caught)).toEqual([piece(0, 'one'), told, piece(0, 'one'), told])
    expect(parsed(thrown)).toEqual([piece(0, 'one'), told])
    expect(errors).toMatchObject([{ error }])
  })

  test('begun in connect it goes out when the client is in', async () => {
    const { hub, open } = await startTestHub()
    const results: StreamedMessages[] = []
    hub.consumer('/greet', {
      connect(connection) {
        void connection.stream(['hello'], { type: 't', id: 's' }).then((result) => results.push(result))
      },
    })
    for (const kind of CLIENT_KINDS) {
      const client = await open(kind, '/greet')
      await until('the greeting is there', () => client.messages.length === 2)
      expect(parsed(client)[0]).toEqual(piece(0, 'hello'))
    }
    expect(results).toHaveLength(CLIENT_KINDS.length)
  })

  test('begun in a connect that refuses the client, it leaves the source alone', async () => {
    const { hub, open } = await startTestHub()
    const source = new ManualSource()
    const results: StreamedMessages[] = []
    hub.consumer('/refuse', {
      connect(connection) {
        void connection.stream(source, { type: 't' }).then((result) => results.push(result))
        throw new Refusal()
      },
    })
    await open('sse', '/refuse')
    await until('it is over', () => results.length === 1)
    expect(results).toMatchObject([{ outcome: 'left', pieces: 0 }])
    expect(source.opened).toBe(0)
  })
})

describe('typed messages', () => {
  interface Messages {
    token: StreamFields<string>
    'chat.message': { text: string }
  }

  test('the compiler knows which types can be streamed, and their pieces', async () => {
    const hub = createHub<Messages>()
    await hub.groupStream('a', ['text'], { type: 'token' })
    // @ts-expect-error pieces of this type are strings
    await hub.groupStream('a', [42], { type: 'token' })
    // @ts-expect-error not a streamed type
    const refused = hub.groupStream('a', ['text'], { type: 'chat.message' })
    await refused
    hub.consumer('/x', {
      handlers: {
        token(_connection, message) {
          expectTypeOf(message.data).toEqualTypeOf<string | undefined>()
        },
      },
      async receive(connection) {
        // @ts-expect-error pieces of this type are strings
        await connection.stream([42], { type: 'token' })
      },
    })
    await hub.close()
  })

  test('a schema describes all three messages of a stream, and refuses pieces that do not fit', async () => {
    const token = z.object({
      stream: z.string(),
      index: z.number(),
      data: z.string().optional(),
      end: z.literal(true).optional(),
      error: z.object({ code: z.string(), message: z.string() }).optional(),
    })
    const hub = createHub({ messages: { token } })
    expect(await hub.groupStream('a', ['text'], { type: 'token' })).toMatchObject({ pieces: 1 })
    // @ts-expect-error so does the compiler
    await expect(hub.groupStream('a', ['text', 42], { type: 'token' })).rejects.toMatchObject({
      code: 'invalid-message',
    })
    await hub.close()
  })
})

/** Waits until a number has stopped growing for many turns. */
async function rests(count: () => number): Promise<void> {
  let last = -1
  let same = 0
  await until('it rests', () => {
    same = count() === last && last > 0 ? same + 1 : 0
    last = count()
    return same > 50
  })
}
