/** The contract of layers, against a real nats-server. */
import { randomUUID } from 'node:crypto'
import { connect } from '@nats-io/transport-node'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { natsLayer } from '../../../src/layers/nats/index.ts'
import { layerConformance } from '../../../src/testing/index.ts'
import { NatsServer } from '../../support/nats-server.ts'

const server = new NatsServer()
beforeAll(() => server.start())
afterAll(() => server.stop())

for (const nodes of [1, 3]) {
  describe(`the contract, with nodes: ${nodes}`, { concurrent: true }, () => {
    const cases = layerConformance({
      nodes,
      expiryMs: 1_500,
      deadlineMs: 10_000,
      create(count, setup) {
        const prefix = `case-${randomUUID()}`
        const options = { prefix, servers: server.url, maxHistoryBytes: 2 ** 23, maxQueueBytes: 2 ** 23 }
        return {
          layers: Array.from({ length: count }, () => natsLayer({ ...options, ...setup })),
          dispose: () => removeStreams(prefix),
        }
      },
    })
    for (const { title, run } of cases) test.concurrent(title, run)
  })
}

async function removeStreams(prefix: string): Promise<void> {
  const connection = await connect({ servers: server.url })
  for (const stream of ['history', 'queues'])
    await connection.request(`$JS.API.STREAM.DELETE.${prefix}-${stream}`)
  await connection.close()
}
