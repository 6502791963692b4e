/**
 * The bytes of a journal's files: a line that names the format, then records.
 *
 *     length of the payload u32 | CRC-32 of the payload u32 | check of these two u32 | payload
 *
 * Numbers are little-endian. The third number tells a record that was not finished (all there is of it is right, the rest is
 * missing) from one that was changed afterwards: a changed length would otherwise look like a record that goes on behind the end.
 */
import { crc32 } from 'node:zlib'

export const MAGIC = Buffer.from('groupcast journal\n', 'latin1')
export const HEAD_BYTES = 12
/** What a publication takes besides its group and JSON. */
export const PUBLICATION_BYTES = HEAD_BYTES + 21

const VERSION = 1
const HEAD_CHECK = 0x67726f75

const TYPE = { about: 1, utf8: 2, utf16: 3, group: 4, position: 5, closed: 6 } as const

/** What a file says of itself, first. */
export interface About {
  readonly kind: 'log' | 'base'
  readonly epoch: string
  /** The machine's boot in which it was written; `null` where that cannot be known. */
  readonly boot: string | null
  /** Whether each write was made to survive a loss of power. */
  readonly isSynced: boolean
}

/** A record, read. */
export type JournalItem =
  | { readonly type: 'about'; readonly about: About; readonly isKnownVersion: boolean }
  | {
      readonly type: 'publication'
      readonly group: string
      readonly sequence: number
      /** Time of day, as `Date.now()`. */
      readonly at: number
      readonly json: string
    }
  /** In a base: what is known of a group, before its publications. */
  | { readonly type: 'group'; readonly group: string; readonly goneTo: number }
  /** In a log: what came last before it. In a base: its end, and what came last when it was complete. */
  | { readonly type: 'position'; readonly sequence: number; readonly forgottenTo: number }
  /** The end of a log that was closed in order. */
  | { readonly type: 'closed' }

/** Writes records one behind another into a buffer that grows and is used again. */
export class Encoder {
  #buffer = Buffer.allocUnsafeSlow(64 * 1024)
  #length = 0

  get length(): number {
    return this.#length
  }

  /** What was encoded since the last time, until the next record is. */
  take(): Buffer {
    const bytes = this.#buffer.subarray(0, this.#length)
    this.#length = 0
    // One large batch must not hold its memory for ever.
    if (this.#buffer.length > MOST_KEPT) this.#buffer = Buffer.allocUnsafeSlow(64 * 1024)
    return bytes
  }

  about(about: About): void {
    this.#room(MAGIC.length)
    this.#length += MAGIC.copy(this.#buffer, this.#length)
    const text = JSON.stringify({ version: VERSION, ...about })
    const start = this.#begin(TYPE.about, Buffer.byteLength(text))
    this.#text(text)
    this.#end(start)
  }

  publication(group: string, sequence: number, at: number, json: string): void {
    // A text with half of a surrogate pair has no UTF-8.
    const encoding = json.isWellFormed() ? 'utf8' : 'utf16le'
    const groupBytes = Buffer.byteLength(group)
    const start = this.#begin(
      encoding === 'utf8' ? TYPE.utf8 : TYPE.utf16,
      20 + groupBytes + Buffer.byteLength(json, encoding),
    )
    this.#double(sequence)
    this.#double(at)
    this.#length = this.#buffer.writeUInt32LE(groupBytes, this.#length)
    this.#text(group)
    this.#length += this.#buffer.write(json, this.#length, encoding)
    this.#end(start)
  }

  group(group: string, goneTo: number): void {
    const start = this.#begin(TYPE.group, 8 + Buffer.byteLength(group))
    this.#double(goneTo)
    this.#text(group)
    this.#end(start)
  }

  position(sequence: number, forgottenTo: number): void {
    const start = this.#begin(TYPE.position, 16)
    this.#double(sequence)
    this.#double(forgottenTo)
    this.#end(start)
  }

  closed(): void {
    this.#end(this.#begin(TYPE.closed, 0))
  }

  #begin(type: number, bytes: number): number {
    this.#room(HEAD_BYTES + 1 + bytes)
    const start = this.#length
    this.#buffer[start + HEAD_BYTES] = type
    this.#length = start + HEAD_BYTES + 1
    return start
  }

  #end(start: number): void {
    const payload = this.#buffer.subarray(start + HEAD_BYTES, this.#length)
    const crc = crc32(payload)
    this.#buffer.writeUInt32LE(payload.length, start)
    this.#buffer.writeUInt32LE(crc, start + 4)
    this.#buffer.writeUInt32LE(headCheck(payload.length, crc), start + 8)
  }

  #double(value: number): void {
    this.#length = this.#buffer.writeDoubleLE(value, this.#length)
  }

  #text(text: string): void {
    this.#length += this.#buffer.write(text, this.#length, 'utf8')
  }

  #room(bytes: number): void {
    if (this.#length + bytes <= this.#buffer.length) return
    const larger = Buffer.allocUnsafeSlow(Math.max(this.#buffer.length * 2, this.#length + bytes))
    this.#buffer.copy(larger, 0, 0, this.#length)
    this.#buffer = larger
  }
}

const MOST_KEPT = 4 * 1024 * 1024

/** The length of the payload, if the head of a record is one. */
export function payloadLength(head: Buffer): number | null {
  const length = head.readUInt32LE(0)
  return head.readUInt32LE(8) === headCheck(length, head.readUInt32LE(4)) ? length : null
}

/** A record's payload, if it is as it was written. */
export function decodePayload(head: Buffer, payload: Buffer): JournalItem | null {
  if (crc32(payload) !== head.readUInt32LE(4)) return null
  // What has the right sum was written by us, so nothing below can be cut short; another version may have other types.
  switch (payload[0]) {
    case TYPE.about: {
      const { version, ...about } = JSON.parse(payload.toString('utf8', 1)) as About & { version: number }
      return { type: 'about', about, isKnownVersion: version === VERSION }
    }
    case TYPE.utf8:
    case TYPE.utf16: {
      const jsonStart = 21 + payload.readUInt32LE(17)
      return {
        type: 'publication',
        sequence: payload.readDoubleLE(1),
        at: payload.readDoubleLE(9),
        group: payload.toString('utf8', 21, jsonStart),
        json: payload.toString(payload[0] === TYPE.utf8 ? 'utf8' : 'utf16le', jsonStart),
      }
    }
    case TYPE.group:
      return { type: 'group', goneTo: payload.readDoubleLE(1), group: payload.toString('utf8', 9) }
    case TYPE.position:
      return {
        type: 'position',
        sequence: payload.readDoubleLE(1),
        forgottenTo: payload.readDoubleLE(9),
      }
    case TYPE.closed:
      return { type: 'closed' }
    default:
      return null
  }
}

/** Not zero for zeros, which is what a disk may leave behind an end. */
function headCheck(length: number, crc: number): number {
  return (length ^ crc ^ HEAD_CHECK) >>> 0
}
