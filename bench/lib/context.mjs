// @ts-check
/** What a scenario works with: the options, progress, notes, and the subjects that can run here. */
import { subjects as known } from '../subjects/index.mjs'

/**
 * @param {import('../types.d.ts').Options} options
 * @param {import('../types.d.ts').Pinning} pinning
 * @param {(text: string) => void} progress
 */
export function createContext(options, pinning, progress) {
  /** @type {Set<string>} */
  const notes = new Set()
  /** @type {Set<string>} */
  const offered = new Set()
  let isAnyChosen = false
  let isFaulty = false
  return {
    notes,
    get isFaulty() {
      return isFaulty
    },
    /** Where the scenario has none of the subjects that were asked for: which it has. @returns {string | null} */
    get absence() {
      if (options.subjects === null || offered.size === 0 || isAnyChosen) return null
      return `Nothing was measured: ${options.subjects.join(', ')} ${options.subjects.length === 1 ? 'is' : 'are'} not among its subjects, ${[...offered].join(', ')}.`
    },
    /** @type {import('../types.d.ts').Context} */
    context: {
      options,
      pinning,
      progress,
      note: (text) => void notes.add(text),
      fault(text) {
        isFaulty = true
        notes.add(text)
      },
      async choose(names, quick = names) {
        const isShort = options.pace === 'quick' && options.subjects === null
        const left = isShort ? names.filter((name) => !quick.includes(name)) : []
        if (left.length > 0) notes.add(`A quick pass has no time for ${left.join(', ')}.`)
        const wanted = names.filter((name) => options.subjects?.includes(name) ?? !left.includes(name))
        for (const name of names) offered.add(name)
        isAnyChosen ||= wanted.length > 0
        const chosen = known.filter(({ name }) => wanted.includes(name))
        return chosen.filter((subject) => {
          if (subject.mostPerTurn !== undefined && options.pace !== 'full' && options.subjects === null) {
            notes.add(`${subject.name} was skipped: too slow for a quick pass.`)
            return false
          }
          const missing = subject.missing()
          if (missing !== null) notes.add(`${subject.name} was skipped: ${missing}.`)
          return missing === null
        })
      },
    },
  }
}
