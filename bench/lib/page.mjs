// @ts-check
/** Runs as a part of a page in Markdown. */
import { chartsOf } from './chart.mjs'
import { figure } from './table.mjs'

/** @typedef {import('../types.d.ts').Run} Run */
/** @typedef {import('../types.d.ts').Result} Result */

/** Of a scenario that several runs have, the last. @param {readonly Run[]} runs @returns {Result[]} */
export function lastOfEach(runs) {
  return [...new Map(runs.flatMap((run) => run.results).map((result) => [result.scenario, result])).values()]
}

/** What stands between the marks of `docs/benchmarks.md`. @param {readonly Run[]} runs */
export function runSection(runs) {
  const results = lastOfEach(runs)
  return `\n${runs.map((run) => facts(run, results)).join('\n\n')}\n\n${targets(results)}\n\n${results.map(scenario).join('\n\n')}\n\n`
}

/** @param {Run} run @param {readonly Result[]} results those that are shown */
function facts(run, results) {
  const shown = run.results
    .filter((result) => results.includes(result))
    .map(({ scenario }) => `\`${scenario}\``)
  const { cpu, cores, kernel, node, commit, loadAverage } = run.machine
  const { subscribers, size, repeats, otherRepeats, durationMs } = run.options
  const others = otherRepeats < repeats ? ` (${otherRepeats} where no target compares)` : ''
  return `${shown.join(', ')}: ${run.at.slice(0, 10)}, ${cpu}, ${cores} cores, ${kernel}, Node ${node}, commit ${commit}; ${run.pinning}; load average ${figure(Number(loadAverage))} when it
ended. ${subscribers} subscribers, ${size}-byte messages, medians of ${repeats} interleaved measurements${others} of ${durationMs} ms where a scenario has no others.`
}

/** @param {readonly Result[]} results */
function targets(results) {
  const lines = results.flatMap((result) =>
    result.targets.map(
      ({ case: name, text, value, isMet }) =>
        `| ${result.scenario} | ${name} | ${text} | ${figure(value)} | ${isMet ? 'met' : '**missed**'} |`,
    ),
  )
  return ['| scenario | case | target | is | |', '| --- | --- | --- | ---: | --- |', ...lines].join('\n')
}

/** @param {Result} result */
function scenario(result) {
  const images = chartsOf(result).map(({ name }) => `![${result.title}: ${name}](benchmarks/${name}.svg)`)
  const notes = result.notes.map((note) => `- ${note}`)
  return [`### ${result.title}`, ...images, ...(notes.length === 0 ? [] : [notes.join('\n')])].join('\n\n')
}
