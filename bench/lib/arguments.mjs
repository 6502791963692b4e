// @ts-check
/** The command line of the benchmark. */
import { parseArgs } from 'node:util'

const USAGE = `npm run bench                      all scenarios but cross-node and soak, quick (under three minutes)
npm run bench -- <scenario>… [options]

  --subject a,b       only these subjects, by name
  --subscribers n     clients (1000)
  --size n            bytes of a message (128)
  --repeats n         interleaved repeats (15; quick: 3, or 1 where no target compares)
  --duration ms       time of each measurement (250; quick: 80)
  --smoke             a second each with few clients: whether it works, not how fast
  --out folder        where the results go (bench/results)
  --list              scenarios and subjects, and what is missing here
`

/** @typedef {Pick<import('../types.d.ts').Scenario, 'name' | 'leastSubscribers' | 'isByNameOnly'>} KnownScenario */

/**
 * @param {readonly string[]} argv @param {readonly KnownScenario[]} scenarios @param {readonly string[]} subjects
 * @returns {{ wanted: readonly string[], isList: boolean, isHelp: boolean, out: string | null, options: import('../types.d.ts').Options }}
 */
export function parse(argv, scenarios, subjects) {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      subject: { type: 'string' },
      subscribers: { type: 'string' },
      size: { type: 'string' },
      repeats: { type: 'string' },
      duration: { type: 'string' },
      smoke: { type: 'boolean' },
      out: { type: 'string' },
      list: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  })
  const names = scenarios.map(({ name }) => name)
  const unknown = positionals.find((name) => !names.includes(name))
  if (unknown !== undefined) throw new UsageError(`There is no scenario ${unknown}: ${names.join(', ')}.`)
  const chosen = values.subject?.split(',') ?? null
  const unknownSubject = chosen?.find((name) => !subjects.includes(name))
  if (unknownSubject !== undefined)
    throw new UsageError(`There is no subject ${unknownSubject}: ${subjects.join(', ')}.`)
  const pace = values.smoke === true ? 'smoke' : positionals.length === 0 ? 'quick' : 'full'
  const defaults = DEFAULTS[pace]
  const unnamed = scenarios.filter(({ isByNameOnly = false }) => pace === 'smoke' || !isByNameOnly)
  const wanted = positionals.length === 0 ? unnamed.map(({ name }) => name) : positionals
  const subscribers = whole('subscribers', values.subscribers, defaults.subscribers)
  checkSubscribers(
    subscribers,
    scenarios.filter(({ name }) => wanted.includes(name)),
  )
  return {
    wanted,
    isList: values.list === true,
    isHelp: values.help === true,
    out: values.out ?? null,
    options: {
      pace,
      subscribers,
      size: whole('size', values.size, 128),
      repeats: whole('repeats', values.repeats, defaults.repeats),
      otherRepeats: whole('repeats', values.repeats, defaults.otherRepeats),
      durationMs: whole('duration', values.duration, defaults.durationMs),
      subjects: chosen,
    },
  }
}

/** @type {Record<import('../types.d.ts').Options['pace'], { subscribers: number, repeats: number, otherRepeats: number, durationMs: number }>} */
const DEFAULTS = {
  smoke: { subscribers: 20, repeats: 1, otherRepeats: 1, durationMs: 20 },
  quick: { subscribers: 1000, repeats: 3, otherRepeats: 1, durationMs: 80 },
  full: { subscribers: 1000, repeats: 15, otherRepeats: 15, durationMs: 250 },
}

export class UsageError extends Error {
  /** @param {string} text */
  constructor(text) {
    super(`${text}\n\n${USAGE}`)
  }
}

export { USAGE }

/** @param {number} subscribers @param {readonly KnownScenario[]} wanted */
function checkSubscribers(subscribers, wanted) {
  for (const { name, leastSubscribers = 1 } of wanted)
    if (subscribers < leastSubscribers)
      throw new UsageError(`${name} needs --subscribers ${leastSubscribers} or more.`)
}

/** @param {string} name @param {string | undefined} text @param {number} fallback */
function whole(name, text, fallback) {
  if (text === undefined) return fallback
  if (!/^[1-9]\d*$/.test(text)) throw new UsageError(`--${name} takes a whole number from 1 up.`)
  return Number(text)
}
