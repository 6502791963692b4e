/**
 * Publications of one group that follow each other are handed to its members together. Whatever else happens in the same turn, each
 * connection must see what a hub would send that hands out each one at once: held here against such a model.
 */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Batch } from '../../src/batch.ts'
import type { Frame } from '../../src/frame.ts'
import { Backlog } from '../../src/hub/backlog.ts'
import { Group, type Membership } from '../../src/hub/groups.ts'
import type { LiveConnection } from '../../src/hub/live-connection.ts'
import { Outbox, type OutboxHost } from '../../src/hub/outbox.ts'
import { Turn } from '../../src/hub/turn.ts'
import { resolveLimits } from '../../src/options.ts'
import { Publication } from '../../src/publication.ts'
import type { Link } from '../../src/transports/backend.ts'
import { streamFormat } from '../../src/wire/http-stream.ts'
import type { WireFormat } from '../../src/wire/wire-format.ts'

const FORMATS = [streamFormat('ndjson', true, 'raw'), streamFormat('ndjson', true, 'chunked')] as const
const route = { handlers: new Map() }
const echoRoute = { handlers: new Map([['n', () => {}]]) }

class FakeLink implements Link {
  writable = true
  readonly writes: string[][] = []
  readonly bufferedBytes = 0
  readonly writtenBytes = 0
  readonly sharesBytes = true
  readonly answersHeartbeats = false
  write(batch: Batch): boolean {
    this.writes.push(batch.frames().map(textOf))
    return this.writable
  }
  heartbeat = () => true
  close(): void {}
  terminate(): void {}
  pause(): void {}
  resume(): void {}
}

/** The message inside the envelope, or what a control object says. */
function textOf({ bytes }: Frame): string {
  const text = bytes.toString()
  return text.startsWith('{') ? JSON.stringify(JSON.parse(text).message) : text
}

/** As much of a connection as groups see, and the model: what it should have been sent. */
class FakeConnection {
  readonly link = new FakeLink()
  readonly memberships = new Map<Group, Membership>()
  readonly expected: string[] = []
  readonly handled: string[] = []
  readonly outbox: Outbox
  readonly format: WireFormat
  readonly route: object

  constructor(host: OutboxHost, format: WireFormat, route: object) {
    this.format = format
    this.route = route
    this.outbox = new Outbox(format, 'close', host, {
      overflowed() {},
      cut() {},
      dropped() {},
      finished() {},
    })
    this.outbox.open(this.link, [])
  }

  movedTo(name: string, index: number): void {
    for (const [group, membership] of this.memberships) if (group.name === name) membership.index = index
  }

  take({ json }: Publication): boolean {
    this.handled.push(json)
    return true
  }

  toggle(group: Group): void {
    const membership = this.memberships.get(group)
    if (membership === undefined) this.memberships.set(group, group.add(this as unknown as LiveConnection))
    else {
      this.memberships.delete(group)
      group.remove(membership)
    }
  }
}

function setup() {
  const turn = new Turn()
  const limits = resolveLimits({})
  const host: OutboxHost = { turn, limits, backlog: new Backlog(2 ** 30), writeBytes: 64 * 1024 }
  const groups = ['a', 'b', 'c'].map((name) => new Group(name, null, turn))
  const connections = [0, 1, 2, 3, 4].map(
    (i) => new FakeConnection(host, FORMATS[i % 2] as WireFormat, route),
  )
  let n = 0
  return {
    host,
    groups,
    connections,
    publish(group: Group, bytes = 0) {
      const json = JSON.stringify({ type: 'n', n: n++, text: 'x'.repeat(bytes) })
      for (const { memberships, expected } of connections) if (memberships.has(group)) expected.push(json)
      return group.deliver(new Publication(group.name, json, null))
    },
    send(connection: FakeConnection) {
      const json = JSON.stringify({ type: 'n', n: n++ })
      connection.expected.push(json)
      connection.outbox.send(new Publication(null, json, null).frame(connection.format))
    },
  }
}

const endOfTurn = () => new Promise((resolve) => setImmediate(resolve))

const small = fc.nat({ max: 4 })
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('publish' as const), group: small }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('toggle' as const), group: small, who: small }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('large' as const), group: small }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('send' as const), who: small }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('congest' as const), who: small }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('drain' as const), who: small }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('turn' as const) }) },
)

describe('whatever happens in one turn', () => {
  test('each connection gets what was sent to it while it was a member, in order', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60, size: 'max' }), async (steps) => {
        const { groups, connections, publish, send } = setup()
        for (const taken of steps) {
          const group = groups[('group' in taken ? taken.group : 0) % groups.length] as Group
          const who = connections[('who' in taken ? taken.who : 0) % connections.length] as FakeConnection
          if (taken.kind === 'publish') publish(group)
          if (taken.kind === 'large') publish(group, 50_000)
          if (taken.kind === 'toggle') who.toggle(group)
          if (taken.kind === 'send') send(who)
          if (taken.kind === 'congest') who.link.writable = false
          if (taken.kind === 'drain') {
            who.link.writable = true
            who.outbox.flush()
          }
          if (taken.kind === 'turn') await endOfTurn()
        }
        for (const { link, outbox } of connections) {
          link.writable = true
          outbox.flush()
        }
        await endOfTurn()
        for (const { link, expected } of connections) expect(link.writes.flat()).toEqual(expected)
      }),
      { numRuns: 300 },
    )
  })
})

describe('publications of one group in one turn', () => {
  test('go out in one write, the same batch for all', async () => {
    const { groups, connections, publish } = setup()
    const group = groups[0] as Group
    for (const connection of connections) connection.toggle(group)
    for (let i = 0; i < 100; i++) expect(publish(group)).toBe(connections.length)
    await endOfTurn()
    for (const { link } of connections) expect(link.writes.map((frames) => frames.length)).toEqual([100])
  })

  test('reach handlers at once: what those send goes out at the end of the same turn', () => {
    const { groups, host, publish } = setup()
    const group = groups[0] as Group
    const handling = new FakeConnection(host, FORMATS[0], echoRoute)
    handling.toggle(group)
    publish(group)
    expect(handling.handled).toHaveLength(1)
  })

  test('go out before what closes a connection', async () => {
    const { groups, connections, publish } = setup()
    const [group, connection] = [groups[0] as Group, connections[0] as FakeConnection]
    connection.toggle(group)
    publish(group)
    connection.outbox.finish(Buffer.from('bye'))
    expect(connection.link.writes.flat()).toEqual([...connection.expected, 'bye'])
  })
})
