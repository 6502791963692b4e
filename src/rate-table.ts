/** Counts what each of many keys spends, against one rate. */
import type { Clock } from './clock.ts'

/** How much may be spent: so much at once, and so much a second from then on. */
export interface Rate {
  readonly perSecond: number
  readonly burst: number
}

/** What a key hears that has spent too much. */
export interface Excess {
  /** The same would be taken after so long, in whole milliseconds; from 1. */
  readonly waitMs: number
  /** It has gone on beyond what was refused, by as much as the burst: it does not listen. */
  readonly isFinal: boolean
}

/** Into so many parts the time is cut in which a full burst is earned again: how exactly the table knows who owes least. */
const PARTS = 32

/** Less than this is an error of rounding: it must not refuse whoever has waited as long as it was told. */
const ROUNDING_MS = 1e-6

/** The bucket of one key. */
interface Entry<Key> {
  readonly key: Key
  /** When it is full again, by the clock. */
  fullAt: number
  /** The part of time in which that is, and its place there. */
  slot: number
  index: number
}

/**
 * Token buckets by key. Of each bucket one number is kept: when it will be full again. One that is full is the same as none, so entries leave by
 * themselves, without timers, as others are counted.
 *
 * Never more than `most` entries. When it is full, one of those that owe least gives way: nobody is shut out by others' entries, and whoever
 * wants to get rid of an entry with many keys must spend as much with each of them. No call looks at more than some dozens of parts of time.
 */
export class RateTable<Key> {
  readonly #clock: Clock
  readonly #most: number
  /** Milliseconds that one costs. */
  readonly #costMs: number
  /** Milliseconds in which an empty bucket is full again. */
  readonly #burstMs: number
  readonly #slotMs: number
  readonly #entries = new Map<Key, Entry<Key>>()
  /** The same by part of time. Arrays: to take the first of a set, again and again, looks at all that were taken before. */
  readonly #slots = new Map<number, Entry<Key>[]>()
  /** Parts before this one are over, and forgotten. */
  #sweptTo = Number.NEGATIVE_INFINITY

  /** @param most entries */
  constructor({ perSecond, burst }: Rate, clock: Clock, most: number = Number.POSITIVE_INFINITY) {
    this.#clock = clock
    this.#most = most
    this.#costMs = 1000 / perSecond
    this.#burstMs = burst * this.#costMs
    this.#slotMs = this.#burstMs / PARTS
  }

  /** Keys that have something to earn back, and some that have just done so. */
  get size(): number {
    return this.#entries.size
  }

  /**
   * Spends so much, also where that is too much: whoever does not wait waits longer. Refused costs count up to twice the burst, so that nobody
   * waits longer than that takes. What costs more than the burst is taken when the bucket is full.
   *
   * @returns `null`: it may
   */
  charge(key: Key, cost: number): Excess | null {
    const now = this.#clock.now()
    const before = this.#fullAt(key, now)
    const after = before + cost * this.#costMs
    if (this.#isTaken(before, after, now)) {
      this.#set(key, after, now)
      return null
    }
    const mostMs = 2 * this.#burstMs
    const capped = Math.min(after, Math.max(before, now + mostMs))
    this.#set(key, capped, now)
    return { waitMs: this.#waitMs(capped, cost, now), isFinal: after - now > mostMs + ROUNDING_MS }
  }

  /** Spends so much where it may; a refusal costs nothing. @returns `null`: it may, and was counted */
  admit(key: Key, cost: number): Excess | null {
    const excess = this.look(key, cost)
    if (excess === null) this.charge(key, cost)
    return excess
  }

  /**
   * Whether a key could spend so much; counts nothing.
   *
   * @param reserved what it may yet have to spend, counted as if it had
   * @returns `null`: it could
   */
  look(key: Key, cost: number, reserved = 0): Excess | null {
    const now = this.#clock.now()
    const before = this.#fullAt(key, now) + reserved * this.#costMs
    if (this.#isTaken(before, before + cost * this.#costMs, now)) return null
    return { waitMs: this.#waitMs(before, cost, now), isFinal: false }
  }

  /** Forgets a key: it will not come again. */
  delete(key: Key): void {
    const entry = this.#entries.get(key)
    if (entry === undefined) return
    this.#entries.delete(key)
    this.#takeOut(entry)
  }

  #fullAt(key: Key, now: number): number {
    return Math.max(this.#entries.get(key)?.fullAt ?? 0, now)
  }

  #isTaken(before: number, after: number, now: number): boolean {
    return after - now <= this.#burstMs + ROUNDING_MS || before - now <= ROUNDING_MS
  }

  #waitMs(fullAt: number, cost: number, now: number): number {
    const wait = Math.min(fullAt + cost * this.#costMs - this.#burstMs, fullAt) - now
    return Math.max(1, Math.ceil(wait - ROUNDING_MS))
  }

  #set(key: Key, fullAt: number, now: number): void {
    this.#sweep(now)
    const slot = this.#slotOf(fullAt)
    const known = this.#entries.get(key)
    if (known !== undefined) {
      known.fullAt = fullAt
      if (known.slot === slot) return
      this.#takeOut(known)
      this.#putInto(slot, known)
      return
    }
    if (this.#entries.size >= this.#most) this.#evict()
    const entry = { key, fullAt, slot, index: 0 }
    this.#entries.set(key, entry)
    this.#putInto(slot, entry)
  }

  #slotOf(time: number): number {
    return Math.floor(time / this.#slotMs)
  }

  #putInto(slot: number, entry: Entry<Key>): void {
    const entries = this.#slots.get(slot)
    entry.slot = slot
    entry.index = entries?.length ?? 0
    if (entries === undefined) this.#slots.set(slot, [entry])
    else entries.push(entry)
  }

  /** The last takes its place. */
  #takeOut({ slot, index }: Entry<Key>): void {
    const entries = this.#slots.get(slot)
    const last = entries?.pop()
    if (entries === undefined || last === undefined) return
    if (index < entries.length) {
      entries[index] = last
      last.index = index
    }
    if (entries.length === 0) this.#slots.delete(slot)
  }

  /** Forgets whose buckets are full. */
  #sweep(now: number): void {
    const current = this.#slotOf(now)
    if (current <= this.#sweptTo) return
    this.#sweptTo = current
    for (const [slot, entries] of this.#slots) {
      if (slot >= current) continue
      this.#slots.delete(slot)
      for (const { key } of entries) this.#entries.delete(key)
    }
  }

  /** One of those that owe least. */
  #evict(): void {
    let least = Number.POSITIVE_INFINITY
    for (const slot of this.#slots.keys()) if (slot < least) least = slot
    const entry = this.#slots.get(least)?.at(-1)
    if (entry !== undefined) this.delete(entry.key)
  }
}
