/** The contract about failing brokers, against real servers: with an append-only file, and with nothing that survives. */
import { afterAll, describe, test } from 'vitest'
import { redisLayer } from '../../../src/layers/redis/index.ts'
import { type BrokerNodes, brokerConformance, faultyWire } from '../../../src/testing/index.ts'
import { type RedisServer, startRedis } from '../../support/redis-server.ts'

const servers = new Set<RedisServer>()
afterAll(async () => {
  // A case that fails before it has its nodes.
  for (const server of servers) await server.stop()
  servers.clear()
})

async function createNodes(count: number, persistence: 'none' | 'aof'): Promise<BrokerNodes> {
  const server = await startRedis({ persistence })
  servers.add(server)
  const wires = await Promise.all(Array.from({ length: count }, () => faultyWire(server.port)))
  return {
    layers: wires.map(({ host, port }) => redisLayer({ url: `redis://${host}:${port}` })),
    wires,
    broker: {
      keepsHistory: persistence === 'aof',
      kill: () => server.kill(),
      start: () => server.start(),
      pause: () => server.pause(),
      resume: () => server.resume(),
      forget: async () => void (await server.command('FLUSHALL')),
    },
    async dispose() {
      for (const wire of wires) await wire.close()
      await server.stop()
      servers.delete(server)
    },
  }
}

for (const [what, persistence] of [
  ['a server with an append-only file', 'aof'],
  ['a server that keeps nothing', 'none'],
] as const) {
  describe(what, () => {
    const cases = brokerConformance({ create: (count) => createNodes(count, persistence) })
    // Those about standing still take ten seconds each, whatever is kept.
    const isSlow = (title: string) => /^(26\.1|28\.|29\.)/.test(title)
    for (const { title, run } of cases.filter((one) => persistence === 'aof' || !isSlow(one.title))) {
      test.concurrent(title, { timeout: 60_000 }, run)
    }
  })
}
