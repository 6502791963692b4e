// @ts-check
/** What one client saw, over all its connections, and what of it is wrong. */
import { positionOf } from './ledger.mjs'

/** @typedef {import('./ledger.mjs').Ledger} Ledger */
/** @typedef {{ ms: number, reopenedMs: number }} Recovery times from the cut, and from the moment it was open again */

/** One group as a client saw it. */
class Seen {
  /** Numbers, in the order in which they came. @type {number[]} */
  numbers = []
  /** From this one on it must have them all; `null`: from where the client started. @type {number | null} */
  since
  /** Announced gaps: from, up to but not including. @type {[from: number, end: number][]} */
  excused = []
  /** Everything up to here it has, or has been told about. */
  upTo = -1

  /** @param {boolean} isLate */
  constructor(isLate) {
    this.since = isLate ? Number.POSITIVE_INFINITY : null
  }
}

export class Witness {
  /** @type {ReadonlyMap<string, Seen>} */ #groups
  /** @type {Ledger} */ #ledger
  /** The position from which it must have everything. @type {number | null} */
  #start = null
  /** When the first cut happened of which it has not recovered; `null`: none. @type {number | null} */
  #cutAt = null
  #openAt = 0
  /** What it must have to have recovered, by group; empty: it has, or is not open. @type {Map<string, number>} */
  #wanted = new Map()
  opens = 0
  resets = 0
  /** @type {Recovery[]} */
  recoveries = []
  /** What is wrong apart from messages. @type {string[]} */
  oddities = []
  name

  /** @param {string} name @param {readonly string[]} groups @param {readonly string[]} late those of them that it joins later @param {Ledger} ledger */
  constructor(name, groups, late, ledger) {
    this.name = name
    this.#ledger = ledger
    this.#groups = new Map(groups.map((group) => [group, new Seen(late.includes(group))]))
  }

  get groups() {
    return [...this.#groups.keys()]
  }

  /** It is open; the first time with the cursor that it starts with. @param {string | null | undefined} cursor */
  opened(cursor) {
    this.opens++
    this.#start ??= positionOf(cursor)
    if (this.#cutAt === null) return
    this.#openAt = performance.now()
    this.#wanted = new Map()
    for (const [group, { upTo, since }] of this.#groups) {
      const { last } = this.#ledger.of(group)
      if (upTo < last && since !== Number.POSITIVE_INFINITY) this.#wanted.set(group, last)
    }
    this.#recover()
  }

  /** It has joined a group later: what is published from now on it must have. @param {string} group */
  joined(group) {
    const seen = this.#groups.get(group)
    if (seen !== undefined) seen.since = this.#ledger.of(group).issued
  }

  /** @param {string | null} group as the hub says @param {Readonly<Record<string, unknown>>} message */
  received(group, message) {
    const { group: meant, n } = message
    const seen = this.#groups.get(String(meant))
    if (seen === undefined || typeof n !== 'number' || (group !== null && group !== meant)) {
      this.oddities.push(`${JSON.stringify(message)} of group ${group}`)
      return
    }
    seen.numbers.push(n)
    this.#reached(String(meant), seen, n)
  }

  /**
   * It was told that it may have missed something: it loads everything that was published by now. The library says so by itself where it
   * was cut in the middle of a join; that is not the hub's reset, and not counted.
   *
   * @param {readonly string[]} groups
   * @param {'hub' | 'library'} [by]
   */
  reset(groups, by = 'hub') {
    if (by === 'hub') this.resets++
    for (const group of groups) {
      const seen = this.#groups.get(group)
      if (seen === undefined) {
        this.oddities.push(`a reset of ${group}`)
        continue
      }
      const { issued } = this.#ledger.of(group)
      seen.excused.push([(seen.numbers.at(-1) ?? -1) + 1, issued])
      this.#reached(group, seen, issued - 1)
    }
  }

  /** Its connection was cut. */
  cut() {
    if (this.opens === 0) return
    this.#cutAt ??= performance.now()
    this.#wanted.clear()
  }

  /** Whether it has been open, and is in all its groups. */
  get hasArrived() {
    const isIn = [...this.#groups.values()].every(({ since }) => since !== Number.POSITIVE_INFINITY)
    return this.opens > 0 && isIn
  }

  /** Whether it has the newest of all groups. */
  get isComplete() {
    return [...this.#groups].every(([group, { upTo }]) => upTo >= this.#ledger.of(group).last)
  }

  /** What it lacks, for whoever waits for it in vain. */
  get complaint() {
    const lacks = [...this.#groups]
      .map(([group, { upTo }]) => ({ group, upTo, last: this.#ledger.of(group).last }))
      .filter(({ upTo, last }) => upTo < last)
      .map(({ group, upTo, last }) => `has ${upTo} of ${last} of ${group}`)
    return [`${this.name}, ${this.opens} times open`, ...lacks, ...this.oddities].join(', ')
  }

  /** What it got. @param {string} group */
  numbersOf(group) {
    return this.#groups.get(group)?.numbers ?? []
  }

  /** Whether it must have a message. @param {string} group @param {number} n */
  mustHave(group, n) {
    const seen = this.#groups.get(group)
    if (seen === undefined || seen.excused.some(([from, end]) => n >= from && n < end)) return false
    const position = this.#ledger.of(group).positions[n]
    if (position === undefined) return false
    return seen.since === null ? this.#start !== null && position > this.#start : n >= seen.since
  }

  /** @param {string} group @param {Seen} seen @param {number} n */
  #reached(group, seen, n) {
    seen.upTo = Math.max(seen.upTo, n)
    const wanted = this.#wanted.get(group)
    if (wanted === undefined || n < wanted) return
    this.#wanted.delete(group)
    this.#recover()
  }

  #recover() {
    if (this.#wanted.size > 0 || this.#cutAt === null) return
    const now = performance.now()
    this.recoveries.push({ ms: now - this.#cutAt, reopenedMs: now - this.#openAt })
    this.#cutAt = null
  }
}
