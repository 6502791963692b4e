/** Several nats-servers that are one cluster, for tests. */
import { createServer } from 'node:net'
import { connect } from '@nats-io/transport-node'
import { NatsServer } from './nats-server.ts'

/** Servers of one cluster with JetStream, ready to store on all of them. */
export async function natsCluster(count: number): Promise<NatsServer[]> {
  const ports = await Promise.all(Array.from({ length: count }, freePort))
  const routes = ports.map((port) => `"nats://127.0.0.1:${port}"`).join(', ')
  const servers = ports.map((port, index) => {
    const cluster = `cluster { name: "test", listen: "127.0.0.1:${port}", routes: [${routes}] }`
    return new NatsServer({ config: `server_name: "server${index}"\n${cluster}` })
  })
  await Promise.all(servers.map((server) => server.start()))
  await canStore(servers[0]?.url ?? '', count)
  return servers
}

/** Resolves when the servers have found each other, and agree on who leads: before, nothing can be stored on all of them. */
async function canStore(url: string, replicas: number): Promise<void> {
  const connection = await connect({ servers: url })
  const isDone = (operation: string, body: object) =>
    connection
      .request(`$JS.API.STREAM.${operation}.warm`, JSON.stringify(body), { timeout: 1000 })
      .then((msg) => msg.json<{ error?: unknown }>().error === undefined)
      .catch(() => false)
  while (!(await isDone('CREATE', { name: 'warm', subjects: ['warm'], num_replicas: replicas })));
  while (!(await isDone('DELETE', {})));
  await connection.close()
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  return typeof address === 'object' && address !== null ? address.port : 0
}
