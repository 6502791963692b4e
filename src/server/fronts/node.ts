import { createServer, type RequestListener, type Server } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { apiListener } from '../../api/node.ts'
import type { Hub } from '../../hub/hub-api.ts'
import type { AnyMessages } from '../../message.ts'
import type { ServerBackend } from '../../transports/backend.ts'
import { type NodeServer, nodeBackend } from '../../transports/node/backend.ts'
import { headOf } from '../../transports/node/head.ts'
import { TrustedProxies } from '../../transports/trusted-proxies.ts'
import type { Config } from '../config/schema.ts'
import { Traffic } from '../traffic.ts'
import { type Front, pageAnswer, type Served, tlsOf, urlOf } from './front.ts'

/** Serves with `node:http` and `ws`. */
export class NodeFront implements Front {
  readonly backend: ServerBackend<never>
  readonly #config: Config
  #server: Server | null = null
  #traffic: Traffic | null = null
  #closed: Promise<void> = Promise.resolve()

  constructor(config: Config) {
    this.#config = config
    this.backend = nodeBackend({ trustedProxies: config.trustedProxies }) as ServerBackend<never>
  }

  async listen({ hub, api, pages }: Served): Promise<string> {
    const isApi = apiListener(api, new TrustedProxies(this.#config.trustedProxies))
    const server = serverOf(this.#config, (request, response) => {
      if (!traffic.begin(request, response)) return
      if (isApi(request, response)) return
      request.resume()
      const [path = '/'] = headOf(request).url.split('?')
      const { status, headers, body } = pageAnswer(pages, request.method ?? 'GET', path)
      response.writeHead(status, headers)
      response.end(request.method === 'HEAD' ? undefined : body)
    })
    const traffic = new Traffic(server)
    ;(hub as unknown as Hub<AnyMessages, NodeServer>).attach(server)
    await listening(server, this.#config)
    this.#server = server
    this.#traffic = traffic
    return urlOf(this.#config, (server.address() as AddressInfo).port)
  }

  stopAccepting(): void {
    const server = this.#server
    if (server !== null) this.#closed = new Promise((resolve) => server.close(() => resolve()))
  }

  async idle(): Promise<void> {
    await this.#traffic?.idle()
  }

  end(): void {
    this.#traffic?.end()
  }

  async cut(): Promise<void> {
    this.#traffic?.cut()
    await this.#closed
  }
}

function serverOf(config: Config, listener: RequestListener): Server {
  const limits = handshakeLimits(config.limits.handshakeTimeoutMs)
  const tls = tlsOf(config)
  return tls === null
    ? createServer(limits, listener)
    : createSecureServer({ ...limits, ...tls, handshakeTimeout: config.limits.handshakeTimeoutMs }, listener)
}

/** A client that does not finish its request line and headers is cut; Node looks at its connections at intervals. */
function handshakeLimits(handshakeTimeoutMs: number) {
  return {
    headersTimeout: handshakeTimeoutMs,
    connectionsCheckingInterval: Math.min(handshakeTimeoutMs, 5_000),
  }
}

function listening(server: Server, { host, port }: Config): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      resolve()
    })
  })
}
