/**
 * However little the system takes at a time, and whenever: what the hub sends comes whole and in order, or the client is closed. Over a model of
 * uWebSockets.js with its faults, since no kernel falls short at will.
 */

import fc from 'fast-check'
import { createHub, groupsConsumer } from 'groupcast'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import type { Api, ApiRequest } from '../../../src/api/contract.ts'
import { uwsApiHandler } from '../../../src/api/uws.ts'
import { TrustedProxies } from '../../../src/transports/trusted-proxies.ts'
import { backendFor } from '../../../src/transports/uws/backend.ts'
import { putBackClocks } from '../../../src/transports/uws/clocks.ts'
import { settled } from '../../support/fake-backend.ts'
import { FakeApp, type FakeSocket } from '../../support/fake-uws.ts'
import { parseFrames } from '../../support/raw.ts'

const KINDS = ['websocket', 'sse', 'ndjson'] as const
type Kind = (typeof KINDS)[number]

const HEADERS: Readonly<Record<Kind, Record<string, string>>> = {
  websocket: {
    upgrade: 'websocket',
    connection: 'Upgrade',
    'sec-websocket-version': '13',
    'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
  },
  sse: { accept: 'text/event-stream' },
  ndjson: { accept: 'application/x-ndjson' },
}

function setup(maxBacklogBytes = 1024 * 1024 * 1024) {
  const app = new FakeApp()
  const errors: unknown[] = []
  const hub = createHub({
    // Not `uwsBackend`, which looks for a binary.
    backend: backendFor(new TrustedProxies([])),
    onError: (error) => errors.push(error),
    groups: [{ match: 'kept', history: { count: 1_000 } }],
    limits: { heartbeatMs: false, maxBacklogBytes },
  })
  hub.consumer('/events', groupsConsumer())
  hub.attach(app as never)
  return { app, hub, errors }
}

/** The numbers of the messages that came, in order; throws where the bytes are no stream of the kind. */
function numbersOf(socket: FakeSocket, kind: Kind): number[] {
  const { bytes } = socket
  const head = bytes.indexOf('\r\n\r\n')
  if (head === -1) return []
  const texts =
    kind === 'websocket' ? framesOf(bytes.subarray(head + 4)) : linesOf(chunksOf(bytes.subarray(head + 2)))
  return texts.map((text) => {
    const { n, message = { n } } = JSON.parse(text) as { n?: number; message?: { n?: number } }
    return message.n as number
  })
}

const framesOf = (bytes: Buffer) =>
  parseFrames(bytes).flatMap(({ opcode, payload }) => (opcode === 1 ? [payload.toString()] : []))

/** As uWebSockets.js writes them: the line break that ends a chunk comes with the next. */
function chunksOf(bytes: Buffer): string {
  let rest = bytes
  let text = ''
  while (rest.length > 0) {
    const end = rest.indexOf('\r\n', 2)
    if (end === -1) break
    const length = Number.parseInt(rest.toString('latin1', 2, end), 16)
    if (!(length >= 0)) throw new Error(`no chunk: ${rest.toString('latin1', 0, 40)}`)
    text += rest.toString('latin1', end + 2, end + 2 + length)
    rest = rest.subarray(end + 2 + length)
  }
  return text
}

const linesOf = (text: string) =>
  text
    .split('\n')
    .slice(0, -1)
    .flatMap((line) => {
      const json = line.replace(/^data: /, '')
      return json.startsWith('{') && json.includes('"n":') ? [json] : []
    })

/** Whom it closes tells nobody else: sizes around the edges of corks, slices and headers, and of what the system takes. */
const size = fc.oneof(
  fc.integer({ min: 0, max: 300 }),
  fc.constantFrom(8_000, 14_000, 16_300, 16_384, 16_400, 40_000, 70_000),
)
const room = fc.oneof(
  fc.integer({ min: 0, max: 12 }),
  fc.integer({ min: 0, max: 40_000 }),
  fc.constant(200_000),
)
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('publish' as const),
      size,
      count: fc.integer({ min: 1, max: 5 }),
    }),
  },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('take' as const), who: fc.nat(5), room }) },
  // It reads all there is, and then so many bytes.
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant('keepUp' as const), who: fc.nat(5), rest: fc.nat(12) }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('turn' as const) }) },
  // Nothing happens for so many times four seconds.
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('wait' as const), ticks: fc.integer({ min: 1, max: 5 }) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('cut' as const), who: fc.nat(5) }) },
)

