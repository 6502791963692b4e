import type { Clock } from '../../clock.ts'

/** How often deadlines are looked at: an operation may take this much longer. */
const SWEEP_MS = 100

interface Flight {
  readonly operation: Promise<unknown>
  readonly reject: (error: unknown) => void
  readonly until: number
}

/**
 * Operations that wait for a broker's answer. One timer for all: a deadline costs an entry in a set, since thousands of publications
 * may be under way.
 */
export class Flights {
  readonly #clock: Clock
  readonly #timeoutMs: number
  readonly #tooLate: () => unknown
  /** Oldest first, as all wait equally long. */
  readonly #flights = new Set<Flight>()
  /** What was begun last, while it is under way. */
  #last: { readonly operation: Promise<unknown>; readonly outcome: Promise<unknown> } | null = null
  #stopTimer: (() => void) | null = null

  /** @param tooLate makes the error of an operation that was not answered in time */
  constructor(clock: Clock, timeoutMs: number, tooLate: () => unknown) {
    this.#clock = clock
    this.#timeoutMs = timeoutMs
    this.#tooLate = tooLate
  }

  get size(): number {
    return this.#flights.size
  }

  /**
   * What the operation settles with, unless {@link fail} or the deadline comes first.
   *
   * @param explain makes of what it rejects with what is thrown
   */
  follow<T>(operation: Promise<T>, explain: (error: unknown) => unknown = same): Promise<T> {
    // Of one turn many may wait for the same answer.
    if (operation === this.#last?.operation) return this.#last.outcome as Promise<T>
    const outcome = new Promise<T>((resolve, reject) => {
      const flight = { operation, reject, until: this.#clock.now() + this.#timeoutMs }
      this.#flights.add(flight)
      this.#stopTimer ??= this.#clock.after(SWEEP_MS, () => this.#sweep())
      operation.then(
        (value) => {
          this.#land(flight)
          resolve(value)
        },
        (error) => {
          this.#land(flight)
          reject(explain(error))
        },
      )
    })
    this.#last = { operation, outcome }
    return outcome
  }

  /** Nothing will be answered any more. */
  fail(error: unknown): void {
    for (const { reject } of this.#flights) reject(error)
    this.#flights.clear()
    this.#last = null
    this.#stopTimer?.()
    this.#stopTimer = null
  }

  // The timer runs out by itself: to set one for each of many short operations would cost more than the operations.
  #land(flight: Flight): void {
    this.#flights.delete(flight)
    if (this.#last?.operation === flight.operation) this.#last = null
  }

  #sweep(): void {
    this.#stopTimer = null
    const now = this.#clock.now()
    for (const flight of this.#flights) {
      if (flight.until > now) break
      this.#land(flight)
      flight.reject(this.#tooLate())
    }
    if (this.#flights.size > 0) this.#stopTimer = this.#clock.after(SWEEP_MS, () => this.#sweep())
  }
}

function same(error: unknown): unknown {
  return error
}
