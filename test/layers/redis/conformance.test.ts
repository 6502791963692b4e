/** The contract, against real servers: one, one that Sentinels watch, and a Cluster. */
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { type RedisLayerOptions, redisLayer } from '../../../src/layers/redis/index.ts'
import {
  type ConformanceClient,
  type ConformanceNodes,
  type ConformanceSetup,
  layerConformance,
} from '../../../src/testing/index.ts'
import {
  type RedisCluster,
  type RedisSentinels,
  type RedisServer,
  startCluster,
  startRedis,
  startSentinels,
} from '../../support/redis-server.ts'

let prefixes = 0

/** Layers that share a server with those of other cases, and nothing else. */
function layersOf(servers: RedisLayerOptions, count: number, setup: ConformanceSetup): ConformanceNodes {
  const { clock: _clock, ...options } = setup
  const prefix = `case-${prefixes++}`
  return { layers: Array.from({ length: count }, () => redisLayer({ ...servers, prefix, ...options })) }
}

describe('one server', { concurrent: true }, () => {
  let server: RedisServer
  beforeAll(async () => {
    server = await startRedis()
  })
  afterAll(() => server.stop())

  const cases = layerConformance({
    create: (count, setup) => layersOf({ url: server.url }, count, setup),
  })
  for (const { title, run } of cases) test(title, run)
})

describe('a client that was given', { concurrent: true }, () => {
  let server: RedisServer
  beforeAll(async () => {
    server = await startRedis()
  })
  afterAll(() => server.stop())

  const cases = layerConformance({
    nodes: 2,
    create(count, setup) {
      const clients: { redis: Redis; isGiven: boolean }[] = []
      const client = new Redis(server.port, { db: 1, keyPrefix: 'mine:' })
      clients.push({ redis: client, isGiven: true })
      const duplicate = client.duplicate.bind(client)
      client.duplicate = (options) => {
        const own = duplicate(options)
        clients.push({ redis: own, isGiven: false })
        return own
      }
      return {
        ...layersOf({ client }, count, setup),
        clients: (): ConformanceClient[] =>
          clients.map(({ redis, isGiven }) => ({ isGiven, isOpen: redis.status !== 'end' })),
        dispose: () => client.disconnect(),
      }
    },
  })
  for (const { title, run } of cases.filter(({ obligation }) => [1, 6, 12].includes(obligation)))
    test(title, run)
})

describe('a server that Sentinels watch', { concurrent: true }, () => {
  let set: RedisSentinels
  beforeAll(async () => {
    set = await startSentinels()
  })
  afterAll(() => set.stop())

  const cases = layerConformance({
    create(count, setup) {
      const sentinels = set.sentinels.map(({ url }) => url)
      return layersOf({ sentinel: { name: set.name, sentinels } }, count, setup)
    },
  })
  for (const { title, run } of cases) test(title, run)
})

describe('a Cluster', { concurrent: true }, () => {
  let cluster: RedisCluster
  beforeAll(async () => {
    cluster = await startCluster()
  })
  afterAll(() => cluster.stop())

  const cases = layerConformance({
    // One address is enough.
    create: (count, setup) => layersOf({ cluster: [(cluster.nodes[1] as RedisServer).url] }, count, setup),
  })
  for (const { title, run } of cases) test(title, run)
})
