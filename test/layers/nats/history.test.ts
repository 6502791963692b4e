/** What is read of a stream, held against the memory layer's history: both must give the same, and lose the same. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { HistoryBounds } from '../../../src/history.ts'
import { MemoryHistory } from '../../../src/layers/memory-history.ts'
import { type KeptMessage, select } from '../../../src/layers/nats/history.ts'
import { manualClock } from '../../../src/testing/index.ts'

/** A stream as the server keeps it: a number of messages for each subject, and an age. */
class ModelStream {
  readonly messages: (KeptMessage & { readonly group: string })[] = []
  readonly #perSubject: number
  readonly #maxAgeMs: number

  constructor(perSubject: number, maxAgeMs: number) {
    this.#perSubject = perSubject
    this.#maxAgeMs = maxAgeMs
  }

  store(group: string, sequence: number, bytes: number, at: number): void {
    this.messages.push({ group, sequence, bytes, at })
    const same = this.messages.filter((one) => one.group === group)
    if (same.length > this.#perSubject) this.messages.splice(this.messages.indexOf(same[0] as never), 1)
  }

  expire(now: number): void {
    while (this.messages.length > 0 && now - (this.messages[0]?.at ?? now) > this.#maxAgeMs)
      this.messages.shift()
  }

  after(group: string, sequence: number): KeptMessage[] {
    return this.messages.filter((one) => one.group === group && one.sequence > sequence)
  }

  get horizon(): number {
    return this.messages[0]?.sequence ?? Number.POSITIVE_INFINITY
  }
}

const MOST = 6
const AGE_MS = 1_000

type Step =
  | { readonly kind: 'publish'; readonly group: string; readonly bytes: number }
  | { readonly kind: 'wait'; readonly ms: number }
  | { readonly kind: 'replay'; readonly group: string; readonly back: number; readonly limit: number | null }

const group = fc.constantFrom('a', 'b')
const steps = fc.array(
  fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({
        kind: fc.constant('publish' as const),
        group,
        bytes: fc.integer({ min: 10, max: 60 }),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 600 }) }),
    },
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constant('replay' as const),
        group,
        back: fc.integer({ min: -1, max: 25 }),
        limit: fc.option(fc.integer({ min: 1, max: 8 })),
      }),
    },
  ),
  { maxLength: 60 },
)
const bounds = fc.record({
  count: fc.integer({ min: 1, max: MOST }),
  bytes: fc.integer({ min: 15, max: 200 }),
  ageMs: fc.integer({ min: 1, max: AGE_MS }),
})

test('a stream that keeps one message more than groups may, and marks of time, gives what memory does', () => {
  fc.assert(fc.property(steps, bounds, check), { numRuns: 500 })
})

function check(all: readonly Step[], bounds: HistoryBounds): void {
  const clock = manualClock()
  const memory = new MemoryHistory({ maxBytes: 1e9, clock, newEpoch: () => 'e' })
  const stream = new ModelStream(MOST + 1, AGE_MS * 1.25)
  let end = 0
  const mark = () => {
    // Memory counts it as a publication of a group that nobody asks for.
    memory.append('mark', '{}', { count: 1, bytes: 1e6, ageMs: 1e9 })
    stream.store(`mark ${++end}`, end, 2, clock.now())
  }
  mark()
  let markedAt = 0
  for (const step of all) {
    if (step.kind === 'wait') {
      for (let left = step.ms; left > 0; left--) {
        clock.advance(1)
        if (clock.now() - markedAt < AGE_MS / 8) continue
        markedAt = clock.now()
        mark()
      }
      stream.expire(clock.now())
    } else if (step.kind === 'publish') {
      memory.append(step.group, 'x'.repeat(step.bytes), bounds)
      stream.store(step.group, ++end, step.bytes, clock.now())
    } else compare(step)
  }

  function compare({ group, back, limit }: Step & { readonly kind: 'replay' }): void {
    const after = back === -1 ? null : Math.max(1, end - back)
    const request = { groups: new Map([[group, limit]]), after: after === null ? null : `e.${after}` }
    const expected = memory.replay(request, () => true)
    const isProved = after === null || after >= stream.horizon
    const selection = { after, end, limit, bounds, now: clock.now() }
    const got = isProved ? select(stream.after(group, after ?? 0), selection) : null
    if (got === null) {
      // What is older than the stream's age cannot be proved, whether something was there or not.
      if (isProved) expect(expected.lost).toEqual([group])
      return
    }
    expect(expected.lost).toEqual([])
    const sequences = expected.publications.map(({ publication }) =>
      Number(publication.cursor?.split('.')[1]),
    )
    expect(got.messages.map(({ sequence }) => sequence)).toEqual(sequences)
    expect(got.hasMore).toBe(expected.hasMore)
  }
}
