/** What groups keep in memory for clients that come back. */
import type { Clock } from '../clock.ts'
import type { HistoryBounds } from '../history.ts'
import { decodeCursor, encodeCursor } from './cursor.ts'
import type { KeptGroup, KeptPublication } from './journal.ts'
import type { LayerPublication, Replay, ReplayRequest } from './layer.ts'

/** One kept publication. */
interface Entry {
  readonly sequence: number
  readonly at: number
  readonly bytes: number
  readonly publication: LayerPublication
}

interface Found {
  readonly group: string
  readonly entry: Entry
}

/** How often what is too old is dropped from groups in which nothing happens. */
const SWEEP_MS = 10_000

/** Of so many groups it is remembered what they had and lost, so that a client of a quiet group is not told that it may miss something. */
const MOST_EMPTY = 16_384

/** What one group keeps: oldest first, sequences growing. */
class GroupHistory {
  bounds: HistoryBounds
  /** Everything up to this sequence may be gone. */
  goneTo: number
  bytes = 0
  #entries: Entry[] = []
  /** Where the oldest is: taking entries from the front of a long array would move all others. */
  #first = 0

  constructor(bounds: HistoryBounds, goneTo: number) {
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

  /** Drops what the bounds do not allow. @returns the bytes that it held */
  trim(now: number): number {
    const { count, ageMs, bytes } = this.bounds
    const before = this.bytes
    while (this.length > 0) {
      const oldest = this.#entries[this.#first] as Entry
      if (this.length <= count && this.bytes <= bytes && now - oldest.at < ageMs) break
      this.#dropOldest(oldest)
    }
    return before - this.bytes
  }

  /** Drops the oldest. @returns the bytes that it held */
  dropOne(): number {
    const oldest = this.#entries[this.#first]
    if (oldest === undefined) return 0
    this.#dropOldest(oldest)
    return oldest.bytes
  }

  /** What follows a sequence, the oldest first up to the limit; or the newest. */
  select(from: number | 'newest', limit: number | null): Entry[] {
    const most = limit ?? this.length
    if (from === 'newest') return this.#entries.slice(Math.max(this.#first, this.#entries.length - most))
    const index = this.#indexAfter(from)
    return this.#entries.slice(index, index + most)
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
    this.#first++
    this.bytes -= oldest.bytes
    this.goneTo = oldest.sequence
    if (this.#first * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#first)
      this.#first = 0
    }
  }
}

/** Options of {@link MemoryHistory}. */
export interface MemoryHistoryOptions {
  /** Most bytes of JSON of all groups together; beyond it the group that was quiet longest is forgotten. */
  readonly maxBytes: number
  readonly clock: Clock
  /** Makes the name of an epoch. */
  readonly newEpoch: () => string
}

/** The history of all groups of one broker; sequence numbers grow across all of them. */
export class MemoryHistory {
  readonly #options: MemoryHistoryOptions
  /** By when they last got something, the quietest first. */
  readonly #groups = new Map<string, GroupHistory>()
  #epoch: string
  #sequence = 0
  /** Groups that are not in the map may have lost what came up to here. */
  #forgottenTo = 0
  #bytes = 0
  /** Stops the timer that sweeps; `null` while nothing is kept. */
  #stopSweeping: (() => void) | null = null

  constructor(options: MemoryHistoryOptions) {
    this.#options = options
    this.#epoch = options.newEpoch()
  }

