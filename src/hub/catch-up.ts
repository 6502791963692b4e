import type { Waiting } from '../frame.ts'
import type { Publication } from '../publication.ts'
import type { Control, WireFormat } from '../wire/wire-format.ts'
import { Arrival } from './arrival.ts'
import { NOTHING_MORE, type Outbox } from './outbox.ts'
import type { Past, Recall } from './recall.ts'

/** A connection, as far as it has to do with the past of its groups. */
export interface Reader {
  readonly format: WireFormat
  readonly outbox: Outbox
  /** Runs the consumer's handler of the publication's type. `null`: there is none, or nobody to run it for any more. */
  handle(publication: Publication): Promise<void> | null
}

/** Gives one connection the past of its groups, before what is live: when it comes, and when it joins a group later. */
export class CatchUp {
  readonly #reader: Reader
  readonly #recall: Recall
  /** Until it is let in. */
  #arrival: Arrival | null
  /** By group, what handlers have had as the past and must not get again as live. */
  #handled: Map<string, Past> | null = null

  /** @param after the cursor that the client brings */
  constructor(reader: Reader, recall: Recall, after: string | null) {
    this.#reader = reader
    this.#recall = recall
    this.#arrival = new Arrival(recall, after)
  }

  /** The cursor to begin with, for the `open` envelope; `null`: it has one, or gets one with its past. */
  get cursor(): string | null {
    return this.#arrival?.cursor ?? null
  }

  /** Before it is let in: what it missed, or the newest of its groups. Rejects with the layer's error, or what a handler throws. */
  async arrive(groups: readonly string[]): Promise<void> {
    await this.#take((await this.#arrival?.past(groups)) ?? null, groups, null)
  }

  /** It is let in. @returns what it must be told right after `open`: of which groups it has missed something */
  letIn(): Control | null {
    const reset = this.#arrival?.reset ?? null
    this.#arrival = null
    return reset === null ? null : { reset }
  }

  /** Joins a group with so many of its newest messages. Rejects with what `join` does, or with the layer's error. */
  async join(group: string, count: number, join: () => Promise<void>): Promise<void> {
    if (!this.#recall.keepsHistory(group)) return join()
    this.#arrival?.wants(group, count)
    if (this.#arrival !== null || count === 0) return join()
    let past: Past | null = null
    this.#reader.outbox.hold()
    try {
      await join()
      past = await this.#recall.newestOf(group, count)
    } finally {
      // What it gets as the past is behind the cursor that it has: without a newer one it would get it again when it comes back.
      const cursor = this.#recall.position
      const after = past === null || cursor === null ? null : this.#reader.format.control({ cursor })
      await this.#take(past, [group], after)
    }
  }

  /** Whether a live publication was among the past that handlers have had. */
  hasHandled(publication: Publication): boolean {
    return this.#handled?.get(publication.group ?? '')?.covers(publication) === true
  }

  /** Lets go of what was held back, after the past. */
  async #take(past: Past | null, groups: readonly string[], after: Buffer | null): Promise<void> {
    const { outbox, format } = this.#reader
    if (past === null) {
      outbox.release(NOTHING_MORE)
      return
    }
    const direct = await this.#handle(past, groups).catch((error: unknown) => {
      outbox.release(NOTHING_MORE)
      throw error
    })
    // What its lost groups got up to here is in the snapshot that the client loads.
    const before = past.lost.length === 0 ? null : format.control({ cursor: past.cursor })
    const isRepeated = (live: Waiting) => groups.includes(live.group ?? '') && past.covers(live)
    outbox.release({ past: direct, before, after, isRepeated })
  }

  /** @returns what no handler takes */
  async #handle(past: Past, groups: readonly string[]): Promise<Publication[]> {
    const direct: Publication[] = []
    for (const publication of past.publications) {
      const handled = this.#reader.handle(publication)
      if (handled === null) direct.push(publication)
      else {
        this.#handled ??= new Map()
        for (const group of groups) this.#handled.set(group, past)
        await handled
      }
    }
    return direct
  }
}
