/** Whose tokens of before are not good any more. Bounded: what is forgotten too early takes everybody's old tokens with it, never a revoked one back. */
export class Revocations {
  /** When, in milliseconds since 1970, by identity; the oldest first. */
  readonly #times = new Map<string, number>()
  readonly #most: number
  /** Credentials that were made up to here are refused, whoever has them; those that do not say when are of 0. */
  #floor = -1

  constructor(most: number) {
    this.#most = most
  }

  get size(): number {
    return this.#times.size
  }

  /** When the oldest was made of those that are remembered, or of which it is known that they are forgotten; `null`: there are none. */
  get oldest(): number | null {
    const [first = null] = this.#times.values()
    if (this.#floor < 0) return first
    return first === null ? this.#floor : Math.min(first, this.#floor)
  }

  /**
   * @param at credentials that were made up to here are refused
   * @param keptSince none that are still good were made before
   */
  add(id: string, at: number, keptSince: number): void {
    const known = this.#times.get(id) ?? 0
    // To the end, so that the oldest come first.
    this.#times.delete(id)
    this.#times.set(id, Math.max(at, known))
    this.forget(keptSince)
    for (const [oldest, time] of this.#times) {
      if (this.#times.size <= this.#most) return
      this.#times.delete(oldest)
      this.missing(time)
    }
  }

  /** @param keptSince no credentials that are still good were made before */
  forget(keptSince: number): void {
    if (this.#floor < keptSince) this.#floor = -1
    for (const [oldest, time] of this.#times) {
      if (time >= keptSince) return
      this.#times.delete(oldest)
    }
  }

  /** There may be others that were made before. @param until the last of them */
  missing(until: number): void {
    this.#floor = Math.max(this.#floor, until)
  }

  /** @param since when the credentials were made */
  refuses(id: string, since: number): boolean {
    return since <= this.#floor || since <= (this.#times.get(id) ?? -1)
  }
}
