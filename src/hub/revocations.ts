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

  /**
   * @param at credentials that were made up to here are refused
   * @param keptSince none that are still good were made before
   */
  add(id: string, at: number, keptSince: number): void {
    const known = this.#times.get(id) ?? 0
    // To the end, so that the oldest come first.
    this.#times.delete(id)
    this.#times.set(id, Math.max(at, known))
    for (const [oldest, time] of this.#times) {
      if (time >= keptSince && this.#times.size <= this.#most) return
      this.#times.delete(oldest)
      if (time >= keptSince) this.#floor = Math.max(this.#floor, time)
    }
  }

  /** @param since when the credentials were made */
  refuses(id: string, since: number): boolean {
    return since <= this.#floor || since <= (this.#times.get(id) ?? -1)
  }
}
