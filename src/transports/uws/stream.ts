import type { Batch } from '../../batch.ts'
import { retryAfter } from '../../problem.ts'
import { randomRetryMs, type StreamFormat, streamFormat } from '../../wire/http-stream.ts'
import type { Control } from '../../wire/wire-format.ts'
import { closeOf, type Denial, type Gate, type Link, type LinkOwner, type StreamPlan } from '../backend.ts'
import { sendAnswer } from './answer.ts'
import { beginOutside } from './outside.ts'
import type { UwsResponse } from './uws.ts'

/**
 * Most bytes of one corked write, its chunk header besides. Builds before 20.77 lose a chunk, and keep its header, when it does not fit into
 * the cork buffer (16 KiB) and the system takes nothing more.
 */
const SLICE_BYTES = 14 * 1024
/** Of the first one, which has the head of the response before it. */
const FIRST_SLICE_BYTES = 8 * 1024

/** Lets clients of streamed responses in: SSE and ndjson. */
export function acceptStream(plan: StreamPlan, response: UwsResponse, gate: Gate): void {
  // uWebSockets.js makes the chunks.
  const format = streamFormat(plan.transport, plan.envelope, 'raw')
  const { decision, owner } = gate.admit(plan, format)
  const link = new StreamLink(response, format, owner, plan.headers, gate.limits.closeTimeoutMs)
  const failed = (error: unknown) => gate.report(error, 'stream')
  const begin = (denial: Denial | null) => {
    if (link.isGone) return
    if (denial === null) link.begin()
    else {
      deny(plan, response, format, denial, gate)
      link.answered()
    }
  }
  // Without it uWebSockets.js ends the process, since nothing has been answered when the handler returns.
  response.onAborted(() => link.aborted())
  decision.then((denial) => beginOutside({ begin: () => begin(denial), failed }), failed)
}

/**
 * An EventSource gives up for good on any status but 200 (WHATWG HTML, section 9.2.3), so a client that should come back gets
 * a stream that says when, and ends. Other clients read the status.
 */
function deny(
  plan: StreamPlan,
  response: UwsResponse,
  format: StreamFormat,
  denial: Denial,
  gate: Gate,
): void {
  if (plan.transport !== 'sse' || !denial.comeBack) {
    const headers = denial.comeBack ? { ...plan.headers, ...retryAfter(denial.retryAfterMs) } : plan.headers
    const answer = gate.problem(denial.code, headers, denial.reason, denial.retryAfterMs)
    sendAnswer(response, { ...answer, status: denial.httpStatus })
    return
  }
  const control: Control = { close: closeOf(denial) }
  const retryMs = (denial.retryAfterMs ?? 0) + randomRetryMs(gate.limits.retrySpreadMs)
  const body = format.control(control, retryMs) ?? ''
  sendAnswer(response, { status: 200, headers: headersOf(format, plan.headers), body })
}

function headersOf(format: StreamFormat, headers: StreamPlan['headers']): Readonly<Record<string, string>> {
  return {
    ...headers,
    'Content-Type': format.contentType,
    // `no-transform` keeps compressing proxies and middleware from holding events back.
    'Cache-Control': 'no-cache, no-store, no-transform, private',
    // nginx buffers responses unless told not to.
    'X-Accel-Buffering': 'no',
  }
}

/** What the callback of `cork` writes: one function for all, so that a write makes no closure (bench: fan-out SSE). */
let corkedLink: StreamLink | null = null
let corkedBytes: Uint8Array = Buffer.alloc(0)
let isTaken = true

function writeCorked(): void {
  isTaken = (corkedLink as StreamLink).writeSlice(corkedBytes)
}

/** Streams that are congested. */
const WAITING = new Set<StreamLink>()
/** Less than half of the 10 seconds, which uWebSockets.js counts in steps of four. */
const WAIT_MS = 4_000
let waitTimer: NodeJS.Timeout | null = null

/**
 * A write that the system does not take whole starts a clock: 10 seconds later uWebSockets.js cuts the client, even one that reads, slowly.
 * Who is too slow is for the hub to say. So the clock is put back, for as long as the stream is congested.
 */
function keepWaiting(link: StreamLink): void {
  WAITING.add(link)
  if (waitTimer !== null) return
  waitTimer = setInterval(() => {
    for (const each of WAITING) each.wait()
    if (WAITING.size > 0 || waitTimer === null) return
    clearInterval(waitTimer)
    waitTimer = null
  }, WAIT_MS)
  waitTimer.unref()
}

const NOTHING: readonly Buffer[] = Object.freeze([])

/**
 * A streamed response. uWebSockets.js takes whatever it is given, without bound, and cannot be asked how much that is: so what follows a
 * write that the system did not take whole waits in a queue of its own. The hub writes nothing to a congested link but the last of what it
 * holds for it: its bounds are those of the queue.
 */
class StreamLink implements Link {
  readonly answersHeartbeats = false
  readonly sharesBytes = true
  readonly writtenBytes = 0
  readonly #owner: LinkOwner
  readonly #format: StreamFormat
  readonly #closeTimeoutMs: number
  /** `null` once it has ended: every call would throw. */
  #response: UwsResponse | null
  /** Of the head, until it was written. */
  #headers: StreamPlan['headers'] | null
  #queue: readonly Buffer[] = NOTHING
  #queuedBytes = 0
  #isCongested = false
  #isEnding = false
  #timer: NodeJS.Timeout | null = null

