/** How one message of a channel is awaited; see `ChannelLayer.receive`. */
type Pull = (signal: AbortSignal) => Promise<string>

/**
 * The messages of a channel as an async iterator. Not a generator: `return()` of a generator waits for the message that `next()`
 * awaits, and would then drop it.
 */
export class ChannelReader<Message> implements AsyncIterableIterator<Message> {
  readonly #pull: Pull
  readonly #abort = new AbortController()
  readonly #signals: readonly AbortSignal[]

  /** @param signals any of them ends the reader */
  constructor(pull: Pull, signals: readonly AbortSignal[]) {
    this.#pull = pull
    this.#signals = signals
    // Not `AbortSignal.any`: its signals are kept by sources that live as long as the hub (Node 20), with or without readers.
    for (const signal of signals) {
      if (signal.aborted) this.#abort.abort()
      signal.addEventListener('abort', this.#end)
    }
    if (this.#abort.signal.aborted) this.#end()
  }

  async next(): Promise<IteratorResult<Message>> {
    const { signal } = this.#abort
    if (signal.aborted) return { done: true, value: undefined }
    try {
      return { done: false, value: JSON.parse(await this.#pull(signal)) as Message }
    } catch (error) {
      if (signal.aborted) return { done: true, value: undefined }
      throw error
    }
  }

  async return(): Promise<IteratorResult<Message>> {
    this.#end()
    return { done: true, value: undefined }
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  readonly #end = (): void => {
    for (const signal of this.#signals) signal.removeEventListener('abort', this.#end)
    this.#abort.abort()
  }
}
