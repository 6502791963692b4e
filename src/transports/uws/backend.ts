import { ERRORS, MisuseError } from '../../errors.ts'
import { assertKnownOptions, type Limits } from '../../options.ts'
import { PROBLEM_TYPE, problemText } from '../../problem.ts'
import type { Attachment, Gate, Plan, ServerBackend } from '../backend.ts'
import { HANDSHAKE_HEADERS, NO_HANDSHAKE } from '../handshake.ts'
import { TrustedProxies } from '../trusted-proxies.ts'
import { sendAnswer } from './answer.ts'
import { Exchange } from './body.ts'
import { type Framing, framingOf, isClear, refuseFraming } from './framing.ts'
import { type RequestSettings, UwsConnectionRequest } from './request.ts'
import { acceptStream } from './stream.ts'
import { readUplink } from './uplink.ts'
import {
  isEncrypted,
  nativeUws,
  type UwsApp,
  type UwsHandler,
  type UwsRequest,
  type UwsResponse,
} from './uws.ts'
import { acceptWebSocket, webSocketHandlers } from './websocket.ts'

/** How {@link uwsBackend} is configured. */
export interface UwsBackendOptions {
  /** The module: `await import('uWebSockets.js')`. */
  readonly uws: unknown
  /** Addresses and networks of proxies in front of the server, whose `X-Forwarded-For` is believed. Default: none. */
  readonly trustedProxies?: readonly string[]
}

/**
 * The server back end on uWebSockets.js, for those who have measured that they need it.
 * `docs/backends.md` compares the two, and says what this one cannot do.
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
  return backendFor(new TrustedProxies(options.trustedProxies))
}

/** The back end for apps of a module that somebody has looked at. */
export function backendFor(trustedProxies: TrustedProxies): ServerBackend<UwsApp> {
  return {
    name: 'uws',
    attach(app, gate) {
      if (typeof app?.ws !== 'function' || typeof app.any !== 'function') {
        throw new MisuseError(
          'invalid-option',
          'hub.attach takes an app of uWebSockets.js: App() or SSLApp().',
        )
      }
      const door: Door = { gate, settings: { encrypted: isEncrypted(app), trustedProxies } }
      const routes = ROUTES.get(app) ?? new Routes(app, gate.limits)
      ROUTES.set(app, routes)
      return routes.add(door)
    },
  }
}

/**
 * Gives a handler the requests of an app that no hub takes, in the route of the hubs: uWebSockets.js says `100 Continue` for each route that looks at a
 * request. The app must have a hub.
 */
export function otherwise(app: UwsApp, handler: UwsHandler): void {
  ROUTES.get(app)?.otherwise(handler)
}

/** Whether the request asks for a WebSocket, in whatever form: its connection is of no use when it does not become one. */
function asksForWebSocket(upgrade: string | undefined): boolean {
  return /(?:^|,)\s*websocket\s*(?:,|$)/i.test(upgrade ?? '')
}

/** Routes of a method come before those of any. */
const METHODS = ['get', 'post', 'options', 'put', 'patch', 'del', 'head', 'connect', 'trace'] as const

/** Matches what `/*` does. Two routes with the same pattern would end the process ("Internal routing error"), and `/*` is the application's. */
const PATTERN = '/*groupcast'
/** The same again, for what nobody else takes. */
const REST = '/*groupcast-rest'

/** A hub that was attached to an app. */
interface Door {
  readonly gate: Gate
  readonly settings: RequestSettings
}

/** A request that a hub takes. */
interface Taken {
  readonly request: UwsConnectionRequest
  readonly plan: Exclude<Plan, { kind: 'pass' }>
  readonly framing: Framing
  readonly gate: Gate
}

/** The routes of each app: they cannot be taken back, so the hubs that come and go share them. */
const ROUTES = new WeakMap<UwsApp, Routes>()

