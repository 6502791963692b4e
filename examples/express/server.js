// @ts-check
// A hub beside an Express application: thermometers report over HTTP, dashboards listen on /events?group=sensors.
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import express from 'express'
import { createHub, groupsConsumer } from 'groupcast'

/** @param {{ port: number }} options the port of 127.0.0.1 to listen on; 0 takes a free one */
export async function start({ port }) {
  const hub = createHub()
  // Clients choose their groups in the query. The first rule that matches a name decides: there is only this one to join.
  hub.consumer('/events', groupsConsumer({ rules: [{ match: 'sensors' }, { match: '*', join: 'nobody' }] }))

  /** @type {Map<string, { name: string, celsius: number }>} the last reading of each sensor */
  const readings = new Map()

  const app = express()
  app.use(express.json())
  app.get('/sensors', (_request, response) => {
    response.json([...readings.values()])
  })
  app.put('/sensors/:name', async (request, response) => {
    const celsius = request.body?.celsius
    if (typeof celsius !== 'number') {
      response.status(400).json({ error: 'Send a number: {"celsius":21.5}' })
      return
    }
    const reading = { name: request.params.name, celsius }
    readings.set(reading.name, reading)
    // When this rejects, Express 5 answers 500 by itself; the sensor may put its reading again.
    await hub.groupSend('sensors', { type: 'sensor.reading', ...reading })
    response.json(reading)
  })

  const server = app.listen(port, '127.0.0.1')
  // The hub takes the requests for /events before Express sees them. All others stay Express's, with its middleware and its 404.
  hub.attach(server)

  await once(server, 'listening')
  const address = /** @type {import('node:net').AddressInfo} */ (server.address())
  return {
    url: `http://127.0.0.1:${address.port}`,
    async close() {
      // Tells every client to come back later, and waits until they have read what was sent before.
      await hub.close()
      server.close()
      // What is left are connections without a request, which clients keep open for the next one.
      server.closeAllConnections()
    },
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { url, close } = await start({ port: Number(process.env.PORT ?? 8000) })
  console.log(`Listen: curl -N '${url}/events?group=sensors'`)
  console.log(`Report: curl -X PUT ${url}/sensors/kitchen --json '{"celsius":21.5}'`)
  process.once('SIGINT', close).once('SIGTERM', close)
}
