/** What waits for handlers of a connection that are slower than its groups write: bounded, and under the policies for slow readers. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createHub } from '../../src/create-hub.ts'
import type { Connection } from '../../src/hub/consumer.ts'
import type { SlowPolicy } from '../../src/slow.ts'
import { fakeBackend, settled } from '../support/fake-backend.ts'

const TEXT = 'x'.repeat(500)

type Handler = (connection: Connection, message: { n: number }) => Promise<void>

/** A client that reads at once, of a consumer whose handlers of `tick` end when the test says so, and then send what they got. */
async function setup({ policy, maxBacklogBytes = 50_000 }: { policy: SlowPolicy; maxBacklogBytes?: number }) {
  const { backend, connect } = fakeBackend()
  const errors: unknown[] = []
  const hub = createHub({
    backend,
    groups: [{ match: 'kept.*', history: { count: 100_000, bytes: 64 * 1024 * 1024 } }, { match: '*' }],
    limits: { maxBacklogBytes },
    onError: (error) => errors.push(error),
  })
  const begun: number[] = []
  const running: (() => void)[] = []
  let isOpen = false
  const handler: Handler = async (connection, { n }) => {
    begun.push(n)
    if (!isOpen) await new Promise<void>((resolve) => running.push(resolve))
    connection.send({ type: 'done', n } as never)
  }
  hub.consumer('/events', {
    slow: policy,
    connect: (connection) => connection.join(connection.query.get('group') ?? 'a'),
    authorize: () => true,
    handlers: { tick: handler as never },
  })
  hub.attach({})
  let n = 0
  return {
    hub,
    errors,
    begun,
    connect,
    link: await connect('/events?group=a'),
    count: () => n,
    /** @returns its number */
    async publish(fields: object = {}, group = 'a', type = 'tick') {
      await hub.groupSend(group, { type, n, ...fields })
      return n++
    },
    /** The handler that runs ends. */
    async next() {
      running.shift()?.()
      await settled()
    },
    /** All end at once from now on. */
    async finish() {
      isOpen = true
      for (const end of running.splice(0)) end()
      await settled()
    },
  }
}

type Link = Awaited<ReturnType<typeof setup>>['link']
type Notice = { readonly dropped?: { readonly count: number } }

const numbers = ({ envelopes }: Link) =>
  envelopes.flatMap(({ message }) => (message === undefined ? [] : [message.n]))
const told = ({ envelopes }: Link) =>
  (envelopes as Notice[]).reduce((sum, { dropped }) => sum + (dropped?.count ?? 0), 0)
const closes = ({ envelopes }: Link) => envelopes.flatMap(({ close }) => (close === undefined ? [] : [close]))

