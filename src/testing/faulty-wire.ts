import { createServer, type Socket, connect as tcpConnect } from 'node:net'

/** A TCP proxy between one node and its broker, which fails as networks do. */
export interface FaultyWire {
  readonly host: string
  readonly port: number
  /** Resets all connections, and those that come until it is mended. */
  cut(): void
  /** Lets nothing more through in either direction, or in one, and closes nothing: as a lost route does. */
  stall(direction?: 'both' | 'from broker'): void
  /** Cuts each connection after so many more bytes of the broker, those that come later too, until it is mended. */
  cutAfter(bytes: number): void
  /** Works again. What was stalled is let through. */
  mend(): void
  close(): Promise<void>
}

/** One connection through the wire. */
interface Pair {
  readonly client: Socket
  readonly server: Socket
  /** How many more bytes of the broker pass. */
  left: number
}

/** A wire to a port of this machine. */
export async function faultyWire(targetPort: number): Promise<FaultyWire> {
  const pairs = new Set<Pair>()
  let isCut = false
  let stalled: 'both' | 'from broker' | null = null
  let budget = Number.POSITIVE_INFINITY

  const reset = (pair: Pair) => {
    pairs.delete(pair)
    pair.client.resetAndDestroy()
    pair.server.destroy()
  }
  const passOn = ({ client, server }: Pair) => {
    if (stalled === 'both') client.pause()
    else client.resume()
    if (stalled === null) server.resume()
    else server.pause()
  }
  const accept = (client: Socket) => {
    const pair = { client, server: tcpConnect(targetPort, '127.0.0.1'), left: budget }
    pairs.add(pair)
    if (isCut) return reset(pair)
    client.on('data', (chunk) => void pair.server.write(chunk))
    pair.server.on('data', (chunk) => {
      const part = chunk.subarray(0, pair.left)
      pair.left -= part.length
      client.write(part)
      if (pair.left === 0) {
        // What has passed arrives, and then nothing more.
        client.destroySoon()
        pair.server.destroy()
        pairs.delete(pair)
      }
    })
    for (const socket of [client, pair.server]) {
      socket.on('error', () => {})
      socket.on('close', () => {
        pairs.delete(pair)
        client.destroySoon()
        pair.server.destroySoon()
      })
    }
    passOn(pair)
  }
  const server = createServer(accept)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  return {
    host: '127.0.0.1',
    port: typeof address === 'object' && address !== null ? address.port : 0,
    cut() {
      isCut = true
      for (const pair of pairs) reset(pair)
    },
    stall(direction = 'both') {
      stalled = direction
      for (const pair of pairs) passOn(pair)
    },
    cutAfter(bytes) {
      budget = bytes
      for (const pair of pairs) pair.left = bytes
    },
    mend() {
      isCut = false
      stalled = null
      budget = Number.POSITIVE_INFINITY
      for (const pair of pairs) {
        pair.left = Number.POSITIVE_INFINITY
        passOn(pair)
      }
    },
    close() {
      for (const pair of pairs) reset(pair)
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
}
