import type { Clock } from '../../clock.ts'

/** How often deadlines are looked at: an operation may take this much longer. */
const SWEEP_MS = 100

interface Flight {
  readonly reject: (error: unknown) => void
  readonly until: number
}

/** Options of {@link Flights}. */
interface FlightsOptions {
  readonly clock: Clock
  readonly timeoutMs: number
  /** Makes the error of an operation that was not answered in time. */
  tooLate(): unknown
  /** What an operation that fails rejects with. */
  errorOf(error: unknown): unknown
}

/**
 * Operations that wait for a broker's answer. One timer for all: a deadline costs an entry in a set, since thousands of publications
 * may be under way.
 */
export class Flights {
  readonly #options: FlightsOptions
  /** Oldest first, as all wait equally long. */
  readonly #flights = new Set<Flight>()
  #stopTimer: (() => void) | null = null

  constructor(options: FlightsOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#flights.size
  }

  /** What the operation settles with, unless {@link fail} or the deadline comes first. */
  follow<T>(operation: Promise<T>): Promise<T> {
    const { clock, timeoutMs } = this.#options
    return new Promise((resolve, reject) => {
      const flight = { reject, until: clock.now() + timeoutMs }
      this.#flights.add(flight)
      this.#stopTimer ??= clock.after(SWEEP_MS, () => this.#sweep())
      operation.then(
        (value) => {
          this.#land(flight)
          resolve(value)
        },
        (error) => {
          this.#land(flight)
          reject(this.#options.errorOf(error))
        },
      )
    })
  }

  /** Nothing will be answered any more. */
  fail(error: unknown): void {
    for (const { reject } of this.#flights) reject(error)
    this.#flights.clear()
    this.#stopTimer?.()
    this.#stopTimer = null
  }

  // The timer runs out by itself: to set one for each of many short operations would cost more than the operations.
  #land(flight: Flight): void {
    this.#flights.delete(flight)
  }

  #sweep(): void {
    const { clock, tooLate } = this.#options
    this.#stopTimer = null
    const now = clock.now()
    for (const flight of this.#flights) {
      if (flight.until > now) break
      this.#flights.delete(flight)
      flight.reject(tooLate())
    }
    if (this.#flights.size > 0) this.#stopTimer = clock.after(SWEEP_MS, () => this.#sweep())
  }
}
