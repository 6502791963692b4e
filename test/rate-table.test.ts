/** The table of buckets against a model that counts tokens, with time turned by hand; and what becomes of it when it is full. */
import fc from 'fast-check'
import { manualClock } from 'groupcast/testing'
import { describe, expect, test } from 'vitest'
import { type Rate, RateTable } from '../src/rate-table.ts'

/** A bucket as books have it: tokens, of which so many come each second, and no more than the burst. Below zero: what was spent nevertheless. */
class Bucket {
  tokens: number
  #at = 0
  readonly #rate: Rate

  constructor(rate: Rate) {
    this.#rate = rate
    this.tokens = rate.burst
  }

  wait(to: number): void {
    this.tokens = Math.min(this.#rate.burst, this.tokens + ((to - this.#at) / 1000) * this.#rate.perSecond)
    this.#at = to
  }

  charge(cost: number): boolean {
    const { burst } = this.#rate
    const isTaken = this.tokens >= cost || this.tokens >= burst
    this.tokens = isTaken ? this.tokens - cost : Math.max(this.tokens - cost, Math.min(this.tokens, -burst))
    return isTaken
  }
}

// Powers of two, so that the model and the table make the same numbers, without errors of rounding that would add up.
const rates = fc.record({
  perSecond: fc.constantFrom(1, 2, 8, 125, 1000),
  burst: fc.constantFrom(1, 2, 4, 16, 64),
})
const steps = fc.array(
  fc.record({
    key: fc.constantFrom('a', 'b', '__proto__'),
    cost: fc.constantFrom(1, 1, 1, 2, 5, 100),
    waitMs: fc.constantFrom(0, 0, 0, 1, 8, 100, 1000, 60_000),
  }),
  { maxLength: 60 },
)

test('takes and refuses what the model does, for each key by itself', () => {
  fc.assert(
    fc.property(rates, steps, (rate, list) => {
      const clock = manualClock()
      const table = new RateTable<string>(rate, clock)
      const model = new Map<string, Bucket>()
      for (const { key, cost, waitMs } of list) {
        clock.advance(waitMs)
        const bucket = model.get(key) ?? new Bucket(rate)
        model.set(key, bucket)
        bucket.wait(clock.now())
        // Where they differ by rounding alone nothing can be said.
        fc.pre(Math.abs(bucket.tokens - cost) > 1e-6 || bucket.tokens === cost)
        expect(table.charge(key, cost) === null).toBe(bucket.charge(cost))
      }
    }),
    { numRuns: 500 },
  )
})

test('whoever waits as long as it was told is taken, and not much sooner', () => {
  fc.assert(
    fc.property(rates, steps, (rate, list) => {
      const clock = manualClock()
      const table = new RateTable<string>(rate, clock)
      for (const { key, cost, waitMs } of list) {
        clock.advance(waitMs)
        const excess = table.charge(key, cost)
        if (excess === null) continue
        expect(Number.isSafeInteger(excess.waitMs)).toBe(true)
        clock.advance(Math.max(0, excess.waitMs - 1.001))
        if (excess.waitMs > 2) expect(table.look(key, cost)).not.toBeNull()
        clock.advance(1.001)
        expect(table.look(key, cost)).toBeNull()
      }
    }),
    { numRuns: 500 },
  )
})

test('in any stretch of time no more is taken than the burst and what was earned', () => {
  fc.assert(
    fc.property(rates, steps, (rate, list) => {
      const clock = manualClock()
      const table = new RateTable<string>(rate, clock)
      let taken = 0
      for (const { waitMs } of list) {
        clock.advance(waitMs)
        if (table.admit('a', 1) === null) taken++
      }
      expect(taken).toBeLessThanOrEqual(rate.burst + (clock.now() / 1000) * rate.perSecond + 1e-6)
    }),
  )
})

describe('refusals', () => {
  const rate = { perSecond: 10, burst: 5 }

  test('by `charge` cost as much: who goes on for another burst is told for good, and waits no longer than that takes', () => {
    const clock = manualClock()
    const table = new RateTable<string>(rate, clock)
    const verdicts = Array.from({ length: 12 }, () => table.charge('a', 1)?.isFinal ?? null)
    expect(verdicts).toEqual([...Array(5).fill(null), ...Array(5).fill(false), true, true])
    for (let n = 0; n < 1_000; n++) table.charge('a', 1)
    expect(table.charge('a', 1)?.waitMs).toBe(600)
    clock.advance(600)
    expect(table.charge('a', 1)).toBeNull()
  })

  test('by `admit` cost nothing: others behind the same address get their turn', () => {
    const clock = manualClock()
    const table = new RateTable<string>(rate, clock)
    for (let n = 0; n < 1_000; n++) table.admit('a', 1)
    expect(table.admit('a', 1)).toEqual({ waitMs: 100, isFinal: false })
    clock.advance(100)
    expect(table.admit('a', 1)).toBeNull()
  })

  test('what costs more than the burst is taken when the bucket is full, and paid for', () => {
    const clock = manualClock()
    const table = new RateTable<string>(rate, clock)
    expect(table.charge('a', 50)).toBeNull()
    expect(table.look('a', 1)?.waitMs).toBe(4_600)
    clock.advance(4_600)
    expect(table.charge('a', 1)).toBeNull()
  })
})

describe('memory', () => {
  test('never more than the bound, whatever the keys; nobody is shut out', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 50 }), { maxLength: 200 }), (keys) => {
        const table = new RateTable<number>({ perSecond: 1, burst: 10 }, manualClock(), 5)
        const seen = new Set<number>()
        for (const key of keys) {
          const excess = table.charge(key, 1)
          if (!seen.has(key)) expect(excess).toBeNull()
          seen.add(key)
          expect(table.size).toBeLessThanOrEqual(5)
        }
      }),
    )
  })

  test('an entry cannot be washed out by many keys that have spent less', () => {
    const table = new RateTable<string>({ perSecond: 1, burst: 10 }, manualClock(), 100)
    for (let n = 0; n < 15; n++) table.charge('attacker', 1)
    for (let n = 0; n < 10_000; n++) expect(table.charge(`2001:db8:0:${n}::/64`, 1)).toBeNull()
    expect(table.size).toBe(100)
    expect(table.charge('attacker', 1)).not.toBeNull()
  })

  test('buckets that are full again are forgotten, without a timer', () => {
    const clock = manualClock()
    const table = new RateTable<number>({ perSecond: 10, burst: 10 }, clock)
    for (let n = 0; n < 1_000; n++) table.charge(n, 1 + (n % 30))
    expect(clock.pending).toBe(0)
    clock.advance(10_000)
    table.charge(-1, 1)
    expect(table.size).toBe(1)
    table.delete(-1)
    expect(table.size).toBe(0)
  })

  test('to find who owes least it looks at parts of time, not at entries', () => {
    // With entries in one list each eviction would look at all of them: 50,000 addresses times as many attempts.
    const table = new RateTable<number>({ perSecond: 100, burst: 1_000 }, manualClock(), 50_000)
    for (let n = 0; n < 500_000; n++) table.admit(n, 1)
    expect(table.size).toBe(50_000)
  })
})
