// @ts-check
/**
 * Puts runs into `docs/benchmarks.md`, with their charts in `docs/benchmarks`: `node bench/document.mjs bench/results/<run>.json…`. Of a
 * scenario that several have, the last is shown.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { chartsOf } from './lib/chart.mjs'
import { lastOfEach, runSection } from './lib/page.mjs'

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
rmSync(CHARTS, { recursive: true, force: true })
mkdirSync(CHARTS, { recursive: true })
for (const { name, svg } of lastOfEach(runs).flatMap(chartsOf))
  writeFileSync(new URL(`${name}.svg`, CHARTS), `${svg}\n`)

const page = readFileSync(PAGE, 'utf8')
const [before = '', rest = ''] = page.split(BEGIN)
const [, after = ''] = rest.split(END)
writeFileSync(PAGE, [before, BEGIN, runSection(runs), END, after].join(''))
