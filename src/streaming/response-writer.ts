import type { ServerResponse } from 'node:http'
import type { Http2ServerResponse } from 'node:http2'
import { ERRORS } from '../errors.ts'
import { PROBLEM_TYPE, problemText } from '../problem.ts'
import type { StreamError, StreamOutcome } from '../stream-end.ts'
import type { FailedPart } from './body.ts'
import type { ResolvedStreamOptions } from './options.ts'

/** Most bytes of one write: of a longer piece the client can be seen to take part after part. */
const WRITE_BYTES = 64 * 1024

/** RFC 9113, section 7: what a stream is reset with that must not be taken for complete. */
const INTERNAL_ERROR = 2

const NOTHING = new Uint8Array()

/** Writes a body to a response at its reader's pace, and notices when the reader leaves. */
export class ResponseWriter {
  readonly #response: ServerResponse
  /** What tells of `drain`, `finish` and `close`: a response of node:http2 says `finish` also when it was cut off. */
  readonly #wire: ServerResponse | Http2ServerResponse['stream']
  /** A response that waits behind another does not hear that the client leaves. */
  readonly #socket: ServerResponse['socket'] = null
  readonly #options: ResolvedStreamOptions
  /** Set once by whoever writes: the reader has left. */
  onLeave: () => void = () => {}
  #isGone = false
  #isCongested = false
  #giveUp: (() => void) | null = null
  #stopHeartbeat = () => {}

  /** Sets status and headers, unless they have gone out. @throws {TypeError} for headers that HTTP does not allow */
  constructor(response: ServerResponse | Http2ServerResponse, options: ResolvedStreamOptions) {
    // The same methods where we use them.
    this.#response = response as ServerResponse
    this.#options = options
    if (!response.headersSent) this.#prepare()
    if ('stream' in response) {
      this.#wire = response.stream
    } else {
      this.#wire = response
      this.#socket = response.req?.socket ?? null
    }
    this.#isGone = this.#wire.destroyed || response.writableEnded || this.#socket?.destroyed === true
    // A write that crosses with the client's leaving must not end the process.
    response.on('error', ignore)
    this.#wire.on('drain', this.#drained)
    this.#wire.once('close', this.#left)
    this.#socket?.once('close', this.#left)
  }

  /** Nobody reads any more. */
  get isGone(): boolean {
    return this.#isGone
  }

  get hasBody(): boolean {
    return this.#response.req?.method !== 'HEAD'
  }

  /** Sends the head where it does not wait for the first piece, and keeps the client awake from then on. */
  begin(heartbeat: Uint8Array | null): void {
    const { head, heartbeatMs, clock } = this.#options
    if (this.#isGone) return
    if (head === 'at-once') this.#response.flushHeaders()
    if (heartbeat === null || heartbeatMs === false) return
    this.#stopHeartbeat = clock.every(heartbeatMs, () => {
      // What waits already will wake the client.
      if (!this.#isCongested) this.#isCongested = !this.#response.write(heartbeat)
    })
  }

