/** The contract of layers, against a cluster of three servers that each keep all; every node is connected to another. */
import { randomUUID } from 'node:crypto'
import { connect } from '@nats-io/transport-node'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { natsLayer } from '../../../src/layers/nats/index.ts'
import { layerConformance } from '../../../src/testing/index.ts'
import { natsCluster } from '../../support/nats-cluster.ts'
import type { NatsServer } from '../../support/nats-server.ts'

let servers: readonly NatsServer[] = []
beforeAll(async () => {
  servers = await natsCluster(3)
})
afterAll(() => Promise.all(servers.map((server) => server.stop())))

describe('the contract, on a cluster', { timeout: 60_000 }, () => {
  const cases = layerConformance({
    expiryMs: 3_000,
    deadlineMs: 20_000,
    create(count, setup) {
      const prefix = `case-${randomUUID()}`
      const options = { prefix, replicas: 3, maxHistoryBytes: 2 ** 23, maxQueueBytes: 2 ** 23, ...setup }
      return {
        layers: Array.from({ length: count }, (_, index) =>
          natsLayer({ ...options, servers: servers[index % 3]?.url ?? '' }),
        ),
        dispose: () => removeStreams(prefix),
      }
    },
  })
  // History and queues, which several servers keep. What docs/nats.md says of groups without history on a cluster is no more than likely.
  const kept = new Set([6, 9, 14, 15, 19, 20, 22])
  for (const { title, run } of cases.filter(({ obligation }) => kept.has(obligation))) test(title, run)
})

// A server panicked in isGroupLeaderless, and nothing was ready again: nodes that start together on an empty cluster each made the stream of history, with an epoch
// each, and up to 2.10.24 a server may not outlive that.
test('of nodes that start at once, one makes the streams', { timeout: 60_000 }, async () => {
  const prefix = `start-${randomUUID()}`
  const observer = await connect({ servers: servers[0]?.url ?? '' })
  const asked = new Map<string, Set<string>>()
  observer.subscribe('$JS.API.STREAM.CREATE.>', {
    callback: (_, msg) => {
      // Who gets no answer asks again, for the same.
      const bodies = asked.get(msg.subject) ?? new Set()
      asked.set(msg.subject, bodies.add(msg.string()))
    },
  })
  await observer.flush()
  const [start] = layerConformance({
    deadlineMs: 20_000,
    create: (count, setup) => ({
      layers: Array.from({ length: count }, (_, index) =>
        natsLayer({ ...setup, prefix, replicas: 3, servers: servers[index % 3]?.url ?? '' }),
      ),
    }),
  })
  await start?.run()
  await observer.flush()
  await observer.close()
  await removeStreams(prefix)
  const counts = ['history', 'queues'].map(
    (stream) => asked.get(`$JS.API.STREAM.CREATE.${prefix}-${stream}`)?.size,
  )
  expect(counts).toEqual([1, 1])
})

async function removeStreams(prefix: string): Promise<void> {
  const connection = await connect({ servers: servers[0]?.url ?? '' })
  for (const stream of ['history', 'queues'])
    await connection.request(`$JS.API.STREAM.DELETE.${prefix}-${stream}`, '', { timeout: 5_000 })
  await connection.close()
}
