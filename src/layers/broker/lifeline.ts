import type { Clock } from '../../clock.ts'
import { errorCodeOf, GroupcastError, MisuseError } from '../../errors.ts'
import type { LayerStatus } from '../layer.ts'
import { Backoff } from './backoff.ts'
import { deferred } from './deferred.ts'
import { Flights } from './flights.ts'

/** All the connections that a driver has at a time; they live and die together. */
export interface Session {
  /** Sends a message to this node through the broker, and resolves when it has come: proof that both ways are open. */
  probe(): Promise<void>
  /** Cuts the connections at once, waiting for nothing. Does not throw. */
  destroy(): void
  /** Closes the connections in good order. A rejection is ignored. */
  close(): Promise<void>
}

/** One attempt to open a session, and the session that comes of it. */
export interface Attempt {
  /** Aborts when the layer closes, or the attempt has taken too long. */
  readonly signal: AbortSignal
  /** One of its connections is lost, or cannot be relied on. May be called at any time, and again. */
  lost(error: unknown): void
}

/** Options of {@link Lifeline}. */
export interface LifelineOptions<S extends Session> {
  /** The broker, for texts: `Redis`. */
  readonly broker: string
  /**
   * Connects, adds all groups again, and recovers what was missed (obligation 27 of the layer contract). What it opened before it fails it
   * must destroy itself.
   */
  open(attempt: Attempt): Promise<S>
  /** What `LayerSink.status` gets. */
  status(status: LayerStatus): void
  /** What `LayerSink.report` gets. */
  report(error: unknown): void
  /**
   * What an error of the client library means to a caller: the text of why the broker refused, and then nothing has happened; or `null`: nobody
   * knows whether it has.
   */
  refusalOf(error: unknown): string | null
  readonly clock: Clock
  /** For an operation, and for opening a session. */
  readonly timeoutMs: number
  readonly probeEveryMs?: number
  /** A probe that takes longer ends the session. With {@link probeEveryMs} it makes the 10 s of obligation 28. */
  readonly probeTimeoutMs?: number
  readonly backoff?: Backoff
}

/** Different failures that are reported of one break: more would repeat themselves. */
const MOST_REPORTS = 3

/**
 * Holds one session with a broker, and opens another when it is lost. One session, one fate: whatever fails ends all of it, so that what is under
 * way fails at once, nothing is sent twice, and there is one way back, which recovers everything.
 */
export class Lifeline<S extends Session> {
  readonly #options: LifelineOptions<S>
  readonly #backoff: Backoff
  readonly #flights: Flights
  readonly #closing = new AbortController()
  readonly #waiting = new Set<{ resolve: (session: S) => void; reject: (error: unknown) => void }>()
  /** Since the last session was lost. */
  readonly #reported = new Set<string>()
  readonly #explain = (error: unknown) => this.#errorOf(error)
  #session: S | null = null
  #reason = 'It has not been started.'
  /** What status() said last. */
  #isReady = false
  #stopTimers: (() => void)[] = []

