/** The contract about failing brokers, against real servers that are cut off, stopped and killed. */
import { connect } from '@nats-io/transport-node'
import { describe, test } from 'vitest'
import { natsLayer } from '../../../src/layers/nats/index.ts'
import { type BrokerNodes, brokerConformance, faultyWire } from '../../../src/testing/index.ts'
import { NatsServer } from '../../support/nats-server.ts'

describe('the contract about failing brokers', { concurrent: true, timeout: 120_000 }, () => {
  for (const { title, run } of brokerConformance({ create })) test.concurrent(title, run)
})

async function create(count: number): Promise<BrokerNodes> {
  const server = new NatsServer()
  await server.start()
  const wires = await Promise.all(Array.from({ length: count }, () => faultyWire(server.port)))
  return {
    wires,
    layers: wires.map(({ host, port }) => natsLayer({ servers: `nats://${host}:${port}` })),
    broker: {
      keepsHistory: true,
      kill: () => server.kill(),
      start: () => server.start(),
      pause: () => server.pause(),
      resume: () => server.resume(),
      forget: () => removeStreams(server.url),
    },
    async dispose() {
      for (const wire of wires) await wire.close()
      await server.stop()
    },
  }
}

async function removeStreams(servers: string): Promise<void> {
  const connection = await connect({ servers })
  for (const stream of ['history', 'queues'])
    await connection.request(`$JS.API.STREAM.DELETE.groupcast-${stream}`)
  await connection.close()
}
