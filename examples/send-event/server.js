// @ts-check
// Whatever one client posts to /send, everybody who listens on /events/ gets.
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { fileURLToPath } from 'node:url'
import { createHub, groupsConsumer } from 'groupcast'

/** @param {{ port: number }} options the port of 127.0.0.1 to listen on; 0 takes a free one */
export async function start({ port }) {
  const hub = createHub()
  // One URL for EventSource and WebSocket: the client's request decides. All its clients are in this group.
  hub.consumer('/events', groupsConsumer({ groups: ['room-name'] }))

  const page = await readFile(new URL('index.html', import.meta.url))
  const server = createServer((request, response) => {
    const [path, query] = (request.url ?? '/').split('?')
    if (request.method === 'POST' && path === '/send') {
      const text = new URLSearchParams(query).get('text') ?? ''
      response.setHeader('Content-Type', 'application/json')
      hub.groupSend('room-name', { type: 'send_message', text }).then(
        () => response.end('{"status":"Event sent"}'),
        // The hub is closing, or its broker is away. Nobody has got the event: the client may try again.
        () => response.writeHead(503).end('{"status":"Event not sent"}'),
      )
    } else if (path === '/') {
      response.setHeader('Content-Type', 'text/html; charset=utf-8').end(page)
    } else {
      response.writeHead(404).end()
    }
  })
  // From now on the hub takes the requests for /events, and only those: the function above never sees them.
  hub.attach(server)

  await once(server.listen(port, '127.0.0.1'), 'listening')
  const address = /** @type {import('node:net').AddressInfo} */ (server.address())
  return {
    url: `http://127.0.0.1:${address.port}`,
    async close() {
      // Tells every client to come back later, and waits until they have read what was sent before.
      await hub.close()
      server.close()
      // What is left are connections without a request, which browsers keep open for the next one.
      server.closeAllConnections()
    },
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { url, close } = await start({ port: Number(process.env.PORT ?? 8000) })
  console.log(`Open ${url} twice, or run: curl -X POST '${url}/send?text=hello'`)
  process.once('SIGINT', close).once('SIGTERM', close)
}
