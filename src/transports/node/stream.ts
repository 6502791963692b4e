import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Writable } from 'node:stream'
import type { Batch } from '../../batch.ts'
import { retryAfter } from '../../problem.ts'
import { randomRetryMs, type StreamFormat, streamFormat } from '../../wire/http-stream.ts'
import type { Control } from '../../wire/wire-format.ts'
import { closeOf, type Denial, type Gate, type Link, type LinkOwner, type StreamPlan } from '../backend.ts'
import { type NodeResponse, sendAnswer } from './answer.ts'

/**
 * How many streams may wait on one socket for the end of what was asked for before them. No client of ours pipelines; each that
 * waits holds its request, and node:http reads on without bound while nothing is written.
 */
const MAX_WAITING = 16

/** Lets clients of streamed responses in: SSE and ndjson, over HTTP/1.1, HTTP/1.0 and HTTP/2. */
export class Streams {
  readonly #gate: Gate
  /** How many requests wait behind others, by the socket they share. */
  readonly #waiting = new WeakMap<Socket, number>()

  constructor(gate: Gate) {
    this.#gate = gate
  }

  async accept(plan: StreamPlan, request: IncomingMessage, response: NodeResponse): Promise<void> {
    // The body of a GET means nothing (RFC 9110, section 9.3.1), but unread it would hide that the client leaves.
    request.resume()
    // A request pipelined behind another has no socket yet.
    if (response.socket === null) await this.#turn(request.socket, response)
    if (response.socket?.destroyed !== false) return
    const framing = request.httpVersion === '1.1' ? 'chunked' : 'raw'
    const format = streamFormat(plan.transport, plan.envelope, framing)
    const { decision, owner } = this.#gate.admit(plan, format)
    // `close` comes when the response was ended and when the client left, on HTTP/1 and HTTP/2 alike.
    ;(response as OwnedResponse)[OWNER] = owner
    response.on('close', onClose)
    // A client that resets the connection is gone, no more: `close` follows.
    response.on('error', ignore)
    // No chunks for HTTP/1.0 (RFC 9112, section 6.1). node:http makes them all the same for a client that says `TE: chunked`, around
    // batches that have none.
    if (framing === 'raw' && !('stream' in response)) response.useChunkedEncodingByDefault = false
    const denial = await decision
    if (response.destroyed || response.closed === true) return
    if (denial === null) this.#open(plan, request, response, format, owner)
    else this.#deny(plan, response, format, denial)
  }

