/** How one message of a channel is awaited; see `ChannelLayer.receive`. */
type Pull = (signal: AbortSignal) => Promise<string>

/**
 * The messages of a channel as an async iterator. Not a generator: `return()` of a generator waits for the message that `next()`
 * awaits, and would then drop it.
 */
export class ChannelReader<Message> implements AsyncIterableIterator<Message> {
  readonly #pull: Pull
  readonly #abort = new AbortController()
  readonly #signal: AbortSignal

  constructor(pull: Pull, signals: readonly AbortSignal[]) {
    this.#pull = pull
    this.#signal = AbortSignal.any([this.#abort.signal, ...signals])
  }

  async next(): Promise<IteratorResult<Message>> {
    if (this.#signal.aborted) return { done: true, value: undefined }
    try {
      return { done: false, value: JSON.parse(await this.#pull(this.#signal)) as Message }
    } catch (error) {
      if (this.#signal.aborted) return { done: true, value: undefined }
      throw error
    }
  }

  async return(): Promise<IteratorResult<Message>> {
    this.#abort.abort()
    return { done: true, value: undefined }
  }

  [Symbol.asyncIterator](): this {
    return this
  }
}
