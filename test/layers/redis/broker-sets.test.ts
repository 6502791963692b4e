/** The contract about failing brokers, where the broker is several servers: a Cluster, and a primary that Sentinels watch. */
import { Redis } from 'ioredis'
import { afterAll, describe, test } from 'vitest'
import { redisLayer } from '../../../src/layers/redis/index.ts'
import {
  type BrokerNodes,
  brokerConformance,
  type FaultyBroker,
  type FaultyWire,
  faultyWire,
} from '../../../src/testing/index.ts'
import {
  type RedisSentinels,
  type RedisServer,
  startCluster,
  startSentinels,
} from '../../support/redis-server.ts'

const sets = new Set<{ stop(): Promise<void> }>()
afterAll(async () => {
  // A case that fails before it has its nodes.
  for (const set of sets) await set.stop()
  sets.clear()
})

/** The wires of one node to each of several servers, as one. */
interface Wires extends FaultyWire {
  /** The port at which a server is met. */
  portOf(server: number): number
}

async function wiresTo(servers: readonly RedisServer[]): Promise<Wires> {
  const wires = await Promise.all(servers.map(({ port }) => faultyWire(port)))
  const ports = new Map(servers.map(({ port }, index) => [port, wires[index]?.port ?? 0]))
  const all = (act: (wire: FaultyWire) => void) => () => {
    for (const wire of wires) act(wire)
  }
  return {
    host: '127.0.0.1',
    port: wires[0]?.port ?? 0,
    portOf: (server) => ports.get(server) ?? server,
    cut: all((wire) => wire.cut()),
    mend: all((wire) => wire.mend()),
    stall: (direction) => all((wire) => wire.stall(direction))(),
    cutAfter: (bytes) => all((wire) => wire.cutAfter(bytes))(),
    close: async () => void (await Promise.all(wires.map((wire) => wire.close()))),
  }
}

/** All of them at once. */
function brokerOf(servers: readonly RedisServer[], keepsHistory: boolean): FaultyBroker {
  const each = async (act: (server: RedisServer) => Promise<unknown>) =>
    void (await Promise.all(servers.map(act)))
  return {
    keepsHistory,
    kill: () => each((server) => server.kill()),
    start: () => each((server) => server.start()),
    pause() {
      for (const server of servers) server.pause()
    },
    resume() {
      for (const server of servers) server.resume()
    },
    forget: () => each((server) => server.command('FLUSHALL')),
  }
}

function nodesOf(
  set: { stop(): Promise<void> },
  { wires, layers, broker }: Omit<BrokerNodes, 'dispose'>,
): BrokerNodes {
  const dispose = async () => {
    for (const wire of wires) await wire.close()
    await set.stop()
    sets.delete(set)
  }
  return { wires, layers, broker, dispose }
}

async function onCluster(count: number): Promise<BrokerNodes> {
  const cluster = await startCluster(3, { persistence: 'aof' })
  sets.add(cluster)
  const wires = await Promise.all(Array.from({ length: count }, () => wiresTo(cluster.nodes)))
  const urls = cluster.nodes.map(({ url }) => url)
  const layers = wires.map((wire) => {
    const client = new Redis({ lazyConnect: true })
    const duplicate = client.duplicate.bind(client)
    // What a Cluster says of itself are the addresses behind the wires.
    client.duplicate = (options) => duplicate({ ...options, port: wire.portOf(options?.port ?? 0) })
    return redisLayer({ cluster: urls, client })
  })
  return nodesOf(cluster, { wires, layers, broker: brokerOf(cluster.nodes, true) })
}

describe('a Cluster', () => {
  for (const { title, run } of brokerConformance({ create: onCluster }))
    test.concurrent(title, { timeout: 90_000 }, run)
})

async function behindSentinels(
  count: number,
  brokerOfSet: (set: RedisSentinels) => FaultyBroker,
): Promise<BrokerNodes> {
  const set = await startSentinels({ persistence: 'aof' })
  sets.add(set)
  const wires = await Promise.all(
    Array.from({ length: count }, () => wiresTo([...set.servers, ...set.sentinels])),
  )
  const layers = wires.map((wire) => {
    const natMap = Object.fromEntries(
      set.servers.map(({ port }) => [`127.0.0.1:${port}`, { host: wire.host, port: wire.portOf(port) }]),
    )
    const sentinels = set.sentinels.map(({ port }) => ({ host: wire.host, port: wire.portOf(port) }))
    const options = { name: set.name, sentinels, natMap, updateSentinels: false, lazyConnect: true }
    return redisLayer({ client: new Redis(options) })
  })
  return nodesOf(set, { wires, layers, broker: brokerOfSet(set) })
}

/** The primary and its replica go together, so that there is none to take over. */
function withoutFailover({ servers, sentinels, name }: RedisSentinels): FaultyBroker {
  const [primary, replica] = servers
  const isUp = async (sentinel: RedisServer) =>
    /\nflags\nmaster\n/.test(await sentinel.command('SENTINEL', 'MASTER', name))
  return {
    ...brokerOf(servers, true),
    async start() {
      await primary.start()
      for (const sentinel of sentinels) await sentinel.until('the primary is up', () => isUp(sentinel))
      await replica.start()
    },
    // Sentinels that go on would make the first that moves again the primary.
    pause() {
      for (const server of [...servers, ...sentinels]) server.pause()
    },
    resume() {
      for (const server of [...servers, ...sentinels]) server.resume()
    },
    forget: async () => void (await primary.command('FLUSHALL')),
  }
}

/** The replica takes over each time, and what was the primary becomes its replica. */
function withFailover(set: RedisSentinels): FaultyBroker {
  let [primary, replica] = set.servers
  return {
    ...withoutFailover(set),
    keepsHistory: false,
    kill: () => primary.kill(),
    async start() {
      const isTaken = async () => (await set.primaryPort()) === replica.port
      await replica.until('it has taken over', isTaken)
      await primary.start()
      ;[primary, replica] = [replica, primary]
      await replica.command('REPLICAOF', '127.0.0.1', `${primary.port}`)
      await replica.until('it follows', async () =>
        (await replica.command('INFO', 'replication')).includes('master_link_status:up'),
      )
    },
  }
}

describe('a server that Sentinels watch', () => {
  const cases = brokerConformance({ create: (count) => behindSentinels(count, withoutFailover) })
  for (const { title, run } of cases) test.concurrent(title, { timeout: 90_000 }, run)
})

describe('a server that Sentinels replace', () => {
  const cases = brokerConformance({ create: (count) => behindSentinels(count, withFailover) })
  // The others say what holds while there is no server at all.
  for (const { title, run } of cases.filter((one) => /^(26\.2|27\.1) /.test(one.title)))
    test.concurrent(title, { timeout: 90_000 }, run)
})
