/** Every scenario once, for a moment with few clients: that they work and lose nothing. No time is asserted. */
import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { beforeAll, expect, test } from 'vitest'
import { KINDS } from '../../bench/lib/hostile/kinds.mjs'

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
  'cross-node',
  'soak',
]

interface Outcome {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

function bench(...args: string[]): Promise<Outcome> {
  return benchWith({}, ...args)
}

function benchWith(variables: Record<string, string>, ...args: string[]): Promise<Outcome> {
  const child = spawn(process.execPath, [RUN, ...args], { env: { ...process.env, ...variables } })
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
  readonly targets: readonly { readonly case: string; readonly text: string }[]
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
}, 300_000)

test.each(SCENARIOS)('%s', (name) => {
  const result = results.find(({ scenario }) => scenario === name)
  expect(result?.isFaulty, result?.notes.join('\n')).toBe(false)
  expect(result?.rows.some(({ subject }) => subject.startsWith('hub'))).toBe(true)
  for (const { median } of result?.rows ?? []) expect(median).not.toBeNaN()
})

test('half on SSE is held against WebSockets alone at each pace of fan-out', () => {
  const cases = (name: string, text: string) =>
    results
      .find(({ scenario }) => scenario === name)
      ?.targets.filter((target) => target.text === text)
      .map((target) => target.case)
  const paces = ['1 a turn', '10 a turn', '100 a turn']
  expect(cases('fan-out', 'hub sse ≤ 1.15 × hub websocket')).toEqual(paces)
  expect(cases('mixed', 'hub mixed ≤ 1.15 × hub websocket')).toEqual(paces)
})

test('slow readers are held against each policy, on both transports', () => {
  const rows = results.find(({ scenario }) => scenario === 'slow-readers')?.rows ?? []
  const subjects = rows.map(({ subject }) => subject)
  for (const readers of ['close, stopped', 'drop, stopped', 'latest, stopped', 'latest, 1 KB/s'])
    for (const transport of ['websocket', 'sse']) expect(subjects).toContain(`hub ${readers}, ${transport}`)
})

test('each driver is held against a bare client of its broker, with and without history', () => {
  const result = results.find(({ scenario }) => scenario === 'cross-node')
  const drivers = ['redis', 'redis, history', 'nats', 'nats, history', 'django core', 'django pubsub']
  expect(result?.targets).toMatchObject(
    drivers.map((name) => ({ case: `${name}: rate`, text: 'hub layer ≥ 0.7 × bare client' })),
  )
  for (const name of drivers) {
    for (const subject of ['hub layer', 'bare client'])
      for (const what of ['rate', 'latency', 'added to one node'])
        expect(result?.rows).toContainEqual(expect.objectContaining({ case: `${name}: ${what}`, subject }))
  }
})

// The honest are looked at by the scenario: what they lose fails it.
test('hostile clients of each kind were there beside the honest', () => {
  const rows = results.find(({ scenario }) => scenario === 'soak')?.rows ?? []
  const kinds = new Set(rows.map((row) => row.case).filter((name) => name.startsWith('hub: ')))
  expect(kinds.size).toBe(KINDS.length)
  expect(kinds.size).toBeGreaterThanOrEqual(10)
})

test('a broker that is missing is named, and what needs none is measured', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'groupcast-cross-'))
  const none = { REDIS_SERVER: '/nowhere/redis-server', NATS_SERVER: '/nowhere/nats-server' }
  const { code, stdout, stderr } = await benchWith(none, 'cross-node', '--smoke', '--out', folder)
  rmSync(folder, { recursive: true })
  expect(stdout).toContain('redis was skipped: no redis-server at /nowhere/redis-server')
  expect(stdout).toContain('nats was skipped: no nats-server at /nowhere/nats-server')
  expect(stdout).toMatch(/^one node: latency +hub memory, one node/m)
  expect(code, stderr).toBe(0)
}, 60_000)

// As many stopped as of 1,000 however few there were: of five all, or with ten to stop, fewer than none were left to read.
test('of the fewest subscribers one stops reading, and the others read', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'groupcast-slow-'))
  const { code, stdout, stderr } = await bench(
    ...['slow-readers', '--smoke', '--subscribers', '2', '--out', folder],
  )
  rmSync(folder, { recursive: true })
  expect(stdout).toMatch(/^drop, 1 of 2 +hub, some stopped/m)
  expect(stdout).toContain('1 of 2 stopped reading, which is more than 1 of 100.')
  expect(code, stderr).toBe(0)
}, 60_000)

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

test('progress says how far the run is, and its end how long it took', () => {
  for (const [i, name] of SCENARIOS.entries())
    expect(outcome.stderr).toMatch(new RegExp(`^ *\\d+ s  ${i + 1} of ${SCENARIOS.length}, ${name}: `, 'm'))
  expect(outcome.stdout).toMatch(/\nTook (\d+ min )?\d+ s\.\n$/)
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
  // Nobody was left to read, and members of a group were one subscriber twice, which looked like messages lost.
  [['slow-readers', '--subscribers', '1'], /^slow-readers needs --subscribers 2 or more/],
  [['many-groups', '--subscribers', '9'], /^many-groups needs --subscribers 10 or more/],
  [['fan-out', 'mixed', '--subscribers', '1'], /^mixed needs --subscribers 2 or more/],
  [['--subscribers', '9'], /^many-groups needs/],
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
