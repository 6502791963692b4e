// @ts-check
/** Interleaved repeats: A B C, B C A, C A B, so that what else the machine does falls on all alike, and none is always the first. */
import { spread } from './statistics.mjs'

/** @typedef {import('../types.d.ts').Context} Context */
/** @typedef {import('../types.d.ts').Row} Row */
/** @typedef {Record<string, number>} Figures */

/** `isCompared`: whether a target is about it; it is unless it says so. @typedef {{ label: string, kind: Row['kind'], isCompared?: boolean, measure: () => Promise<Figures> }} Contender */

/** Figures of every contender of a case, in the order of the repeats. */
export class Measured {
  /** @type {Map<string, { kind: Row['kind'], figures: Figures[] }>} */
  #contenders = new Map()

  /** @param {Contender} contender @param {Figures} figures */
  add({ label, kind }, figures) {
    const known = this.#contenders.get(label)
    if (known === undefined) this.#contenders.set(label, { kind, figures: [figures] })
    else known.figures.push(figures)
  }

  /** @param {string} label */
  has(label) {
    return this.#contenders.has(label)
  }

  /** One figure of each repeat. @param {string} label @param {string} key */
  values(label, key) {
    return (this.#contenders.get(label)?.figures ?? []).map((figures) => figures[key] ?? Number.NaN)
  }

  /** @param {string} name of the case @param {string} key @param {string} unit @param {readonly string[]} [more] further figures to show */
  rows(name, key, unit, more = []) {
    return [...this.#contenders].map(([label, { kind }]) => ({
      case: name,
      subject: label,
      kind,
      unit,
      ...spread(this.values(label, key)),
      more: Object.fromEntries(more.map((other) => [other, spread(this.values(label, other)).median])),
    }))
  }
}

/**
 * @param {Context} context
 * @param {string} name of the case
 * @param {readonly Contender[]} contenders
 */
export async function interleaved(context, name, contenders) {
  const measured = new Measured()
  const failed = new Set()
  const { repeats, otherRepeats } = context.options
  for (let repeat = 1; repeat <= repeats; repeat++) {
    for (const contender of rotated(contenders, repeat - 1)) {
      const { label, kind, isCompared = true } = contender
      const most = isCompared ? repeats : Math.min(repeats, otherRepeats)
      if (repeat > most || failed.has(label)) continue
      context.progress(`${name}: ${label} (${repeat} of ${most})`)
      try {
        measured.add(contender, await contender.measure())
      } catch (error) {
        // One that fails must not cost the figures of the others.
        failed.add(label)
        const text = `${name}, ${label} failed: ${error instanceof Error ? error.message : error}`
        if (kind === 'peer') context.note(text)
        else context.fault(text)
      }
    }
  }
  return measured
}

/** @template T @param {readonly T[]} list @param {number} by */
function rotated(list, by) {
  const first = by % list.length
  return [...list.slice(first), ...list.slice(0, first)]
}
