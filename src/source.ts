/** Sources: whatever yields pieces one by one, and how they are read at the pace of somebody else. */
import { MisuseError } from './errors.ts'
import { quote } from './names.ts'

/** What yields pieces: an array, a generator, a web or Node stream, anything that `for await` can walk through. */
export type Pieces<Piece> = Iterable<Piece> | AsyncIterable<Piece>

/**
 * What is streamed. A function is called when the first piece is wanted, so nothing is opened for a reader that never reads; its
 * `signal` aborts when the reader leaves, which is how a source learns of it that waits for something.
 */
export type Source<Piece = unknown> =
  | Pieces<Piece>
  | ((signal: AbortSignal) => Pieces<Piece> | Promise<Pieces<Piece>>)

/** A source that never waits gives way to everything else in the process after as many pieces. */
const PIECES_PER_TURN = 16

const OVER: IteratorReturnResult<undefined> = Object.freeze({ done: true, value: undefined })

/** @throws {MisuseError} `invalid-option` for what is no source, and for texts and bytes: their pieces would be characters and numbers */
export function assertSource(source: unknown): asserts source is Source {
  if (typeof source === 'function' || isPieces(source)) return
  throw new MisuseError(
    'invalid-option',
    `${noPieces(source)} A function that returns such a thing will do too.`,
  )
}

function isPieces(value: unknown): value is Pieces<unknown> {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return false
  return isWebStream(value) || Symbol.asyncIterator in value || Symbol.iterator in value
}

function noPieces(value: unknown): string {
  return `A source is an iterable or async iterable of pieces; this is ${quote(value)}. One text is a source of one piece: [text].`
}

/**
 * Reads a source at the pace of its caller: each piece is pulled by a call of {@link next}. Whoever stops before the end calls
 * {@link close}; the source's `return()` runs at most once.
 */
export class SourceReader<Piece> {
  readonly #source: Source<Piece>
  readonly #onFailure: (error: unknown) => void
  readonly #left = new AbortController()
  #iterator: PieceIterator<Piece> | null = null
  #isStarted = false
  #isOver = false
  /** What `next` answers once it is over, where that is not the end. */
  #error: Error | null = null
  /** Answers the call of `next` that waits for the source. */
  #interrupt: (() => void) | null = null
  #pulled = 0

  /** @param onFailure hears of what the source throws when nobody waits for a piece any more; must not throw */
  constructor(source: Source<Piece>, onFailure: (error: unknown) => void) {
    this.#source = source
    this.#onFailure = onFailure
  }

