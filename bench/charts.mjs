// @ts-check
/** Writes the charts of a run for the documentation: `node bench/charts.mjs bench/results/<run>.json docs/benchmarks`. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { chartsOf } from './lib/chart.mjs'

const [file, folder] = process.argv.slice(2)
if (file === undefined || folder === undefined) {
  console.error('Give the JSON file of a run and a folder.')
  process.exit(2)
}
/** @type {import('./types.d.ts').Run} */
const run = JSON.parse(readFileSync(file, 'utf8'))
mkdirSync(folder, { recursive: true })
for (const { name, svg } of run.results.flatMap(chartsOf))
  writeFileSync(join(folder, `${name}.svg`), `${svg}\n`)
