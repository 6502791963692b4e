/**
 * However little the system takes at a time, and whenever: what the hub sends comes whole and in order, or the client is closed. Over a model of
 * uWebSockets.js with its faults, since no kernel falls short at will.
 */

import fc from 'fast-check'
import { createHub, groupsConsumer } from 'groupcast'
import { describe, expect, test } from 'vitest'
import { TrustedProxies } from '../../../src/transports/trusted-proxies.ts'
import { backendFor } from '../../../src/transports/uws/backend.ts'
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
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('cut' as const), who: fc.nat(5) }) },
)

type Step = typeof step extends fc.Arbitrary<infer Value> ? Value : never

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
    else if (socket !== undefined) {
      for (let i = 0; i < 3; i++) {
        socket.take(1_000_000)
        await settled()
      }
      socket.room = taken.rest
    }
  }
  await settled()
  // At the end they read all that there is.
  for (let i = 0; i < 40; i++) {
    for (const { socket } of clients) socket.take(1_000_000)
    await settled()
  }
  const all = Array.from({ length: sent }, (_, n) => n)
  for (const { kind, socket } of clients) {
    const numbers = numbersOf(socket, kind)
    expect(numbers).toEqual(all.slice(0, numbers.length))
    if (!socket.isClosed) expect(numbers).toHaveLength(sent)
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
