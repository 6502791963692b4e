import { MisuseError } from '../../errors.ts'
import { assertKnownOptions } from '../../options.ts'
import type { Attachment, Gate, Plan, ServerBackend } from '../backend.ts'
import { TrustedProxies } from '../trusted-proxies.ts'
import { sendAnswer } from './answer.ts'
import { type RequestSettings, UwsConnectionRequest } from './request.ts'
import { acceptStream } from './stream.ts'
import { readUplink } from './uplink.ts'
import { isEncrypted, nativeUws, type UwsApp, type UwsRequest, type UwsResponse } from './uws.ts'
import { acceptWebSocket, webSocketHandlers } from './websocket.ts'

/** How {@link uwsBackend} is configured. */
export interface UwsBackendOptions {
  /** The module: `await import('uWebSockets.js')`. */
  readonly uws: unknown
  /** Addresses and networks of proxies in front of the server, whose `X-Forwarded-For` is believed. Default: none. */
  readonly trustedProxies?: readonly string[]
}

/**
 * The server back end on uWebSockets.js: less memory for each connection, faster handshakes and HTTP than the node back end.
 * `docs/backends.md` says what it cannot do.
 *
 * Attach the hub to an app before it listens. Routes of the application's own that are more specific than `/*` come first; a catch-all
 * (`app.any('/*')`) belongs behind the hub: register it after `attach`. What nobody takes is answered 404.
 *
 * @example
 * const uws = await import('uWebSockets.js')
 * const hub = createHub({ backend: uwsBackend({ uws }) })
 * const app = uws.App()
 * hub.attach(app)
 * app.listen('127.0.0.1', 8000, () => {})
 *
 * @throws {MisuseError} `invalid-option` without the module, or where it has no native binary
 */
export function uwsBackend(options: UwsBackendOptions): ServerBackend<UwsApp> {
  assertKnownOptions('uwsBackend', options ?? {}, ['uws', 'trustedProxies'])
  nativeUws(options?.uws)
  const trustedProxies = new TrustedProxies(options.trustedProxies)
  return {
    name: 'uws',
    attach(app, gate) {
      if (typeof app?.ws !== 'function' || typeof app.any !== 'function') {
        throw new MisuseError('invalid-option', 'hub.attach takes an app of uWebSockets.js: App() or SSLApp().')
      }
      const attachment = new UwsAttachment(gate, { encrypted: isEncrypted(app), trustedProxies })
      attachment.route(app)
      return attachment
    },
  }
}

/** Whether the request asks for a WebSocket, in whatever form: its connection is of no use when it does not become one. */
function asksForWebSocket(request: UwsConnectionRequest): boolean {
  return /(?:^|,)\s*websocket\s*(?:,|$)/i.test(request.header('upgrade') ?? '')
}

const PASS: Plan = Object.freeze({ kind: 'pass' })

/** Routes of a method come before those of any. */
const METHODS = ['get', 'post', 'options', 'put', 'patch', 'del', 'head', 'connect', 'trace', 'any'] as const

/** How many attachments an app has had. */
const ATTACHED = new WeakMap<UwsApp, number>()

class UwsAttachment implements Attachment {
  readonly #gate: Gate
  readonly #settings: RequestSettings
  #isDetached = false

  constructor(gate: Gate, settings: RequestSettings) {
    this.#gate = gate
    this.#settings = settings
  }

  /** Routes cannot be taken back: they let everything pass. */
  detach(): void {
    this.#isDetached = true
  }

  route(app: UwsApp): void {
    const count = ATTACHED.get(app) ?? 0
    ATTACHED.set(app, count + 1)
    // Matches what `/*` does. Two routes with the same pattern would end the process ("Internal routing error"), and `/*` is the application's.
    const pattern = `/*groupcast${count}`
    app.ws(pattern, {
      ...webSocketHandlers(this.#gate.limits),
      upgrade: (response, request, context) => {
        const snapshot = new UwsConnectionRequest(request, response, this.#settings)
        const plan = this.#plan(snapshot)
        if (plan.kind === 'websocket') {
          acceptWebSocket(plan, request.getHeader('sec-websocket-key'), response, context, this.#gate)
        }
        // The next route is ours, for requests that only look like a handshake.
        else request.setYield(true)
      },
    })
    const take = (response: UwsResponse, request: UwsRequest) => this.#take(response, request)
    for (const method of METHODS) app[method](pattern, take)
    if (count === 0) answerTheRest(app, this.#gate, this.#settings)
  }

  #plan(request: UwsConnectionRequest): Plan {
    return this.#isDetached ? PASS : this.#gate.plan(request)
  }

  #take(response: UwsResponse, request: UwsRequest): void {
    const snapshot = new UwsConnectionRequest(request, response, this.#settings)
    const plan = this.#plan(snapshot)
    switch (plan.kind) {
      case 'pass':
        request.setYield(true)
        return
      case 'answer':
        sendAnswer(response, plan.answer, endOf(snapshot))
        return
      case 'uplink':
        readUplink(plan, response, this.#gate)
        return
      case 'stream':
        acceptStream(plan, response, this.#gate)
        return
      case 'websocket': {
        // Whatever has a key of 24 characters went another way.
        const headers = { 'Sec-WebSocket-Version': '13, 8' }
        const answer = this.#gate.problem('bad-request', headers, 'This is not a WebSocket handshake.')
        sendAnswer(response, answer, endOf(snapshot))
        return
      }
      default:
        plan satisfies never
    }
  }
}

function endOf(request: UwsConnectionRequest) {
  return { isHead: request.method === 'HEAD', close: asksForWebSocket(request) }
}

/**
 * A request that no route takes would have its connection closed without an answer. The route that answers must come last: when the app
 * begins to listen, it has all others.
 */
function answerTheRest(app: UwsApp, gate: Gate, settings: RequestSettings): void {
  const { listen } = app
  let isAnswering = false
  app.listen = (...args: unknown[]) => {
    if (!isAnswering) {
      isAnswering = true
      app.any('/*groupcast-rest', (response, request) => {
        const snapshot = new UwsConnectionRequest(request, response, settings)
        sendAnswer(response, gate.problem('not-found'), endOf(snapshot))
      })
    }
    return Reflect.apply(listen, app, args)
  }
}