type Step = typeof step extends fc.Arbitrary<infer Value> ? Value : never

/** Four seconds pass: all clocks are put back in that time, uWebSockets.js looks at them once. */
function tick(app: FakeApp): void {
  for (let part = 0; part < 8; part++) {
    if (part === 4) app.tick()
    putBackClocks()
  }
}

async function run(group: string, rooms: readonly number[], maxBacklogBytes: number, steps: readonly Step[]) {
  const { app, hub, errors } = setup(maxBacklogBytes)
  // What those who keep history get first, in one go.
  let sent = 0
  const publish = (bytes: number) => hub.groupSend(group, { type: 'm', n: sent++, x: 'x'.repeat(bytes) })
  if (group === 'kept') for (const bytes of rooms) await publish(bytes % 20_000)
  const clients = rooms.map((room, i) => ({ kind: KINDS[i % 3] as Kind, socket: app.client(), room }))
  for (const { kind, socket, room } of clients) {
    socket.room = room
    await socket.ask(`/events?group=${group}${group === 'kept' ? '&history=1000' : ''}`, HEADERS[kind])
  }
  await settled()
  for (const taken of steps) {
    const socket = clients['who' in taken ? taken.who % clients.length : 0]?.socket
    if (taken.kind === 'publish') for (let i = 0; i < taken.count; i++) await publish(taken.size)
    else if (taken.kind === 'take') socket?.take(taken.room)
    else if (taken.kind === 'cut') socket?.cut()
    else if (taken.kind === 'turn') await settled()
    else if (taken.kind === 'wait') for (let i = 0; i < taken.ticks; i++) tick(app)
    else if (socket !== undefined) {
      for (let i = 0; i < 3; i++) {
        socket.take(1_000_000)
        await settled()
      }
      socket.room = taken.rest
    }
    await app.turn()
  }
  await settled()
  // At the end they read all that there is.
  for (let i = 0; i < 40; i++) {
    for (const { socket } of clients) socket.take(1_000_000)
    await app.turn()
    await settled()
  }
  const all = Array.from({ length: sent }, (_, n) => n)
  for (const { kind, socket } of clients) {
    const numbers = numbersOf(socket, kind)
    expect(numbers).toEqual(all.slice(0, numbers.length))
    if (!socket.isOver) expect(numbers).toHaveLength(sent)
    // Who is too slow is for the hub to say.
    expect(socket.isCutByClock && !socket.isEnded).toBe(false)
  }
  expect(errors).toEqual([])
  await hub.close({ deadlineMs: 1 })
}

describe('whatever the system takes', () => {
  test.each(['live', 'kept'])('all comes whole and in order, or the client is closed: %s', async (group) => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(room, { minLength: 3, maxLength: 6 }),
        fc.constantFrom(50_000, 1_000_000_000),
        fc.array(step, { maxLength: 40, size: 'max' }),
        (rooms, maxBacklogBytes, steps) => run(group, rooms, maxBacklogBytes, steps),
      ),
      { numRuns: Number(process.env.GROUPCAST_RUNS ?? 60) },
    )
  })
})

// Symptom: a stream was cut ten seconds after the last message before a quiet spell, in its middle. `write` says in a cork that all is well, and what
// is corked leaves later: of that the system had taken a part, the clock of uWebSockets.js ran, and nobody put it back.
test.each(['sse', 'ndjson'] as const)(
  'the last write before a quiet spell is taken in part: %s stays',
  async (kind) => {
    const { app, hub } = setup()
    const socket = app.client()
    await socket.ask('/events?group=live', HEADERS[kind])
    await settled()
    socket.room = 10
    await hub.groupSend('live', { type: 'm', n: 0, x: 'x'.repeat(100) })
    await settled()
    for (let i = 0; i < 10; i++) tick(app)
    expect(socket.isClosed).toBe(false)
    socket.take(1_000_000)
    await settled()
    expect(numbersOf(socket, kind)).toEqual([0])
    for (let i = 0; i < 10; i++) tick(app)
    expect(socket.isClosed).toBe(false)
    await hub.close({ deadlineMs: 1 })
  },
)

