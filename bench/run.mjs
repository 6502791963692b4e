// @ts-check
/** The benchmark: `npm run bench`. See `docs/benchmarks.md`. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parse, USAGE, UsageError } from './lib/arguments.mjs'
import { quickText } from './lib/bounds.mjs'
import { createContext } from './lib/context.mjs'
import { generatorNotes } from './lib/generator.mjs'
import { machine, pinning } from './lib/machine.mjs'
import { progressLine, timeText } from './lib/progress.mjs'
import { reportHtml } from './lib/report.mjs'
import { resultText } from './lib/table.mjs'
import { scenarios } from './scenarios/index.mjs'
import { subjects } from './subjects/index.mjs'

const RESULTS = fileURLToPath(new URL('results', import.meta.url))

// What was started ends with this process, however it ends.
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    console.error(`Ended by ${signal}.`)
    process.exit(1)
  })
}

try {
  const { wanted, options, isList, isHelp, out } = parse(
    process.argv.slice(2),
    scenarios,
    subjects.map(({ name }) => name),
  )
  if (isHelp) console.log(USAGE)
  else if (isList) list()
  else process.exitCode = await runAll(wanted, options, out)
} catch (error) {
  console.error(error instanceof UsageError ? error.message : error)
  process.exitCode = error instanceof UsageError || isParseError(error) ? 2 : 1
}

/** @param {unknown} error */
function isParseError(error) {
  return error instanceof Error && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS')
}

function list() {
  for (const { name, title, isByNameOnly = false } of scenarios)
    console.log(`${name.padEnd(16)}${title}${isByNameOnly ? ' (only by name)' : ''}`)
  console.log()
  for (const subject of subjects) {
    const missing = subject.missing()
    console.log(
      `${subject.name.padEnd(16)}${subject.title} (${subject.kind})${missing === null ? '' : `: missing, ${missing}`}`,
    )
  }
}

/**
 * @param {readonly string[]} wanted @param {import('./types.d.ts').Options} options @param {string | null} out
 * @returns {Promise<number>} exit code
 */
async function runAll(wanted, options, out) {
  const startMs = performance.now()
  const results = []
  const pins = pinning()
  const chosen = scenarios.filter(({ name }) => wanted.includes(name))
  for (const [i, scenario] of chosen.entries()) {
    const line = progressLine(startMs, `${i + 1} of ${chosen.length}, ${scenario.name}`)
    const result = await runOne(scenario, options, pins, line)
    results.push(result)
    console.log(resultText(result))
  }
  const tookMs = Math.round(performance.now() - startMs)
  const at = new Date().toISOString()
  const run = { at, tookMs, machine: machine(), pinning: pins.text, options, results }
  const files = write(run, out ?? RESULTS)
  const advice = quickText(results, options.pace)
  const end = [pins.text, ...(advice === null ? [] : [advice]), ...files, `Took ${timeText(tookMs)}.`]
  console.log(`\n${end.join('\n')}`)
  if (results.some(({ isFaulty }) => isFaulty)) return 1
  if (results.some(({ rows }) => rows.length > 0)) return 0
  console.error('Nothing was measured: the notes of each scenario say why.')
  return 2
}

/** @param {import('./types.d.ts').Run} run @param {string} folder @returns {string[]} the files */
function write(run, folder) {
  mkdirSync(folder, { recursive: true })
  const json = join(folder, `${run.at.replaceAll(/[:.]/g, '-')}.json`)
  const html = join(folder, 'report.html')
  writeFileSync(json, `${JSON.stringify(run, null, 2)}\n`)
  writeFileSync(html, reportHtml(run))
  return [json, html]
}

/**
 * @param {import('./types.d.ts').Scenario} scenario
 * @param {import('./types.d.ts').Options} options
 * @param {import('./types.d.ts').Pinning} pins
 * @param {ReturnType<typeof progressLine>} line
 * @returns {Promise<import('./types.d.ts').Result>}
 */
async function runOne({ name, title, run }, options, pins, line) {
  const state = createContext(options, pins, line.show)
  try {
    const { settings, rows, targets } = await run(state.context)
    const { absence } = state
    const notes = [...state.notes, ...(absence === null ? [] : [absence]), ...generatorNotes(rows)]
    return { scenario: name, title, settings, rows, targets, notes, isFaulty: state.isFaulty }
  } catch (error) {
    // One scenario that fails must not cost the results of the others.
    const text = `failed: ${error instanceof Error ? error.message : error}`
    const notes = [...state.notes, text]
    return { scenario: name, title, settings: {}, rows: [], targets: [], notes, isFaulty: true }
  } finally {
    line.clear()
  }
}
