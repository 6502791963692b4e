/** What groups keep in memory for clients that come back. */
import type { Clock } from '../clock.ts'
import type { HistoryBounds } from '../history.ts'
import { decodeCursor, encodeCursor } from './cursor.ts'
import { type Entry, GroupHistory, Line } from './group-history.ts'
import type { KeptGroup, KeptPublication } from './journal.ts'
import type { LayerPublication, Replay, ReplayRequest } from './layer.ts'

interface Found {
  readonly group: string
  readonly entry: Entry
}

/** How often what is too old is dropped from groups in which nothing happens. */
const SWEEP_MS = 10_000

/** Of so many groups it is remembered what they had and lost, so that a client of a quiet group is not told that it may miss something. */
export const MOST_EMPTY = 16_384

/** Options of {@link MemoryHistory}. */
export interface MemoryHistoryOptions {
  /** Most bytes of all groups together, JSON and what keeping it costs; beyond it the group that was quiet longest is forgotten. */
  readonly maxBytes: number
  readonly clock: Clock
  /** Makes the name of an epoch. */
  readonly newEpoch: () => string
}

/** The history of all groups of one broker; sequence numbers grow across all of them. */
export class MemoryHistory {
  readonly #options: MemoryHistoryOptions
  readonly #groups = new Map<string, GroupHistory>()
  /** Those that keep something, by when they last got something: the quietest first. */
  #full = new Line()
  /** Those that keep nothing, of which it is known since when: the one that kept nothing for longest first. */
  #empty = new Line()
  #epoch: string
  #sequence = 0
  /** Groups that are not in the map may have lost what came up to here. */
  #forgottenTo = 0
  #bytes = 0
  #cost = 0
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
    return this.#full.length === 0
  }

  /** Bytes of JSON that are kept. */
  get bytes(): number {
    return this.#bytes
  }

  /** What groups take in memory, about: what is held against `maxBytes`. */
  get cost(): number {
    return this.#cost
  }

  /** Groups of which it is known what they had: for leak tests. */
  get size(): number {
    return this.#groups.size
  }

  append(group: string, json: string, bounds: HistoryBounds): LayerPublication {
    const sequence = ++this.#sequence
    const publication = { json, cursor: encodeCursor(this.#epoch, sequence) }
    const now = this.#options.clock.now()
    const bytes = Buffer.byteLength(json)
    this.#keep(group, { sequence, at: now, bytes, publication }, bounds, now)
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
      if (kept !== undefined) this.#trim(kept, now)
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

  /** Drops what is too old. */
  sweep(): void {
    const now = this.#options.clock.now()
    for (let kept = this.#full.first; kept !== null; ) {
      const next: GroupHistory | null = kept.behind
      this.#trim(kept, now)
      kept = next
    }
  }

  /** Forgets everything: whoever comes with a cursor of before is told so. A journal gives the epoch that it restores. */
  clear(epoch = this.#options.newEpoch()): void {
    this.#groups.clear()
    this.#full = new Line()
    this.#empty = new Line()
    this.#bytes = 0
    this.#cost = 0
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
    return [...this.#empty.names(), ...this.#full.names()]
  }

  kept(group: string): KeptGroup | null {
    const kept = this.#groups.get(group)
    if (kept === undefined) return null
    const now = this.#options.clock.now()
    this.#trim(kept, now)
    const { goneTo, length: count, bytes } = kept
    return { goneTo, count, bytes, publications: () => keptPublications(kept, now) }
  }

  restoreGroup(group: string, goneTo: number, bounds: HistoryBounds): void {
    const kept = this.#begin(group, bounds)
    kept.goneTo = goneTo
    this.#settle(kept)
  }

  restore(group: string, { sequence, json, ageMs }: KeptPublication, bounds: HistoryBounds): void {
    const kept = this.#groups.get(group)
    if (sequence <= (kept?.lastSequence ?? this.#forgottenTo)) return
    const publication = { json, cursor: encodeCursor(this.#epoch, sequence) }
    const now = this.#options.clock.now()
    const bytes = Buffer.byteLength(json)
    this.#keep(group, { sequence, at: now - ageMs, bytes, publication }, bounds, now)
  }

  restorePosition(sequence: number, forgottenTo: number): void {
    this.#sequence = sequence
    this.#forgottenTo = Math.max(this.#forgottenTo, forgottenTo)
  }

  #keep(group: string, entry: Entry, bounds: HistoryBounds, now: number): void {
    const kept = this.#groups.get(group) ?? this.#begin(group, bounds)
    this.#full.append(kept)
    kept.bounds = bounds
    this.#uncount(kept)
    kept.push(entry)
    this.#count(kept)
    // First: what may not be kept even alone must not push out all other groups.
    this.#trim(kept, now)
    this.#shrink()
    this.#watch()
  }

  #watch(): void {
    if (this.isEmpty) return
    this.#stopSweeping ??= this.#options.clock.every(SWEEP_MS, () => this.sweep())
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

  #begin(group: string, bounds: HistoryBounds): GroupHistory {
    const kept = new GroupHistory(group, bounds, this.#forgottenTo)
    this.#groups.set(group, kept)
    return kept
  }

  #trim(kept: GroupHistory, now: number): void {
    this.#uncount(kept)
    kept.trim(now, this.#options.maxBytes)
    this.#count(kept)
    this.#settle(kept)
  }

  #shrink(): void {
    while (this.#cost > this.#options.maxBytes && this.#full.first !== null) {
      const quietest = this.#full.first
      this.#uncount(quietest)
      quietest.dropOne()
      this.#count(quietest)
      this.#settle(quietest)
    }
  }

  // Whatever changes what a group keeps stands between these two. (A function that is handed the change would do, too, but its closures
  // share one context with all others of the caller: the timer's would hold the first publication for ever.)

  #uncount(kept: GroupHistory): void {
    this.#bytes -= kept.bytes
    this.#cost -= kept.cost
  }

  #count(kept: GroupHistory): void {
    this.#bytes += kept.bytes
    this.#cost += kept.cost
  }

  /** After a group may have dropped something: to the other line with it if that was all, and nothing runs where nothing is kept. */
  #settle(kept: GroupHistory): void {
    if (kept.length > 0 || kept.line === this.#empty) return
    this.#empty.append(kept)
    if (this.#empty.length > MOST_EMPTY) this.#forget(this.#empty.first as GroupHistory)
    if (this.isEmpty) this.#rest()
  }

  #forget(kept: GroupHistory): void {
    this.#empty.remove(kept)
    this.#groups.delete(kept.group)
    this.#forgottenTo = Math.max(this.#forgottenTo, kept.lastSequence)
  }
}

function* keptPublications(kept: GroupHistory, now: number): Iterable<KeptPublication> {
  for (const { sequence, at, publication } of kept.select('newest', null)) {
    yield { sequence, json: publication.json, ageMs: now - at }
  }
}
