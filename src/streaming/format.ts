/** How the pieces of a source become the bytes of a body. */
import { MisuseError } from '../errors.ts'
import { quote } from '../names.ts'
import type { StreamError } from '../stream-end.ts'
import { encodeEvent } from '../wire/http-stream.ts'
import type { StreamFormatName } from './options.ts'

/** The format of one body; it may remember what came before. `null` where a format has nothing to say. */
export interface BodyFormat {
  /** @throws {MisuseError} `invalid-option` for a piece that it cannot carry */
  piece(piece: unknown, index: number): Uint8Array
  /** What tells readers that this is the whole, after as many pieces. */
  end(pieces: number): Uint8Array | null
  /** What tells readers that this is not the whole. */
  error(error: StreamError): Uint8Array | null
  readonly heartbeat: Uint8Array | null
}

/** A format for one body. */
export function bodyFormat(name: StreamFormatName): BodyFormat {
  switch (name) {
    case 'text':
      return new TextFormat()
    case 'ndjson':
      return NDJSON
    case 'sse':
      return SSE
    default:
      return name satisfies never
  }
}

/** Strings in UTF-8 and bytes as they are, nothing between them. */
class TextFormat implements BodyFormat {
  readonly heartbeat = null
  /** The first half of a character that a string ended in: alone it has no UTF-8, with the next piece it may. */
  #half = ''

  piece(piece: unknown): Uint8Array {
    if (piece instanceof Uint8Array) {
      if (this.#half === '') return piece
      const bytes = Buffer.concat([Buffer.from(this.#half), piece])
      this.#half = ''
      return bytes
    }
    if (typeof piece !== 'string') throw unfit(piece, 'text', 'a string or a Uint8Array')
    const text = this.#half + piece
    this.#half = /[\ud800-\udbff]$/.exec(text)?.[0] ?? ''
    return Buffer.from(this.#half === '' ? text : text.slice(0, -1))
  }

  end(): Uint8Array | null {
    return this.#half === '' ? null : Buffer.from(this.#half)
  }

  error(): null {
    return null
  }
}

const NDJSON: BodyFormat = {
  heartbeat: null,
  piece: (piece) => Buffer.from(`${jsonOf(piece, 'ndjson')}\n`),
  // The end of the body is the end of the stream: it is cut off where it fails.
  end: () => null,
  error: (error) => Buffer.from(`${JSON.stringify({ error })}\n`),
}

const SSE: BodyFormat = {
  heartbeat: Buffer.from(':\n\n'),
  piece(piece, index) {
    const data = typeof piece === 'string' ? piece : jsonOf(piece, 'sse')
    return Buffer.from(encodeEvent({ id: String(index), data }))
  },
  // To an EventSource every end is a reason to come back, unless the page closes it: so it must be told.
  end: (pieces) => Buffer.from(encodeEvent({ event: 'groupcast.end', data: JSON.stringify({ pieces }) })),
  error: (error) => Buffer.from(encodeEvent({ event: 'groupcast.error', data: JSON.stringify(error) })),
}

function jsonOf(piece: unknown, format: StreamFormatName): string {
  // JSON would make an object of numbers of bytes.
  const json = ArrayBuffer.isView(piece) ? undefined : JSON.stringify(piece)
  if (json === undefined) throw unfit(piece, format, 'what JSON can carry')
  return json
}

function unfit(piece: unknown, format: StreamFormatName, allowed: string): MisuseError {
  return new MisuseError(
    'invalid-option',
    `A piece of format "${format}" is ${allowed}; this is ${quote(piece)}.`,
  )
}
