// @ts-check
// A hub beside a Fastify application: thermometers report over HTTP, dashboards listen on /events?group=sensors.
import { fileURLToPath } from 'node:url'
import { fastify } from 'fastify'
import { createHub, groupsConsumer } from 'groupcast'

const celsiusBody = {
  type: 'object',
  required: ['celsius'],
  properties: { celsius: { type: 'number' } },
}

/** @param {{ port: number }} options the port of 127.0.0.1 to listen on; 0 takes a free one */
export async function start({ port }) {
  const hub = createHub()
  // Clients choose their groups in the query. The first rule that matches a name decides: there is only this one to join.
  hub.consumer('/events', groupsConsumer({ rules: [{ match: 'sensors' }, { match: '*', join: 'nobody' }] }))

  /** @type {Map<string, { name: string, celsius: number }>} the last reading of each sensor */
  const readings = new Map()

  // Clients keep connections open for their next request; unless forced, closing would wait for them for a minute.
  const app = fastify({ forceCloseConnections: true })
  app.get('/sensors', async () => [...readings.values()])
  app.put('/sensors/:name', { schema: { body: celsiusBody } }, async (request) => {
    const { name } = /** @type {{ name: string }} */ (request.params)
    const { celsius } = /** @type {{ celsius: number }} */ (request.body)
    readings.set(name, { name, celsius })
    // When this rejects, Fastify answers 500 by itself; the sensor may put its reading again.
    await hub.groupSend('sensors', { type: 'sensor.reading', name, celsius })
    return { name, celsius }
  })

  // The hub takes the requests for /events before Fastify sees them. All others stay Fastify's, with its hooks and its 404.
  hub.attach(app.server)
  // `preClose`, not `onClose`: that one runs when all requests have ended, and an event stream is a request that does not.
  app.addHook('preClose', () => hub.close())

  // An address, not `localhost`: for that Fastify starts a second server (IPv6), which the hub is not attached to.
  const url = await app.listen({ port, host: '127.0.0.1' })
  return { url, close: () => app.close() }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { url, close } = await start({ port: Number(process.env.PORT ?? 8000) })
  console.log(`Listen: curl -N '${url}/events?group=sensors'`)
  console.log(`Report: curl -X PUT ${url}/sensors/kitchen --json '{"celsius":21.5}'`)
  process.once('SIGINT', close).once('SIGTERM', close)
}
