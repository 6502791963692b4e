/** The contract about failing brokers, against a real server, by both protocols. */
import { afterAll, describe, test } from 'vitest'
import { djangoLayer } from '../../../src/layers/django/index.ts'
import { type BrokerNodes, brokerConformance, faultyWire } from '../../../src/testing/index.ts'
import { type RedisServer, startRedis } from '../../support/redis-server.ts'

const servers = new Set<RedisServer>()
afterAll(async () => {
  // A case that fails before it has its nodes.
  for (const server of servers) await server.stop()
  servers.clear()
})

async function createNodes(count: number, protocol: 'core' | 'pubsub'): Promise<BrokerNodes> {
  const server = await startRedis()
  servers.add(server)
  const wires = await Promise.all(Array.from({ length: count }, () => faultyWire(server.port)))
  return {
    layers: wires.map(({ host, port }) => djangoLayer({ protocol, hosts: [`redis://${host}:${port}`] })),
    wires,
    broker: {
      keepsHistory: false,
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

describe.each(['core', 'pubsub'] as const)('%s', (protocol) => {
  const cases = brokerConformance({ create: (count) => createNodes(count, protocol) })
  for (const { title, run } of cases) test.concurrent(title, { timeout: 60_000 }, run)
})
