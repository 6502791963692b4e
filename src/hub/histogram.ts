/** Upper bounds of what takes a moment, in seconds: those that Prometheus' own client libraries have. */
const BOUNDS: readonly number[] = Object.freeze([0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10])

/** How often something took how long. As `HubStats` shows it. */
export interface HistogramStats {
  /** Upper bounds, in seconds, and how many were at most that. */
  readonly buckets: readonly (readonly [atMost: number, count: number])[]
  readonly count: number
  /** Of all, in seconds. */
  readonly sum: number
}

/** Counts durations. A handful of numbers, however many there are. */
export class Histogram {
  readonly #counts = BOUNDS.map(() => 0)
  #count = 0
  #sum = 0

  observe(seconds: number): void {
    this.#count++
    this.#sum += seconds
    const index = BOUNDS.findIndex((bound) => seconds <= bound)
    if (index !== -1) this.#counts[index] = (this.#counts[index] ?? 0) + 1
  }

  /** A copy. */
  get stats(): HistogramStats {
    let below = 0
    const buckets = BOUNDS.map((bound, index) => {
      below += this.#counts[index] ?? 0
      return [bound, below] as const
    })
    return { buckets, count: this.#count, sum: this.#sum }
  }
}
