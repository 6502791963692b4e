/** Takes a chunked body apart (RFC 9112, section 7.1) and hands its data on where it lies. */
import { ScanError, type Scanner } from './scanner.ts'

const LF = 10
const CR = 13

type State = 'size' | 'rest-of-size-line' | 'data' | 'end-of-data' | 'trailer' | 'done'

/** The data of all chunks goes to `inner`, in as many pieces as it comes in. Trailers are skipped. */
export class ChunkScanner implements Scanner {
  readonly #inner: Scanner
  #state: State = 'size'
  /** What is known of a chunk's size, then what is left of its data. */
  #left = 0
  #digits = 0
  /** Bytes of the trailer line at hand. */
  #trailer = 0

  constructor(inner: Scanner) {
    this.#inner = inner
  }

  /** Whether the body has come to its end. */
  get isDone(): boolean {
    return this.#state === 'done'
  }

  /**
   * @returns one past the last byte that belongs to the body
   * @throws {ScanError} on what is no chunked body
   */
  scan(bytes: Buffer, start: number, end: number): number {
    let at = start
    while (at < end && this.#state !== 'done') {
      if (this.#state === 'data') {
        const stop = Math.min(end, at + this.#left)
        this.#inner.scan(bytes, at, stop)
        this.#left -= stop - at
        at = stop
        if (this.#left === 0) this.#state = 'end-of-data'
      } else {
        this.#frame(bytes[at] as number)
        at++
      }
    }
    return at
  }

  /** One byte of what stands around the data. */
  #frame(byte: number): void {
    switch (this.#state) {
      case 'size':
        this.#size(byte)
        return
      case 'rest-of-size-line':
        if (byte === LF) this.#state = this.#left === 0 ? 'trailer' : 'data'
        return
      case 'trailer':
        // The first empty line is the end.
        if (byte === LF && this.#trailer === 0) this.#state = 'done'
        this.#trailer = byte === LF ? 0 : this.#trailer + (byte === CR ? 0 : 1)
        return
      default:
        if (byte === LF) this.#state = 'size'
        else if (byte !== CR) throw new ScanError('a chunk of the response is longer than it says.')
    }
  }

  #size(byte: number): void {
    const digit = hexDigit(byte)
    if (digit !== -1) {
      this.#left = this.#left * 16 + digit
      this.#digits++
      return
    }
    if (this.#digits === 0) throw new ScanError('a chunk of the response has no size.')
    this.#digits = 0
    this.#state = byte === LF ? (this.#left === 0 ? 'trailer' : 'data') : 'rest-of-size-line'
  }
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30
  const lower = byte | 0x20
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1
}