  constructor(
    response: UwsResponse,
    format: StreamFormat,
    owner: LinkOwner,
    headers: StreamPlan['headers'],
    closeTimeoutMs: number,
  ) {
    this.#response = response
    this.#format = format
    this.#owner = owner
    this.#headers = headers
    this.#closeTimeoutMs = closeTimeoutMs
  }

  get isGone(): boolean {
    return this.#response === null
  }

  // --- What the hub calls ---

  get writable(): boolean {
    return !this.#isCongested
  }

  get bufferedBytes(): number {
    return this.#queuedBytes
  }

  write(batch: Batch): boolean {
    if (!this.#isEnding) this.#write(batch.bytes())
    return !this.#isCongested
  }

  heartbeat(): boolean {
    if (this.#isCongested || this.#isEnding || this.#response === null) return false
    this.#write(this.#format.heartbeat)
    return true
  }

  close(): void {
    if (this.#isEnding) return
    this.#isEnding = true
    if (!this.#isCongested) {
      this.#end()
      return
    }
    // A client that does not read must not keep the socket for ever.
    this.#timer = setTimeout(() => this.terminate(), this.#closeTimeoutMs)
    this.#timer.unref()
  }

  terminate(): void {
    this.#isEnding = true
    this.#response?.close()
  }

  // Nothing is read from the client of a streamed response.
  pause(): void {}
  resume(): void {}

  // --- What the response calls ---

  /** The client was let in. */
  begin(): void {
    this.#response?.onWritable(() => this.#writable())
    this.#owner.opened(this)
    // The head of the response and the first event leave in one write (bench: connect-storm); a format without a first event has none.
    if (this.#headers !== null) this.#write(this.#format.heartbeat)
  }

  /** It was answered otherwise. */
  answered(): void {
    this.#response = null
    this.#owner.closed(1006, '')
  }

  /** The client has left, or was cut. */
  aborted(): void {
    if (this.#response === null) return
    this.#gone()
  }

  /** Inside a cork. @returns whether the system took it, as far as can be told */
  writeSlice(bytes: Uint8Array): boolean {
    const response = this.#response
    if (response === null) return true
    if (this.#headers !== null) {
      const headers = headersOf(this.#format, this.#headers)
      this.#headers = null
      response.writeStatus('200 OK')
      for (const name in headers) response.writeHeader(name, headers[name] ?? '')
    }
    return response.write(bytes)
  }

  // --- Inside ---

  #write(bytes: Buffer): void {
    const most = this.#headers === null ? SLICE_BYTES : FIRST_SLICE_BYTES
    if (bytes.length <= most) {
      this.#writeOrQueue(bytes)
      return
    }
    this.#writeOrQueue(bytes.subarray(0, most))
    for (let at = most; at < bytes.length; at += SLICE_BYTES) {
      this.#writeOrQueue(bytes.subarray(at, at + SLICE_BYTES))
    }
  }

  #writeOrQueue(slice: Buffer): void {
    if (this.#isCongested) {
      this.#queue = [...this.#queue, slice]
      this.#queuedBytes += slice.length
    } else if (!this.#send(slice)) this.#congested()
  }

  #send(slice: Uint8Array): boolean {
    if (this.#response === null) return true
    corkedLink = this
    corkedBytes = slice
    this.#response.cork(writeCorked)
    return isTaken
  }

  #congested(): void {
    this.#isCongested = true
    keepWaiting(this)
  }

  /** Gives the client more time; see {@link keepWaiting}. */
  wait(): void {
    // `resume` alone would stop uWebSockets.js from waiting until the socket can be written to.
    this.#response?.pause()
    this.#response?.resume()
  }

  /** The socket can be written to again. What uWebSockets.js holds itself leaves with the next write, and only with that. */
  #writable(): boolean {
    if (this.#response === null) return true
    const isFlushed = this.#queue.length === 0 ? this.#send(this.#format.heartbeat) : this.#sendQueue()
    if (isFlushed) this.#caughtUp()
    else this.#congested()
    return isFlushed
  }

  #sendQueue(): boolean {
    const queue = this.#queue
    let sent = 0
    let isTaken = true
    while (isTaken && sent < queue.length) {
      const slice = queue[sent++] as Buffer
      this.#queuedBytes -= slice.length
      isTaken = this.#send(slice)
    }
    this.#queue = sent === queue.length ? NOTHING : queue.slice(sent)
    return isTaken
  }

  #caughtUp(): void {
    if (!this.#isCongested) return
    this.#isCongested = false
    WAITING.delete(this)
    if (this.#isEnding) this.#end()
    else this.#owner.drained()
  }

  #end(): void {
    const response = this.#response
    if (response === null) return
    this.#gone()
    // Below the bytes of an ended response is the connection, which is the client's to use again.
    response.cork(() => response.end())
  }

  #gone(): void {
    this.#response = null
    this.#isEnding = true
    this.#queue = NOTHING
    this.#queuedBytes = 0
    WAITING.delete(this)
    if (this.#timer !== null) clearTimeout(this.#timer)
    // Not at once: the hub may be in the middle of something that ended it.
    queueMicrotask(() => this.#owner.closed(1006, ''))
  }
}
