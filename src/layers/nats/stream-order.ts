/** A number of the stream, in its order. */
interface Fed {
  readonly sequence: number
  isAwaited(): boolean
  passed(): void
}

/**
 * Puts publications that came in any order into that of the stream. Servers before 2.9.16 store what several connections send in one order, and republish it
 * in nearly the same: each from the connection's own thread, after it has let go of the stream. So on these the node is fed all numbers of the stream, without
 * messages, by a consumer, which reads what is stored.
 */
export class StreamOrder {
  /** What came and is not due. */
  readonly #held = new Map<number, () => void>()
  #fed: Fed[] = []
  #reached = 0
  #isSettling = false

  /** How much waits for its turn: for leak tests. */
  get size(): number {
    return this.#held.size + this.#fed.length
  }

  /** A publication came: `act` is called when it is its turn. */
  came(sequence: number, act: () => void): void {
    // Nobody awaited it: its group was subscribed a moment ago.
    if (sequence <= this.#reached) {
      act()
      return
    }
    this.#held.set(sequence, act)
    this.settle()
  }

  /**
   * The next number of the stream, and its subject.
   *
   * @param isAwaited whether the publication with this number must come
   * @param passed called when all up to it have had their turn
   */
  fed(sequence: number, isAwaited: () => boolean, passed: () => void): void {
    this.#fed.push({ sequence, isAwaited, passed })
    this.settle()
  }

  /** Goes on where it can: also to be called when something is not awaited any more. */
  settle(): void {
    // What has its turn may make something not awaited any more.
    if (this.#isSettling) return
    this.#isSettling = true
    let count = 0
    for (const next of this.#fed) {
      if (!this.#held.has(next.sequence) && next.isAwaited()) break
      count++
      this.#releaseUpTo(next.sequence)
      this.#reached = next.sequence
      next.passed()
    }
    if (count > 0) this.#fed = this.#fed.slice(count)
    this.#isSettling = false
  }

  /** Those before it have no number in the feed any more: they were pushed out of the stream at once. */
  #releaseUpTo(sequence: number): void {
    if (this.#held.size === 0) return
    const due = [...this.#held].filter(([held]) => held <= sequence).sort(([a], [b]) => a - b)
    for (const [held, act] of due) {
      this.#held.delete(held)
      act()
    }
  }
}