  /**
   * The next piece, or that there is none. One call at a time.
   *
   * @throws whatever the source throws, and then it is over; or the error that {@link close} was given
   */
  async next(): Promise<IteratorResult<Piece, undefined>> {
    this.#pulled++
    // Promises that are kept at once starve timers and sockets: an endless list would stop the process.
    if (this.#pulled % PIECES_PER_TURN === 0) await new Promise((resolve) => setImmediate(resolve))
    if (this.#isOver) return this.#last()
    return new Promise((resolve, reject) => {
      this.#interrupt = () => resolve(this.#last())
      this.#pull().then(
        (result) => {
          this.#interrupt = null
          if (result.done === true) this.#isOver = true
          resolve(result.done === true ? OVER : result)
        },
        (error) => {
          this.#interrupt = null
          if (this.#isOver) this.#failedLate(error)
          this.#isOver = true
          reject(error)
        },
      )
    })
  }

  /**
   * Nobody wants more: tells the source by its signal and calls its `return()`. Neither is waited for, since a source may hang. Does
   * nothing once the source is over.
   *
   * @param error what {@link next} throws from now on, also the call that waits; without it there are no more pieces
   */
  close(error?: Error): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#error = error ?? null
    this.#left.abort()
    this.#interrupt?.()
    this.#release().catch((failure) => this.#failedLate(failure))
  }

  async #last(): Promise<IteratorReturnResult<undefined>> {
    if (this.#error !== null) throw this.#error
    return OVER
  }

  async #pull(): Promise<IteratorResult<Piece>> {
    this.#isStarted = true
    const iterator = this.#iterator ?? (await this.#open())
    if (this.#isOver) return OVER
    const result: unknown = await iterator.next()
    if (typeof result === 'object' && result !== null) return result as IteratorResult<Piece>
    throw new TypeError(`The source's next() gave ${quote(result)}, which is no iterator result.`)
  }

  async #open(): Promise<PieceIterator<Piece>> {
    const source = this.#source
    const pieces = typeof source === 'function' ? await source(this.#left.signal) : source
    if (!isPieces(pieces)) throw new MisuseError('invalid-option', noPieces(pieces))
    this.#iterator = iterate(pieces)
    // Closed while it was being opened, when there was nothing to return yet.
    if (this.#isOver) await this.#iterator.return()
    return this.#iterator
  }

  async #release(): Promise<void> {
    if (this.#iterator !== null) await this.#iterator.return()
    // Nothing ran that could be returned, but a stream that is open already holds what it was opened for.
    else if (!this.#isStarted && isOpenStream(this.#source)) await iterate(this.#source).return()
  }

  /** What a source says when it is torn away from its work is no news. */
  #failedLate(error: unknown): void {
    if (error === this.#left.signal.reason) return
    const { name, code } = Object(error) as { name?: unknown; code?: unknown }
    if (name !== 'AbortError' && code !== 'ERR_STREAM_PREMATURE_CLOSE') this.#onFailure(error)
  }
}

/** An iterator that can be returned at any time, also while it is asked for the next piece. */
interface PieceIterator<Piece> {
  next(): Promise<IteratorResult<Piece>>
  return(): unknown
}

function iterate<Piece>(pieces: Pieces<Piece>): PieceIterator<Piece> {
  if (isWebStream<Piece>(pieces)) return iterateWebStream(pieces)
  if (Symbol.asyncIterator in pieces) {
    const iterator = pieces[Symbol.asyncIterator]()
    const release = isNodeStream(pieces) ? () => pieces.destroy() : () => iterator.return?.()
    return { next: () => iterator.next(), return: release }
  }
  return iterateSync(pieces[Symbol.iterator]())
}

/** As `for await` does: a piece may be a promise. */
function iterateSync<Piece>(iterator: Iterator<Piece>): PieceIterator<Piece> {
  return {
    async next() {
      const { done, value } = iterator.next()
      if (done === true) return OVER
      try {
        return { done: false, value: await value }
      } catch (error) {
        // The promise failed, not the iterator: it still waits to be told the end.
        iterator.return?.()
        throw error
      }
    },
    return: () => iterator.return?.(),
  }
}

/** Node's own iterator of a web stream could not be returned while it waits for a piece (WHATWG Streams, section 4.2.5). */
function iterateWebStream<Piece>(stream: WebStream<Piece>): PieceIterator<Piece> {
  const reader = stream.getReader()
  return { next: () => reader.read() as Promise<IteratorResult<Piece>>, return: () => reader.cancel() }
}

interface WebStream<Piece> {
  getReader(): {
    read(): Promise<{ readonly done: boolean; readonly value?: Piece | undefined }>
    cancel(): Promise<void>
  }
}

function isWebStream<Piece>(value: object): value is WebStream<Piece> {
  return 'getReader' in value && typeof value.getReader === 'function'
}

/** Their iterators are generators: returned before the first piece they do nothing, and after that they wait for the next one. */
function isNodeStream(value: object): value is { destroy(): void } {
  return 'destroy' in value && typeof value.destroy === 'function' && 'pipe' in value
}

function isOpenStream<Piece>(source: Source<Piece>): source is Pieces<Piece> {
  return isWebStream(source) || isNodeStream(source)
}
