// @ts-check
/** Peer: Socket.IO, WebSocket alone, without compression; `io.to(group).emit`. */
import { createServer } from 'node:http'
import { peer } from '../lib/peers.mjs'
import { listen, serve } from './harness.mjs'

await serve(async () => {
  const { Server } = await peer('socket.io')
  const server = createServer()
  // No heartbeat falls into a measurement.
  const io = new Server(server, {
    transports: ['websocket'],
    perMessageDeflate: false,
    pingInterval: 600_000,
  })
  io.on('connection', (/** @type {any} */ socket) => {
    const { searchParams } = new URL(socket.request.url, 'http://localhost')
    for (const group of searchParams.getAll('group')) socket.join(group)
  })
  return {
    port: await listen(server),
    turn(messages) {
      for (const { group, text } of messages) io.to(group).emit('message', JSON.parse(text))
    },
  }
})
