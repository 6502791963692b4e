/**
 * The storm over several nodes with a real broker between them: clients that are cut come back to any node. Once in calm, and once with a broker that is
 * killed with SIGKILL and comes back. The nodes are processes of their own.
 */
import { connect } from 'groupcast/client'
import { describe, expect, onTestFailed, onTestFinished, test } from 'vitest'
import { HubProcess } from '../bench/lib/storm/hub-process.mjs'
import { LanePublisher } from '../bench/lib/storm/publisher.mjs'
import { between, chooseSeed, seeded } from '../bench/lib/storm/random.mjs'
import { Storm } from '../bench/lib/storm/storm.mjs'
import { natsServer } from './support/nats-server.ts'
import { startCluster, startRedis } from './support/redis-server.ts'
import { until } from './support/until.ts'

const CLIENTS = 18
/** Between two kills of the broker at least so many more messages are acknowledged. */
const MESSAGES = [100, 200] as const

interface Broker {
  /** What the nodes are configured with. */
  readonly layer: string
  /** SIGKILL, and a new process with what the old one kept. */
  restart(): Promise<void>
  stop(): Promise<void>
}

const BROKERS: Readonly<Record<string, () => Promise<Broker>>> = {
  async redis() {
    const server = await startRedis({ persistence: 'aof' })
    return {
      layer: server.url,
      stop: () => server.stop(),
      async restart() {
        await server.kill()
        await server.start()
      },
    }
  },
  async 'a Redis Cluster'() {
    const cluster = await startCluster(3, { persistence: 'aof' })
    const { nodes } = cluster
    let kills = 0
    return {
      stop: () => cluster.stop(),
      layer: `redis+cluster://${nodes.map(({ port }) => `127.0.0.1:${port}`).join(',')}`,
      async restart() {
        const node = nodes[kills++ % nodes.length]
        await node?.kill()
        await node?.start()
      },
    }
  },
  async nats() {
    const server = await natsServer()
    return {
      layer: server.url,
      stop: () => server.stop(),
      async restart() {
        await server.kill()
        await server.start()
      },
    }
  },
}

interface Weather {
  readonly nodes: number
  readonly kills: number
}

async function pass(startBroker: () => Promise<Broker>, { nodes, kills }: Weather) {
  const seed = chooseSeed()
  console.error(`${expect.getState().currentTestName}: GROUPCAST_SEED=${seed}`)
  const broker = await startBroker()
  const settings = { prefix: [], count: 10_000, layer: broker.layer }
  const hubs = await Promise.all(Array.from({ length: nodes }, () => HubProcess.start(settings)))
  const ports = hubs.map(({ port }) => port)
  const storm = new Storm({ seed, ports, clients: CLIENTS, groups: 10, lifeMs: [0, 600], connect })
  const { ledger } = storm
  const publisher = new LanePublisher(ports, ledger)
  onTestFinished(async () => {
    publisher.close()
    await Promise.all(hubs.map((hub) => hub.stop()))
    await broker.stop()
  })
  const random = seeded(seed)
  let isOver = false
  // A test that runs out of time says nothing else.
  let stage = 'clients come'
  onTestFailed(() => {
    const { absent, incomplete } = storm
    const counts = `${ledger.acknowledged} acknowledged, ${publisher.failures} failures, ${absent.length} absent, ${incomplete.length} incomplete`
    console.error(`It was as far as: ${stage}; ${counts}`)
  })
  const published = publisher.run({ rate: 400, groups: storm.groups, random, until: () => isOver })
  await storm.begin()
  const more = async () => {
    const enough = ledger.acknowledged + between(random, MESSAGES)
    await until('there are enough messages', () => ledger.acknowledged >= enough)
  }
  for (let kill = 0; kill < kills; kill++) {
    stage = `messages before kill ${kill + 1}`
    await more()
    stage = `kill ${kill + 1}`
    await broker.restart()
  }
  stage = 'messages after all kills'
  for (let turn = kills; turn < 3; turn++) await more()
  isOver = true
  stage = 'the last answers'
  await published
  storm.proxy.calm()
  stage = 'clients come back'
  await until('everybody is there', () => storm.absent.length === 0)
  stage = 'the last messages'
  await publisher.finish(storm.groups)
  stage = 'clients have all'
  await until('everybody has the last messages', () => storm.incomplete.length === 0).catch(() => {})
  const complaints = storm.incomplete.map(({ complaint }) => complaint)
  stage = 'the end'
  return { ...(await storm.end()), complaints, failures: publisher.failures }
}

const ALL_IS_WELL = {
  ...{ examples: [], complaints: [], lost: 0, doubled: 0, outOfOrder: 0, split: 0, odd: 0, resets: 0 },
}

describe.each(Object.entries(BROKERS))('nodes on %s', (_, startBroker) => {
  test('two nodes: nothing is lost or doubled when clients go from one to the other', async () => {
    const seen = await pass(startBroker, { nodes: 2, kills: 0 })
    expect(seen).toMatchObject(ALL_IS_WELL)
    expect(seen.opens).toBeGreaterThan(CLIENTS * 2)
    expect(seen.failures).toBe(0)
  }, 60_000)

  test('three nodes: nor when the broker is killed twice', async () => {
    const seen = await pass(startBroker, { nodes: 3, kills: 2 })
    expect(seen).toMatchObject(ALL_IS_WELL)
    // That it was killed while there was something to lose.
    expect(seen.failures).toBeGreaterThan(0)
  }, 90_000)
})
