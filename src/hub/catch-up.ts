import type { Waiting } from '../frame.ts'
import type { Publication } from '../publication.ts'
import type { Control, WireFormat } from '../wire/wire-format.ts'
import { Arrival } from './arrival.ts'
import type { Counters } from './connection-host.ts'
import { NOTHING_MORE, type Outbox } from './outbox.ts'
import { aroundPast, type Past, type Recall } from './recall.ts'

/** A connection, as far as it has to do with the past of its groups. */
export interface Reader {
  readonly format: WireFormat
  readonly outbox: Outbox
  readonly counters: Pick<Counters, 'resumed' | 'resets' | 'recalled'>
  /** Whether its consumer handles types of messages: then all that its groups get goes through its inbox, in order. */
  readonly hasHandlers: boolean
  /** From now on publications of groups are put aside for {@link releaseAside}. */
  holdAside(): void
  /** Ends it. @returns what was put aside, oldest first; while others hold on, only what `mayGo` says */
  releaseAside(mayGo: (live: Publication) => boolean): Publication[]
  /** Handles a publication, or sends it, after all that it is to handle before. */
  takeLater(publication: Publication): void
  /** Sends a control object after all that it is to handle before. */
  sayLater(control: Control): void
}

/** Gives one connection the past of its groups, before what is live: when it comes, and when it joins a group later. */
export class CatchUp {
  readonly #reader: Reader
  readonly #recall: Recall
  /** For how many pasts something is held back. */
  #holds = 0
  readonly #after: string | null
  /** From its knock at the door until its past is known. */
  #arrival: Arrival | null = null
  /** What `open` is to say, until it is let in. */
  #first: Pick<Arrival, 'cursor' | 'reset' | 'hasResumed'> | null = null

  /** @param after the cursor that the client brings */
  constructor(reader: Reader, recall: Recall, after: string | null) {
    this.#reader = reader
    this.#recall = recall
    this.#after = after
  }

  /** It is at the door: what its groups get from now on waits for its past. Resolves when it may join groups. */
  async begin(): Promise<void> {
    this.#hold()
    // Where it is must be known before it is in any group: else nothing would say what it missed while it joined.
    await this.#recall.refresh()
    this.#arrival = new Arrival(this.#recall, this.#after)
  }

  /** Before it is let in: what it missed, or the newest of its groups. Rejects with the layer's error. */
  async arrive(groups: readonly string[]): Promise<void> {
    const arrival = this.#arrival
    const past = (await arrival?.past(groups)) ?? null
    this.#first = arrival
    // Whoever joins from now on joins late.
    this.#arrival = null
    this.#release(past)
  }

  /** The cursor to begin with, for the `open` envelope; `null`: it has one, or gets one with its past. */
  get cursor(): string | null {
    return this.#first?.cursor ?? null
  }

  /** It is let in. @returns what it must be told right after `open`: of which groups it has missed something */
  letIn(): Control | null {
    const { counters } = this.#reader
    const reset = this.#first?.reset ?? null
    if (this.#first?.hasResumed === true) counters.resumed++
    counters.resets += reset?.groups.length ?? 0
    this.#first = null
    return reset === null ? null : { reset }
  }

  /**
   * Joins a group with so many of its newest messages; `null`: it gets nothing of the past, as if the group kept none, although it comes with a
   * cursor. Rejects with what `join` does, or with the layer's error.
   */
  async join(group: string, count: number | null, join: () => Promise<void>): Promise<void> {
    if (!this.#recall.keepsHistory(group)) return join()
    this.#arrival?.wants(group, count)
    if (this.#arrival !== null) return join()
    if (count === null || count === 0) {
      await join()
      await this.#recall.refresh()
    } else await this.#joinAfterPast(group, count, join)
    this.#moveOn()
  }

  async #joinAfterPast(group: string, count: number, join: () => Promise<void>): Promise<void> {
    let past: Past | null = null
    this.#hold()
    try {
      await join()
      past = await this.#recall.newest(new Map([[group, count]]), 'joined')
    } finally {
      this.#release(past)
    }
  }

  /**
   * Its cursor is older than the join: what it gets as the past, or did not want, would be replayed when it comes back. Behind what it has
   * got by now; so not while something is held back for another join, which will say it.
   */
  #moveOn(): void {
    const cursor = this.#recall.position
    if (cursor !== null && this.#holds === 0) this.#reader.sayLater({ cursor })
  }

  #hold(): void {
    this.#holds++
    if (this.#reader.hasHandlers) this.#reader.holdAside()
    else this.#reader.outbox.hold()
  }

  /** Lets go of what was held back, after the past. */
  #release(past: Past | null): void {
    this.#holds--
    const { hasHandlers, outbox, format, counters } = this.#reader
    counters.recalled += past?.publications.length ?? 0
    if (hasHandlers) {
      this.#handle(past)
    } else if (past === null) {
      outbox.release(NOTHING_MORE)
    } else {
      // What its lost groups got up to here is in the snapshot that the client loads.
      const before = past.lost.length === 0 ? null : format.control({ cursor: past.cursor })
      outbox.release({ past: past.publications, before, placeOf: (live: Waiting) => past.placeOf(live) })
    }
  }

  /** The same where handlers are to have it: one after another, when the connection's inbox comes to it. */
  #handle(past: Past | null): void {
    const placeOf = (live: Publication) => past?.placeOf(live) ?? 'later'
    const held = this.#reader.releaseAside((live) => placeOf(live) !== 'later')
    const { before, after } = aroundPast(held, placeOf)
    // Others hold on: what they hold back is older than some of this, whose cursors would say that it has come.
    const isLast = this.#holds === 0
    for (const live of before) this.#reader.takeLater(isLast ? live : live.asPast())
    for (const publication of past?.publications ?? []) this.#reader.takeLater(publication)
    if (past !== null && past.lost.length > 0) this.#reader.sayLater({ cursor: past.cursor })
    for (const publication of after) this.#reader.takeLater(publication)
  }
}