  /** The position after everything that was accepted. */
  get position(): string {
    return encodeCursor(this.#epoch, this.#sequence)
  }

  /** Whether nothing is kept. */
  get isEmpty(): boolean {
    return this.#bytes === 0
  }

  /** Bytes of JSON that are kept. */
  get bytes(): number {
    return this.#bytes
  }

  append(group: string, json: string, bounds: HistoryBounds): LayerPublication {
    const sequence = ++this.#sequence
    const publication = { json, cursor: encodeCursor(this.#epoch, sequence) }
    const now = this.#options.clock.now()
    const bytes = Buffer.byteLength(json)
    const kept = this.#groups.get(group) ?? new GroupHistory(bounds, this.#forgottenTo)
    // To the end of the map: not the quietest any more.
    this.#groups.delete(group)
    this.#groups.set(group, kept)
    kept.bounds = bounds
    kept.push({ sequence, at: now, bytes, publication })
    this.#bytes += bytes - kept.trim(now)
    this.#shrink()
    this.#stopSweeping ??= this.#options.clock.every(SWEEP_MS, () => this.sweep())
    return publication
  }

  /** @param keepsHistory whether a group does: of others nothing can be lost */
  replay({ groups, after }: ReplayRequest, keepsHistory: (group: string) => boolean): Replay {
    const now = this.#options.clock.now()
    const from = after === null ? 'newest' : this.#sequenceOf(after)
    const lost: string[] = []
    const found: Found[] = []
    let hasMore = false
    for (const [group, limit] of groups) {
      if (!keepsHistory(group)) continue
      const kept = this.#groups.get(group)
      if (kept !== undefined) this.#bytes -= kept.trim(now)
      if (from === null || (from !== 'newest' && from < (kept?.goneTo ?? this.#forgottenTo))) {
        lost.push(group)
        continue
      }
      const entries = kept?.select(from, limit) ?? []
      if (entries.length < (kept?.countAfter(from) ?? 0)) hasMore = true
      for (const entry of entries) found.push({ group, entry })
    }
    return this.#replayOf(found, lost, hasMore)
  }

  /** Drops what is too old, and what is known of the groups that were quiet longest and keep nothing. */
  sweep(): void {
    const now = this.#options.clock.now()
    for (const [group, kept] of this.#groups) {
      this.#bytes -= kept.trim(now)
      if (kept.length === 0 && this.#groups.size > MOST_EMPTY) this.#forget(group, kept)
    }
    if (this.isEmpty) this.#rest()
  }

  /** Forgets everything: whoever comes with a cursor of before is told so. A journal gives the epoch that it restores. */
  clear(epoch = this.#options.newEpoch()): void {
    this.#groups.clear()
    this.#bytes = 0
    this.#sequence = 0
    this.#forgottenTo = 0
    this.#epoch = epoch
    this.#rest()
  }

  // --- For a journal: `JournaledHistory` says what each does ---

  get epoch(): string {
    return this.#epoch
  }

  get sequence(): number {
    return this.#sequence
  }

  get forgottenTo(): number {
    return this.#forgottenTo
  }

  groupNames(): string[] {
    return [...this.#groups.keys()]
  }

  kept(group: string): KeptGroup | null {
    const kept = this.#groups.get(group)
    if (kept === undefined) return null
    const now = this.#options.clock.now()
    this.#bytes -= kept.trim(now)
    const { goneTo, length: count, bytes } = kept
    return { goneTo, count, bytes, publications: () => keptPublications(kept, now) }
  }

  restoreGroup(group: string, goneTo: number, bounds: HistoryBounds): void {
    this.#groups.delete(group)
    this.#groups.set(group, new GroupHistory(bounds, goneTo))
  }

  restore(group: string, { sequence, json, ageMs }: KeptPublication, bounds: HistoryBounds): void {
    const kept = this.#groups.get(group) ?? new GroupHistory(bounds, this.#forgottenTo)
    if (sequence <= kept.lastSequence) return
    this.#groups.delete(group)
    this.#groups.set(group, kept)
    const now = this.#options.clock.now()
    const bytes = Buffer.byteLength(json)
    const publication = { json, cursor: encodeCursor(this.#epoch, sequence) }
    // The time of day may have been set back: nothing is from the future.
    kept.push({ sequence, at: now - Math.max(ageMs, 0), bytes, publication })
    this.#bytes += bytes - kept.trim(now)
    this.#shrink()
    this.#stopSweeping ??= this.#options.clock.every(SWEEP_MS, () => this.sweep())
  }

  restorePosition(sequence: number, forgottenTo: number): void {
    this.#sequence = sequence
    this.#forgottenTo = Math.max(this.#forgottenTo, forgottenTo)
  }

  #rest(): void {
    this.#stopSweeping?.()
    this.#stopSweeping = null
  }

  #replayOf(found: Found[], lost: readonly string[], hasMore: boolean): Replay {
    // Each group's are in order; together they must be too, or a client that is cut in the middle would resume behind what it lacks.
    found.sort((a, b) => a.entry.sequence - b.entry.sequence)
    const { epoch, end } = { epoch: this.#epoch, end: this.#sequence }
    return {
      publications: found.map(({ group, entry }) => ({ group, publication: entry.publication })),
      lost,
      hasMore,
      cursor: this.position,
      covers(cursor) {
        const position = decodeCursor(cursor)
        return position?.epoch === epoch && position.sequence <= end
      },
    }
  }

  /** The sequence of a cursor of this epoch, or `null`. */
  #sequenceOf(cursor: string): number | null {
    const position = decodeCursor(cursor)
    if (position === null || position.epoch !== this.#epoch || position.sequence > this.#sequence) return null
    return position.sequence
  }

  #shrink(): void {
    for (const [group, kept] of this.#groups) {
      if (this.#bytes <= this.#options.maxBytes) return
      while (this.#bytes > this.#options.maxBytes && kept.length > 0) this.#bytes -= kept.dropOne()
      if (kept.length === 0) this.#forget(group, kept)
    }
  }

  #forget(group: string, kept: GroupHistory): void {
    this.#groups.delete(group)
    this.#forgottenTo = Math.max(this.#forgottenTo, kept.lastSequence)
  }
}

function* keptPublications(kept: GroupHistory, now: number): Iterable<KeptPublication> {
  for (const { sequence, at, publication } of kept.select('newest', null)) {
    yield { sequence, json: publication.json, ageMs: now - at }
  }
}
