// @ts-check
// A chat: one consumer serves its rooms to WebSocket and SSE clients, who talk to each other without noticing the difference.
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { fileURLToPath } from 'node:url'
import { createHub, Refusal } from 'groupcast'
import { z } from 'zod'

const name = z.string().trim().min(1).max(30)
const text = z.string().trim().min(1).max(500)
const transport = z.enum(['websocket', 'sse', 'ndjson'])

// Every message of this hub, by its type. The compiler reads them, and so does the hub: a message that does not fit never
// reaches a consumer or a client.
const messages = {
  // From a client: who said it, the server knows better.
  'chat.say': z.object({ text }),
  // To everybody in the room.
  'chat.message': z.object({ name, text }),
  'chat.joined': z.object({ name, transport }),
  'chat.left': z.object({ name }),
}

/** @param {{ port: number }} options the port of 127.0.0.1 to listen on; 0 takes a free one */
export async function start({ port }) {
  const hub = createHub({ messages })

  hub.consumer('/chat/:room', {
    async connect(connection) {
      // Here everybody is whoever they say. A real application takes the name from a session:
      // `connection.request.header('Cookie')`.
      const given = name.safeParse(connection.query.get('name'))
      if (!given.success) throw new Refusal('forbidden', 'Say who you are: /chat/lobby?name=ann')
      // Refuses the client by itself when the room's name is no name for a group.
      await connection.join(`chat.${connection.params.room}`)
      await hub.groupSend(`chat.${connection.params.room}`, {
        type: 'chat.joined',
        name: given.data,
        transport: connection.transport,
      })
      connection.state.name = given.data
    },

    async receive(connection, message) {
      if (message.type !== 'chat.say') throw new Refusal('invalid-message', 'Clients send chat.say.')
      await hub.groupSend(`chat.${connection.params.room}`, {
        type: 'chat.message',
        name: String(connection.state.name),
        text: message.text,
      })
    },

    async disconnect(connection) {
      // Who was refused has never been here.
      if (connection.state.name === undefined) return
      // When the hub closes, everybody is about to come back: nobody has left.
      if (hub.status.draining) return
      await hub.groupSend(`chat.${connection.params.room}`, {
        type: 'chat.left',
        name: String(connection.state.name),
      })
    },
  })

  const files = new Map([
    ['/', await file('index.html', 'text/html; charset=utf-8')],
    ['/page.js', await file('page.js', 'text/javascript; charset=utf-8')],
    ['/page.css', await file('page.css', 'text/css; charset=utf-8')],
  ])
  const server = createServer((request, response) => {
    const [path = '/'] = (request.url ?? '/').split('?')
    const found = files.get(path)
    if (found === undefined) response.writeHead(404).end()
    else response.writeHead(200, found.headers).end(found.body)
  })
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

/**
 * @param {string} fileName
 * @param {string} type
 */
async function file(fileName, type) {
  return {
    body: await readFile(new URL(fileName, import.meta.url)),
    // The page shows what strangers write. It does so as text; should that ever fail, no script but page.js may run.
    headers: { 'Content-Type': type, 'Content-Security-Policy': "default-src 'self'; img-src data:" },
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { url, close } = await start({ port: Number(process.env.PORT ?? 8000) })
  console.log(`Open ${url} twice: join with a WebSocket in one window, with SSE in the other.`)
  process.once('SIGINT', close).once('SIGTERM', close)
}
