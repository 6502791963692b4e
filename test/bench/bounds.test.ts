/** What a report says of targets that are missed. */
import { expect, test } from 'vitest'
import { BOUNDS, missedTexts, quickText } from '../../bench/lib/bounds.mjs'
import { reportHtml } from '../../bench/lib/report.mjs'
import { plainTarget } from '../../bench/lib/statistics.mjs'
import { resultText } from '../../bench/lib/table.mjs'
import { scenarios } from '../../bench/scenarios/index.mjs'

function result(scenario: string, ...targets: [name: string, text: string, value: number][]) {
  return {
    ...{ scenario, title: scenario, settings: {}, rows: [], notes: ['a note'], isFaulty: false },
    targets: targets.map(([name, text, value]) => plainTarget({ case: name, text, value, limit: 1 })),
  }
}

const missed = result(
  'fan-out',
  ['1 a turn', 'hub websocket ≤ 1.5 × c-loop websocket', 2],
  ['1 a turn', 'hub websocket ≤ 0.85 × ws-send websocket', 2],
  ['1 a turn', 'hub sse ≤ 1.15 × hub websocket', 2],
  ['10 a turn', 'hub websocket ≤ 1.5 × c-loop websocket', 1],
  ['100 a turn', 'hub websocket ≤ 1.6 × c-loop websocket', 2],
)

test('each missed target has its reason, by its case and by what it is compared with, or says that it is not known', () => {
  expect(missedTexts(missed)).toEqual([
    expect.stringMatching(/^missed, 1 a turn, .* × c-loop websocket: a delivery is one write/),
    expect.stringMatching(/^missed, 1 a turn, .* × ws-send websocket: both make one write/),
    'missed, 1 a turn, hub sse ≤ 1.15 × hub websocket: what bounds it is not known.',
    expect.stringMatching(/^missed, 100 a turn, .* × c-loop websocket: what a message costs before/),
  ])
  expect(missedTexts(result('fan-out', ['1 a turn', 'a', 1]))).toEqual([])
})

test('on the terminal and in the page', () => {
  const text = resultText(missed)
  expect(text).toContain(
    '  * missed, 1 a turn, hub sse ≤ 1.15 × hub websocket: what bounds it is not known.\n',
  )
  expect(text.endsWith('  * a note')).toBe(true)
  const run = { at: '', tookMs: 0, machine: {}, pinning: '', results: [missed] }
  const options = { subscribers: 1, repeats: 1, otherRepeats: 1, durationMs: 1, size: 128 }
  const html = reportHtml({ ...run, options: { ...options, pace: 'quick', subjects: null } })
  expect(html).toContain(
    '<li>missed, 1 a turn, hub websocket ≤ 0.85 × ws-send websocket: both make one write',
  )
})

test('a quick pass that misses targets says how to measure them at length', () => {
  const met = result('latency', ['websocket', 'a', 1])
  const idle = result('idle-memory', ['sse', 'hub − node-sse ≤ 2 KB', 3])
  expect(quickText([missed, met, idle], 'quick')).toMatch(/npm run bench -- fan-out idle-memory$/)
  expect(quickText([missed, met, idle], 'full')).toBeNull()
  expect(quickText([met], 'quick')).toBeNull()
})

test('reasons are of scenarios that there are, and hold no figures of some machine', () => {
  const names = scenarios.map(({ name }) => name)
  for (const { scenario, bound } of BOUNDS) {
    expect(names).toContain(scenario)
    expect(bound).not.toMatch(/\d/)
    expect(bound).toMatch(/\.$/)
  }
})
