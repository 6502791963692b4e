/** One line of rounds: see {@link Rounds}. */
interface Round<Input, Output> {
  input: Input
  readonly result: Promise<Output>
}

/**
 * Does something for all who ask together: one round at a time, and those who ask while one is under way share the next. A round begins after all who share
 * it have asked, so what it finds was there then.
 */
export class Rounds<Input, Output> {
  readonly #run: (input: Input) => Promise<Output>
  readonly #merge: (one: Input, other: Input) => Input
  #current: Promise<unknown> = Promise.resolve()
  #next: Round<Input, Output> | null = null
  #pending = 0

  /** @param merge what serves both */
  constructor(run: (input: Input) => Promise<Output>, merge: (one: Input, other: Input) => Input) {
    this.#run = run
    this.#merge = merge
  }

  /** Whether nobody waits. */
  get isIdle(): boolean {
    return this.#pending === 0
  }

  ask(input: Input): Promise<Output> {
    if (this.#next !== null) {
      this.#next.input = this.#merge(this.#next.input, input)
      return this.#next.result
    }
    this.#pending++
    const result = this.#current.then(() => {
      const round = this.#next as Round<Input, Output>
      this.#next = null
      return this.#run(round.input)
    })
    this.#next = { input, result }
    const over = () => void this.#pending--
    this.#current = result.then(over, over)
    return result
  }
}
