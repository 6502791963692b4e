/**
 * A small storm: clients of the library and of the bare protocol, over all transports, behind a proxy that cuts them all the time while
 * messages are published. What each got is held against the publisher's log. The large one is `npm run bench -- storm`.
 *
 * Chance is seeded; to repeat a run give its seed in GROUPCAST_SEED. When packets arrive is no part of it.
 */
import { connect } from 'groupcast/client'
import { expect, onTestFinished, test } from 'vitest'
import { between, chooseSeed, pick, seeded } from '../bench/lib/storm/random.mjs'
import { Storm } from '../bench/lib/storm/storm.mjs'
import { startTestHub, type TestHub } from './support/hub-server.ts'
import { until } from './support/until.ts'

const LEAST_CUTS = 300
const LEAST_MESSAGES = 1_000
/** Once in a while so many at once. */
const BURST = 40

async function startStorm(count: number) {
  const seed = chooseSeed()
  console.error(`storm, history of ${count}: GROUPCAST_SEED=${seed}`)
  // An EventSource waits a second, and as much more as the hub says.
  const testHub = await startTestHub({
    groups: [{ match: '*', history: { count } }],
    limits: { retrySpreadMs: 1 },
  })
  const port = Number(new URL(testHub.url).port)
  const storm = new Storm({ seed, port, clients: 42, groups: 10, lifeMs: [0, 250], connect })
  let outcome: ReturnType<Storm['end']> | undefined
  const end = () => {
    outcome ??= storm.end()
    return outcome
  }
  onTestFinished(async () => void (await end()))
  await storm.begin()
  return { storm, end, testHub, random: seeded(seed) }
}

async function publish(storm: Storm, { hub }: TestHub, group: string): Promise<void> {
  const message = storm.ledger.issue(group)
  const { cursor } = await hub.groupSend(group, message)
  storm.ledger.accepted(message, cursor)
}

/** Publishes until there were enough cuts and messages, then one to each group when nobody is cut any more. */
async function rage(storm: Storm, testHub: TestHub, random: () => number): Promise<void> {
  const { ledger, proxy } = storm
  while (proxy.cuts < LEAST_CUTS || ledger.acknowledged < LEAST_MESSAGES || storm.arrived < 42) {
    const count = random() < 0.03 ? BURST : Math.floor(between(random, [0, 4]))
    await Promise.all(
      Array.from({ length: count }, () => publish(storm, testHub, pick(random, storm.groups))),
    )
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  proxy.calm()
  for (const group of storm.groups) await publish(storm, testHub, group)
  await until('everybody has the last messages', () => storm.incomplete.length === 0).catch((error) => {
    throw new Error(`${error.message}: ${storm.incomplete.map(({ complaint }) => complaint).join('; ')}`)
  })
}

test('nothing is lost, doubled or out of order, whatever is cut and whatever it speaks', async () => {
  const { storm, end, testHub, random } = await startStorm(10_000)
  await rage(storm, testHub, random)
  const { examples, lost, doubled, outOfOrder, split, odd, resets, recoveries, ...counts } = await end()
  expect(examples).toEqual([])
  expect({ lost, doubled, outOfOrder, split, odd, resets }).toEqual({
    ...{ lost: 0, doubled: 0, outOfOrder: 0, split: 0, odd: 0, resets: 0 },
  })
  // That there was a storm at all.
  expect(counts.opens).toBeGreaterThan(LEAST_CUTS / 2)
  expect(recoveries.length).toBeGreaterThan(LEAST_CUTS / 4)
  expect(testHub.errors).toEqual([])
})

test('where history is too short every gap is announced', async () => {
  const { storm, end, testHub, random } = await startStorm(5)
  await rage(storm, testHub, random)
  const { examples, lost, doubled, outOfOrder, split, odd, resets } = await end()
  expect(examples).toEqual([])
  expect({ lost, doubled, outOfOrder, split, odd }).toEqual({
    ...{ lost: 0, doubled: 0, outOfOrder: 0, split: 0, odd: 0 },
  })
  expect(resets).toBeGreaterThan(0)
  expect(testHub.errors).toEqual([])
})
