import { ERRORS } from '../../errors.ts'
import type { HttpAnswer } from '../backend.ts'
import { answerEarly, type EarlyAnswer, endLast, sendAnswer } from './answer.ts'
import { PacedResponse } from './paced-response.ts'
import type { UwsResponse } from './uws.ts'

const EMPTY = Buffer.alloc(0)

/** What those get whose body does not come. */
const TOO_SLOW = ERRORS['body-timeout'].httpStatus

type WholeAnswer = Omit<HttpAnswer, 'body'> & { readonly body: string | Uint8Array }

/** Hears of a body as it comes. */
export interface BodyReader {
  /** The client may take its time: uWebSockets.js else closes below 16 KB/s. */
  readonly isPatient: boolean
  /** A copy of what came. @returns whether more may come at once */
  chunk(bytes: Buffer): boolean
  end(): void
  /** The client left before the end. */
  gone(): void
}

/**
 * The body of a request and the answer to it: made in the handler, since what nobody listens for is lost. An answer may come before the body
 * has ended; the rest is then read and forgotten for a while, because to close at once would make the system reset the connection, and the
 * client could lose the answer over it (RFC 9112, section 9.6).
 */
export class Exchange {
  readonly #response: UwsResponse
  /** The connection is closed behind the answer. */
  readonly isLast: boolean
  #reader: BodyReader | null = null
  #waiting: Buffer[] = []
  #pace: PacedResponse | null = null
  #hasBodyEnded = false
  /** The client has left, or the answer has. */
  #isOver = false
  #early: EarlyAnswer | null = null
  #onOver: () => void = ignore

  /**
   * @param hasBody whether there may be one: to listen costs a little
   * @param isLast whether the connection is of no use after the answer
   */
  constructor(response: UwsResponse, hasBody: boolean, isLast = false) {
    this.#response = response
    this.isLast = isLast
    this.#hasBodyEnded = !hasBody
    response.onAborted(() => this.#aborted())
    if (hasBody) response.onData((chunk, isLast) => this.#data(chunk, isLast))
  }

  get isOver(): boolean {
    return this.#isOver
  }

  /** Nothing of the body is to come, and the connection stays. */
  get isPlain(): boolean {
    return this.#hasBodyEnded && !this.isLast
  }

  /** The response, for whoever writes it at the client's pace. */
  get pace(): PacedResponse {
    if (this.#pace === null) {
      this.#pace = new PacedResponse(this.#response)
      if (this.#isOver) this.#pace.over()
    }
    return this.#pace
  }

  /** Calls when the client has left. */
  set onOver(listener: () => void) {
    this.#onOver = listener
  }

  /** Whoever reads the body, from its start; once. */
  read(reader: BodyReader): void {
    const waiting = this.#waiting
    this.#waiting = []
    this.#reader = reader
    if (reader.isPatient && !this.#hasBodyEnded) this.pace.start()
    let mayGoOn = true
    for (const bytes of waiting) mayGoOn = reader.chunk(bytes)
    if (this.#hasBodyEnded) reader.end()
    else if (this.#isOver) reader.gone()
    else if (mayGoOn) this.goOn()
  }

  /** More may come. */
  goOn(): void {
    this.#pace?.resume()
  }

  /** @param lingerMs how long a body may go on that came too late to be read */
  answer(answer: WholeAnswer, lingerMs: number, isHead = false): void {
    if (this.#isOver || this.#early !== null) return
    if (answer.status === TOO_SLOW && !this.#hasBodyEnded) {
      // There is nothing to wait for, and an answer without its end would look broken.
      this.#end()
      sendAnswer(this.#response, answer, { isHead, close: true })
      return
    }
    if (this.isLast) {
      this.goOn()
      this.#early = this.#answerLast(answer, lingerMs, isHead)
      if (this.#hasBodyEnded) this.#early.end()
      return
    }
    if (this.#hasBodyEnded) {
      this.#end()
      sendAnswer(this.#response, answer, { isHead, close: this.isLast })
      return
    }
    this.goOn()
    this.#early = answerEarly(this.#response, answer, lingerMs)
  }

  /**
   * An answer that was begun could not close the connection any more: uWebSockets.js writes the header for it wherever the response is. And not in
   * the handler: what came in one piece with the request would be read as the next, and answered, before the connection is closed; while this one
   * is not answered, uWebSockets.js closes at once.
   */
  #answerLast(answer: WholeAnswer, lingerMs: number, isHead: boolean): EarlyAnswer {
    const send = () => {
      clearTimeout(timer)
      if (this.#isOver) return
      this.#end()
      sendAnswer(this.#response, answer, { isHead, close: true })
    }
    const timer = setTimeout(send, lingerMs)
    timer.unref()
    return { end: () => void setImmediate(send), gone: () => clearTimeout(timer) }
  }

  /** The answer was written by somebody else, and has ended. */
  over(): void {
    this.goOn()
    this.#end()
  }

  /** Ends an answer that was written at the client's pace. */
  endStreamed(): void {
    if (!this.isLast) this.#pace?.end()
    this.over()
    if (this.isLast) endLast(this.#response)
  }

  #data(chunk: ArrayBuffer, isLast: boolean): void {
    if (this.#isOver && this.isLast) return
    this.#hasBodyEnded = isLast
    if (this.#early === null) this.#take(chunk)
    if (!isLast) return
    // A connection that was left paused would never read its next request.
    this.goOn()
    if (this.#early === null) this.#reader?.end()
    else {
      // The last of a connection goes out a turn later.
      if (!this.isLast) this.#end()
      this.#early.end()
    }
  }

  #take(chunk: ArrayBuffer): void {
    if (chunk.byteLength === 0) return
    // Copied: the bytes are gone when the handler returns.
    const bytes = Buffer.from(new Uint8Array(chunk))
    if (this.#reader === null) this.#waiting.push(bytes)
    const mayGoOn = this.#reader?.chunk(bytes) === true
    // Each time: of what was read at once several pieces may come.
    if (!mayGoOn && !this.#hasBodyEnded && !this.#isOver) this.pace.pause()
  }

  #end(): void {
    this.#isOver = true
    this.#pace?.over()
  }

  #aborted(): void {
    if (this.#isOver) return
    this.#end()
    this.#early?.gone()
    if (!this.#hasBodyEnded && this.#early === null) this.#reader?.gone()
    this.#onOver()
  }
}

function ignore(): void {}

/** Gathers a body of at most so many bytes. */
export class WholeBody implements BodyReader {
  /** For how long it is waited for is for the reader to say, and that is not long. */
  readonly isPatient = false
  readonly #maxBytes: number
  readonly #done: (body: Buffer | 'too-large' | 'gone') => void
  #chunks: Buffer[] | null = []
  #size = 0

  /** @param done called once: with the body, or as soon as it is too large, or the client has left */
  constructor(maxBytes: number, done: (body: Buffer | 'too-large' | 'gone') => void) {
    this.#maxBytes = maxBytes
    this.#done = done
  }

  chunk(bytes: Buffer): boolean {
    if (this.#chunks === null) return true
    this.#size += bytes.length
    if (this.#size <= this.#maxBytes) this.#chunks.push(bytes)
    else this.#finish('too-large')
    return true
  }

  end(): void {
    const chunks = this.#chunks
    if (chunks === null) return
    this.#finish(chunks.length > 1 ? Buffer.concat(chunks, this.#size) : (chunks[0] ?? EMPTY))
  }

  gone(): void {
    if (this.#chunks !== null) this.#finish('gone')
  }

  #finish(body: Buffer | 'too-large' | 'gone'): void {
    this.#chunks = null
    this.#done(body)
  }
}
