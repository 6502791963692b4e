/** What one group keeps in memory, and where it stands among others. */
import type { HistoryBounds } from '../history.ts'
import type { LayerPublication } from './layer.ts'

/** One kept publication. */
export interface Entry {
  readonly sequence: number
  readonly at: number
  readonly bytes: number
  readonly publication: LayerPublication
}

/**
 * Bytes that V8 takes besides the JSON: measured with Node 20, 200 for a publication and its place, 360 for a group with its name. Without
 * them a bound of 256 MiB would let short messages in a group each take seven gigabytes.
 */
const PUBLICATION_COST = 200
const GROUP_COST = 400

/** What one group keeps: oldest first, sequences growing. */
export class GroupHistory {
  readonly group: string
  bounds: HistoryBounds
  /** Everything up to this sequence may be gone. */
  goneTo: number
  bytes = 0
  /** What is before `#first` was dropped: `undefined`, for what is still referred to takes memory that is not counted. */
  #entries: (Entry | undefined)[] = []
  /** Where the oldest is: taking entries from the front of a long array would move all others. */
  #first = 0

  /** Where it stands: see {@link Line}. */
  line: Line | null = null
  before: GroupHistory | null = null
  behind: GroupHistory | null = null

  constructor(group: string, bounds: HistoryBounds, goneTo: number) {
    this.group = group
    this.bounds = bounds
    this.goneTo = goneTo
  }

  get length(): number {
    return this.#entries.length - this.#first
  }

  get lastSequence(): number {
    return this.#entries.at(-1)?.sequence ?? this.goneTo
  }

  push(entry: Entry): void {
    this.#entries.push(entry)
    this.bytes += entry.bytes
  }

  /** What it takes in memory, about. */
  get cost(): number {
    return this.length === 0 ? 0 : this.bytes + this.length * PUBLICATION_COST + GROUP_COST
  }

  /** Drops what the bounds do not allow, nor `mostCost`. */
  trim(now: number, mostCost: number): void {
    const { count, ageMs, bytes } = this.bounds
    while (this.length > 0) {
      const oldest = this.#entries[this.#first] as Entry
      const isWithin = this.length <= count && this.bytes <= bytes && this.cost <= mostCost
      if (isWithin && now - oldest.at < ageMs) break
      this.#dropOldest(oldest)
    }
  }

  dropOne(): void {
    const oldest = this.#entries[this.#first]
    if (oldest !== undefined) this.#dropOldest(oldest)
  }

  /** What follows a sequence, the oldest first up to the limit; or the newest. */
  select(from: number | 'newest', limit: number | null): Entry[] {
    const most = limit ?? this.length
    const index =
      from === 'newest' ? Math.max(this.#first, this.#entries.length - most) : this.#indexAfter(from)
    return this.#entries.slice(index, index + most) as Entry[]
  }

  countAfter(from: number | 'newest'): number {
    return from === 'newest' ? this.length : this.#entries.length - this.#indexAfter(from)
  }

  /** Found by bisection: what it costs does not depend on how much is kept. */
  #indexAfter(sequence: number): number {
    let low = this.#first
    let high = this.#entries.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#entries[middle] as Entry).sequence > sequence) high = middle
      else low = middle + 1
    }
    return low
  }

  #dropOldest(oldest: Entry): void {
    this.#entries[this.#first++] = undefined
    this.bytes -= oldest.bytes
    this.goneTo = oldest.sequence
    if (this.#first * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#first)
      this.#first = 0
    }
  }
}

/**
 * Groups in the order in which they came to its end; a group stands in one line at most. Links rather than the order of a Map: what
 * is deleted there leaves holes, which every walk from the front passes again.
 */
export class Line {
  length = 0
  first: GroupHistory | null = null
  #last: GroupHistory | null = null

  /** The groups in it, the first first. */
  names(): string[] {
    const names: string[] = []
    for (let group = this.first; group !== null; group = group.behind) names.push(group.group)
    return names
  }

  /** Puts a group at the end, from wherever it stood. */
  append(group: GroupHistory): void {
    group.line?.remove(group)
    group.line = this
    group.before = this.#last
    if (this.#last === null) this.first = group
    else this.#last.behind = group
    this.#last = group
    this.length++
  }

  /** Takes out a group that stands in it. */
  remove(group: GroupHistory): void {
    if (group.before === null) this.first = group.behind
    else group.before.behind = group.behind
    if (group.behind === null) this.#last = group.before
    else group.behind.before = group.before
    group.line = null
    group.before = null
    group.behind = null
    this.length--
  }
}
