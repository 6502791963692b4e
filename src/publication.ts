import { Frame } from './frame.ts'
import type { SlowPolicy } from './slow.ts'
import type { WireFormat } from './wire/wire-format.ts'

/**
 * A message on its way to connections: encoded at most once per wire format, however many connections get it.
 *
 * The JSON text is the message. Handlers get objects parsed from it, each its own, so that none can change what others see.
 */
export class Publication {
  /** `null` for a message to one connection. */
  readonly group: string | null
  /** JSON text of an object with a string `type`, on one line. */
  readonly json: string
  /** The position after this publication, or `null` where the group keeps no history. */
  readonly cursor: string | null
  /**
   * Where it stood in its group, for one that comes late: the newest messages of a group that is joined while others are live. It is no
   * cursor to resume from, since the client has later messages of its other groups.
   */
  readonly past: string | null
  /** The policy of its group for slow readers; `null` leaves it to their consumer. */
  readonly slow: SlowPolicy | null
  /** How many congested connections have yet to get it as the past. */
  holders = 0
  #conflationKey: string | null | undefined
  #envelope: string | null = null
  #type: string | null = null
  // Two short arrays rather than a Map: a hub uses a handful of formats, and one publication rarely more than two.
  readonly #formats: WireFormat[] = []
  readonly #frames: Frame[] = []

  constructor(
    group: string | null,
    json: string,
    cursor: string | null,
    slow: SlowPolicy | null = null,
    past: string | null = null,
  ) {
    this.group = group
    this.json = LINE_BREAK.test(json) ? json.replace(LINE_BREAKS, ' ') : json
    this.cursor = cursor
    this.slow = slow
    this.past = past
  }

  get type(): string {
    this.#type ??= String((JSON.parse(this.json) as { type: unknown }).type)
    return this.#type
  }

  /** What it is the newest state of: its `key`, a string, in its group. `null`: of nothing. Read from the message at the first call. */
  get conflationKey(): string | null {
    if (this.#conflationKey === undefined) {
      const key = MAY_HAVE_KEY.test(this.json) ? (JSON.parse(this.json) as { key?: unknown }).key : undefined
      this.#conflationKey = typeof key === 'string' ? JSON.stringify([this.group, key]) : null
    }
    return this.#conflationKey
  }

  /** The message inside its envelope, as JSON text. */
  get envelope(): string {
    if (this.#envelope === null) {
      const group = this.group === null ? '' : `"group":${JSON.stringify(this.group)},`
      const cursor = this.cursor === null ? '' : `"cursor":${JSON.stringify(this.cursor)},`
      const past = this.past === null ? '' : `"past":${JSON.stringify(this.past)},`
      this.#envelope = `{${group}${cursor}${past}"message":${this.json}}`
    }
    return this.#envelope
  }

  /** The same without a cursor to resume from: for a client that has yet to get older ones of other groups. */
  asPast(): Publication {
    return new Publication(this.group, this.json, null, this.slow, this.past ?? this.cursor)
  }

  /** A copy of the message for one handler. */
  message(): { type: string } {
    return JSON.parse(this.json) as { type: string }
  }

  /** Its frame in a wire format; made at the first call. */
  frame(format: WireFormat): Frame {
    const known = this.#formats.indexOf(format)
    const made = known === -1 ? undefined : this.#frames[known]
    if (made !== undefined) return made
    const frame = new Frame(format.frame(this), this)
    this.#formats.push(format)
    this.#frames.push(frame)
    return frame
  }
}

// Most messages have none and need not be parsed. A name may be written with escapes.
const MAY_HAVE_KEY = /"key"|\\u/

// A line break in a JSON text is white space between tokens (inside strings it is escaped), but it would end a line of
// ndjson and a field of SSE. `JSON.stringify` writes none; another program's JSON may.
const LINE_BREAK = /[\r\n]/
const LINE_BREAKS = /[\r\n]+/g
