import type { Clock } from '../clock.ts'

/** A clock that only moves when it is told to. */
export interface ManualClock extends Clock {
  /** Timers set and not yet run or cancelled: for leak tests. */
  readonly pending: number
  /**
   * Moves time on and runs what has come due, in the order of time, each task at its own moment; also tasks
   * that these tasks set.
   *
   * @throws {RangeError} for anything but a finite number that is not negative; and whatever a task throws
   */
  advance(ms: number): void
}

/**
 * A {@link Clock} for tests, turned by hand. Starts at 0.
 *
 * @example
 * const clock = manualClock()
 * const layer = memoryLayer({ clock, expiryMs: 1000 })
 * clock.advance(1001)
 */
export function manualClock(): ManualClock {
  return new TurnedClock()
}

interface Timer {
  at: number
  readonly everyMs: number | null
  readonly task: () => void
}

class TurnedClock implements ManualClock {
  #now = 0
  readonly #timers = new Set<Timer>()

  get pending(): number {
    return this.#timers.size
  }

  now(): number {
    return this.#now
  }

  after(ms: number, task: () => void): () => void {
    return this.#set({ at: this.#now + ms, everyMs: null, task })
  }

  every(ms: number, task: () => void): () => void {
    // As setInterval does; at 0 ms an interval would keep `advance` at one moment for ever.
    const everyMs = Math.max(ms, 1)
    return this.#set({ at: this.#now + everyMs, everyMs, task })
  }

  advance(ms: number): void {
    if (!Number.isFinite(ms) || ms < 0) throw new RangeError(`advance(${ms}): time goes on by 0 ms or more.`)
    const end = this.#now + ms
    for (let timer = this.#nextUntil(end); timer !== null; timer = this.#nextUntil(end)) {
      this.#now = Math.max(this.#now, timer.at)
      if (timer.everyMs === null) this.#timers.delete(timer)
      else timer.at += timer.everyMs
      timer.task()
    }
    // A task may have advanced the clock itself, further than this.
    this.#now = Math.max(this.#now, end)
  }

  #set(timer: Timer): () => void {
    this.#timers.add(timer)
    return () => {
      this.#timers.delete(timer)
    }
  }

  /** The timer that is due first, the one set first among equals. */
  #nextUntil(end: number): Timer | null {
    let next: Timer | null = null
    for (const timer of this.#timers) {
      if (timer.at <= end && (next === null || timer.at < next.at)) next = timer
    }
    return next
  }
}
