/** How long to wait before a broker is tried again. */
export interface BackoffOptions {
  /** The longest first pause. */
  readonly firstMs?: number
  /** No pause is longer. */
  readonly mostMs?: number
  /** From 0 up to and without 1. */
  readonly random?: () => number
}

/**
 * Growing pauses with jitter: a broker that comes back is not met by all nodes at once. Each pause is drawn evenly from the upper half of
 * a span that doubles, so that none is nothing.
 */
export class Backoff {
  readonly #firstMs: number
  readonly #mostMs: number
  readonly #random: () => number
  #spanMs: number

  constructor({ firstMs = 100, mostMs = 5_000, random = Math.random }: BackoffOptions = {}) {
    this.#firstMs = firstMs
    this.#mostMs = mostMs
    this.#random = random
    this.#spanMs = firstMs
  }

  /** The next pause, in milliseconds. */
  next(): number {
    const span = this.#spanMs
    this.#spanMs = Math.min(span * 2, this.#mostMs)
    return span / 2 + (this.#random() * span) / 2
  }

  /** It went well: the next pause is a first one again. */
  reset(): void {
    this.#spanMs = this.#firstMs
  }
}
