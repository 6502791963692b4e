/**
 * The conformance suite is worth what it catches: layers with one fault each, and the cases that must fail
 * for them.
 */
import { describe, expect, test } from 'vitest'
import { type ConformanceCase, layerConformance } from '../../src/testing/index.ts'
import { type BrokenLayer, changed, each, soundLayers } from './broken/broken-layer.ts'
import { brokenChannels } from './broken/channels.ts'
import { brokenEnds } from './broken/ends.ts'
import { brokenGroups } from './broken/groups.ts'
import { brokenHistory } from './broken/history.ts'
import { brokenHistoryBounds, without } from './broken/history-bounds.ts'
import { brokenReplays } from './broken/history-live.ts'
import { brokenReceivers } from './broken/receivers.ts'

const brokenLayers: readonly BrokenLayer[] = [
  ...brokenGroups,
  ...brokenChannels,
  ...brokenReceivers,
  ...brokenEnds,
  ...brokenHistory,
  ...brokenReplays,
  ...brokenHistoryBounds,
]

// Broken layers are found by waiting in vain, so not for long.
const SHORT_MS = 150

function casesFor(create: BrokenLayer['create'], deadlineMs = SHORT_MS): ConformanceCase[] {
  return layerConformance({ clock: 'manual', nodes: 3, deadlineMs, seed: 1, create })
}

function numberOf({ title }: ConformanceCase): string {
  return title.split(' ')[0] as string
}

/** The numbers of the cases that fail. */
async function failures(cases: readonly ConformanceCase[]): Promise<string[]> {
  const results = await Promise.allSettled(cases.map(({ run }) => run()))
  return cases.filter((_, index) => results[index]?.status === 'rejected').map(numberOf)
}

test('a layer that is wrapped but not changed passes', async () => {
  const create: BrokenLayer['create'] = (count, setup) => ({
    layers: soundLayers(count, setup).map((inner) => changed(inner, {})),
  })
  const cases = casesFor(create, 10_000)
  expect(await failures(cases)).toEqual([])
})

// Cases said "Waited 20000 ms for status() to say ready", and why the layer was not ready was nowhere to be seen.
test('a layer that is never ready is quoted about why', async () => {
  const create = each((inner) => ({
    async start(start) {
      await inner.start(start)
      start.sink.status({ state: 'connecting', reason: 'nobody listens on port 1' })
    },
  }))
  await expect(casesFor(create)[0]?.run()).rejects.toThrow(
    'status() to say ready, but the last it said was connecting: nobody listens on port 1',
  )
})

describe('the suite catches', { concurrent: true }, () => {
  for (const { what, caughtBy, create } of brokenLayers) {
    const obligation = Number.parseInt(caughtBy[0] as string, 10)
    test(`${obligation}: a layer that ${what}`, async ({ expect }) => {
      const cases = casesFor(create).filter((one) => one.obligation === obligation)
      expect(await failures(cases)).toEqual(expect.arrayContaining([...caughtBy]))
    })
  }
})

describe('a layer that declares no history', () => {
  const isHistory = ({ obligation }: ConformanceCase) => obligation >= 14

  test('passes the whole suite when it fails cleanly', async () => {
    expect(
      await failures(
        casesFor(
          without(() => ({})),
          10_000,
        ),
      ),
    ).toEqual([])
  })

  test('fails every case about history when it answers all the same', async () => {
    const cases = casesFor(without((inner) => ({ replay: (request) => inner.replay(request) })))
    expect(await failures(cases)).toEqual(cases.filter(isHistory).map(numberOf))
  })
})

test('every case can fail', () => {
  const proven = new Set(brokenLayers.flatMap(({ caughtBy }) => caughtBy))
  const numbers = casesFor(() => ({ layers: [] })).map(numberOf)
  expect(numbers.filter((number) => !proven.has(number))).toEqual([])
  expect(new Set(numbers).size).toBe(numbers.length)
})

test('every obligation has cases', () => {
  const obligations = casesFor(() => ({ layers: [] })).map(({ obligation }) => obligation)
  expect([...new Set(obligations)].sort((a, b) => a - b)).toEqual(
    Array.from({ length: 23 }, (_, index) => index + 1),
  )
})
