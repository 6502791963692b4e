// @ts-check
/** Control: the least that Node can do. The bytes of a turn are made once and given to `socket.write` of each connection. */
import { createHash } from 'node:crypto'
import { createServer } from 'node:http'
import { chunk, event, webSocketFrame } from './frames.mjs'
import { listen, Members, onlyGroup, serve } from './harness.mjs'

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'

await serve(async () => {
  /** @typedef {import('node:stream').Duplex} Duplex */
  const webSockets = /** @type {Members<Duplex>} */ (new Members())
  const streams = /** @type {Members<Duplex>} */ (new Members())
  const server = createServer((request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.flushHeaders()
    if (response.socket !== null) streams.join(request.url ?? '/', response.socket)
  })
  server.on('upgrade', (request, socket) => {
    const accept = createHash('sha1')
      .update(request.headers['sec-websocket-key'] + GUID)
      .digest('base64')
    socket.on('error', () => {})
    socket.resume()
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
    )
    webSockets.join(request.url ?? '/', socket)
  })

  /** @param {string} group @param {string[]} texts */
  const write = (group, texts) => {
    const sockets = webSockets.of(group)
    if (sockets.length > 0) {
      const bytes = Buffer.concat(texts.map(webSocketFrame))
      for (let i = 0; i < sockets.length; i++) sockets[i]?.write(bytes)
    }
    const responses = streams.of(group)
    if (responses.length > 0) {
      const bytes = chunk(Buffer.from(texts.map(event).join('')))
      for (let i = 0; i < responses.length; i++) responses[i]?.write(bytes)
    }
  }

  return {
    port: await listen(server),
    turn(messages) {
      const group = onlyGroup(messages)
      if (group !== null)
        write(
          group,
          messages.map(({ text }) => text),
        )
      else for (const { group: name, text } of messages) write(name, [text])
    },
  }
})
