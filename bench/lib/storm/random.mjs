// @ts-check
/** Chance that can be had again: a generator with a seed, which is printed and can be given with the variable GROUPCAST_SEED. */

/** @typedef {() => number} Random 0 up to 1, as `Math.random` */

/** The seed of this run: the given one, or any. @returns {number} */
export function chooseSeed() {
  const { GROUPCAST_SEED: given } = process.env
  return given === undefined || given === '' ? Math.floor(Math.random() * 2 ** 31) : Number(given)
}

/** mulberry32: 32 bits of state are enough to be unpredictable for a proxy. @param {number} seed @returns {Random} */
export function seeded(seed) {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

/** @param {Random} random @param {readonly [low: number, high: number]} range */
export function between(random, [low, high]) {
  return low + random() * (high - low)
}

/** @template T @param {Random} random @param {readonly T[]} list @returns {T} */
export function pick(random, list) {
  return /** @type {T} */ (list[Math.floor(random() * list.length)])
}

/** So many different ones. @template T @param {Random} random @param {readonly T[]} list @param {number} count @returns {T[]} */
export function sample(random, list, count) {
  const rest = [...list]
  return Array.from({ length: count }, () => rest.splice(Math.floor(random() * rest.length), 1).at(0)).filter(
    (item) => item !== undefined,
  )
}
