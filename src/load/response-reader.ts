/** Reads the answers to pipelined requests, one after another. */
import { ChunkScanner } from './chunk-scanner.ts'
import { type AnswerHead, HeadReader } from './handshake.ts'
import type { Scanner } from './scanner.ts'

const MOST_KEPT_BYTES = 4096
const ERROR_MARK = '"error":'

/** What came of one request. */
export interface Answer {
  readonly status: number
  /** Results with an error, in an answer about many messages. */
  readonly errors: number
  /** The start of the body. */
  readonly body: string
  /** The server closes the connection after it (RFC 9112, section 9.6). */
  readonly isLast: boolean
}

/** Cuts a connection's bytes into answers. */
export class ResponseReader {
  readonly #onAnswer: (answer: Answer) => void
  #head = new HeadReader()
  #answer: AnswerHead | null = null
  #body = new BodyCounter()
  #chunks: ChunkScanner | null = null
  #left = 0

  constructor(onAnswer: (answer: Answer) => void) {
    this.#onAnswer = onAnswer
  }

  /** @throws {ScanError} on what is no answer */
  read(bytes: Buffer): void {
    let at = 0
    while (at < bytes.length)
      at = this.#answer === null ? this.#readHead(bytes, at) : this.#readBody(bytes, at)
  }

  #readHead(bytes: Buffer, start: number): number {
    const found = this.#head.read(bytes, start, bytes.length)
    if (found === null) return bytes.length
    this.#answer = found.head
    this.#body = new BodyCounter()
    const isChunked = found.head.headers.get('transfer-encoding')?.toLowerCase() === 'chunked'
    this.#chunks = isChunked ? new ChunkScanner(this.#body) : null
    this.#left = Number(found.head.headers.get('content-length') ?? 0)
    if (!isChunked && this.#left === 0) this.#done()
    return found.body
  }

  #readBody(bytes: Buffer, start: number): number {
    if (this.#chunks !== null) {
      const end = this.#chunks.scan(bytes, start, bytes.length)
      if (this.#chunks.isDone) this.#done()
      return end
    }
    const end = Math.min(bytes.length, start + this.#left)
    this.#body.scan(bytes, start, end)
    this.#left -= end - start
    if (this.#left === 0) this.#done()
    return end
  }

  #done(): void {
    const status = this.#answer?.status ?? 0
    const isLast = this.#answer?.headers.get('connection')?.toLowerCase() === 'close'
    this.#answer = null
    this.#chunks = null
    this.#onAnswer({ status, errors: this.#body.errors, body: this.#body.text, isLast })
  }
}

/** Counts failed results as they come by, and keeps the start for whoever asks why. */
class BodyCounter implements Scanner {
  errors = 0
  text = ''
  #tail = ''

  scan(bytes: Buffer, start: number, end: number): void {
    const piece = bytes.toString('latin1', start, end)
    if (this.text.length < MOST_KEPT_BYTES) this.text += piece.slice(0, MOST_KEPT_BYTES)
    const seam = this.#tail + piece
    for (let at = seam.indexOf(ERROR_MARK); at !== -1; at = seam.indexOf(ERROR_MARK, at + 1)) this.errors++
    this.#tail = seam.slice(-(ERROR_MARK.length - 1))
  }
}
