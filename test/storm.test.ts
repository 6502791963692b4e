/**
 * A small storm: clients of the library and of the bare protocol, over all transports, behind a proxy that cuts them all the time while
 * messages are published. What each got is held against the publisher's log. The large one is `npm run bench -- storm`.
 *
 * Chance is seeded; to repeat a run give its seed in GROUPCAST_SEED. When packets arrive is no part of it.
 */
import { type ChannelLayer, type HubOptions, memoryBroker, memoryLayer } from 'groupcast'
import { connect } from 'groupcast/client'
import { expect, onTestFinished, test } from 'vitest'
import { between, chooseSeed, pick, seeded } from '../bench/lib/storm/random.mjs'
import { Storm } from '../bench/lib/storm/storm.mjs'
import type { ReplayRequest } from '../src/layers/layer.ts'
import { startTestHub, type TestHub } from './support/hub-server.ts'
import { until } from './support/until.ts'

const CLIENTS = 42
const FAR_MS = [0, 8] as const

interface Weather {
  /** How many messages each group keeps. */
  readonly count: number
  /** How many hubs share the groups; clients come back to any of them. */
  readonly nodes?: number
  /** Messages of one tick, about. */
  readonly pace?: number
  /** Bytes that each message has besides. */
  readonly pad?: number
  readonly limits?: HubOptions['limits']
  readonly leastCuts?: number
  readonly leastMessages?: number
}

const ALL_IS_WELL = { examples: [], lost: 0, doubled: 0, outOfOrder: 0, split: 0, odd: 0 }

/**
 * A layer that is as far away as a broker on a network: adding a group and replaying take their time, so that messages arrive while a
 * client is at the door.
 */
function remote(layer: ChannelLayer, random: () => number): ChannelLayer {
  const soon = () => new Promise((resolve) => setTimeout(resolve, between(random, FAR_MS)))
  const { groupAdd, replay } = layer
  return Object.assign(layer, {
    async groupAdd(group: string) {
      await soon()
      await groupAdd.call(layer, group)
    },
    async replay(request: ReplayRequest) {
      await soon()
      const replayed = await replay.call(layer, request)
      await soon()
      return replayed
    },
  })
}

/** Lets a storm pass. Resolves with what was seen when everybody has everything. */
async function pass(weather: Weather) {
  const { count, nodes = 1, limits } = weather
  const seed = chooseSeed()
  console.error(`${expect.getState().currentTestName}: GROUPCAST_SEED=${seed}`)
  const random = seeded(seed)
  const broker = memoryBroker()
  const hubs: TestHub[] = []
  for (let node = 0; node < nodes; node++) {
    const layer = remote(memoryLayer({ broker }), random)
    const groups = [{ match: '*', history: { count } }]
    // An EventSource waits a second, and as much more as the hub says.
    hubs.push(await startTestHub({ layer, groups, limits: { retrySpreadMs: 1, ...limits } }))
  }
  const ports = hubs.map(({ url }) => Number(new URL(url).port))
  const storm = new Storm({ seed, ports, clients: CLIENTS, groups: 10, lifeMs: [0, 250], connect })
  let ended: ReturnType<Storm['end']> | undefined
  const end = () => {
    ended ??= storm.end()
    return ended
  }
  onTestFinished(async () => void (await end()))
  await storm.begin()
  await rage(storm, hubs, weather, random)
  const errors = hubs.flatMap((hub) => hub.errors)
  return { ...(await end()), errors }
}

/** Publishes until there were enough cuts and messages, then one to each group when nobody is cut any more. */
async function rage(storm: Storm, hubs: readonly TestHub[], weather: Weather, random: () => number) {
  const { pace = 2, pad = 0, leastCuts = 300, leastMessages = 1_000 } = weather
  const { ledger, proxy } = storm
  const publish = async (group: string) => {
    const message = ledger.issue(group)
    const { cursor } = await pick(random, hubs).hub.groupSend(group, { ...message, pad: 'x'.repeat(pad) })
    ledger.accepted(message, cursor)
  }
  while (proxy.cuts < leastCuts || ledger.acknowledged < leastMessages) {
    // Once in a while many at once.
    const count = random() < 0.03 ? 20 * pace : Math.floor(between(random, [0, 2 * pace]))
    await Promise.all(Array.from({ length: count }, () => publish(pick(random, storm.groups))))
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  proxy.calm()
  await untilNone('everybody is there', () => storm.absent)
  for (const group of storm.groups) await publish(group)
  await untilNone('everybody has the last messages', () => storm.incomplete)
}

/** Waits until nobody is left, or says what they complain of. */
async function untilNone(what: string, left: () => Storm['absent']): Promise<void> {
  await until(what, () => left().length === 0).catch((error) => {
    const complaints = left().map(({ complaint }) => complaint)
    throw new Error(`${error.message}: ${complaints.join('; ')}`)
  })
}

test('nothing is lost, doubled or out of order, whatever is cut and whatever it speaks', async () => {
  const { opens, recoveries, ...seen } = await pass({ count: 10_000 })
  expect(seen).toMatchObject({ ...ALL_IS_WELL, resets: 0, errors: [] })
  // That there was a storm at all.
  expect(opens).toBeGreaterThan(150)
  expect(recoveries.length).toBeGreaterThan(75)
})

test('nor when clients come back to another node', async () => {
  const seen = await pass({ count: 10_000, nodes: 3 })
  expect(seen).toMatchObject({ ...ALL_IS_WELL, resets: 0, errors: [] })
})

test('nor while thousands of messages a second arrive', async () => {
  const seen = await pass({ count: 20_000, pace: 20, leastCuts: 100, leastMessages: 5_000 })
  expect(seen).toMatchObject({ ...ALL_IS_WELL, resets: 0, errors: [] })
})

test('where history is too short every gap is announced', async () => {
  const { resets, ...seen } = await pass({ count: 5 })
  expect(seen).toMatchObject({ ...ALL_IS_WELL, errors: [] })
  expect(resets).toBeGreaterThan(0)
})
