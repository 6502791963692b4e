/**
 * Nothing is lost between the hub and the system, however little that takes and whenever: the real back end on the writing side of uWebSockets.js
 * as its C++ does it (`test/support/uws-wire.ts`). Real sockets take too much to be refused often.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createHub } from '../../../src/create-hub.ts'
import type { ConnectionRequest, Gate, ServerBackend } from '../../../src/transports/backend.ts'
import { acceptStream } from '../../../src/transports/uws/stream.ts'
import { acceptWebSocket, webSocketHandlers } from '../../../src/transports/uws/websocket.ts'
import { UwsFakeResponse, UwsLoop, UwsWire } from '../../support/uws-wire.ts'

const KINDS = ['websocket', 'websocket+envelope', 'sse', 'ndjson', 'ndjson+envelope'] as const
type Kind = (typeof KINDS)[number]

type Step =
  | { readonly does: 'connect'; readonly kind: Kind; readonly room: number; readonly history: number }
  | { readonly does: 'publish'; readonly sizes: readonly number[] }
  | { readonly does: 'turn' }
  /** The system takes so much more of what is for a client. */
  | { readonly does: 'read'; readonly client: number; readonly bytes: number }
  /** The client sends so many messages, which the consumer publishes. */
  | { readonly does: 'say'; readonly client: number; readonly sizes: readonly number[] }

const client = fc.nat(5)
const sizes = fc.array(fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 40_000 })), {
  minLength: 1,
  maxLength: 12,
})
const room = fc.oneof(fc.nat(200), fc.nat(20_000), fc.nat(200_000))
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    does: fc.constant('connect' as const),
    kind: fc.constantFrom(...KINDS),
    room,
    history: fc.nat(20),
  }),
  { weight: 3, arbitrary: fc.record({ does: fc.constant('publish' as const), sizes }) },
  { weight: 3, arbitrary: fc.record({ does: fc.constant('turn' as const) }) },
  { weight: 4, arbitrary: fc.record({ does: fc.constant('read' as const), client, bytes: room }) },
  { weight: 2, arbitrary: fc.record({ does: fc.constant('say' as const), client, sizes }) },
)

test('every client gets every message in order, whatever the system takes', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 60 }), async (steps) => {
      const world = new World()
      try {
        for (const each of steps) await world.take(each)
        await world.readAll()
        for (const each of world.clients) expect(each.numbers(), each.kind).toEqual(world.since(each))
      } finally {
        await world.hub.close()
      }
    }),
    { numRuns: 1_000 },
  )
}, 120_000)

/** A hub, and what it published. */
class World {
  readonly clients: Client[] = []
  readonly hub
  readonly #loop = new UwsLoop()
  #gate!: Gate
  #next = 0

  constructor() {
    const backend: ServerBackend<object> = {
      name: 'uws',
      attach: (_server, gate) => {
        this.#gate = gate
        return { detach() {} }
      },
    }
    const keepAll = { count: 100_000, bytes: 256 * 1024 * 1024 }
    this.hub = createHub({
      backend,
      groups: [{ match: '*', history: keepAll }],
      limits: { maxBacklogBytes: 64 * 1024 * 1024 },
      onError: (error) => {
        throw error
      },
    })
    this.hub.consumer('/', {
      connect: (connection) =>
        connection.join('a', { history: Number(connection.request.query.get('history')) }),
      receive: (_connection, { size }) => {
        void this.#publish(size as number)
      },
    })
    this.hub.attach({})
  }

  async take(each: Step): Promise<void> {
    switch (each.does) {
      case 'connect':
        if (this.clients.length < 6) await this.#connect(each.kind, each.room, each.history)
        return
      case 'publish':
        for (const size of each.sizes) void this.#publish(size)
        return
      case 'turn':
        await turn()
        return
      case 'read':
        await this.clients[each.client]?.read(each.bytes)
        return
      case 'say':
        await this.clients[each.client]?.say(each.sizes)
        return
      default:
        each satisfies never
    }
  }

  /** Until the system has taken all that anybody wants to write. */
  async readAll(): Promise<void> {
    for (let i = 0; i < 50; i++) {
      await turn()
      for (const each of this.clients) await each.read(Number.POSITIVE_INFINITY)
    }
  }

  /** What a client is owed: from its first message to the last of all. */
  since(each: Client): number[] {
    const first = Math.max(0, each.from - each.history)
    return Array.from({ length: this.#next - first }, (_, i) => first + i)
  }

  #publish(size: number): Promise<unknown> {
    return this.hub.groupSend('a', { type: 'n', n: this.#next++, text: 'x'.repeat(size) })
  }

  async #connect(kind: Kind, room: number, history: number): Promise<void> {
    const wire = new UwsWire(this.#loop)
    wire.room = room
    const response = new UwsFakeResponse(wire, {
      ...webSocketHandlers(this.#gate.limits),
      upgrade() {},
    })
    const plan = this.#gate.plan(requestOf(kind, history))
    await wire.within(() => {
      if (plan.kind === 'websocket')
        acceptWebSocket(plan, 'dGhlIHNhbXBsZSBub25jZQ==', response, null, this.#gate)
      else if (plan.kind === 'stream') acceptStream(plan, response, this.#gate)
      else throw new Error(`No connection: ${JSON.stringify(plan)}`)
    })
    // Let in before anything else is published: what it is owed is known.
    await turn()
    await turn()
    this.clients.push(new Client(kind, response, history, this.#next))
  }
}

class Client {
  readonly kind: Kind
  readonly history: number
  /** The next message when it was let in. */
  readonly from: number
  readonly #response: UwsFakeResponse

  constructor(kind: Kind, response: UwsFakeResponse, history: number, from: number) {
    this.kind = kind
    this.#response = response
    this.history = history
    this.from = from
  }

  async read(bytes: number): Promise<void> {
    const { wire } = this.#response
    wire.room += bytes
    if (wire.isWaiting && wire.room > 0) await this.#response.writable()
  }

  /** All of them arrive in one segment, so that all are handled under one cork. */
  async say(sizes: readonly number[]): Promise<void> {
    for (const size of sizes) await this.#response.socket?.say(JSON.stringify(this.#said(size)))
  }

  #said(size: number): object {
    const message = { type: 'say', size }
    return this.kind === 'websocket+envelope' ? { send: message } : message
  }

  numbers(): number[] {
    const texts = this.kind.startsWith('websocket')
      ? (this.#response.socket?.texts() ?? [])
      : this.#response.lines()
    return texts.flatMap((text) => {
      const n = /"n":(\d+)/.exec(text)
      return n === null ? [] : [Number(n[1])]
    })
  }
}

function requestOf(kind: Kind, history: number): ConnectionRequest {
  const isSocket = kind.startsWith('websocket')
  const headers: Record<string, string> = {
    host: 'localhost',
    accept: kind.startsWith('ndjson') ? 'application/x-ndjson' : 'text/event-stream',
    ...(isSocket && {
      upgrade: 'websocket',
      connection: 'Upgrade',
      'sec-websocket-version': '13',
      'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
    }),
    ...(kind === 'websocket+envelope' && { 'sec-websocket-protocol': 'groupcast.v1' }),
  }
  const query = `history=${history}${kind === 'ndjson+envelope' ? '&envelope=1' : ''}`
  return {
    method: 'GET',
    url: `/?${query}`,
    path: '/',
    query: new URLSearchParams(query),
    remoteAddress: '127.0.0.1',
    encrypted: false,
    header: (name) => headers[name.toLowerCase()],
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
