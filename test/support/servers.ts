/**
 * The servers under the server back ends, with one face, so that one suite runs over both: which one, vitest's project says. What a server
 * cannot do by its nature is a property of it; tests that depend on one assert what happens instead.
 */
import { createServer, type RequestListener, type Server } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { nodeBackend } from 'groupcast'
import { importUws, type UwsApp, type UwsModule, uwsBackend } from 'groupcast/transports/uws'
import { inject } from 'vitest'
import type { Api } from '../../src/api/contract.ts'
import { apiListener } from '../../src/api/node.ts'
import { uwsApiHandler } from '../../src/api/uws.ts'
import type { Attachment, ServerBackend } from '../../src/transports/backend.ts'
import { TrustedProxies } from '../../src/transports/trusted-proxies.ts'
import { sendAnswer } from '../../src/transports/uws/answer.ts'
import { Exchange, WholeBody } from '../../src/transports/uws/body.ts'
import { CERTIFICATE, certificateFiles } from './certificate.ts'

declare module 'vitest' {
  interface ProvidedContext {
    backend: 'node' | 'uws'
  }
}

/** What a server does by its nature. */
interface Nature {
  /** A client whose frames break RFC 6455 is told so by a close frame; else it is cut, and only the hub hears why, as far as can be told. */
  readonly explainsFaults: boolean
  /** Every byte of a client is a sign of life; else whole messages, pings and pongs are. */
  readonly hearsParts: boolean
  /** An answer before the end of the request's body says that the connection closes; else it only closes. */
  readonly saysClose: boolean
  /** It stops reading from a client that sends more than is handled; else it closes that client when too much waits. */
  readonly stopsReading: boolean
  /** What a client sends before the answer to its handshake, against RFC 6455, is heard. */
  readonly hearsEarlyFrames: boolean
  /** Requests behind an unfinished response wait for its end; else their connection is closed. */
  readonly pipelines: boolean
  /** A request head that it does not understand is answered; else its connection is closed, some after ten seconds. */
  readonly answersStrangers: boolean
  /** A closed WebSocket is over when the client has answered; else when the close frame has left. */
  readonly awaitsCloseAnswer: boolean
  /** Bytes of header values beyond ASCII come through, also at the ends of a value. */
  readonly keepsOtherBytes: boolean
  /** Headers that it adds to streams, and to handshakes. */
  readonly streamHeaders: Readonly<Record<string, unknown>>
  readonly handshakeHeaders: readonly string[]
}

/** An application beside the hub. */
export type TestApp = (request: AppRequest, response: AppResponse) => void

interface AppRequest {
  readonly method: string
  readonly url: string
  readonly upgrade: string | undefined
  /** Calls with the size of the body when all of it has come. */
  onBody(done: (size: number) => void): void
}

interface AppResponse {
  write(text: string): void
  end(text: string, status?: number, type?: string): void
}

/** A server that a hub can be attached to. */
export interface TestServer {
  attach(hub: { attach(server: never): Attachment }): Attachment
  /** Listens on a free port of the loopback address. @returns the URL, as if it were plain HTTP */
  listen(): Promise<string>
  /** Accepts nobody new. Resolves when the last connection is gone, as far as the server can tell. */
  close(): Promise<void>
  /** Ends it with all that is open. */
  stop(): Promise<void>
  /** How many connections there are, or, where it cannot count them, requests of the API that are under way. */
  busy(): Promise<number>
  /** The server itself where it is one of `node:http`, for what is about its sockets and listeners. */
  readonly node: Server | null
}

export interface ServerKind {
  readonly name: 'node' | 'uws'
  readonly nature: Nature
  /** Why it cannot be had here; `null`: it can. */
  readonly missing: string | null
  backend(options?: { readonly trustedProxies?: readonly string[] }): ServerBackend<never>
  create(app?: TestApp, options?: { readonly tls?: boolean }): TestServer
  /** One with the HTTP API; what is not the API's is answered 418. */
  createApi(api: Api): TestServer
}

const TEAPOT = { status: 418, headers: {}, body: 'the application' } as const

const DEFAULT_APP: TestApp = (_request, response) => response.end('app', 404)

const node: ServerKind = {
  name: 'node',
  missing: null,
  nature: {
    explainsFaults: true,
    hearsParts: true,
    saysClose: true,
    stopsReading: true,
    hearsEarlyFrames: true,
    pipelines: true,
    answersStrangers: true,
    keepsOtherBytes: true,
    awaitsCloseAnswer: true,
    streamHeaders: { connection: 'keep-alive', 'keep-alive': 'timeout=5' },
    handshakeHeaders: [],
  },
  backend: (options) => nodeBackend(options) as ServerBackend<never>,
  create(app = DEFAULT_APP, { tls = false } = {}) {
    const listener: RequestListener = (request, response) =>
      app(
        {
          method: request.method ?? '',
          url: request.url ?? '',
          upgrade: request.headers.upgrade,
          onBody(done) {
            let size = 0
            request.on('data', (chunk) => {
              size += chunk.length
            })
            request.on('end', () => done(size))
          },
        },
        {
          write: (text) => void response.write(text),
          end: (text, status = 200, type = 'text/plain') => {
            if (!response.headersSent) response.writeHead(status, { 'Content-Type': type })
            response.end(text)
          },
        },
      )
    return nodeServer(tls ? createSecureServer(CERTIFICATE, listener) : createServer(listener))
  },
  createApi(api) {
    const isApi = apiListener(api)
    return nodeServer(
      createServer((request, response) => {
        if (!isApi(request, response)) response.writeHead(TEAPOT.status).end(TEAPOT.body)
      }),
    )
  },
}

