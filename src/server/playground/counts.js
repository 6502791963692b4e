/** Asks once a second, while somebody looks, how many are connected to each group. */
import { failureText, ProblemError } from './api.js'

const EVERY_MS = 1_000
/** Where the server cannot be reached: the browser logs every failure, and nobody is there to answer. */
const AFTER_FAILURE_MS = 5_000

export class CountsPoll {
  #api
  #onCounts
  #onFailure
  #timer = 0
  #isAsking = false
  #isRefused = false

  /** @param options `api`, `onCounts(counts)` with a map by group, `onFailure(text, error)` */
  constructor({ api, onCounts, onFailure }) {
    this.#api = api
    this.#onCounts = onCounts
    this.#onFailure = onFailure
    document.addEventListener('visibilitychange', () => this.#continue())
  }

  /** Begins, and begins again after a refusal, for example with another API key. */
  start() {
    this.#isRefused = false
    this.#continue()
  }

  #continue() {
    clearTimeout(this.#timer)
    if (document.hidden || this.#isRefused || this.#isAsking) return
    this.#ask()
  }

  async #ask() {
    this.#isAsking = true
    let waitMs = EVERY_MS
    try {
      this.#onCounts(await this.#api.connectionCounts())
    } catch (error) {
      this.#isRefused = error instanceof ProblemError && error.status < 500
      waitMs = AFTER_FAILURE_MS
      this.#onFailure(failureText(error), error)
    }
    this.#isAsking = false
    this.#timer = setTimeout(() => this.#continue(), waitMs)
  }
}
