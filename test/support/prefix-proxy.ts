/** A reverse proxy that serves a server below a path, as `location /live/ { proxy_pass http://hub/; }` does. */
import { Agent, createServer, request } from 'node:http'
import { connect } from 'node:net'
import type { Duplex } from 'node:stream'
import { onTestFinished } from 'vitest'
import { listen, stop } from './hub-server.ts'

export interface PrefixProxy {
  /** `http://127.0.0.1:<port>`, without the prefix. */
  readonly url: string
  /** The paths that were asked for, as they came. */
  readonly seen: readonly string[]
}

/** Starts a proxy that ends with the test. What is not below `prefix` is answered with 404. */
export async function startPrefixProxy(targetUrl: string, prefix: string): Promise<PrefixProxy> {
  const { hostname, port } = new URL(targetUrl)
  const seen: string[] = []
  // Posts that came one after the other on one connection go on so: on several they would overtake each other.
  const posts = new Agent({ keepAlive: true, maxSockets: 1 })
  /** The path as the server knows it, or `null`. */
  const inside = (path = '') => {
    seen.push(path)
    return path.startsWith(`${prefix}/`) ? path.slice(prefix.length) : null
  }
  const proxy = createServer((incoming, response) => {
    const { method, url, headers } = incoming
    const path = inside(url)
    if (path === null) return response.writeHead(404).end('a page of the proxy')
    const agent = method === 'POST' ? posts : undefined
    const forwarded = request({ hostname, port, method, path, headers, agent }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(response)
    })
    forwarded.on('error', () => response.destroy())
    response.on('close', () => forwarded.destroy())
    return incoming.pipe(forwarded)
  })
  const tunnels = new Set<Duplex>()
  proxy.on('upgrade', ({ url, rawHeaders }, socket: Duplex) => {
    const path = inside(url)
    if (path === null) return socket.end('HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n')
    const server = connect(Number(port), hostname)
    const fields = rawHeaders.map((text, i) => (i % 2 === 0 ? `${text}: ` : `${text}\r\n`)).join('')
    server.write(`GET ${path} HTTP/1.1\r\n${fields}\r\n`)
    for (const end of [socket, server]) {
      tunnels.add(end)
      end.on('error', () => {}).on('close', () => tunnels.delete(end))
    }
    socket.pipe(server).pipe(socket)
    return socket
  })
  const url = await listen(proxy)
  onTestFinished(async () => {
    for (const end of tunnels) end.destroy()
    posts.destroy()
    await stop(proxy)
  })
  return { url, seen }
}