class Routes {
  #doors: readonly Door[] = []
  #otherwise: UwsHandler = (_response, request) => void request.setYield(true)

  /** @param limits of the first hub; those that come later cannot take larger messages */
  constructor(app: UwsApp, limits: Limits) {
    app.ws(PATTERN, {
      ...webSocketHandlers(limits),
      upgrade: (response, request, context) => {
        const taken = this.#taken(response, request)
        // What has a body that cannot be read is refused below.
        if (taken?.plan.kind === 'websocket' && taken.framing.fault === null) {
          acceptWebSocket(taken.plan, request.getHeader('sec-websocket-key'), response, context, taken.gate)
        }
        // Here, not by the next route, which would ask the gate again: to knock is counted.
        else if (taken !== null) answer(taken, response)
        else this.#otherwise(response, request)
      },
    })
    const take = (response: UwsResponse, request: UwsRequest) => {
      const taken = this.#taken(response, request)
      if (taken === null) this.#otherwise(response, request)
      else answer(taken, response)
    }
    for (const method of METHODS) app[method](PATTERN, take)
    answerTheRest(app)
  }

  add(door: Door): Attachment {
    // At a path of several, the one that came last answers.
    this.#doors = [door, ...this.#doors]
    return {
      detach: () => {
        this.#doors = this.#doors.filter((other) => other !== door)
      },
    }
  }

  otherwise(handler: UwsHandler): void {
    this.#otherwise = handler
  }

  #taken(response: UwsResponse, request: UwsRequest): Taken | null {
    for (const { gate, settings } of this.#doors) {
      const snapshot = new UwsConnectionRequest(request, response, settings)
      const plan = gate.plan(snapshot)
      if (plan.kind === 'pass') continue
      snapshot.keep()
      return { request: snapshot, plan, framing: framingOf(snapshot), gate }
    }
    return null
  }
}

function answer({ request, plan, framing, gate }: Taken, response: UwsResponse): void {
  if (framing.fault !== null) {
    refuseFraming(response, framing.fault, request.method)
    return
  }
  switch (plan.kind) {
    case 'answer':
      if (framing.isLast) {
        new Exchange(response, true, true).answer(plan.answer, gate.limits.closeTimeoutMs)
      } else sendAnswer(response, plan.answer, endOf(request))
      return
    case 'uplink':
      readUplink(plan, response, gate, framing.isLast)
      return
    case 'stream':
      acceptStream(plan, response, gate)
      return
    case 'websocket': {
      // Whatever has a key of 24 characters went another way.
      sendAnswer(response, gate.problem('bad-request', HANDSHAKE_HEADERS, NO_HANDSHAKE), endOf(request))
      return
    }
    default:
      plan satisfies never
  }
}

function endOf(request: UwsConnectionRequest) {
  return { isHead: request.method === 'HEAD', close: asksForWebSocket(request.header('upgrade')) }
}

/**
 * A request that no route takes would have its connection closed without an answer. The route that answers must come last: when the app
 * begins to listen, it has all others.
 */
function answerTheRest(app: UwsApp): void {
  const { listen } = app
  let isAnswering = false
  app.listen = (...args: unknown[]) => {
    if (!isAnswering) {
      isAnswering = true
      app.any(REST, (response, request) => {
        const isHead = request.getMethod() === 'head'
        const close = asksForWebSocket(request.getHeader('upgrade'))
        const answer = { ...NOT_FOUND, body: problemText('not-found') }
        if (isClear(request)) sendAnswer(response, answer, { isHead, close })
        else new Exchange(response, true, true).answer(answer, LINGER_MS, isHead)
      })
    }
    return Reflect.apply(listen, app, args)
  }
}

/** How long the body may go on of a request that nobody takes. */
const LINGER_MS = 1_000

const NOT_FOUND = {
  status: ERRORS['not-found'].httpStatus,
  headers: { 'Content-Type': PROBLEM_TYPE, 'Cache-Control': 'no-store' },
}
