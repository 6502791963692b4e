/** The two serializers of channels_redis: JSON texts of this hub to the bytes of messages and back. */
import { CheckedJsonSink, JsonSink } from './json-sink.ts'
import { readJson } from './json-source.ts'
import { MessageFilter } from './message-filter.ts'
import { MsgpackSink, withEntry } from './msgpack-sink.ts'
import { readMsgpack } from './msgpack-source.ts'
import { CHANNEL_KEY, typeProblem, UncarriableError } from './values.ts'

/** Whom a message is for, as the core protocol says it: one channel of a `send`, or those of a group on one process. */
type Addressees = string | readonly string[]

/** A message that came. */
export interface Incoming {
  readonly json: string
  readonly type: string
  /** Whom it is for; `null` when it does not say. */
  readonly channels: readonly string[] | null
}

/** A `serializer_format` of channels_redis. */
export interface Format {
  /**
   * The bytes of a message.
   *
   * @throws {UncarriableError} for one that would end a consumer of Django, or that the format cannot carry
   */
  encode(json: string): Buffer
  /** What `encode` gave, and whom it is for. */
  address(encoded: Buffer, addressees: Addressees): Buffer
  /** @throws {UncarriableError} for bytes that are no message */
  decode(bytes: Buffer): Incoming
}

/** The default. */
export const msgpackFormat: Format = {
  encode(json) {
    const sink = new MsgpackSink(json.length + 64)
    check(json, new MessageFilter(sink))
    return sink.bytes
  },
  address(encoded, addressees) {
    const entry = new MsgpackSink()
    entry.key(CHANNEL_KEY)
    if (typeof addressees === 'string') entry.text(addressees)
    else {
      entry.openList()
      for (const channel of addressees) entry.text(channel)
      entry.closeList()
    }
    return withEntry(encoded, entry.bytes)
  },
  decode(bytes) {
    const sink = new JsonSink()
    const filter = new MessageFilter(sink)
    readMsgpack(bytes, filter)
    return { json: sink.json, type: filter.type, channels: filter.channels }
  },
}

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** For Django processes with `"serializer_format": "json"`. */
export const jsonFormat: Format = {
  encode(json) {
    const sink = new CheckedJsonSink()
    check(json, new MessageFilter(sink))
    return Buffer.from(sink.json)
  },
  address(encoded, addressees) {
    // A message has a type, so the map is not empty.
    const tail = `,${JSON.stringify(CHANNEL_KEY)}:${JSON.stringify(addressees)}}`
    return Buffer.concat([encoded.subarray(0, -1), Buffer.from(tail)])
  },
  decode(bytes) {
    const sink = new JsonSink()
    const filter = new MessageFilter(sink)
    readJson(utf8(bytes), filter)
    return { json: sink.json, type: filter.type, channels: filter.channels }
  },
}

/** Reads what the hub sends. */
function check(json: string, filter: MessageFilter): void {
  readJson(json, filter)
  if (filter.channels !== null)
    throw new UncarriableError(`it has the key "${CHANNEL_KEY}", which is reserved`)
  const problem = typeProblem(filter.type)
  if (problem !== null) throw new UncarriableError(problem)
}

function utf8(bytes: Buffer): string {
  try {
    return UTF8.decode(bytes)
  } catch {
    throw new UncarriableError('it is not UTF-8')
  }
}
