/** What groups keep, as plainly as it can be said: lists, searched from end to end. */
import { expect } from 'vitest'
import type { HistoryBounds } from '../../src/history.ts'
import type { Replay, ReplayRequest } from '../../src/layers/layer.ts'

/** A publication as the model remembers it, for ever. */
export interface Known {
  readonly epoch: number
  readonly index: number
  readonly group: string
  readonly json: string
  readonly cursor: string
  readonly at: number
  readonly bytes: number
}

/** What a replay is asked for, in words of the model: after which publication, or after some text. */
export type From = { readonly known: Known | null } | { readonly text: string } | 'newest'

/** Whether the driver may forget more than bounds ask, as it must where all groups together keep too much. */
export type Memory = 'exact' | 'short'

export class HistoryModel {
  readonly all: Known[] = []
  epoch = 0
  readonly #boundsOf: (group: string) => HistoryBounds | null
  readonly #memory: Memory
  /** What each group keeps; what it has lost are all others of the epoch. */
  readonly #kept = new Map<string, Known[]>()

  constructor(boundsOf: (group: string) => HistoryBounds | null, memory: Memory) {
    this.#boundsOf = boundsOf
    this.#memory = memory
  }

  /** Bytes of JSON that groups keep. */
  bytesAt(now: number): number {
    return [...this.#kept.keys()]
      .flatMap((group) => this.#keptOf(group, now))
      .reduce((sum, one) => sum + one.bytes, 0)
  }

  publish(group: string, json: string, cursor: string, at: number): void {
    const bytes = Buffer.byteLength(json)
    const known = { epoch: this.epoch, index: this.all.length, group, json, cursor, at, bytes }
    expect(this.all.map((one) => one.cursor)).not.toContain(cursor)
    this.all.push(known)
    this.#kept.set(group, [...(this.#kept.get(group) ?? []), known])
    this.#keptOf(group, at)
  }

  flush(): void {
    this.epoch++
    this.#kept.clear()
  }

  /** Fails unless a replay is what it must be. */
  check(replay: Replay, from: From, groups: ReplayRequest['groups'], now: number): void {
    const expected: Known[] = []
    let hasMore = false
    for (const [group, limit] of groups) {
      const whole = this.#after(group, from, now)
      const isLost = replay.lost.includes(group)
      if (
        whole === 'lost' ||
        (isLost && this.#memory === 'short' && from !== 'newest' && this.#boundsOf(group))
      ) {
        expect(isLost, `${group} is lost`).toBe(true)
        continue
      }
      expect(isLost, `${group} is not lost`).toBe(false)
      const given = replay.publications.filter((one) => one.group === group).length
      const some = this.#limited(whole, from, limit)
      // Short of memory, the newest may be fewer than bounds allow.
      expected.push(
        ...(from === 'newest' && this.#memory === 'short' ? some.slice(some.length - given) : some),
      )
      hasMore ||= whole.length > some.length
    }
    expected.sort((a, b) => a.index - b.index)
    expect(replay.publications.map(({ group, publication }) => ({ group, ...publication }))).toEqual(
      expected.map(({ group, json, cursor }) => ({ group, json, cursor })),
    )
    if (this.#memory === 'exact' || from !== 'newest') {
      if (replay.lost.length === 0 || this.#memory === 'exact') expect(replay.hasMore).toBe(hasMore)
    }
    for (const { epoch, cursor } of this.all) expect(replay.covers(cursor)).toBe(epoch === this.epoch)
  }

  #limited(whole: readonly Known[], from: From, limit: number | null): readonly Known[] {
    if (limit === null || whole.length <= limit) return whole
    return from === 'newest' ? whole.slice(whole.length - limit) : whole.slice(0, limit)
  }

  /** What a group has after a place, all of it. */
  #after(group: string, from: From, now: number): readonly Known[] | 'lost' {
    if (this.#boundsOf(group) === null) return []
    const kept = this.#keptOf(group, now)
    if (from === 'newest') return kept
    if ('text' in from || (from.known !== null && from.known.epoch !== this.epoch)) return 'lost'
    const start = from.known?.index ?? -1
    const whole = this.all.filter(
      (one) => one.epoch === this.epoch && one.group === group && one.index > start,
    )
    return whole.every((one) => kept.includes(one)) ? whole : 'lost'
  }

  #keptOf(group: string, now: number): readonly Known[] {
    const { count, bytes, ageMs } = this.#boundsOf(group) as HistoryBounds
    const kept = [...(this.#kept.get(group) ?? [])]
    const size = () => kept.reduce((sum, one) => sum + one.bytes, 0)
    while (kept.length > count || size() > bytes || now - (kept[0]?.at ?? now) >= ageMs) kept.shift()
    this.#kept.set(group, kept)
    return kept
  }
}
