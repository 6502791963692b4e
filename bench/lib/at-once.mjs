// @ts-check
/**
 * Does something with each item, so many at a time. Resolves, when all is over, with what became of each, in the order of the items.
 *
 * @template Item, Value
 * @param {number} width
 * @param {readonly Item[]} items
 * @param {(item: Item) => Promise<Value>} work
 * @returns {Promise<({ value: Value, error?: undefined } | { value?: undefined, error: unknown })[]>}
 */
export async function atOnce(width, items, work) {
  /** @type {({ value: Value, error?: undefined } | { value?: undefined, error: unknown })[]} */
  const outcomes = []
  let next = 0
  const worker = async () => {
    while (next < items.length) {
      const index = next++
      const item = /** @type {Item} */ (items[index])
      outcomes[index] = await work(item).then(
        (value) => ({ value }),
        (error) => ({ error }),
      )
    }
  }
  await Promise.all(Array.from({ length: width }, worker))
  return outcomes
}
