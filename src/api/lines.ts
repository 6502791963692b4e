import { isUtf8 } from 'node:buffer'
import { GroupcastError } from '../errors.ts'
import { NOT_UTF8, tooLarge } from './body.ts'
import { ByteCollector } from './bytes.ts'

const NEWLINE = 0x0a

/** A line of a streamed body: its text, or why it has none. */
export interface Line {
  /** From 1, blank lines counted. */
  readonly number: number
  readonly content: string | GroupcastError
}

/**
 * Cuts a stream of bytes into lines. A line ends with LF (a CR before it is left on: JSON takes it as white space). Lines that are too long
 * or not UTF-8 fail alone, and a line that is too long is not kept.
 */
export class LineReader {
  readonly #maxLineBytes: number
  readonly #carry = new ByteCollector()
  #number = 0
  #isSkipping = false

  constructor(maxLineBytes: number) {
    this.#maxLineBytes = maxLineBytes
  }

  /** The lines that this chunk completes. To be iterated to the end before the next chunk. */
  *read(chunk: Buffer): Generator<Line, void, void> {
    let start = 0
    while (start < chunk.length) {
      const newline = chunk.indexOf(NEWLINE, start)
      const end = newline === -1 ? chunk.length : newline
      const line = this.#add(chunk.subarray(start, end), newline !== -1)
      if (line !== null) yield line
      start = end + 1
    }
  }

  /** The last line, if the stream did not end with a newline. */
  *end(): Generator<Line, void, void> {
    if (this.#carry.length > 0) yield this.#line(this.#carry.take())
  }

  /** Adds bytes to the line at hand. The line, when this is its end, or as soon as it is too long. */
  #add(bytes: Buffer, isEnd: boolean): Line | null {
    if (this.#isSkipping) {
      this.#isSkipping = !isEnd
      return null
    }
    if (this.#carry.length + bytes.length > this.#maxLineBytes) {
      this.#carry.take()
      this.#isSkipping = !isEnd
      return { number: ++this.#number, content: tooLarge('line', this.#maxLineBytes) }
    }
    this.#carry.add(bytes)
    return isEnd ? this.#line(this.#carry.take()) : null
  }

  #line(bytes: Buffer): Line {
    const content = isUtf8(bytes) ? bytes.toString() : new GroupcastError('invalid-json', NOT_UTF8)
    return { number: ++this.#number, content }
  }
}
