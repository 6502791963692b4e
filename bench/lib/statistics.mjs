// @ts-check
/** @param {readonly number[]} values */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? 0
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2
}

/** @param {readonly number[]} values @returns {{ median: number, low: number, high: number }} */
export function spread(values) {
  return { median: median(values), low: Math.min(...values), high: Math.max(...values) }
}

/**
 * A wanted ratio of two subjects' figures: the median of the ratios of each repeat, since both were measured one right after
 * the other, when the machine was equally busy.
 *
 * @param {object} wanted
 * @param {string} wanted.case
 * @param {string} wanted.text
 * @param {readonly number[]} wanted.of
 * @param {readonly number[]} wanted.against
 * @param {number} wanted.limit
 * @param {boolean} [wanted.isAtMost]
 * @returns {import('../types.d.ts').Target}
 */
export function target({ case: name, text, of, against, limit, isAtMost = true }) {
  const ratio = median(of.map((value, i) => value / (against[i] ?? Number.NaN)))
  return plainTarget({ case: name, text, value: ratio, limit, isAtMost })
}

/**
 * A wanted value that is no ratio.
 *
 * @param {{ case: string, text: string, value: number, limit: number, isAtMost?: boolean }} wanted
 * @returns {import('../types.d.ts').Target}
 */
export function plainTarget({ case: name, text, value, limit, isAtMost = true }) {
  return { case: name, text, value, limit, isAtMost, isMet: isAtMost ? value <= limit : value >= limit }
}
