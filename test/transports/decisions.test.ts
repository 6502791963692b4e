/** Between a client's request and the decision to let it in. */
import type { Socket } from 'node:net'
import { test } from 'vitest'
import { connectRaw, handshake, requestHead } from '../support/raw.ts'
import { setStage } from '../support/stage.ts'
import { until } from '../support/until.ts'

const WAYS = [
  ['websocket', handshake('/wait')],
  ['sse', requestHead('GET', '/wait', { Accept: 'text/event-stream' })],
  ['ndjson', requestHead('GET', '/wait', { Accept: 'application/x-ndjson' })],
] as const

test('a socket that dies in the turn of the decision leaves nothing', async () => {
  // The symptom was a connection that stayed for ever: between its end and the event that tells of it, a socket was no longer
  // listened to.
  const { hub, server, url, undisturbed, onlyBystanders } = await setStage()
  const sockets: Socket[] = []
  server.node?.on('connection', (socket: Socket) => sockets.push(socket))
  let ended = 0
  let release = () => {}
  hub.consumer('/wait', {
    async connect(connection) {
      await connection.join('left')
      await new Promise<void>((resolve) => {
        release = resolve
      })
    },
    disconnect() {
      ended++
    },
  })
  for (const [n, [transport, request]] of WAYS.entries()) {
    const client = await connectRaw(url)
    client.write(request)
    await until('connect has begun', () => hub.group('left').connections[transport] === 1)
    // Where the server's sockets are out of reach, the client's end is what dies.
    if (server.node === null) client.reset()
    else sockets.at(-1)?.destroy()
    release()
    await until('it has ended', () => ended === n + 1)
  }
  await onlyBystanders()
  await undisturbed()
})
