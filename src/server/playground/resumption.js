/** Counts what comes at once when a connection is back: what was sent while it was away. */

/** After this long without a message all has come. */
const QUIET_MS = 80
/** Where messages never cease, those of this time are taken for what was missed. */
const MOST_MS = 1_000

export class Resumption {
  #onCounted
  #count = 0
  #lastAt = 0
  #until = 0
  #timer = 0

  /** @param onCounted called with how many there were */
  constructor(onCounted) {
    this.#onCounted = onCounted
  }

  /** The connection is back. */
  begin() {
    this.stop()
    this.#count = 0
    this.#lastAt = performance.now()
    this.#until = this.#lastAt + MOST_MS
    this.#timer = setTimeout(() => this.#look(), QUIET_MS)
  }

  /** A message has come. */
  record() {
    if (this.#timer === 0) return
    this.#count++
    this.#lastAt = performance.now()
  }

  stop() {
    clearTimeout(this.#timer)
    this.#timer = 0
  }

  #look() {
    const now = performance.now()
    if (now - this.#lastAt < QUIET_MS && now < this.#until) {
      this.#timer = setTimeout(() => this.#look(), QUIET_MS)
      return
    }
    this.#timer = 0
    this.#onCounted(this.#count)
  }
}
