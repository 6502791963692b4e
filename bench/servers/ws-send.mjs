// @ts-check
/** Control: what an application on `ws` does without a hub. `send(buffer)` for each message and connection. */
import { createServer } from 'node:http'
import { WebSocketServer } from 'ws'
import { listen, Members, serve } from './harness.mjs'

await serve(async () => {
  const members = /** @type {Members<import('ws').WebSocket>} */ (new Members())
  const server = createServer()
  const webSockets = new WebSocketServer({ server, perMessageDeflate: false })
  webSockets.on('connection', (socket, request) => {
    socket.on('error', () => {})
    members.join(request.url ?? '/', socket)
  })
  const options = { binary: false }
  return {
    port: await listen(server),
    turn(messages) {
      for (const { group, text } of messages) {
        const bytes = Buffer.from(text)
        for (const socket of members.of(group)) socket.send(bytes, options)
      }
    },
  }
})
