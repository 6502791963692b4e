/** A source that yields what the test says, when it says so, and counts what is done to it. */
export class ManualSource implements AsyncIterable<unknown> {
  /** How often it was asked to begin. */
  opened = 0
  /** How many pieces were asked for. */
  pulls = 0
  /** How often it was returned. */
  returns = 0
  /** What `return()` fails with. */
  returnError: Error | null = null
  #given: Promise<IteratorResult<unknown>>[] = []
  #asked: ((result: Promise<IteratorResult<unknown>>) => void)[] = []

  give(...pieces: unknown[]): this {
    for (const value of pieces) this.#answer(Promise.resolve({ done: false, value }))
    return this
  }

  end(): this {
    this.#answer(Promise.resolve({ done: true, value: undefined }))
    return this
  }

  fail(error: unknown): this {
    const failed = Promise.reject(error)
    failed.catch(() => {})
    this.#answer(failed)
    return this
  }

  #answer(result: Promise<IteratorResult<unknown>>): void {
    const asked = this.#asked.shift()
    if (asked === undefined) this.#given.push(result)
    else asked(result)
  }

  [Symbol.asyncIterator](): AsyncIterator<unknown> {
    this.opened++
    return {
      next: () => {
        this.pulls++
        return this.#given.shift() ?? new Promise((resolve) => this.#asked.push(resolve))
      },
      return: async () => {
        this.returns++
        if (this.returnError !== null) throw this.returnError
        return { done: true, value: undefined }
      },
    }
  }
}

/** Never ends by itself; every piece has that many bytes. */
export class EndlessSource {
  pulls = 0
  returns = 0
  readonly #piece: string

  constructor(bytes: number) {
    this.#piece = 'x'.repeat(bytes)
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<string, void, void> {
    try {
      for (;;) {
        this.pulls++
        yield this.#piece
      }
    } finally {
      this.returns++
    }
  }
}

/** Yields the pieces, and then fails. */
export async function* failingAfter(pieces: readonly unknown[], error: unknown = new Error('secret')) {
  yield* pieces
  throw error
}
