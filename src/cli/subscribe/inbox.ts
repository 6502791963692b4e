/** Turns events into an async iterable: what is pushed is read in order, and the first ending is returned after it. */
export class Inbox<Item, End> {
  #items: Item[] = []
  #end: { readonly value: End } | null = null
  #wake: () => void = () => {}

  push(item: Item): void {
    this.#items.push(item)
    this.#wake()
  }

  /** Later calls change nothing. */
  end(value: End): void {
    this.#end ??= { value }
    this.#wake()
  }

  /** For one reader. */
  async *read(): AsyncGenerator<Item, End> {
    for (;;) {
      // All at once: taking from the front of a long array one by one would copy it each time.
      const items = this.#items
      this.#items = []
      yield* items
      if (this.#items.length > 0) continue
      if (this.#end !== null) return this.#end.value
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }
}
