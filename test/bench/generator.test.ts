/** Where the load generator, and not the server, was what was measured: that it is said, on the terminal and on the page. */
import { createServer } from 'node:http'
import { expect, onTestFinished, test } from 'vitest'
import { generatorNotes } from '../../bench/lib/generator.mjs'
import { runSection } from '../../bench/lib/page.mjs'
import { generatorRemark } from '../../src/cli/bench-report.ts'
import { Fleet, isBottleneck } from '../../src/load/fleet.ts'
import { listen, stop } from '../support/hub-server.ts'

function row(name: string, subject: string, median: number, more: Readonly<Record<string, number>>) {
  return { case: name, subject, kind: 'hub' as const, unit: 'µs', median, low: median, high: median, more }
}

test('rows in which the generator had no time to spare are named', () => {
  const rows = [
    row('keep-alive', 'hub', 100, { generatorBusy: 0.95 }),
    row('keep-alive', 'node-http', 100, { generatorBusy: 0.91 }),
    row('keep-alive', 'c', 100, { generatorBusy: 0.9 }),
    row('other', 'hub', 100, {}),
  ]
  expect(generatorNotes(rows)).toEqual([
    expect.stringMatching(
      /^The load generator was the bottleneck \(over 90 % .* in: keep-alive \(hub, node-http\)\./,
    ),
  ])
  expect(generatorNotes(rows.slice(2))).toEqual([])
})

// Where the two take turns, neither has more than half of the time, and the slower was never named.
test('rows in which the generator took longer than the server are named by case', () => {
  const rows = [
    row('1 a turn', 'hub', 5, { generatorUs: 1 }),
    row('10 a turn', 'hub', 0.5, { generatorUs: 0.51 }),
    row('10 a turn', 'c', 0.5, { generatorUs: 0.6 }),
    row('100 a turn', 'hub', 0.1, { generatorUs: 0.2 }),
  ]
  expect(generatorNotes(rows)).toEqual([
    expect.stringMatching(
      /took longer .* in: 10 a turn \(hub, c\); 100 a turn \(hub\)\. Deliveries a second/,
    ),
  ])
})

// What was written to docs/benchmarks.md left these notes out.
test('the page keeps them', () => {
  const notes = generatorNotes([
    row('a', 'hub', 1, { generatorUs: 2 }),
    row('b', 'hub', 1, { generatorBusy: 1 }),
  ])
  const result = { scenario: 's', title: 'S: what', settings: {}, rows: [], targets: [], isFaulty: false }
  const options = { subscribers: 1, repeats: 1, otherRepeats: 1, durationMs: 1, size: 128 }
  const section = runSection([
    {
      ...{ at: '2026-01-01T00:00:00Z', tookMs: 0, machine: {}, pinning: '' },
      options: { ...options, pace: 'full', subjects: null },
      results: [{ ...result, notes }],
    },
  ])
  expect(notes).toHaveLength(2)
  for (const note of notes) expect(section).toContain(`- ${note}`)
})

test('groupcast bench says when it was the bottleneck itself, which is no fault of the hub', () => {
  expect(isBottleneck(0.95)).toBe(true)
  expect(isBottleneck(0.9)).toBe(false)
  expect(generatorRemark({ isGeneratorBottleneck: true, busy: 0.95 })).toMatch(
    /bottleneck \(95 % of a core\)/,
  )
  expect(generatorRemark({ isGeneratorBottleneck: false, busy: 0.5 })).toBeNull()
})

test('a fleet counts the CPU time of its busiest process from when it is told to', async () => {
  const server = createServer()
  onTestFinished(() => stop(server))
  const fleet = new Fleet({
    ...{ url: await listen(server), transport: 'sse', path: '/', groups: ['a'] },
    ...{ clients: 0, concurrency: 1, workers: 0 },
  })
  await fleet.startBusy()
  expect(fleet.cpuMs).toBe(0)
  const before = process.cpuUsage()
  while (process.cpuUsage(before).user < 20_000) JSON.stringify(before)
  await fleet.progress()
  expect(fleet.cpuMs).toBeGreaterThanOrEqual(20)
  await fleet.startBusy()
  expect(fleet.cpuMs).toBe(0)
  await fleet.leave()
})
