// @ts-check
/**
 * Puts runs into `docs/benchmarks.md`, with their charts in `docs/benchmarks`: `node bench/document.mjs bench/results/<run>.json…`. Of a
 * scenario that several have, the last is shown.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { chartsOf } from './lib/chart.mjs'
import { figure } from './lib/table.mjs'

const PAGE = new URL('../docs/benchmarks.md', import.meta.url)
const CHARTS = new URL('../docs/benchmarks/', import.meta.url)
const BEGIN = '<!-- run: written by bench/document.mjs -->\n'
const END = '<!-- end of run -->\n'

const files = process.argv.slice(2)
if (files.length === 0) {
  console.error('Give the JSON files of runs: node bench/document.mjs bench/results/<run>.json…')
  process.exit(2)
}
/** @type {import('./types.d.ts').Run[]} */
const runs = files.map((file) => JSON.parse(readFileSync(file, 'utf8')))
const results = [
  ...new Map(runs.flatMap((run) => run.results).map((result) => [result.scenario, result])).values(),
]

rmSync(CHARTS, { recursive: true, force: true })
mkdirSync(CHARTS, { recursive: true })
for (const { name, svg } of results.flatMap(chartsOf))
  writeFileSync(new URL(`${name}.svg`, CHARTS), `${svg}\n`)

const page = readFileSync(PAGE, 'utf8')
const [before = '', rest = ''] = page.split(BEGIN)
const [, after = ''] = rest.split(END)
writeFileSync(PAGE, [before, BEGIN, section(), END, after].join(''))

function section() {
  return `\n${runs.map(facts).join('\n\n')}\n\n${targets()}\n\n${results.map(scenario).join('\n\n')}\n\n`
}

/** @param {import('./types.d.ts').Run} run */
function facts(run) {
  const shown = run.results
    .filter((result) => results.includes(result))
    .map(({ scenario }) => `\`${scenario}\``)
  const { cpu, cores, kernel, node, commit, loadAverage } = run.machine
  const { subscribers, size, repeats, otherRepeats, durationMs } = run.options
  const others = otherRepeats < repeats ? ` (${otherRepeats} where no target compares)` : ''
  return `${shown.join(', ')}: ${run.at.slice(0, 10)}, ${cpu}, ${cores} cores, ${kernel}, Node ${node}, commit ${commit}; ${run.pinning}; load average ${figure(Number(loadAverage))} when it
ended. ${subscribers} subscribers, ${size}-byte messages, medians of ${repeats} interleaved measurements${others} of ${durationMs} ms where a scenario has no others.`
}

function targets() {
  const lines = results.flatMap((result) =>
    result.targets.map(
      ({ case: name, text, value, isMet }) =>
        `| ${result.scenario} | ${name} | ${text} | ${figure(value)} | ${isMet ? 'met' : '**missed**'} |`,
    ),
  )
  return ['| scenario | case | target | is | |', '| --- | --- | --- | ---: | --- |', ...lines].join('\n')
}

/** @param {import('./types.d.ts').Result} result */
function scenario(result) {
  const images = chartsOf(result).map(({ name }) => `![${result.title}: ${name}](benchmarks/${name}.svg)`)
  const notes = result.notes
    .filter((note) => !note.startsWith('The load generator was'))
    .map((note) => `- ${note}`)
  return [`### ${result.title}`, ...images, ...(notes.length === 0 ? [] : [notes.join('\n')])].join('\n\n')
}
