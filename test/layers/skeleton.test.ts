/**
 * The skeleton in `docs/writing-a-layer.md` does what the page says: it compiles, and it passes the suite.
 */
import { readFileSync } from 'node:fs'
import { layerConformance } from 'groupcast/testing'
import { describe, expect, test } from 'vitest'
import { SlowBroker } from './broker-client.ts'
import { skeletonLayer } from './skeleton-layer.ts'

const read = (path: string) => readFileSync(new URL(path, import.meta.url), 'utf8')
const page = read('../../docs/writing-a-layer.md')

describe('the contract, over a broker that takes its time', { concurrent: true }, () => {
  const cases = layerConformance({
    clock: 'manual',
    create(count, setup) {
      const broker = new SlowBroker({ capacity: 100, expiryMs: 60_000, ...setup })
      return {
        layers: Array.from({ length: count }, () => skeletonLayer({ ...setup, client: broker.connect() })),
      }
    },
  })
  for (const { title, run } of cases) test(title, run)
})

test('the page shows the skeleton', () => {
  const skeleton = read('skeleton-layer.ts')
  expect(page).toContain(skeleton.slice(skeleton.indexOf('class SkeletonLayer')).trim())
  const client = read('broker-client.ts').match(
    /^export interface BrokerClient \{[^}]*(?:\{[^}]*\}[^}]*)*^\}/m,
  )
  expect(page).toContain(client?.[0] ?? 'no BrokerClient')
})

test('the page has a row for every obligation of the contract', () => {
  const contract = read('../../src/layers/layer.ts')
  const obligations = [...contract.matchAll(/^ \* {1,2}(\d+)\. /gm)].map(([, number]) => number)
  expect(obligations.length).toBeGreaterThan(12)
  const rows = [...page.matchAll(/^\| (\d+) +\|/gm)].map(([, number]) => number)
  expect(rows).toEqual(obligations)
})
