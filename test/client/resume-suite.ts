/**
 * The client library against a hub that keeps history, behind a proxy that cuts: what it missed comes, once, whatever it speaks. Run wherever
 * `suite.ts` is.
 */
import type { HistoryOptions } from 'groupcast'
import { describe, expect, test } from 'vitest'
import type { ClientTransport } from '../../src/client/link.ts'
import { type CuttingProxy, startCuttingProxy } from '../support/cutting-proxy.ts'
import { startTestHub, type TestHub } from '../support/hub-server.ts'
import { until } from '../support/until.ts'
import type { Told } from './driver.ts'
import { type Place, type Subject, start } from './suite.ts'

const TRANSPORTS: readonly ClientTransport[] = ['websocket', 'sse']
const SEED = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31))
const ROUNDS = 14

const isOpen = ({ state }: Told) => state === 'open'
/** The numbers of what came of a group. */
const numbers = ({ messages, contexts }: Told, group: string) =>
  messages.flatMap(({ n }, i) => (contexts[i]?.group === group ? [n] : []))

/** The same numbers for the same seed: 0 up to 1. */
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    // mulberry32
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

interface Stage extends TestHub {
  readonly proxy: CuttingProxy
  readonly counts: Record<string, number>
  /** Publishes messages, numbered from 0 in each group. */
  publish(group: string, count: number): Promise<void>
}

async function setUp({ origin }: Place, history: HistoryOptions = { count: 1_000 }): Promise<Stage> {
  const testHub = await startTestHub({
    groups: [{ match: '*', history }],
    allowedOrigins: origin === null ? [] : [origin],
    limits: { retrySpreadMs: 1 },
  })
  const counts: Record<string, number> = { a: 0, b: 0 }
  return {
    ...testHub,
    proxy: await startCuttingProxy(testHub.url),
    counts,
    async publish(group, count) {
      for (let i = 0; i < count; i++) {
        const n = counts[group] ?? 0
        counts[group] = n + 1
        await testHub.hub.groupSend(group, { type: 'n', n, text: 'x'.repeat(300) })
      }
    },
  }
}

/** Cuts the client off while `meanwhile` runs, at once or after so many bytes more. */
async function cutOff({ proxy }: Stage, after: number | null, meanwhile: () => Promise<void>): Promise<void> {
  proxy.isDown = true
  if (after === null) proxy.cut()
  else proxy.cutAfter(after)
  await meanwhile()
  proxy.cut()
  await until('it is cut', () => proxy.count === 0)
  proxy.isDown = false
}

const upTo = (count: number, from = 0) => Array.from({ length: count - from }, (_, i) => from + i)

/** Waits until it has all, and no more, in order. */
async function hasAll(client: Subject, { counts }: Stage, bFrom = 0): Promise<Told> {
  const { a = 0, b = 0 } = counts
  const told = await client.until('it has all', ({ messages }) => messages.length >= a + b - bFrom)
  expect(numbers(told, 'a')).toEqual(upTo(a))
  expect(numbers(told, 'b')).toEqual(upTo(b, bFrom))
  expect(told.resets).toEqual([])
  return told
}

/** Runs the suite in a place. */
export function resumeSuite(place: Place): void {
  const journeys = [
    ['websocket', ['websocket']],
    ['sse', ['sse']],
    ['either, as the network lets it', TRANSPORTS],
  ] as const

  describe.each(journeys)('resuming over %s', (_name, transports) => {
    test(`cut time and again it gets everything once, in order (seed ${SEED})`, async () => {
      const random = seeded(SEED)
      const upToAbout = (most: number) => Math.floor(random() * (most + 1))
      const stage = await setUp(place)
      const { proxy, publish, url, errors } = stage
      const client = await start(place, `${proxy.url}/events`, {
        transports,
        groups: ['a', 'b'],
        // The preferred one is tried each time.
        fallbackMs: 1,
      })
      await client.until('it is open', isOpen)
      for (let round = 0; round < ROUNDS; round++) {
        proxy.refused.clear()
        if (transports.length > 1 && random() < 0.7) proxy.refused.add(random() < 0.7 ? 'websocket' : 'sse')
        await publish('a', upToAbout(2))
        if (random() < 0.5) await client.until('it is open', isOpen)
        await cutOff(stage, random() < 0.5 ? null : 1 + upToAbout(3_000), async () => {
          await publish('b', upToAbout(3))
          await publish('a', upToAbout(3))
        })
        await publish('b', upToAbout(2))
        if (random() < 0.5) await hasAll(client, stage)
      }
      await publish('a', 1)
      const told = await hasAll(client, stage)
      expect(told.cursor).toBe(told.contexts.at(-1)?.cursor)
      for (const transport of transports) expect(proxy.passed[transport], url).toBeGreaterThan(0)
      expect(errors).toEqual([])
    })

    test('joins with history: the newest first, and not again after a cut', async () => {
      const stage = await setUp(place)
      const { proxy, publish } = stage
      const client = await start(place, `${proxy.url}/events`, { transports, groups: ['a'], fallbackMs: 1 })
      await client.until('it is open', isOpen)
      await publish('a', 1)
      await publish('b', 5)
      await client.until('the first came', ({ messages }) => messages.length === 1)
      const { cursor } = await client.told()
      expect(await client.call('join', 'b', { history: 2 })).toEqual({ result: null })
      // Before the answer: who has joined has them.
      expect(numbers(await client.told(), 'b')).toEqual([3, 4])
      await client.until('its position makes up for them', (told) => told.cursor !== cursor)
      await cutOff(stage, null, () => publish('b', 2))
      await publish('a', 1)
      await hasAll(client, stage, 3)
    })
  })

  test('is told of a reset where the history was too short, and goes on from there', async () => {
    const stage = await setUp(place, { count: 2 })
    const { proxy, publish } = stage
    const client = await start(place, `${proxy.url}/events`, { groups: ['a', 'b'], fallbackMs: 1 })
    await client.until('it is open', isOpen)
    await publish('a', 1)
    await client.until('the first came', ({ messages }) => messages.length === 1)
    await cutOff(stage, null, async () => {
      await publish('a', 5)
      await publish('b', 2)
    })
    const told = await client.until(
      'it is told',
      ({ resets, messages }) => resets.length + messages.length >= 4,
    )
    expect(told.resets).toEqual([{ groups: ['a'], cursor: expect.any(String) }])
    // All of a group, or the reset; the other group loses nothing.
    expect([numbers(told, 'a'), numbers(told, 'b')]).toEqual([[0], [0, 1]])
    await cutOff(stage, null, () => publish('a', 2))
    const back = await client.until('it is back', ({ messages }) => messages.length >= 5)
    expect([numbers(back, 'a'), numbers(back, 'b')]).toEqual([
      [0, 6, 7],
      [0, 1],
    ])
    expect(back.resets).toHaveLength(1)
  })
}
