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
    if (this.#isSkipping || this.#carry.length > 0) {
      const newline = chunk.indexOf(NEWLINE)
      const head = newline === -1 ? chunk : chunk.subarray(0, newline)
      yield* this.#continue(head, newline !== -1)
      if (newline === -1) return
      start = newline + 1
    }
    const lastNewline = chunk.lastIndexOf(NEWLINE)
    if (lastNewline >= start) {
      yield* this.#block(chunk.subarray(start, lastNewline))
      start = lastNewline + 1
    }
    if (start < chunk.length) yield* this.#continue(chunk.subarray(start), false)
  }

  /** The last line, if the stream did not end with a newline. */
  *end(): Generator<Line, void, void> {
    if (this.#carry.length > 0) yield this.#line(this.#carry.take())
  }

  /** Adds bytes without a newline to the line at hand, which then ends or not. */
  *#continue(bytes: Buffer, isEnd: boolean): Generator<Line, void, void> {
    if (!this.#isSkipping && this.#carry.length + bytes.length > this.#maxLineBytes) {
      this.#carry.take()
      this.#isSkipping = true
      yield this.#tooLong()
    }
    if (!this.#isSkipping) this.#carry.add(bytes)
    if (!isEnd) return
    if (this.#isSkipping) this.#isSkipping = false
    else yield this.#line(this.#carry.take())
  }

  /** Whole lines, without the last one's newline. */
  *#block(bytes: Buffer): Generator<Line, void, void> {
    // One decoding for all lines of a chunk is most of what makes bulk publishing fast (bench: ndjson). A newline byte is never
    // part of another character, so what is valid together is valid line by line; what is not is looked at line by line.
    if (bytes.length > this.#maxLineBytes || !isUtf8(bytes)) return yield* this.#lineByLine(bytes)
    const text = bytes.toString()
    let start = 0
    for (let end = text.indexOf('\n'); end !== -1; end = text.indexOf('\n', start)) {
      yield { number: ++this.#number, content: text.slice(start, end) }
      start = end + 1
    }
    yield { number: ++this.#number, content: text.slice(start) }
  }

  *#lineByLine(bytes: Buffer): Generator<Line, void, void> {
    let start = 0
    while (start <= bytes.length) {
      const newline = bytes.indexOf(NEWLINE, start)
      const end = newline === -1 ? bytes.length : newline
      yield end - start > this.#maxLineBytes ? this.#tooLong() : this.#line(bytes.subarray(start, end))
      start = end + 1
    }
  }

  #line(bytes: Buffer): Line {
    const content = isUtf8(bytes) ? bytes.toString() : new GroupcastError('invalid-json', NOT_UTF8)
    return { number: ++this.#number, content }
  }

  #tooLong(): Line {
    return { number: ++this.#number, content: tooLarge('line', this.#maxLineBytes) }
  }
}
