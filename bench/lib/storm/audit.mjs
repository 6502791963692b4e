// @ts-check
/** Holds what the clients saw against the log of what was published. */

/** @typedef {import('./ledger.mjs').Ledger} Ledger */
/** @typedef {import('./witness.mjs').Witness} Witness */

/** Of so many faults of a kind it is said where they are. */
const MOST_EXAMPLES = 5

/**
 * What is wrong, over all clients and groups.
 *
 * - `lost`: acknowledged, and a client that must have it does not.
 * - `doubled`, `outOfOrder`: of those that were not acknowledged too.
 * - `split`: not acknowledged, and got by some of those who were there but not by others.
 * - `odd`: anything else, such as a message of another group.
 *
 * @param {readonly Witness[]} witnesses
 * @param {Ledger} ledger
 */
export function audit(witnesses, ledger) {
  const faults = { lost: 0, doubled: 0, outOfOrder: 0, split: 0, odd: 0 }
  /** @type {string[]} */
  const examples = []
  /** @param {keyof typeof faults} kind @param {Witness} witness @param {string} what */
  const fault = (kind, witness, what) => {
    if (faults[kind]++ < MOST_EXAMPLES) examples.push(`${kind}: ${witness.name}, ${what}`)
  }
  const strays = straysOf(witnesses, ledger)
  for (const witness of witnesses) {
    for (const oddity of witness.oddities) fault('odd', witness, oddity)
    for (const group of witness.groups) {
      const numbers = witness.numbersOf(group)
      const got = new Set()
      let highest = -1
      for (const n of numbers) {
        if (got.has(n)) fault('doubled', witness, `${group} ${n}`)
        else if (n < highest) fault('outOfOrder', witness, `${group} ${n} after ${highest}`)
        got.add(n)
        highest = Math.max(highest, n)
      }
      const { last } = ledger.of(group)
      for (let n = 0; n <= last; n++) {
        if (got.has(n)) continue
        if (witness.mustHave(group, n)) fault('lost', witness, `${group} ${n} of ${last}`)
        // Between two that it must have it was there, and with it everything that was accepted.
        else if (strays.has(`${group} ${n}`) && isInside(witness, group, n, last)) {
          fault('split', witness, `${group} ${n}`)
        }
      }
    }
  }
  return { ...faults, strays: strays.size, examples }
}

/** Messages that somebody has although the publisher was not told that they were accepted. @param {readonly Witness[]} witnesses @param {Ledger} ledger */
function straysOf(witnesses, ledger) {
  /** @type {Set<string>} */
  const strays = new Set()
  for (const witness of witnesses) {
    for (const group of witness.groups) {
      const { positions } = ledger.of(group)
      for (const n of witness.numbersOf(group)) if (positions[n] === undefined) strays.add(`${group} ${n}`)
    }
  }
  return strays
}

/** @param {Witness} witness @param {string} group @param {number} n @param {number} last */
function isInside(witness, group, n, last) {
  const has = (/** @type {number} */ from, /** @type {number} */ step) => {
    for (let at = from; at >= 0 && at <= last; at += step) if (witness.mustHave(group, at)) return true
    return false
  }
  return has(n - 1, -1) && has(n + 1, 1)
}
