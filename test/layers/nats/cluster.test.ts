/** The contract of layers, against a cluster of three servers that each keep all; every node is connected to another. */
import { randomUUID } from 'node:crypto'
import { connect } from '@nats-io/transport-node'
import { afterAll, beforeAll, describe, test } from 'vitest'
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

async function removeStreams(prefix: string): Promise<void> {
  const connection = await connect({ servers: servers[0]?.url ?? '' })
  for (const stream of ['history', 'queues'])
    await connection.request(`$JS.API.STREAM.DELETE.${prefix}-${stream}`, '', { timeout: 5_000 })
  await connection.close()
}
