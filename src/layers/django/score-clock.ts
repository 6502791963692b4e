/**
 * The time that a message is sent at, which decides its place among those that wait: seconds since 1970 that grow with each call.
 *
 * Redis sorts messages of one time by their bytes, which is at random, and `Date.now()` gives the same for all that one millisecond brings.
 */
export class ScoreClock {
  readonly #timeOfDay: () => number
  #last = 0

  /** @param timeOfDay milliseconds since 1970; may stand still and go back */
  constructor(timeOfDay: () => number = Date.now) {
    this.#timeOfDay = timeOfDay
  }

  /** Later than all before, by a microsecond at least: a double tells them apart for the next two centuries. */
  next(): number {
    this.#last = Math.max(this.#last + 1e-6, this.#timeOfDay() / 1000)
    return this.#last
  }
}
