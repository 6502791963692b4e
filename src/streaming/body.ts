import { type Source, SourceReader } from '../source.ts'
import {
  isInternal,
  type StreamError,
  type StreamOutcome,
  StreamStopped,
  streamErrorOf,
} from '../stream-end.ts'
import { type BodyFormat, bodyFormat } from './format.ts'
import type { ResolvedStreamOptions } from './options.ts'

/** What became of a stream. */
export interface StreamResult {
  readonly outcome: StreamOutcome
  /** How many pieces were handed on. */
  readonly pieces: number
}

/** The next thing to be written; after anything but a piece there is no more. */
export type BodyPart =
  | { readonly kind: 'piece'; readonly bytes: Uint8Array }
  | { readonly kind: 'end'; readonly bytes: Uint8Array | null }
  | FailedPart

/** The body ends here, and its reader must not take it for complete. */
export interface FailedPart {
  readonly kind: 'failed' | 'aborted'
  readonly bytes: Uint8Array | null
  readonly error: StreamError
}

/** A body as it comes from its source: the bytes of each piece when they are asked for. Knows nothing of how they travel. */
export class Body {
  readonly format: BodyFormat
  readonly #reader: SourceReader<unknown>
  readonly #options: ResolvedStreamOptions
  #pieces = 0

  constructor(source: Source, options: ResolvedStreamOptions) {
    this.format = bodyFormat(options.format)
    this.#options = options
    this.#reader = new SourceReader(source, (error) => this.#report(error))
    if (options.signal?.aborted === true) this.#abort()
    else options.signal?.addEventListener('abort', this.#abort)
  }

  /** How many pieces were handed out. */
  get pieces(): number {
    return this.#pieces
  }

  /** Never rejects. One call at a time. */
  async next(): Promise<BodyPart> {
    try {
      const { done, value } = await this.#reader.next()
      if (done === true) {
        this.close()
        return { kind: 'end', bytes: this.format.end(this.#pieces) }
      }
      const bytes = this.format.piece(value, this.#options.firstIndex + this.#pieces)
      this.#pieces++
      return { kind: 'piece', bytes }
    } catch (error) {
      this.close()
      return this.#failed(error)
    }
  }

  /** Nobody reads it any more: the source is told, and is not waited for. */
  close(): void {
    this.#options.signal?.removeEventListener('abort', this.#abort)
    this.#reader.close()
  }

  #failed(error: unknown): FailedPart {
    if (isInternal(error)) this.#report(error)
    const told = streamErrorOf(error)
    const kind = error instanceof StreamStopped ? 'aborted' : 'failed'
    return { kind, bytes: this.format.error(told), error: told }
  }

  /** Hands a failure to the application's hook, and what that throws to the last place left. */
  #report(error: unknown): void {
    const failed = (failure: unknown) => console.error('onError failed:', failure, 'while reporting:', error)
    try {
      const heard: unknown = this.#options.onError(error)
      if (heard instanceof Promise) heard.catch(failed)
    } catch (failure) {
      failed(failure)
    }
  }

  readonly #abort = (): void => {
    this.#reader.close(new StreamStopped('stream-aborted'))
  }
}