  /**
   * Waits until the response has the socket. Costs nothing when the client leaves before: `socket` never comes, and nobody else
   * holds what waits for it. A client that asks for more than may wait is cut.
   */
  async #turn(socket: Socket, response: NodeResponse): Promise<void> {
    const waiting = this.#waiting.get(socket) ?? 0
    if (waiting >= MAX_WAITING) {
      socket.destroy()
      return
    }
    this.#waiting.set(socket, waiting + 1)
    await new Promise((resolve) => response.once('socket', resolve))
    this.#waiting.set(socket, (this.#waiting.get(socket) ?? 1) - 1)
  }

  #open(
    plan: StreamPlan,
    request: IncomingMessage,
    response: NodeResponse,
    format: StreamFormat,
    owner: LinkOwner,
  ): void {
    const wire = 'stream' in response ? response.stream : response.socket
    if (wire === null) return
    request.socket.setTimeout(0)
    ;(response as OwnedResponse)[WIRE] = wire
    ;(wire as OwnedWire)[OWNER] = owner
    wire.on('drain', onDrain)
    // The head of the response and the first event leave in one write (bench: connect-storm).
    wire.cork()
    startStream(response, format, plan.headers)
    owner.opened(new StreamLink(response, wire, format, this.#gate.limits.closeTimeoutMs))
    wire.uncork()
  }

  /**
   * An EventSource gives up for good on any status but 200 (WHATWG HTML, section 9.2.3), so a client that should come back gets
   * a stream that says when, and ends. Other clients read the status.
   */
  #deny(plan: StreamPlan, response: NodeResponse, format: StreamFormat, denial: Denial): void {
    if (plan.transport !== 'sse' || !denial.comeBack) {
      const headers = denial.comeBack ? { ...plan.headers, ...retryAfter(denial.retryAfterMs) } : plan.headers
      const answer = this.#gate.problem(denial.code, headers, denial.reason, denial.retryAfterMs)
      sendAnswer(response, { ...answer, status: denial.httpStatus })
      return
    }
    startStream(response, format, plan.headers)
    const control: Control = { close: closeOf(denial) }
    const retryMs = (denial.retryAfterMs ?? 0) + randomRetryMs(this.#gate.limits.retrySpreadMs)
    ;(response as ServerResponse).end(format.control(control, retryMs))
  }
}

/**
 * Where the listeners find whom to tell, and what to let go of. They are shared by all connections: closures would be a quarter of
 * what the hub adds to an idle stream (bench: idle-memory).
 */
const OWNER = Symbol('owner')
const WIRE = Symbol('wire')

type OwnedWire = Writable & { [OWNER]?: LinkOwner | null }
type OwnedResponse = NodeResponse & { [OWNER]?: LinkOwner | null; [WIRE]?: OwnedWire | null }

function onClose(this: OwnedResponse): void {
  const { [OWNER]: owner, [WIRE]: wire } = this
  // Once: HTTP/2 may say it again.
  this[OWNER] = null
  if (wire) {
    // The socket of a keep-alive connection outlives the response.
    wire.off('drain', onDrain)
    wire[OWNER] = null
  }
  owner?.closed(1006, '')
}

function onDrain(this: OwnedWire): void {
  this[OWNER]?.drained()
}

function ignore(): void {}

function startStream(
  response: NodeResponse,
  format: StreamFormat,
  headers: Readonly<Record<string, string>>,
): void {
  ;(response as ServerResponse).writeHead(200, {
    ...headers,
    'Content-Type': format.contentType,
    // `no-transform` keeps compressing proxies and middleware from holding events back.
    'Cache-Control': 'no-cache, no-store, no-transform, private',
    // nginx buffers responses unless told not to.
    'X-Accel-Buffering': 'no',
  })
  ;(response as ServerResponse).flushHeaders()
}

/**
 * A streamed response. Batches go to the socket below it: `response.write` would add a chunk header, three more buffers and a
 * `nextTick` for every recipient (bench: fan-out SSE), while a batch is sealed once for all.
 */
class StreamLink implements Link {
  readonly answersHeartbeats = false
  readonly writtenBytes = 0
  readonly #response: NodeResponse
  readonly #wire: Writable
  readonly #format: StreamFormat
  readonly #closeTimeoutMs: number
  #isEnded = false

  constructor(response: NodeResponse, wire: Writable, format: StreamFormat, closeTimeoutMs: number) {
    this.#response = response
    this.#wire = wire
    this.#format = format
    this.#closeTimeoutMs = closeTimeoutMs
  }

  get writable(): boolean {
    return !this.#wire.writableNeedDrain
  }

  get bufferedBytes(): number {
    return this.#wire.writableLength
  }

  get sharesBytes(): boolean {
    // TLS makes bytes of its own for each client; a stream of HTTP/2 keeps back what its client has not asked for.
    return !('encrypted' in this.#wire)
  }

  write(batch: Batch): boolean {
    // Not `destroyed`: node:http ends the socket of a client that ended its side.
    return this.#isEnded || !this.#wire.writable || this.#wire.write(batch.bytes())
  }

  heartbeat(): boolean {
    if (!this.writable || this.#isEnded || !this.#wire.writable) return false
    this.#wire.write(this.#format.heartbeat)
    return true
  }

  close(): void {
    this.#isEnded = true
    this.#response.end()
    // A client that does not read must not keep the socket for ever.
    const timer = setTimeout(() => this.terminate(), this.#closeTimeoutMs)
    timer.unref()
    this.#response.once('close', () => clearTimeout(timer))
  }

  terminate(): void {
    this.#isEnded = true
    this.#wire.destroy()
  }

  // Nothing is read from the client of a streamed response.
  pause(): void {}
  resume(): void {}
}
