/** A TCP proxy in front of a server that is far away. */
import { createServer, type Socket, connect as tcpConnect } from 'node:net'
import { onTestFinished } from 'vitest'
import { listen, stop } from './hub-server.ts'

/** Starts a proxy that ends with the test, and through which each answer takes so much longer. @returns its port */
export async function startSlowWire(targetPort: number, delayMs: number): Promise<number> {
  const sockets = new Set<Socket>()
  const listener = createServer((client) => {
    const server = tcpConnect(targetPort, '127.0.0.1')
    client.pipe(server)
    // Timers of one length end in the order in which they began.
    server.on('data', (chunk) => void setTimeout(() => client.write(chunk), delayMs))
    for (const [one, other] of [
      [client, server],
      [server, client],
    ] as const) {
      sockets.add(one)
      one.on('error', () => {})
      one.on('close', () => {
        sockets.delete(one)
        other.destroy()
      })
    }
  })
  const url = await listen(listener)
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy()
    await stop(listener)
  })
  return Number(new URL(url).port)
}
