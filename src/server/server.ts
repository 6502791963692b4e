/** The standalone server: the only place that puts hub, HTTP API and page together. */
import type { Logger } from 'pino'
import { createApi } from '../api/api.ts'
import { createHub } from '../create-hub.ts'
import { errorCodeOf } from '../errors.ts'
import { groupsConsumer } from '../groups-consumer.ts'
import type { ErrorContext, Hub } from '../hub/hub-api.ts'
import type { AnyMessages } from '../message.ts'
import { VERSION } from '../version.ts'
import { authenticateOf } from './config/auth.ts'
import { isLoopback } from './config/loopback.ts'
import type { Config } from './config/schema.ts'
import type { Front } from './fronts/front.ts'
import { NodeFront } from './fronts/node.ts'
import { UwsFront } from './fronts/uws.ts'
import { layerOf } from './layer.ts'
import { loadPlayground } from './playground/assets.ts'

/** A server that accepts connections. */
export interface RunningServer {
  /** `http://127.0.0.1:8000` */
  readonly url: string
  readonly hub: Hub<AnyMessages, never>
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
  const { allowedOrigins, limits, rates } = config
  const allowedHosts = hostsOf(config)
  const groups = config.groups.map(({ match, slow, history }) => ({ match, slow, history }))
  const authenticate = authenticateOf(config)
  const front = await frontOf(config)
  const { backend } = front
  const hub = createHub({
    layer: await layerOf(config),
    backend,
    groups,
    ...(authenticate !== null && { authenticate }),
    allowedOrigins,
    allowedHosts,
    limits,
    rates,
    onError,
  })
  try {
    await hub.ready()
    hub.consumer(
      config.path,
      groupsConsumer({ rules: config.groups.map(({ match, join, send }) => ({ match, join, send })) }),
    )
    const api = createApi(hub, {
      version: VERSION,
      onError,
      apiKeys: config.apiKeys,
      allowedOrigins,
      allowedHosts,
      maxBodyBytes: config.maxBodyBytes,
      eventsPath: config.path,
    })
    const pages = config.playground ? await loadPlayground({ eventsPath: config.path }) : new Map()
    const url = await front.listen({ hub, api, pages })
    log?.info({ url, node: hub.nodeId }, 'listening')
    let closing: Promise<void> | null = null
    return {
      url,
      hub,
      close() {
        closing ??= close(front, hub, config.drainMs)
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

/** @throws {MisuseError} `invalid-option` for `backend: "uws"` where uWebSockets.js is not there */
function frontOf(config: Config): Front | Promise<Front> {
  switch (config.backend) {
    case 'node':
      return new NodeFront(config)
    case 'uws':
      return UwsFront.create(config)
    default:
      return config.backend satisfies never
  }
}

/** Behind loopback without a key the `Host` is all that tells this machine's own requests from a rebound page's. */
function hostsOf({ host, apiKeys, allowedHosts }: Config): readonly string[] | null {
  return isLoopback(host) && apiKeys.length === 0 ? [...allowedHosts, host] : null
}

async function close(front: Front, hub: RunningServer['hub'], drainMs: number): Promise<void> {
  front.stopAccepting()
  let timer: NodeJS.Timeout | undefined
  const deadline = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, drainMs)
  })
  try {
    // A hub wants at least a moment; the server may be told to wait for nobody.
    await hub.close({ deadlineMs: Math.max(drainMs, 1), pending: front.idle() })
    // Keep-alive connections without a request, and WebSockets that were refused and have not answered the close frame.
    front.end()
    // Requests that came while the hub was closing.
    await Promise.race([front.idle(), deadline])
  } finally {
    clearTimeout(timer)
    await front.cut()
  }
}
