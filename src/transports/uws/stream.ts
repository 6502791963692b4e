import type { Batch } from '../../batch.ts'
import { retryAfter } from '../../problem.ts'
import { randomRetryMs, type StreamFormat, streamFormat } from '../../wire/http-stream.ts'
import type { Control } from '../../wire/wire-format.ts'
import { closeOf, type Denial, type Gate, type Link, type LinkOwner, type StreamPlan } from '../backend.ts'
import { sendAnswer } from './answer.ts'
import { beginOutside } from './outside.ts'
import { PacedResponse, type PacedWriter } from './paced-response.ts'
import type { UwsResponse } from './uws.ts'

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

const NO_HEADERS: StreamPlan['headers'] = Object.freeze({})

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

/**
 * A streamed response. The hub writes nothing to a congested link but the last of what it holds for it: its bounds are those of the queue.
 */
class StreamLink implements Link, PacedWriter {
  readonly answersHeartbeats = false
  readonly sharesBytes = true
  readonly writtenBytes = 0
  readonly #owner: LinkOwner
  readonly #format: StreamFormat
  readonly #closeTimeoutMs: number
  readonly #pace: PacedResponse
  /** Of the head, until it was written. */
  #headers: StreamPlan['headers']
  #isEnding = false
  #timer: NodeJS.Timeout | null = null

  constructor(
    response: UwsResponse,
    format: StreamFormat,
    owner: LinkOwner,
    headers: StreamPlan['headers'],
    closeTimeoutMs: number,
  ) {
    this.#pace = new PacedResponse(response)
    this.#format = format
    this.#owner = owner
    this.#headers = headers
    this.#closeTimeoutMs = closeTimeoutMs
  }

  get isGone(): boolean {
    return this.#pace.isOver
  }

  // --- What the hub calls ---

  get writable(): boolean {
    return !this.#pace.isCongested
  }

  get bufferedBytes(): number {
    return this.#pace.queuedBytes
  }

  write(batch: Batch): boolean {
    if (!this.#isEnding) this.#pace.put(batch.bytes())
    return !this.#pace.isCongested
  }

  heartbeat(): boolean {
    if (this.#pace.isCongested || this.#isEnding || this.#pace.isOver) return false
    this.#pace.put(this.#format.heartbeat)
    return true
  }

  close(): void {
    if (this.#isEnding) return
    this.#isEnding = true
    if (!this.#pace.isCongested) {
      this.#end()
      return
    }
    // A client that does not read must not keep the socket for ever.
    this.#timer = setTimeout(() => this.terminate(), this.#closeTimeoutMs)
    this.#timer.unref()
  }

  terminate(): void {
    this.#isEnding = true
    this.#pace.cut()
  }

  // Nothing is read from the client of a streamed response.
  pause(): void {}
  resume(): void {}

  // --- What the response calls ---

  /** The client was let in. */
  begin(): void {
    this.#pace.open(this)
    this.#owner.opened(this)
    // The head of the response and the first event leave in one write (bench: connect-storm); a format without a first event has none.
    if (!this.#pace.hasHead) this.#pace.put(this.#format.heartbeat)
  }

  /** It was answered otherwise. */
  answered(): void {
    this.#pace.over()
    this.#owner.closed(1006, '')
  }

  /** The client has left, or was cut. */
  aborted(): void {
    if (!this.#pace.isOver) this.#gone()
  }

  get filler(): Uint8Array {
    return this.#format.heartbeat
  }

  writeHead(response: UwsResponse): void {
    const headers = headersOf(this.#format, this.#headers)
    this.#headers = NO_HEADERS
    response.writeStatus('200 OK')
    for (const name in headers) response.writeHeader(name, headers[name] ?? '')
  }

  drained(): void {
    if (this.#isEnding) this.#end()
    else this.#owner.drained()
  }

  // --- Inside ---

  #end(): void {
    if (this.#pace.isOver) return
    this.#pace.end()
    this.#gone()
  }

  #gone(): void {
    this.#pace.over()
    this.#isEnding = true
    if (this.#timer !== null) clearTimeout(this.#timer)
    // Not at once: the hub may be in the middle of something that ended it.
    queueMicrotask(() => this.#owner.closed(1006, ''))
  }
}
