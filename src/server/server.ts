/** The standalone server: the only place that puts hub, HTTP API and page together. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Logger } from 'pino'
import { createApi } from '../api/api.ts'
import { apiListener } from '../api/node.ts'
import { createHub } from '../create-hub.ts'
import { ERRORS, errorCodeOf } from '../errors.ts'
import { groupsConsumer } from '../groups-consumer.ts'
import type { ErrorContext, Hub } from '../hub/hub-api.ts'
import type { AnyMessages } from '../message.ts'
import type { NodeServer } from '../transports/node/backend.ts'
import { VERSION } from '../version.ts'
import { authenticateOf } from './config/auth.ts'
import { isLoopback } from './config/loopback.ts'
import type { Config } from './config/schema.ts'
import { layerOf } from './layer.ts'
import { loadPlayground, type PlaygroundAsset } from './playground/assets.ts'
import { Traffic } from './traffic.ts'

/** A server that accepts connections. */
export interface RunningServer {
  /** `http://127.0.0.1:8000` */
  readonly url: string
  readonly hub: Hub<AnyMessages, NodeServer>
  /**
   * Stops: accepts nobody new, tells every client to come back, waits at most `drainMs` for their backlog and for requests that
   * are under way, and resolves when the last socket is closed. A second call returns the same promise.
   *
   * Rejects when the hub could not close its layer; the server is closed all the same.
   */
  close(): Promise<void>
}

/**
 * Starts a server. Resolves when it accepts connections, which is not before its layer can be used, or its broker could not be reached: then
 * `/ready` says so until it can.
 *
 * @throws {GroupcastError} `journal-in-use`
 * @throws {MisuseError} `invalid-option` for a journal's directory that cannot be used
 * @throws the error of `listen` (`EADDRINUSE`, `EACCES`, `ENOTFOUND`, …)
 */
export async function startServer(
  config: Config,
  { log }: { readonly log?: Logger } = {},
): Promise<RunningServer> {
  const onError = (error: unknown, context: ErrorContext) => {
    if (log !== undefined) logFailure(log, error, context)
  }
  const { allowedOrigins, limits } = config
  const allowedHosts = hostsOf(config)
  const groups = config.groups.map(({ match, slow, history }) => ({ match, slow, history }))
  const authenticate = authenticateOf(config)
  const hub = createHub({
    layer: await layerOf(config),
    groups,
    ...(authenticate !== null && { authenticate }),
    allowedOrigins,
    allowedHosts,
    limits,
    onError,
  })
  try {
    await hub.ready()
    hub.consumer(
      config.path,
      groupsConsumer({ rules: config.groups.map(({ match, join, send }) => ({ match, join, send })) }),
    )
    const isApi = apiListener(
      createApi(hub, {
        version: VERSION,
        onError,
        apiKeys: config.apiKeys,
        allowedOrigins,
        allowedHosts,
        maxBodyBytes: config.maxBodyBytes,
        eventsPath: config.path,
      }),
    )
    const pages = config.playground ? await loadPlayground({ eventsPath: config.path }) : new Map()
    const server = createServer(handshakeLimits(limits.handshakeTimeoutMs), (request, response) => {
      if (!traffic.begin(request, response)) return
      if (!isApi(request, response)) servePage(pages, request, response)
    })
    const traffic = new Traffic(server)
    hub.attach(server)
    const url = await listen(server, config)
    log?.info({ url, node: hub.nodeId }, 'listening')
    let closing: Promise<void> | null = null
    return {
      url,
      hub,
      close() {
        closing ??= close(server, hub, traffic, config.drainMs)
        return closing
      },
    }
  } catch (error) {
    // What the caller needs to hear is why the server did not start.
    await hub.close({ deadlineMs: 1 }).catch((failure) => onError(failure, { where: 'close' }))
    throw error
  }
}

function logFailure(log: Logger, error: unknown, context: ErrorContext): void {
  // It has been dealt with, and its text is written for operators.
  if (error instanceof Error && errorCodeOf(error) === 'journal-damaged') {
    log.warn({ code: 'journal-damaged', ...context }, error.message)
  } else {
    log.error({ err: error, ...context }, 'failure')
  }
}

/** A client that does not finish its request line and headers is cut; Node looks at its connections at intervals. */
function handshakeLimits(handshakeTimeoutMs: number) {
  return {
    headersTimeout: handshakeTimeoutMs,
    connectionsCheckingInterval: Math.min(handshakeTimeoutMs, 5_000),
  }
}

/** Behind loopback without a key the `Host` is all that tells this machine's own requests from a rebound page's. */
function hostsOf({ host, apiKeys, allowedHosts }: Config): readonly string[] | null {
  return isLoopback(host) && apiKeys.length === 0 ? [...allowedHosts, host] : null
}

function servePage(
  pages: ReadonlyMap<string, PlaygroundAsset>,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  const [path = '/'] = (request.url ?? '/').split('?')
  const page = pages.get(path)
  request.resume()
  if (page === undefined) {
    sendProblem(response, 'not-found')
  } else if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.setHeader('Allow', 'GET, HEAD')
    sendProblem(response, 'method-not-allowed')
  } else {
    response.writeHead(200, { ...page.headers, 'Content-Length': page.body.length })
    response.end(request.method === 'HEAD' ? undefined : page.body)
  }
}

function sendProblem(response: ServerResponse, code: 'not-found' | 'method-not-allowed'): void {
  const { httpStatus: status, message: title } = ERRORS[code]
  const body = JSON.stringify({ type: 'about:blank', title, status, code })
  response.writeHead(status, {
    'Content-Type': 'application/problem+json',
    'Content-Length': Buffer.byteLength(body),
  })
  response.end(body)
}

async function listen(server: Server, { host, port }: Config): Promise<string> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      resolve()
    })
  })
  const { address, family, port: actual } = server.address() as AddressInfo
  // A name stays as it was given; an address of IPv6 needs brackets in a URL (RFC 3986, section 3.2.2).
  const name = host === address && family === 'IPv6' ? `[${host}]` : host
  return `http://${name}:${actual}`
}

async function close(
  server: Server,
  hub: RunningServer['hub'],
  traffic: Traffic,
  drainMs: number,
): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()))
  let timer: NodeJS.Timeout | undefined
  const deadline = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, drainMs)
  })
  try {
    // A hub wants at least a moment; the server may be told to wait for nobody.
    await hub.close({ deadlineMs: Math.max(drainMs, 1), pending: traffic.idle() })
    // Keep-alive connections without a request, and WebSockets that were refused and have not answered the close frame.
    traffic.end()
    // Requests that came while the hub was closing.
    await Promise.race([traffic.idle(), deadline])
  } finally {
    clearTimeout(timer)
    traffic.cut()
    await closed
  }
}