function nodeServer(server: Server): TestServer {
  const close = () => new Promise<void>((resolve) => server.close(() => resolve()))
  return {
    node: server,
    attach: (hub) => hub.attach(server as never),
    async listen() {
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    },
    close,
    async stop() {
      server.closeAllConnections()
      await close()
    },
    busy: () => new Promise((resolve) => server.getConnections((_error, count) => resolve(count))),
  }
}

/** The module, or why it is not there. */
export const uws: UwsModule | string = await importUws().catch((error: Error) => error.message)

function present(): UwsModule {
  if (typeof uws === 'string') throw new Error(uws)
  return uws
}

const uWebSockets: ServerKind = {
  name: 'uws',
  missing: typeof uws === 'string' ? uws : null,
  nature: {
    explainsFaults: false,
    hearsParts: false,
    saysClose: false,
    stopsReading: false,
    hearsEarlyFrames: false,
    pipelines: false,
    answersStrangers: false,
    keepsOtherBytes: false,
    awaitsCloseAnswer: false,
    streamHeaders: { uwebsockets: '20' },
    handshakeHeaders: ['Date', 'uWebSockets'],
  },
  backend: (options) => uwsBackend({ uws: present(), ...options }) as ServerBackend<never>,
  create(app = DEFAULT_APP, { tls = false } = {}) {
    const module = present()
    const { key, cert } = certificateFiles()
    const server = tls ? module.SSLApp({ key_file_name: key, cert_file_name: cert }) : module.App()
    return uwsServer(server, () => {
      server.any('/*', (response, request) => {
        const exchange = new Exchange(response, true)
        const isUpgrade = request.getHeader('upgrade') === 'websocket'
        const query = request.getQuery()
        let body: number | null = null
        let whenRead: (size: number) => void = () => {}
        exchange.read(
          new WholeBody(Number.POSITIVE_INFINITY, (bytes) => {
            body = bytes.length
            whenRead(body)
          }),
        )
        app(
          {
            method: request.getMethod().toUpperCase(),
            url: request.getUrl() + (query ? `?${query}` : ''),
            upgrade: request.getHeader('upgrade') || undefined,
            onBody(done) {
              if (body === null) whenRead = done
              else done(body)
            },
          },
          {
            write: (text) => void (exchange.isOver || response.cork(() => response.write(text))),
            end(text, status = 200, type = 'text/plain') {
              if (exchange.isOver) return
              exchange.over()
              response.cork(() => {
                response.writeStatus(String(status)).writeHeader('Content-Type', type).end(text, isUpgrade)
              })
            },
          },
        )
      })
    })
  },
  createApi(api) {
    const server = present().App()
    let underWay = 0
    const follow = (work: Promise<void>) => {
      underWay++
      void work.finally(() => underWay--)
    }
    const settings = { encrypted: false, trustedProxies: new TrustedProxies([]) }
    const isApi = uwsApiHandler(api, settings, follow)
    const route = () => {
      server.any('/*', (response, request) => {
        if (!isApi(response, request)) sendAnswer(response, TEAPOT)
      })
    }
    return uwsServer(server, route, async () => underWay)
  },
}

/** @param route adds the routes of the application, which come after those of the hub */
function uwsServer(server: UwsApp, route: () => void, busy = async () => 0): TestServer {
  const module = present()
  let token: object | false = false
  let isRouted = false
  const close = () => {
    if (token !== false) module.us_listen_socket_close(token)
    token = false
  }
  return {
    node: null,
    attach: (hub) => hub.attach(server as never),
    listen() {
      if (!isRouted) route()
      isRouted = true
      return new Promise((resolve, reject) => {
        server.listen('127.0.0.1', 0, module.LIBUS_LISTEN_EXCLUSIVE_PORT, (got) => {
          token = got
          if (got === false) reject(new Error('It could not listen.'))
          else resolve(`http://127.0.0.1:${module.us_socket_local_port(got)}`)
        })
      })
    },
    async close() {
      close()
    },
    async stop() {
      close()
      server.close()
    },
    busy,
  }
}

/** The server that this run of the suite is about. */
export const serverKind: ServerKind = inject('backend') === 'uws' ? uWebSockets : node

export const { nature } = serverKind