  /** Resolves when the reader takes more, or has left. */
  async write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; at += WRITE_BYTES) {
      // A heartbeat may have filled it meanwhile.
      await this.#writable()
      if (this.#isGone) return
      this.#isCongested = !this.#response.write(bytes.subarray(at, at + WRITE_BYTES))
    }
    await this.#writable()
  }

  /** Ends a response that has no body to be taken. */
  endHead(): StreamOutcome {
    if (!this.#isGone) this.#response.end()
    return this.#isGone ? 'left' : 'complete'
  }

  /** Ends the body; `left` when the reader did not take all of it. */
  async end(last: Uint8Array | null): Promise<StreamOutcome> {
    this.#stopHeartbeat()
    let isTaken = false
    await this.#until((done) => {
      this.#wire.once('finish', () => {
        isTaken = !this.#isCut
        done()
      })
      this.#response.end(last ?? NOTHING)
    })
    return isTaken ? 'complete' : 'left'
  }

  /** Ends the body so that no reader takes it for complete. */
  async fail({ kind, bytes, error }: FailedPart): Promise<StreamOutcome> {
    this.#stopHeartbeat()
    if (this.#response.headersSent) await this.#cut(bytes)
    else await this.#refuse(error)
    return kind
  }

  /** Takes its listeners away: the socket may serve other requests. */
  release(): void {
    this.#stopHeartbeat()
    this.#wire.off('drain', this.#drained)
    this.#wire.off('close', this.#left)
    this.#socket?.off('close', this.#left)
  }

  async #writable(): Promise<void> {
    if (this.#isCongested) await this.#until((done) => this.#wire.once('drain', done))
  }

  #prepare(): void {
    const { status, headers, defaultHeaders } = this.#options
    if (status !== null) this.#response.statusCode = status
    for (const [name, value] of Object.entries(defaultHeaders)) {
      if (!this.#response.hasHeader(name)) this.#response.setHeader(name, value)
    }
    for (const [name, value] of Object.entries(headers)) this.#response.setHeader(name, value)
  }

  /** Nothing has been sent: the client can be told by the status. */
  async #refuse({ code, message }: StreamError): Promise<void> {
    const { httpStatus, comeBack, message: title } = ERRORS[code]
    const body = problemText(code, message === title ? undefined : message)
    const response = this.#response
    // What was said of the body that does not come.
    for (const name of ['content-length', ...Object.keys(this.#options.headers)]) response.removeHeader(name)
    response.statusCode = httpStatus
    response.setHeader('content-type', PROBLEM_TYPE)
    response.setHeader('cache-control', 'no-store')
    response.setHeader('content-length', Buffer.byteLength(body))
    if (comeBack && httpStatus === 503) response.setHeader('retry-after', '1')
    await this.end(Buffer.from(body))
  }

  /** Breaks off, when all that was written before has gone out. */
  async #cut(last: Uint8Array | null): Promise<void> {
    await this.#until((done) => this.#response.write(last ?? NOTHING, () => done()))
    if ('rstCode' in this.#wire) this.#wire.close(INTERNAL_ERROR)
    else if (last === null && !this.#isFramed) this.#reset()
    else this.#response.destroy()
  }

  /** Whether its way to the reader is gone. node:http says `finish` of what can never arrive too. */
  get #isCut(): boolean {
    return 'rstCode' in this.#wire ? this.#wire.aborted : this.#socket?.destroyed === true
  }

  /** Whether a body that is cut off can be told from a whole one: it lacks its last chunk, or some of its length. */
  get #isFramed(): boolean {
    return this.#response.chunkedEncoding || this.#response.hasHeader('content-length')
  }

  /**
   * The end of the connection would be the end of the body (RFC 9112, section 6.3), as for HTTP/1.0, which nginx speaks to its
   * back ends: only a reset tells it from the whole. TLS has no reset, and tells by the close_notify that does not come.
   */
  #reset(): void {
    const { socket } = this.#response
    // What `resetAndDestroy` sets. But that sends a FIN first: the client has its peaceful end before the reset comes.
    if (socket !== null && !('encrypted' in socket)) Object.assign(socket, { resetAndClosing: true })
    this.#response.destroy()
  }

  /**
   * Resolves when `begin` calls back, or the reader has left. One that takes nothing for too long is cut off: its socket may
   * never say that nobody is there.
   */
  #until(begin: (done: () => void) => void): Promise<void> {
    const { clock, maxStallMs } = this.#options
    return new Promise((resolve) => {
      const cancel = clock.after(maxStallMs, () => this.#response.destroy())
      const done = () => {
        cancel()
        this.#giveUp = null
        resolve()
      }
      this.#giveUp = done
      if (this.#isGone) done()
      else begin(done)
    })
  }

  readonly #drained = (): void => {
    this.#isCongested = false
  }

  /** `close` comes when all has been said too; whoever ended the body is done by then. */
  readonly #left = (): void => {
    if (this.#isGone) return
    this.#isGone = true
    this.#giveUp?.()
    this.onLeave()
  }
}

function ignore(): void {}
