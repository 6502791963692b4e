import type { Clock } from '../../clock.ts'
import { deferred } from './deferred.ts'

/** Of the time for opening a session, what reading what was missed may take. */
const SHARE = 0.5

/** So often in a row it may take longer before it is given up. */
const TRIES = 3

/**
 * For how long a node tries to read what its groups got while it was away. A broker that is slow once is no reason to lose it: the node tries again,
 * with a new session. One that always is must not be asked for ever: then what could not be read is lost, and clients are told.
 */
export class Patience {
  readonly #clock: Clock
  readonly #limitMs: number
  /** In a row. */
  #cuts = 0

  /** @param timeoutMs for opening a session */
  constructor(clock: Clock, timeoutMs: number) {
    this.#clock = clock
    this.#limitMs = timeoutMs * SHARE
  }

  /**
   * Resolves with what `read` does, to which it gives a promise that settles when it has taken too long: rejected, for the session to fail and
   * another to be tried; with `null`, when what is left is to be given up.
   */
  async during<T>(read: (tooLong: Promise<null>) => Promise<T>): Promise<T> {
    const tooLong = deferred<null>()
    const stopTimer = this.#clock.after(this.#limitMs, () => {
      this.#cuts++
      if (this.#cuts >= TRIES) tooLong.resolve(null)
      else tooLong.reject(new Error(`What was missed could not be read within ${this.#limitMs} ms.`))
    })
    try {
      const result = await read(tooLong.promise)
      this.#cuts = 0
      return result
    } finally {
      stopTimer()
    }
  }
}
