/** The promise of `latest`, through a whole hub: a reader ends on the newest value of each key, or is told to come back and then does. */
import { describe, expect, test } from 'vitest'
import { createHub } from '../../src/create-hub.ts'
import { groupsConsumer } from '../../src/groups-consumer.ts'
import type { Limits } from '../../src/options.ts'
import { type FakeLink, fakeBackend, settled } from '../support/fake-backend.ts'

interface Value {
  readonly n: number
  readonly key?: string
}

function setup(limits: Partial<Limits>) {
  const { backend, connect } = fakeBackend()
  const hub = createHub({
    backend,
    groups: [
      { match: 'board.*', slow: 'latest', history: { count: 100_000, bytes: 64 * 1024 * 1024 } },
      { match: 'chat.*', slow: 'drop' },
    ],
    limits,
  })
  hub.consumer('/events', groupsConsumer())
  hub.attach({})
  let n = 0
  return {
    hub,
    /** A client of some groups, as one that comes back by itself. */
    async reader(...groups: string[]) {
      const reader = new Reader((query, budget) => connect(`/events?${query}`, {}, budget), groups)
      await reader.comeBack()
      return reader
    },
    async publish(group: string, key: string | null, bytes = 100) {
      await hub.groupSend(group, { type: 'n', n, ...(key !== null && { key }), text: 'x'.repeat(bytes) })
      return n++
    },
  }
}

/** What one client has seen, over all its connections. */
class Reader {
  link!: FakeLink
  readonly #connect: (query: string, budget: number) => Promise<FakeLink>
  readonly #groups: readonly string[]
  readonly #past: FakeLink[] = []

  constructor(connect: (query: string, budget: number) => Promise<FakeLink>, groups: readonly string[]) {
    this.#connect = connect
    this.#groups = groups
  }

  get #envelopes() {
    return [...this.#past, this.link].flatMap(({ envelopes }) => envelopes)
  }

  get values(): Value[] {
    return this.#envelopes.flatMap(({ message }) => (message === undefined ? [] : [message as Value]))
  }

  /** The newest it has of each key. */
  get board(): Map<string, number> {
    return new Map(this.values.flatMap(({ n, key }) => (key === undefined ? [] : [[key, n] as const])))
  }

  get told(): number {
    const notices = this.#envelopes as { dropped?: { count: number } }[]
    return notices.reduce((sum, { dropped }) => sum + (dropped?.count ?? 0), 0)
  }

  get closeCodes(): number[] {
    return this.#envelopes.flatMap(({ close }) => (close === undefined ? [] : [close.code]))
  }

  get resets(): number {
    return this.#envelopes.filter(({ reset }) => reset !== undefined).length
  }

  stop(): void {
    this.link.isCongested = true
  }

  async readAll(): Promise<void> {
    this.link.drain()
    await settled()
    this.link.drain()
    await settled()
  }

  /** With its newest cursor, in the same groups. @param budget it takes no more writes than this before it reads on */
  async comeBack(budget = Number.POSITIVE_INFINITY): Promise<void> {
    const cursors = this.link === undefined ? [] : this.#envelopes.flatMap(cursorOf)
    if (this.link !== undefined) this.#past.push(this.link)
    const groups = this.#groups.map((group) => `group=${group}`).join('&')
    const cursor = cursors.length === 0 ? '' : `&cursor=${cursors.at(-1)}`
    this.link = await this.#connect(groups + cursor, budget)
    await settled()
  }
}

function cursorOf({ cursor, open, reset }: FakeLink['envelopes'][number]): string[] {
  const given = cursor ?? open?.cursor ?? reset?.cursor
  return given === undefined ? [] : [given]
}

describe('a reader that stops', () => {
  test('ends on the newest value of each key, however much without a key comes after', async () => {
    const { hub, reader, publish } = setup({ maxBacklogBytes: 50_000 })
    const slow = await reader('board.a', 'chat.a')
    slow.stop()
    const newest = new Map<string, number>()
    for (let i = 0; i < 2_000; i++) {
      if (i % 100 === 0) newest.set(`k${i % 7}`, await publish('board.a', `k${i % 7}`))
      await publish(i % 2 === 0 ? 'board.a' : 'chat.a', null)
    }
    await settled()
    await slow.readAll()
    expect(slow.board).toEqual(newest)
    expect(slow.closeCodes).toEqual([])
    expect(slow.told).toBe(hub.stats.dropped)
    const numbers = slow.values.map(({ n }) => n)
    expect(numbers).toEqual(numbers.toSorted((a, b) => a - b))
    expect(numbers.at(-1)).toBe(2_019)
  })

  test('comes back for the newest values where they are more than may wait, and has them all', async () => {
    const { hub, reader, publish } = setup({ maxBacklogBytes: 50_000 })
    const slow = await reader('board.a')
    const newest = new Map<string, number>()
    const set = async (key: string) => void newest.set(key, await publish('board.a', key, 900))
    await set('k0')
    await settled()
    slow.stop()
    for (let i = 0; i < 200; i++) await set(`k${i % 80}`)
    await settled()
    expect(slow.closeCodes).toEqual([4008])
    expect(hub.stats).toMatchObject({ slowConsumers: 1, dropped: 0, backlogBytes: 0 })
    await slow.comeBack()
    expect(slow.board).toEqual(newest)
    expect(slow.resets).toBe(0)
  })
})