  constructor(options: LifelineOptions<S>) {
    this.#options = options
    this.#backoff = options.backoff ?? new Backoff()
    const { broker, clock, timeoutMs } = options
    this.#flights = new Flights(clock, timeoutMs, () =>
      unknown(`${broker} did not answer within ${timeoutMs} ms: it may have been sent or not.`),
    )
  }

  get isClosed(): boolean {
    return this.#closing.signal.aborted
  }

  /** The session, while there is one. */
  get session(): S | null {
    return this.#session
  }

  /** Resolves when the first attempt to open a session has succeeded or failed; goes on trying. Rejects with {@link MisuseError} only. */
  start(): Promise<void> {
    this.#options.status({ state: 'connecting' })
    return this.#attempt()
  }

  /**
   * Does something with the session.
   *
   * @throws {GroupcastError} `layer-unavailable`: nothing has happened; `layer-timeout`: it may have; `hub-closed`; and what the operation
   *   throws of groupcast's own errors
   */
  run<T>(operation: (session: S) => Promise<T>): Promise<T> {
    const session = this.#session
    if (session === null || this.isClosed)
      return Promise.reject(this.isClosed ? closed() : this.#unavailable())
    let answer: Promise<T>
    try {
      answer = operation(session)
    } catch (error) {
      return Promise.reject(this.#errorOf(error))
    }
    return this.#flights.follow(answer, this.#explain)
  }

  /** The session, or the next one: for what waits through a break. @throws {GroupcastError} `hub-closed`; the signal's reason */
  async next(signal?: AbortSignal): Promise<S> {
    this.#assertOpen()
    if (this.#session !== null) return this.#session
    signal?.throwIfAborted()
    const { promise, resolve, reject } = deferred<S>()
    const waiter = { resolve, reject }
    const onAbort = () => reject(signal?.reason)
    this.#waiting.add(waiter)
    signal?.addEventListener('abort', onAbort)
    try {
      return await promise
    } finally {
      this.#waiting.delete(waiter)
      signal?.removeEventListener('abort', onAbort)
    }
  }

  /** Ends everything; what is under way rejects with `hub-closed`. */
  async close(): Promise<void> {
    if (this.isClosed) return
    const session = this.#session
    this.#session = null
    this.#closing.abort(closed())
    this.#quiet()
    for (const { reject } of this.#waiting) reject(closed())
    this.#flights.fail(closed())
    try {
      if (session !== null) await within(session.close(), this.#options)
    } catch {
      // It closes either way.
    }
    session?.destroy()
  }

  async #attempt(): Promise<void> {
    if (this.isClosed) return
    const { clock, timeoutMs, open } = this.#options
    const giveUp = new AbortController()
    const stopTimer = clock.after(timeoutMs, () =>
      giveUp.abort(new Error(`No answer within ${timeoutMs} ms.`)),
    )
    let session: S | null = null
    let loss: { readonly error: unknown } | null = null
    const attempt: Attempt = {
      signal: AbortSignal.any([this.#closing.signal, giveUp.signal]),
      lost: (error) => {
        if (loss !== null) return
        loss = { error }
        if (session === null) giveUp.abort(error)
        else this.#lose(session, error)
      },
    }
    try {
      session = await abortable(open.call(this.#options, attempt), attempt.signal)
      stopTimer()
      const failure = loss as { readonly error: unknown } | null
      if (failure !== null) throw failure.error
    } catch (error) {
      stopTimer()
      session?.destroy()
      if (this.isClosed) return
      if (error instanceof MisuseError) throw error
      this.#failed(error)
      return
    }
    if (this.isClosed) session.destroy()
    else this.#opened(session)
  }

  #opened(session: S): void {
    const { clock, probeEveryMs = 3_000 } = this.#options
    this.#session = session
    this.#backoff.reset()
    this.#reported.clear()
    this.#stopTimers = [clock.every(probeEveryMs, this.#prober(session))]
    this.#isReady = true
    this.#options.status({ state: 'ready' })
    for (const { resolve } of this.#waiting) resolve(session)
    this.#waiting.clear()
  }

  /** Sends itself a message, one at a time. */
  #prober(session: S): () => void {
    const { clock, probeTimeoutMs = 5_000 } = this.#options
    let isUnderWay = false
    return () => {
      if (isUnderWay) return
      isUnderWay = true
      const stalled = () =>
        this.#lose(
          session,
          new Error(`It is connected, but a message of this node to itself took over ${probeTimeoutMs} ms.`),
        )
      const stopTimer = clock.after(probeTimeoutMs, stalled)
      session.probe().then(
        () => {
          isUnderWay = false
          stopTimer()
        },
        (error) => {
          stopTimer()
          this.#lose(session, error)
        },
      )
    }
  }

  #lose(session: S, error: unknown): void {
    if (this.#session !== session) return
    this.#session = null
    this.#quiet()
    this.#flights.fail(
      unknown(`${this.#options.broker} was lost while this was under way: ${textOf(error)}`, error),
    )
    session.destroy()
    this.#failed(error)
  }

  #failed(error: unknown): void {
    const { broker, clock } = this.#options
    const before = this.#reason
    this.#reason = textOf(error)
    if (this.#isReady || this.#reason !== before)
      this.#options.status({ state: 'connecting', reason: `${broker}: ${this.#reason}` })
    this.#isReady = false
    if (!this.#reported.has(this.#reason) && this.#reported.size < MOST_REPORTS) {
      this.#reported.add(this.#reason)
      const text = `${broker} cannot be used at the moment: ${this.#reason}`
      this.#options.report(new GroupcastError('layer-unavailable', text, { cause: error }))
    }
    // What goes wrong again is misuse that the first attempt did not meet: there is nobody to tell but the operator.
    const again = () => this.#attempt().catch((misuse) => this.#failed(misuse))
    this.#stopTimers.push(clock.after(this.#backoff.next(), again))
  }

  #quiet(): void {
    for (const stop of this.#stopTimers) stop()
    this.#stopTimers = []
  }

  #assertOpen(): void {
    if (this.isClosed) throw closed()
  }

  #unavailable(): GroupcastError {
    const text = `${this.#options.broker} cannot be used at the moment, so nothing was sent: ${this.#reason}`
    return new GroupcastError('layer-unavailable', text)
  }

  #errorOf(error: unknown): unknown {
    if (errorCodeOf(error) !== null) return error
    const { broker, refusalOf } = this.#options
    const refusal = refusalOf.call(this.#options, error)
    if (refusal === null) return unknown(`${broker} failed while this was under way: ${textOf(error)}`, error)
    return new GroupcastError('layer-unavailable', `${broker} refused, so nothing was sent: ${refusal}`, {
      cause: error,
    })
  }
}

function unknown(text: string, cause?: unknown): GroupcastError {
  return new GroupcastError('layer-timeout', text, { cause })
}

function closed(): GroupcastError {
  return new GroupcastError('hub-closed', 'This layer is closed, as its hub is.')
}

function textOf(error: unknown): string {
  // Of a refused connection Node gives an error for each address, with an empty text around them.
  if (error instanceof AggregateError && error.message === '') return error.errors.map(textOf).join('; ')
  return error instanceof Error ? error.message : String(error)
}

/** What the promise settles with, unless the signal aborts first; a session that comes later is destroyed. */
async function abortable<S extends Session>(opening: Promise<S>, signal: AbortSignal): Promise<S> {
  const { promise, reject } = deferred<never>()
  const onAbort = () => reject(signal.reason)
  if (signal.aborted) onAbort()
  signal.addEventListener('abort', onAbort)
  try {
    return await Promise.race([opening, promise])
  } catch (error) {
    opening.then(
      (late) => late.destroy(),
      () => {},
    )
    throw error
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

function within(closing: Promise<void>, { clock, timeoutMs }: LifelineOptions<Session>): Promise<void> {
  const { promise, resolve } = deferred<void>()
  const stopTimer = clock.after(timeoutMs, resolve)
  return Promise.race([closing, promise]).finally(stopTimer)
}
