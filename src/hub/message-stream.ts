/** Streams of messages: each piece of a source as a numbered message, and then an end or an error. */
import { nanoid } from 'nanoid'
import { GroupcastError, MisuseError } from '../errors.ts'
import { assertMessage } from '../message.ts'
import { quote } from '../names.ts'
import { assertKnownOptions } from '../options.ts'
import { assertSource, type Source, SourceReader } from '../source.ts'
import { type StreamError, type StreamOutcome, StreamStopped, streamErrorOf } from '../stream-end.ts'

/**
 * The fields of the messages of a stream, for the map of messages: `interface Messages { 'model.token': StreamFields<string> }`.
 * A message has one of `data`, `end` and `error`.
 */
export interface StreamFields<Piece> {
  /** The stream's id: the same in all its messages. */
  readonly stream: string
  /** 0 for the first, and one more for each. */
  readonly index: number
  /** A piece. */
  readonly data?: Piece
  /** This is the whole: `index` pieces. */
  readonly end?: true
  /** This is not the whole, and no more will come. */
  readonly error?: { readonly code: string; readonly message: string }
}

/** The types of the map `M` that can be streamed: any where the map is open, else those whose fields are {@link StreamFields}. */
export type StreamedType<M> = string extends keyof M
  ? string
  : {
      [T in keyof M & string]: M[T] extends { readonly stream: string; readonly index: number } ? T : never
    }[keyof M & string]

/** What the messages of type `T` carry as `data`. */
export type PieceOf<M, T extends string> = T extends keyof M
  ? M[T] extends { readonly data?: infer Piece }
    ? Piece
    : unknown
  : unknown

/** What is said of a stream of messages. */
export interface StreamOptions<Type extends string = string> {
  /** The type of its messages. */
  readonly type: Type
  /** What tells its messages from those of other streams: 1–128 characters, random unless given. */
  readonly id?: string
  /** Stops it: an error message (`stream-aborted`) goes out, and the source is returned. */
  readonly signal?: AbortSignal | undefined
}

/** What became of a stream of messages. */
export interface StreamedMessages {
  /** Its id. */
  readonly stream: string
  /** How many pieces were sent. */
  readonly pieces: number
  /** A stream that failed rejects its promise instead. */
  readonly outcome: Exclude<StreamOutcome, 'failed'>
}

/** Where the messages of a stream go. */
export interface StreamTarget {
  /** Resolves when the next may be sent. */
  ready(): Promise<void>
  /** Nobody reads any more, and nobody will. */
  readonly isGone: boolean
  send(message: { readonly type: string }): unknown
}

const KNOWN = ['type', 'id', 'signal']
const MAX_ID_LENGTH = 128

type Fields = { readonly data: unknown } | { readonly end: true } | { readonly error: StreamError }

/** One stream under way. */
export class MessageStream {
  readonly #options: StreamOptions
  readonly #id: string
  readonly #target: StreamTarget
  readonly #reader: SourceReader<unknown>
  #pieces = 0

  /**
   * @param onFailure hears of what the source throws when it is returned; must not throw
   * @throws {MisuseError} `invalid-option` for a source or option that cannot be used, `invalid-message` for a type that cannot
   */
  constructor(
    source: Source,
    options: StreamOptions,
    target: StreamTarget,
    onFailure: (error: unknown) => void,
  ) {
    assertSource(source)
    assertOptions(options)
    this.#options = options
    this.#id = options.id ?? nanoid()
    this.#target = target
    this.#reader = new SourceReader(source, onFailure)
  }

  /** Sends it all. @throws whatever the source or the target throws, after readers were told */
  async run(): Promise<StreamedMessages> {
    const { signal } = this.#options
    signal?.addEventListener('abort', this.#abort)
    if (signal?.aborted === true) this.#abort()
    try {
      return this.#result(await this.#pump())
    } catch (error) {
      return await this.#failed(error)
    } finally {
      signal?.removeEventListener('abort', this.#abort)
      this.#reader.close()
    }
  }

  /** Ends it early; readers are told why. */
  stop(code: 'stream-aborted' | 'restarting'): void {
    this.#reader.close(new StreamStopped(code))
  }

  /** Ends it without a word: there is nobody to hear it. */
  leave(): void {
    this.#reader.close()
  }

  async #pump(): Promise<'complete' | 'left'> {
    for (;;) {
      await this.#target.ready()
      if (this.#target.isGone) return 'left'
      const { done, value } = await this.#reader.next()
      if (this.#target.isGone) return 'left'
      if (done === true) {
        await this.#send({ end: true })
        return 'complete'
      }
      assertPiece(value)
      await this.#send({ data: value })
      this.#pieces++
    }
  }

  async #failed(error: unknown): Promise<StreamedMessages> {
    this.#reader.close()
    try {
      await this.#send({ error: streamErrorOf(error) })
    } catch {
      // As little as what failed before gets through; that is what the caller hears of.
    }
    if (!(error instanceof StreamStopped)) throw error
    if (error.code === 'restarting') throw new GroupcastError('hub-closed')
    return this.#result('aborted')
  }

  async #send(fields: Fields): Promise<void> {
    const { type } = this.#options
    const message = { type, stream: this.#id, index: this.#pieces, ...fields }
    await this.#target.send(message)
  }

  #result(outcome: StreamedMessages['outcome']): StreamedMessages {
    return { stream: this.#id, pieces: this.#pieces, outcome }
  }

  readonly #abort = (): void => this.stop('stream-aborted')
}

function assertOptions(options: StreamOptions): void {
  assertKnownOptions('A stream', options, KNOWN)
  const { type, id, signal } = options
  assertMessage({ type })
  const isId = id === undefined || (typeof id === 'string' && id !== '' && id.length <= MAX_ID_LENGTH)
  if (!isId) throw invalid('id', id, `a string of 1–${MAX_ID_LENGTH} characters`)
  if (signal !== undefined && !(signal instanceof AbortSignal))
    throw invalid('signal', signal, 'an AbortSignal')
}

function invalid(name: string, value: unknown, allowed: string): MisuseError {
  return new MisuseError('invalid-option', `A stream has ${name}: ${quote(value)}: it must be ${allowed}.`)
}

/** JSON leaves out the one kind, and makes objects of numbers of the other: readers would miss a piece and not know. */
function assertPiece(piece: unknown): void {
  const isLeftOut = piece === undefined || typeof piece === 'function' || typeof piece === 'symbol'
  if (!isLeftOut && !ArrayBuffer.isView(piece)) return
  throw new MisuseError(
    'invalid-message',
    `A piece of a message is what JSON can carry; this is ${quote(piece)}.`,
  )
}