// Symptom: a client that read at once, under `drop` or `latest`, was closed with 4008 and told that it did not read as fast as its groups wrote. Cause:
// whatever its policy, more than the bound waiting for its handlers was taken for a client that does not read.
describe('a client that reads, whose handlers are slow', () => {
  test('drop: the oldest are not handled, and it is told how many before what follows', async () => {
    const { hub, link, begun, publish, finish, errors } = await setup({ policy: 'drop' })
    for (let i = 0; i < 500; i++) await publish({ text: TEXT })
    await finish()
    expect(closes(link)).toEqual([])
    expect(numbers(link)).toEqual(begun)
    // The first was being handled when the others came.
    const kept = begun.slice(1)
    expect(begun[0]).toBe(0)
    expect(kept).toEqual(Array.from({ length: kept.length }, (_, i) => 500 - kept.length + i))
    // Not more than it must: what waits costs some 800 bytes each.
    expect(kept.length).toBeGreaterThan(40)
    expect(told(link)).toBe(500 - begun.length)
    expect(hub.stats).toMatchObject({ slowConsumers: 0, dropped: told(link) })
    const notices = (link.envelopes as Notice[]).flatMap(({ dropped }, at) =>
      dropped === undefined ? [] : [at],
    )
    // After `open` and what was being handled.
    expect(notices).toEqual([2])
    expect(errors).toEqual([])
  })

  test('latest: of each key the newest is handled', async () => {
    const { hub, link, begun, publish, finish } = await setup({ policy: 'latest' })
    await publish()
    for (let i = 0; i < 1_000; i++) await publish({ key: `k${i % 10}`, text: TEXT })
    await finish()
    expect(closes(link)).toEqual([])
    expect(begun.slice(-10)).toEqual(Array.from({ length: 10 }, (_, i) => 991 + i))
    expect(begun.length).toBeLessThan(100)
    expect(hub.stats).toMatchObject({ slowConsumers: 0, dropped: 0 })
  })

  test.each(['close', 'latest'] as const)(
    '%s: where too much must stay it is closed, which is not laid to the client',
    async (policy) => {
      const { hub, link, publish, finish, errors } = await setup({ policy })
      for (let i = 0; closes(link).length === 0; i++) {
        expect(i).toBeLessThan(200)
        await publish({ key: `k${i}`, text: TEXT })
        await settled()
      }
      expect(closes(link)).toEqual([
        expect.objectContaining({
          code: 4009,
          reason: 'The server handles messages for this connection more slowly than its groups write.',
        }),
      ])
      expect(hub.stats).toMatchObject({ slowConsumers: 1, dropped: 0 })
      expect(errors).toEqual([expect.objectContaining({ code: 'slow-handlers' })])
      await finish()
      expect(numbers(link)).toEqual([])
    },
  )

  test('of a group under a policy of its own, messages of others stay', async () => {
    const { backend, connect } = fakeBackend()
    const hub = createHub({
      backend,
      groups: [{ match: 'b', slow: 'drop' }],
      limits: { maxBacklogBytes: 50_000 },
    })
    const handled: string[] = []
    let release = () => {}
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    hub.consumer('/events', {
      async connect(connection) {
        await connection.join('a')
        await connection.join('b')
      },
      handlers: {
        async tick(_connection: Connection, message: { type: string; from?: string }) {
          handled.push(message.from ?? '')
          await held
        },
      } as never,
    })
    hub.attach({})
    const link = await connect('/events')
    for (let i = 0; i < 300; i++)
      await hub.groupSend(i % 100 === 50 ? 'a' : 'b', {
        type: 'tick',
        from: i % 100 === 50 ? 'a' : 'b',
        text: TEXT,
      })
    release()
    await settled()
    expect(closes(link)).toEqual([])
    expect(handled.filter((from) => from === 'a')).toHaveLength(3)
    expect(handled.length + told(link)).toBe(300)
  })

  test('a message that nobody handles waits for those before it, and may be dropped like them', async () => {
    const { link, publish, finish } = await setup({ policy: 'drop' })
    await publish()
    for (let i = 0; i < 300; i++) await publish({ text: TEXT }, 'a', i % 2 === 0 ? 'other' : 'tick')
    await finish()
    expect(numbers(link)).toEqual(numbers(link).toSorted((a, b) => a - b))
    expect(numbers(link).at(-1)).toBe(300)
    expect(numbers(link).length + told(link)).toBe(301)
  })

  test('what the client asks for meanwhile keeps its place', async () => {
    const { link, publish, finish } = await setup({ policy: 'drop' })
    await publish()
    for (let i = 0; i < 20; i++) await publish({ text: TEXT })
    link.say({ join: 'b', reply: 1 })
    for (let i = 0; i < 300; i++) await publish({ text: TEXT })
    await finish()
    const isReply = ({ reply }: { reply?: number }) => reply === 1
    expect(link.envelopes.filter(isReply)).toHaveLength(1)
    // All that was older than what it asked for was dropped, but the first.
    const before = link.envelopes.slice(0, link.envelopes.findIndex(isReply))
    expect(before.flatMap(({ message }) => message?.n ?? [])).toEqual([0])
    expect(numbers(link).length + told(link)).toBe(321)
  })

  test('what comes while its past is on its way is bounded, too', async () => {
    const { hub, link, connect, publish, finish } = await setup({ policy: 'drop' })
    for (let i = 0; i < 50; i++) await publish({}, 'kept.a')
    const [joined] = await Promise.all([
      connect('/events?group=kept.a'),
      (async () => {
        for (let i = 0; i < 400; i++) await publish({ text: TEXT }, 'kept.a')
      })(),
    ])
    await finish()
    for (let i = 0; i < 20; i++) await settled()
    expect(closes(joined)).toEqual([])
    const got = numbers(joined)
    expect(got).toEqual(got.toSorted((a, b) => a - b))
    expect(got.at(-1)).toBe(449)
    expect(hub.stats.dropped).toBeGreaterThan(0)
    expect(told(joined) + told(link)).toBe(hub.stats.dropped)
  })
})

const step = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({
      do: fc.constant('publish' as const),
      key: fc.option(fc.nat(4), { freq: 2 }),
      bytes: fc.nat(2_000),
      times: fc.integer({ min: 1, max: 10 }),
      isHandled: fc.boolean(),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('next' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('say' as const) }) },
)

test.each(['drop', 'latest'] as const)(
  '%s: whenever handlers end, all is in order, and what is missing was replaced or told',
  async (policy) => {
    let dropped = 0
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const { hub, link, publish, next, finish, errors } = await setup({ policy, maxBacklogBytes: 20_000 })
        const newest = new Map<number, number>()
        const keyed: number[] = []
        let replies = 0
        for (const action of steps) {
          if (action.do === 'publish') {
            for (let i = 0; i < action.times; i++) {
              const key = action.key === null ? {} : { key: `k${action.key}` }
              const n = await publish(
                { ...key, text: 'x'.repeat(action.bytes) },
                'a',
                action.isHandled ? 'tick' : 'other',
              )
              if (action.key !== null) newest.set(action.key, n)
              if (action.key !== null) keyed.push(n)
            }
          } else if (action.do === 'next') await next()
          else link.say({ join: 'b', reply: replies++ })
        }
        await finish()
        for (let i = 0; i < 10; i++) await settled()
        expect(closes(link)).toEqual([])
        const got = numbers(link)
        expect(got).toEqual(got.toSorted((a, b) => a - b))
        expect(told(link)).toBe(hub.stats.dropped)
        expect(link.envelopes.filter(({ reply }) => reply !== undefined)).toHaveLength(replies)
        if (policy === 'drop') expect(got.length + told(link)).toBe(hub.stats.publications)
        else {
          for (const n of newest.values()) expect(got).toContain(n)
          const missing = Array.from({ length: hub.stats.publications }, (_, n) => n).filter(
            (n) => !got.includes(n),
          )
          expect(missing.filter((n) => !keyed.includes(n))).toHaveLength(told(link))
        }
        expect(errors).toEqual([])
        dropped += hub.stats.dropped
      }),
      { numRuns: 60 },
    )
    expect(dropped).toBeGreaterThan(0)
  },
)
