import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'

/** Waiting that cannot hang: for conditions rather than for times, and never longer than the deadline. */
export class Patience {
  readonly #deadlineMs: number

  constructor(deadlineMs: number) {
    this.#deadlineMs = deadlineMs
  }

  /** What the promise resolves with, unless that takes too long. */
  async within<T>(promise: Promise<T>, what: string): Promise<T> {
    const settled = new AbortController()
    const late = delay(this.#deadlineMs, undefined, { signal: settled.signal }).then(() =>
      this.#tooLate(what),
    )
    try {
      return await Promise.race([promise, late])
    } finally {
      settled.abort()
      late.catch(() => {})
    }
  }

  /** Resolves when the condition holds, unless that takes too long. `what` may say how it is by then. */
  async until(condition: () => boolean | Promise<boolean>, what: string | (() => string)): Promise<void> {
    const end = performance.now() + this.#deadlineMs
    while (!(await condition())) {
      if (performance.now() > end) this.#tooLate(typeof what === 'string' ? what : what())
      await delay(1)
    }
  }

  #tooLate(what: string): never {
    assert.fail(`Waited ${this.#deadlineMs} ms for ${what}`)
  }
}
