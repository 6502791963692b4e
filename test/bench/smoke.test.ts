/** Every scenario once, for a moment with few clients: that they work and lose nothing. No time is asserted. */
import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { beforeAll, expect, test } from 'vitest'

const RUN = fileURLToPath(new URL('../../bench/run.mjs', import.meta.url))

// The rest is not everywhere.
const SUBJECTS = ['hub', 'c-loop', 'ws-send', 'node-sse', 'node-http']

const SCENARIOS = [
  'fan-out',
  'mixed',
  'many-groups',
  'overlapping',
  'connect-storm',
  'idle-memory',
  'slow-readers',
  'http-publish',
  'ingest',
  'latency',
  'storm',
]

interface Outcome {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

function bench(...args: string[]): Promise<Outcome> {
  const child = spawn(process.execPath, [RUN, ...args])
  const outcome = { stdout: '', stderr: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    outcome.stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    outcome.stderr += text
  })
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, ...outcome })))
}

interface Row {
  readonly case: string
  readonly subject: string
  readonly median: number
}

interface Result {
  readonly scenario: string
  readonly rows: readonly Row[]
  readonly notes: readonly string[]
  readonly isFaulty: boolean
}

let outcome: Outcome
let results: readonly Result[] = []
let report = ''

beforeAll(async () => {
  const folder = mkdtempSync(join(tmpdir(), 'groupcast-smoke-'))
  outcome = await bench('--smoke', '--subject', SUBJECTS.join(','), '--out', folder)
  const file = readdirSync(folder).find((name) => name.endsWith('.json'))
  results = JSON.parse(readFileSync(join(folder, file ?? ''), 'utf8')).results
  report = readFileSync(join(folder, 'report.html'), 'utf8')
  rmSync(folder, { recursive: true })
}, 120_000)

test.each(SCENARIOS)('%s', (name) => {
  const result = results.find(({ scenario }) => scenario === name)
  expect(result?.isFaulty, result?.notes.join('\n')).toBe(false)
  expect(result?.rows.some(({ subject }) => subject.startsWith('hub'))).toBe(true)
  for (const { median } of result?.rows ?? []) expect(median).not.toBeNaN()
})

test('slow readers are held against each policy, on both transports', () => {
  const rows = results.find(({ scenario }) => scenario === 'slow-readers')?.rows ?? []
  const subjects = rows.map(({ subject }) => subject)
  for (const readers of ['close, stopped', 'drop, stopped', 'latest, stopped', 'latest, 1 KB/s'])
    for (const transport of ['websocket', 'sse']) expect(subjects).toContain(`hub ${readers}, ${transport}`)
})

test('system calls are counted, or it is said why not', () => {
  const result = results.find(({ scenario }) => scenario === 'fan-out')
  const isCounted = result?.rows.some((row) => row.case === 'system calls, 10 a turn') ?? false
  const isExplained = result?.notes.some((note) => note.includes('strace')) ?? false
  expect(isCounted !== isExplained).toBe(true)
})

test('no scenario is left out, and the command ends well', () => {
  expect(results.map(({ scenario }) => scenario)).toEqual(SCENARIOS)
  expect(outcome.code, outcome.stderr).toBe(0)
})

test('the report has a section and a chart for each', () => {
  for (const name of SCENARIOS) expect(report).toContain(`<h2 id="${name}">`)
  expect(report.split('<svg ').length).toBeGreaterThan(SCENARIOS.length)
  expect(report).not.toMatch(/<script|src=|href=/)
})

test.each([
  [['nothing'], /There is no scenario nothing/],
  [['--subscribers', '0'], /whole number from 1 up/],
  [['--nonsense'], /nonsense/],
])('wrong usage: %j', async (args, text) => {
  const { code, stderr } = await bench(...args)
  expect(stderr).toMatch(text)
  expect(code).toBe(2)
})

test('lists scenarios and subjects', async () => {
  const { code, stdout } = await bench('--list')
  for (const name of [...SCENARIOS, ...SUBJECTS]) expect(stdout).toContain(name)
  expect(code).toBe(0)
})
