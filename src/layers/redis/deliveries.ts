import { decodeCursor, encodeCursor, type Position } from '../cursor.ts'
import type { LayerPublication, LayerSink, Replay } from '../layer.ts'
import { historyLost } from './errors.ts'

/** Options of {@link Deliveries}. */
export interface DeliveriesOptions {
  readonly sink: LayerSink
  /** Whether the node has added a group. */
  has(group: string): boolean
  /** The groups that are lost when history is: those that it has added and that keep some. */
  lostWith(): readonly string[]
}

/** A publication as it came from the server. */
interface Arrived {
  readonly group: string
  readonly json: string
  /** `null`: the group keeps no history. */
  readonly position: Position | null
  /** The group's number before this one; 0 where none is known. */
  readonly previous: number
}

/** What a node gets of groups, and where it is. Outlives sessions. */
export class Deliveries {
  readonly #options: DeliveriesOptions
  #position: Position | null = null
  /** What comes before it is known what was missed. */
  #held: Arrived[] | null = []
  /** The last number of each group in this session. */
  readonly #last = new Map<string, number>()
  /** A publication is missing: the session cannot be relied on. */
  #onHole: (error: unknown) => void = () => {}

  constructor(options: DeliveriesOptions) {
    this.#options = options
  }

  get position(): string | null {
    return this.#position && encodeCursor(this.#position.epoch, this.#position.sequence)
  }

  /** A new session listens: what comes is held until {@link resume}. */
  begin(onHole: (error: unknown) => void): void {
    this.#held = []
    this.#last.clear()
    this.#onHole = onHole
  }

  /** A group is not subscribed any more: what it gets until it is again is none of ours. */
  forget(group: string): void {
    this.#last.delete(group)
  }

  /** A publication in a group's channel. */
  take(group: string, payload: Buffer): void {
    const arrived = parse(group, payload.toString())
    if (this.#held === null) this.#deliver(arrived)
    else this.#held.push(arrived)
  }

  /** Goes on live: after what was missed, if there was a session before, and from `start`, if not. */
  resume(missed: Replay | null, start: Position): void {
    const held = this.#held ?? []
    this.#held = null
    const end = missed === null ? null : decodeCursor(missed.cursor)
    if (missed !== null) this.#recovered(missed)
    this.#position = end ?? start
    for (const arrived of held) {
      const isRepeated =
        end !== null && arrived.position?.epoch === end.epoch && arrived.position.sequence <= end.sequence
      if (!isRepeated) this.#deliver(arrived)
    }
  }

  /** All that was accepted up to here, this node has got. */
  reached(cursor: string): void {
    const position = decodeCursor(cursor)
    if (this.#held !== null || position === null) return
    this.#adopt(position)
    if (position.sequence > (this.#position?.sequence ?? 0)) this.#position = position
  }

  /** A node has flushed history on purpose. */
  flushed(cursor: string): void {
    const position = decodeCursor(cursor)
    if (this.#held === null && position !== null) this.#position = position
  }

  #recovered({ publications, lost, cursor }: Replay): void {
    for (const { group, publication } of publications) {
      this.#last.set(group, decodeCursor(publication.cursor ?? '')?.sequence ?? 0)
    }
    quietly(() => this.#options.sink.recovered?.({ publications, lost, after: this.position, cursor }))
  }

  #deliver({ group, json, position, previous }: Arrived): void {
    if (position === null) {
      this.#call(group, { json, cursor: null })
      return
    }
    this.#adopt(position)
    const last = this.#last.get(group)
    if (last !== undefined && previous > last) {
      this.#onHole(
        new Error(
          `A publication of group ${group} is missing: ${last} is followed by one after ${previous}.`,
        ),
      )
      return
    }
    this.#last.set(group, position.sequence)
    this.#call(group, { json, cursor: encodeCursor(position.epoch, position.sequence) })
    // Not before: who asks while the sink is called must not be told to begin behind it.
    this.#position = position
  }

  /**
   * Another epoch, and nobody flushed: history is gone, as by `FLUSHALL`. Nothing interrupted what this session gets, but whoever is cut from now on could not be told
   * what it misses: so all are told now that they cannot rely on it.
   */
  #adopt({ epoch, sequence }: Position): void {
    if (this.#position === null || this.#position.epoch === epoch) return
    const { sink, lostWith } = this.#options
    const after = this.position
    this.#position = { epoch, sequence: Math.max(sequence - 1, 0) }
    this.#last.clear()
    const cursor = encodeCursor(this.#position.epoch, this.#position.sequence)
    const text =
      'Redis has lost its history and the messages of channels, as by FLUSHALL: clients are told so.'
    quietly(() => sink.recovered?.({ publications: [], lost: lostWith.call(this.#options), after, cursor }))
    quietly(() => sink.report?.(historyLost(text)))
  }

  #call(group: string, publication: LayerPublication): void {
    if (!this.#options.has(group)) return
    quietly(() => this.#options.sink.deliver(group, publication))
  }
}

/** Obligation 13: what a sink throws changes nothing for others. */
function quietly(call: () => void): void {
  try {
    call()
  } catch {}
}

/** `<cursor> <previous number> <json>`, or JSON alone: no cursor begins like an object or white space. */
function parse(group: string, text: string): Arrived {
  if (/^[a-z0-9]/.test(text)) {
    const end = text.indexOf(' ')
    const json = text.indexOf(' ', end + 1)
    const position = decodeCursor(text.slice(0, end))
    if (position !== null) {
      return { group, position, previous: Number(text.slice(end + 1, json)), json: text.slice(json + 1) }
    }
  }
  return { group, json: text, position: null, previous: 0 }
}
