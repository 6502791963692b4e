/** A TCP proxy in front of a server, which cuts connections as networks do: without a word, and in the middle of a message. */
import { createServer, type Socket, connect as tcpConnect } from 'node:net'
import { onTestFinished } from 'vitest'
import { listen, stop } from './hub-server.ts'

type Kind = 'websocket' | 'sse'

/** One connection through the proxy. */
interface Pair {
  readonly client: Socket
  readonly server: Socket
  /** What it carries; `null`: other requests, so far. */
  kind: Kind | null
  /** How many more bytes of the server pass before it is cut. */
  left: number
}

export interface CuttingProxy {
  /** `http://127.0.0.1:<port>` */
  readonly url: string
  /** Resets each connection that carries events now: what is under way may be lost. @returns how many there were */
  cut(): number
  /** Lets so many more bytes of the server through on each connection that carries events now, and ends it then. */
  cutAfter(bytes: number): void
  /** How many connections carry events. */
  readonly count: number
  /** Resets whoever comes, until it is up again. */
  isDown: boolean
  /** Which transports it resets at their request. */
  readonly refused: Set<Kind>
  /** How many connections of each transport it let through. */
  readonly passed: Record<Kind, number>
  /** The heads of the requests that it let through. */
  readonly heads: string[]
}

/** Starts a proxy that ends with the test. */
export async function startCuttingProxy(targetUrl: string): Promise<CuttingProxy> {
  const port = Number(new URL(targetUrl).port)
  const pairs = new Set<Pair>()
  const carrying = () => [...pairs].filter(({ kind }) => kind !== null)

  const reset = ({ client, server }: Pair) => {
    client.resetAndDestroy()
    server.destroy()
  }
  /** A browser may ask for events on a connection that it used before; it sends the head of a request in one piece. */
  const mayPass = (pair: Pair, chunk: Buffer) => {
    if (pair.kind !== null) return true
    const head = chunk.toString('latin1')
    const kind = kindOf(head)
    if (proxy.isDown || (kind !== null && proxy.refused.has(kind))) return false
    proxy.heads.push(head)
    if (kind !== null) proxy.passed[kind]++
    pair.kind = kind
    return true
  }
  const accept = (client: Socket) => {
    const server = tcpConnect(port, '127.0.0.1')
    const pair: Pair = { client, server, kind: null, left: Number.POSITIVE_INFINITY }
    pairs.add(pair)
    client.on('data', (chunk) => {
      if (mayPass(pair, chunk)) server.write(chunk)
      else reset(pair)
    })
    server.on('data', (chunk) => {
      const part = chunk.subarray(0, pair.left)
      pair.left -= part.length
      client.write(part)
      // An end, not a reset: what has passed arrives, and then nothing more.
      if (pair.left === 0) client.destroySoon()
    })
    for (const [one, other] of [
      [client, server],
      [server, client],
    ] as const) {
      one.on('error', () => {})
      one.on('end', () => other.end())
      one.on('close', () => {
        pairs.delete(pair)
        other.destroySoon()
      })
    }
  }

  const listener = createServer(accept)
  const proxy: CuttingProxy = {
    url: await listen(listener),
    cut() {
      const now = carrying()
      for (const pair of now) reset(pair)
      return now.length
    },
    cutAfter(bytes) {
      for (const pair of carrying()) pair.left = bytes
    },
    get count() {
      return carrying().length
    },
    isDown: false,
    refused: new Set(),
    passed: { websocket: 0, sse: 0 },
    heads: [],
  }
  onTestFinished(async () => {
    for (const pair of pairs) reset(pair)
    await stop(listener)
  })
  return proxy
}

function kindOf(head: string): Kind | null {
  if (/^upgrade: *websocket/im.test(head)) return 'websocket'
  return /^accept: *text\/event-stream/im.test(head) ? 'sse' : null
}
