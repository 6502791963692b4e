import { GroupcastError } from '../../errors.ts'
import { quote } from '../../names.ts'
import { decodeCursor, encodeCursor, type Position } from '../cursor.ts'
import type { LayerPublication, LayerSink, Replay } from '../layer.ts'
import { historyLost } from './errors.ts'

/** Options of {@link Deliveries}. */
export interface DeliveriesOptions {
  readonly sink: LayerSink
  /** Whether the node has added a group. */
  has(group: string): boolean
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
  /** The last position of which this node has heard. */
  #known: Position | null = null
  /** What comes before it is known what was missed. */
  #held: Arrived[] | null = []
  /** The last number of each group in this session. */
  readonly #last = new Map<string, number>()
  #hasReportedForeign = false
  /** The session cannot be relied on: something is missing. */
  #onFailure: (error: unknown) => void = () => {}

  constructor(options: DeliveriesOptions) {
    this.#options = options
  }

  get position(): string | null {
    return this.#position && encodeCursor(this.#position.epoch, this.#position.sequence)
  }

  /** The last position that the server has told this node of, also for what this node sent: what a server must have. */
  get known(): Position | null {
    return this.#known
  }

  /** A publication of this node was acknowledged. */
  acknowledged(cursor: string): void {
    this.#learn(decodeCursor(cursor))
  }

  /** A new session listens: what comes is held until {@link resume}. */
  begin(onFailure: (error: unknown) => void): void {
    this.#held = []
    this.#last.clear()
    this.#onFailure = onFailure
  }

  /** A group is not subscribed any more: what it gets until it is again is none of ours. */
  forget(group: string): void {
    this.#last.delete(group)
  }

  /** A publication in a group's channel. */
  take(group: string, payload: Buffer): void {
    const arrived = parse(group, payload.toString())
    if (arrived === null) this.foreign(`the channel of group ${quote(group)}`)
    else if (this.#held === null) this.#deliver(arrived)
    else this.#held.push(arrived)
  }

  /** Tells what was missed, if there was a session before, and goes on from there; from `start`, if there was none. What came meanwhile is held until {@link release}. */
  resume(missed: Replay | null, start: Position): void {
    const end = missed === null ? null : decodeCursor(missed.cursor)
    if (missed !== null) this.#recovered(missed)
    this.#moveTo(end ?? start)
    const isRepeated = ({ position }: Arrived) =>
      end !== null && position?.epoch === end.epoch && position.sequence <= end.sequence
    this.#held = (this.#held ?? []).filter((arrived) => !isRepeated(arrived))
  }

  /** Goes on live, once the layer has said that it is ready. */
  release(): void {
    const held = this.#held ?? []
    this.#held = null
    for (const arrived of held) this.#deliver(arrived)
  }

  /** All that was accepted up to here, this node has got. */
  reached(cursor: string): void {
    const position = decodeCursor(cursor)
    if (this.#held !== null || position === null) return
    if (this.#isAnother(position)) return
    if (position.sequence > (this.#position?.sequence ?? -1)) this.#moveTo(position)
  }

  /** A node has flushed history on purpose: it says the new position, and the epoch before it, which nobody else knows. */
  flushed(text: string): void {
    const [cursor = '', before] = text.split(' ')
    const position = decodeCursor(cursor)
    if (position === null || before === undefined) this.foreign('the channel of all nodes')
    // Of another epoch before: where history is, a fence finds out.
    else if (this.#held === null && before === this.#position?.epoch) this.#moveTo(position)
  }

  /** What came is none of ours. Operators hear of it once: it may go on for ever. */
  foreign(where: string): void {
    if (this.#hasReportedForeign) return
    this.#hasReportedForeign = true
    const error = new GroupcastError(
      'invalid-message',
      `Something else than groupcast publishes in ${where} in Redis. What is no message is dropped: give each system a prefix of its own.`,
    )
    quietly(() => this.#options.sink.report?.(error))
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
    if (this.#isAnother(position)) return
    const last = this.#last.get(group)
    if (last !== undefined && previous > last) {
      this.#onFailure(
        new Error(
          `A publication of group ${group} is missing: ${last} is followed by one after ${previous}.`,
        ),
      )
      return
    }
    this.#last.set(group, position.sequence)
    this.#call(group, { json, cursor: encodeCursor(position.epoch, position.sequence) })
    // Not before: who asks while the sink is called must not be told to begin behind it.
    this.#moveTo(position)
  }

  #moveTo(position: Position): void {
    this.#position = position
    this.#learn(position)
  }

  #learn(position: Position | null): void {
    const known = this.#known
    if (position === null) return
    if (known?.epoch !== position.epoch || known.sequence < position.sequence) this.#known = position
  }

  /**
   * Another epoch, and nobody flushed: history is gone, as by `FLUSHALL`. Nothing interrupted what this session gets, but who is cut from now on could not be told what it
   * misses. The next session finds out what is lost.
   */
  #isAnother({ epoch }: Position): boolean {
    if (this.#position === null || this.#position.epoch === epoch) return false
    this.#onFailure(historyLost('Redis has lost its history and the messages of channels, as by FLUSHALL.'))
    return true
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

/** `<cursor> <previous number> <json>`, or JSON alone. `null`: it is neither. */
function parse(group: string, text: string): Arrived | null {
  // No cursor begins like an object or white space.
  if (!/^[a-z0-9]/.test(text))
    return isObject(text) ? { group, json: text, position: null, previous: 0 } : null
  const end = text.indexOf(' ')
  const start = text.indexOf(' ', end + 1)
  if (end === -1 || start === -1) return null
  const position = decodeCursor(text.slice(0, end))
  const previous = Number(text.slice(end + 1, start))
  const json = text.slice(start + 1)
  // Each publication comes after what the group had before.
  const isInOrder = position !== null && previous >= 0 && previous < position.sequence
  return isInOrder && isObject(json) ? { group, position, previous, json } : null
}

/**
 * Whether a text is the JSON of an object. One that looks as hubs write it is taken for it by its ends and its lines: to parse it would cost six times as much as all else that is done
 * with it here.
 */
export function isObject(text: string): boolean {
  const isUsual = text.startsWith('{') && text.endsWith('}') && !text.includes('\n') && !text.includes('\r')
  return isUsual || isUnusualObject(text)
}

/** With white space around it, or on several lines. */
function isUnusualObject(text: string): boolean {
  if (!text.trimStart().startsWith('{')) return false
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