// Symptom: it was cut all the same when it had read a little and was written to: a write that is taken whole does not stop the clock of the one before.
test('a reader that takes a little at a time stays', async () => {
  const { app, hub } = setup()
  const socket = app.client()
  await socket.ask('/events?group=live', HEADERS.sse)
  await settled()
  for (let n = 0; n < 3; n++) {
    socket.room = 10
    await hub.groupSend('live', { type: 'm', n, x: 'x'.repeat(100) })
    await settled()
    // Not enough for the system to say so.
    socket.room = 500
    await hub.groupSend('live', { type: 'm', n: 0.5 })
    await settled()
    for (let i = 0; i < 4; i++) tick(app)
  }
  expect(socket.isClosed).toBe(false)
  await hub.close({ deadlineMs: 1 })
})

describe('an answer of the API', () => {
  const settings = { encrypted: false, trustedProxies: new TrustedProxies() }

  /** An API that takes lists of sizes, and answers each with a text of so many bytes; a GET gets one of `?<size>`. */
  function serve() {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    onTestFinished(() => void vi.useRealTimers())
    const app = new FakeApp()
    const seen = { bytes: 0 }
    const api: Api = {
      handle: (request) =>
        Promise.resolve({
          status: 200,
          headers: {},
          body: request.method === 'POST' ? texts(request, seen) : textOf(0, Number(request.url.slice(2))),
        }),
    }
    const handler = uwsApiHandler(api, settings)
    app.routes.set('any', handler as never)
    app.routes.delete('get')
    return { app, seen }
  }

  const textOf = (n: number, bytes: number) => `{"n":${n},"x":"${'x'.repeat(bytes)}"}\n`

  async function* texts(request: ApiRequest, seen: { bytes: number }) {
    let n = 0
    for await (const chunk of request.body) {
      seen.bytes += chunk.length
      let text = ''
      for (const bytes of Buffer.from(chunk).toString().split(',').slice(0, -1))
        text += textOf(n++, Number(bytes))
      if (text !== '') yield text
    }
    yield textOf(n, 0)
  }

  /** The texts that came, by number; the lines that are empty are for the pace. */
  const received = (socket: FakeSocket) => {
    const head = socket.bytes.indexOf('\r\n\r\n')
    return head === -1
      ? []
      : linesOf(chunksOf(socket.bytes.subarray(head + 2))).map((line) => JSON.parse(line).n)
  }

  /** So many times four seconds, and whatever waits for a time. */
  async function pass(app: FakeApp, ticks = 1): Promise<void> {
    for (let i = 0; i < ticks; i++) {
      for (let part = 0; part < 8; part++) {
        if (part === 4) app.tick()
        putBackClocks()
        vi.advanceTimersByTime(500)
        await turn(app)
      }
    }
  }

  async function turn(app: FakeApp): Promise<void> {
    await app.turn()
    await settled()
  }

  async function post(app: FakeApp): Promise<FakeSocket> {
    const socket = app.client()
    await socket.ask('/', { 'content-length': '1000000000' }, 'post')
    await turn(app)
    return socket
  }

  /** The client takes all there is. */
  async function readAll(app: FakeApp, socket: FakeSocket): Promise<void> {
    socket.room = 1e9
    await pass(app, 2)
  }

  // Symptom: six million lines were read from a client that took no results, 250 MB of them kept. A write that falls short makes uWebSockets.js read
  // again; whoever thought that reading was paused did not pause it again.
  test('who does not read it is not read from', async () => {
    const { app, seen } = serve()
    const socket = await post(app)
    socket.room = 20_000
    for (let i = 0; i < 500; i++) {
      socket.send(Buffer.from('5000,'.repeat(10)))
      await turn(app)
      if (i % 20 === 0) vi.advanceTimersByTime(100)
    }
    expect(seen.bytes + 500).toBeLessThan(2_000)
    expect(socket.unreadBytes).toBeGreaterThan(20_000)
    socket.send(Buffer.from('1,'), true)
    for (let i = 0; i < 100 && !socket.isEnded; i++) await readAll(app, socket)
    expect(received(socket)).toEqual(Array.from({ length: 5_002 }, (_, n) => n))
  })

  // Symptom: the results that uWebSockets.js held itself came with the next line only, and never when there was none: `onWritable` has to write.
  test('what was taken in part arrives without another line', async () => {
    const { app } = serve()
    const socket = await post(app)
    socket.room = 300
    socket.send(Buffer.from('100,100,100,'))
    await turn(app)
    await turn(app)
    await readAll(app, socket)
    expect(received(socket)).toEqual([0, 1, 2])
  })

  // Symptom: cut at 11.9 s.
  test('lines may come many seconds apart', async () => {
    const { app } = serve()
    const socket = await post(app)
    for (let i = 0; i < 4; i++) {
      await pass(app, 5)
      socket.send(Buffer.from('10,'), i === 3)
      await turn(app)
    }
    await turn(app)
    expect([socket.isEnded, received(socket)]).toEqual([true, [0, 1, 2, 3, 4]])
  })

  // Symptom: 3.9 MB of 16 came, then FIN.
  test('a large one may be read after many seconds', async () => {
    const { app } = serve()
    const socket = app.client()
    socket.room = 50_000
    await socket.ask('/?300000', {})
    await turn(app)
    await pass(app, 10)
    for (let i = 0; i < 10; i++) {
      socket.take(30_000)
      await pass(app, 4)
    }
    await readAll(app, socket)
    expect([socket.isEnded, received(socket)]).toEqual([true, [0]])
  })

  // Whether it is still there cannot be seen of a client that is neither read from nor takes anything.
  test('who takes nothing for a minute is cut where it is not read from', async () => {
    const { app } = serve()
    const socket = await post(app)
    socket.room = 300
    for (let i = 0; i < 3; i++) {
      socket.send(Buffer.from('100,100,100,'))
      await turn(app)
    }
    await pass(app, 13)
    expect(socket.isClosed).toBe(false)
    await pass(app, 4)
    expect([socket.isClosed, socket.isCutByClock]).toEqual([true, false])
  })

  test('another socket of the application was paused that waited for nothing: it goes on all the same', async () => {
    const { app } = serve()
    Object.defineProperty(app.loop.paused, 1, { get: () => 1, set() {} })
    const socket = await post(app)
    socket.room = 300
    socket.send(Buffer.from('100,100,100,'))
    await turn(app)
    await turn(app)
    socket.room = 1e9
    await turn(app)
    expect(received(socket)).toEqual([0, 1, 2])
  })

  const who = fc.nat(1)
  const apiStep = fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({
        kind: fc.constant('send' as const),
        who,
        sizes: fc.array(size, { minLength: 1, maxLength: 4 }),
      }),
    },
    { weight: 5, arbitrary: fc.record({ kind: fc.constant('take' as const), who, room }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('room' as const), who, room }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('turn' as const) }) },
    {
      weight: 2,
      arbitrary: fc.record({ kind: fc.constant('wait' as const), ticks: fc.integer({ min: 1, max: 4 }) }),
    },
  )

  test('all of it comes whole and in order, whatever the system takes', async () => {
    const rooms = fc.tuple(room, room)
    await fc.assert(
      fc.asyncProperty(rooms, fc.array(apiStep, { maxLength: 40, size: 'max' }), async (first, steps) => {
        const { app } = serve()
        const clients: { readonly socket: FakeSocket; sent: number }[] = []
        for (const room of first) {
          clients.push({ socket: await post(app), sent: 0 })
          ;(clients.at(-1) as { socket: FakeSocket }).socket.room = room
        }
        let ticks = 0
        for (const step of steps) {
          const client = clients['who' in step ? step.who : 0] as { socket: FakeSocket; sent: number }
          if (step.kind === 'send') {
            client.socket.send(Buffer.from(`${step.sizes.join(',')},`))
            client.sent += step.sizes.length
          } else if (step.kind === 'take') client.socket.take(step.room)
          else if (step.kind === 'room') client.socket.room = step.room
          // Not for a minute.
          else if (step.kind === 'wait' && ticks + step.ticks < 15) {
            ticks += step.ticks
            await pass(app, step.ticks)
          }
          await turn(app)
        }
        for (const { socket } of clients) {
          expect(socket.isClosed).toBe(false)
          socket.room = 1e9
        }
        for (const { socket, sent } of clients) {
          socket.send(Buffer.from('7,'), true)
          for (let i = 0; i < 20 && !socket.isEnded; i++) await readAll(app, socket)
          expect(received(socket)).toEqual(Array.from({ length: sent + 2 }, (_, n) => n))
        }
      }),
      { numRuns: Number(process.env.GROUPCAST_RUNS ?? 60) },
    )
  })
})
