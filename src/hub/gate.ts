import { ERRORS, type ErrorCode, GroupcastError, Refusal } from '../errors.ts'
import type { Limits } from '../options.ts'
import { accessHeaders, isAllowedHost, isHost, NO_HOST, originVerdict, preflightHeaders } from '../origin.ts'
import { challengeOf, PROBLEM_TYPE, problemText, retryAfter } from '../problem.ts'
import { isTransferCoding, OTHER_CODING } from '../transfer-coding.ts'
import type {
  Admission,
  ConnectionRequest,
  Gate,
  HttpAnswer,
  LinkOwner,
  Plan,
  StreamPlan,
  UplinkPlan,
  WebSocketPlan,
} from '../transports/backend.ts'
import { randomRetryMs, streamFormat } from '../wire/http-stream.ts'
import { ENVELOPE_PROTOCOL } from '../wire/websocket.ts'
import type { WireFormat } from '../wire/wire-format.ts'
import { type ClientFrame, parseClientFrame } from './client-frame.ts'
import { denialOf } from './denial.ts'
import type { LiveConnection } from './live-connection.ts'
import type { Meters } from './meters.ts'
import { isWebSocketUpgrade, negotiate, type Wish } from './negotiate.ts'
import type { RouteMatch, Router } from './router.ts'

/** The header that names the connection for which a message is posted. */
const CONNECTION_HEADER = 'Groupcast-Connection'

const METHODS = 'GET, POST, OPTIONS'
const CORS = { methods: METHODS, headers: `Authorization, Content-Type, Last-Event-ID, ${CONNECTION_HEADER}` }

const HOST_DETAIL = 'The Host header names no host that this server answers to (allowedHosts).'

/** What the gate needs of the hub behind it. */
export interface GateHost {
  readonly limits: Limits
  readonly router: Router
  readonly allowedOrigins: readonly string[]
  /** `null`: any. */
  readonly allowedHosts: readonly string[] | null
  readonly isDraining: boolean
  readonly meters: Meters
  /** Whether clients of a consumer are asked who they are. */
  asks(match: RouteMatch): boolean
  /** A new connection, not yet asked in. */
  connect(match: RouteMatch, request: ConnectionRequest, format: WireFormat): LiveConnection
  /** The connection that a client names, for a message it posted. */
  find(connectionId: string): LiveConnection | 'elsewhere' | null
  /** Sends a posted message to the node where its connection lives. */
  forward(connectionId: string, body: string): Promise<void>
  report(error: unknown, where: string): void
}

/** The one door for all server back ends: what a request is, who may come in, and what those hear who may not. */
export class HubGate implements Gate {
  readonly #host: GateHost

  constructor(host: GateHost) {
    this.#host = host
  }

  get limits(): Limits {
    return this.#host.limits
  }

  plan(request: ConnectionRequest): Plan {
    const route = this.#host.router.match(request.path)
    if (route === null) return { kind: 'pass' }
    const { allowedOrigins, allowedHosts } = this.#host
    const host = request.header('host')
    if (!isHost(host)) return this.#answer('bad-request', {}, NO_HOST)
    if (!isAllowedHost(host, allowedHosts)) return this.#answer('forbidden', {}, HOST_DETAIL)
    const origin = request.header('origin')
    const verdict = originVerdict({ origin, host, encrypted: request.encrypted }, allowedOrigins)
    if (verdict === 'refused') return this.#answer('origin-not-allowed', { Vary: 'Origin' })
    const headers = accessHeaders(origin, verdict, allowedOrigins)
    switch (request.method) {
      case 'GET':
        return this.#planOpening(request, route, headers)
      case 'POST':
        return this.#planUplink(request, headers)
      case 'OPTIONS':
        return {
          kind: 'answer',
          answer: {
            status: 204,
            headers: { ...headers, ...preflightHeaders(CORS), Allow: METHODS },
            body: '',
          },
        }
      default:
        return this.#answer('method-not-allowed', { ...headers, Allow: METHODS })
    }
  }

  admit(plan: StreamPlan | WebSocketPlan, format: WireFormat): Admission {
    if (this.#host.isDraining) return { decision: Promise.resolve(denialOf('restarting')), owner: NOBODY }
    // Looked at when it knocked, too: it may have waited behind other requests of its socket.
    const full = this.#host.meters.full(plan.request.remoteAddress)
    if (full !== null)
      return { decision: Promise.resolve(denialOf(full.code, full.reason, full.retryAfterMs)), owner: NOBODY }
    const connection = this.#host.connect(plan.route as RouteMatch, plan.request, format)
    return { decision: connection.admit(), owner: connection }
  }

  async uplink({ connectionId, headers }: UplinkPlan, body: string): Promise<HttpAnswer> {
    try {
      const connection = this.#host.find(connectionId)
      // Before it is looked at: that costs, too. On another node it is counted there.
      const refusal = isHere(connection) ? connection.charge(Buffer.byteLength(body)) : null
      if (refusal !== null) throw refusal
      const frame = parseClientFrame(body, 'both', this.limits.maxJsonDepth)
      if (frame.kind === 'invalid') throw frame.fault
      await this.#deliver(connection, connectionId, frame, body)
      return { status: 202, headers: { ...headers, 'Content-Type': 'application/json' }, body: '{}' }
    } catch (error) {
      if (error instanceof GroupcastError) return this.#uplinkProblem(error, headers)
      this.#host.report(error, 'uplink')
      return this.problem('internal-error', headers)
    }
  }

  problem(
    code: ErrorCode,
    headers: Readonly<Record<string, string>> = {},
    detail?: string,
    retryAfterMs: number | null = null,
  ): HttpAnswer {
    const { httpStatus: status } = ERRORS[code]
    return {
      status,
      headers: {
        ...headers,
        ...challengeOf(code, detail),
        'Content-Type': PROBLEM_TYPE,
        'Cache-Control': 'no-store',
      },
      body: problemText(code, detail, retryAfterMs === null ? {} : { retryAfterMs }),
    }
  }

  report(error: unknown, where: string): void {
    this.#host.report(error, where)
  }

  #planOpening(
    request: ConnectionRequest,
    route: RouteMatch,
    headers: Readonly<Record<string, string>>,
  ): Plan {
    const wish = negotiate(request)
    if (wish === null) return this.#answer('not-acceptable', headers)
    const { transport, envelope } = wish
    const refusal = this.#host.meters.knock(request.remoteAddress, this.#host.asks(route))
    if (refusal !== null) return this.#turnAway(refusal, wish, headers)
    if (transport === 'websocket') {
      const protocol = envelope ? ENVELOPE_PROTOCOL : null
      return { kind: 'websocket', transport, envelope, protocol, route, request }
    }
    return { kind: 'stream', transport, envelope, route, request, headers }
  }

  #planUplink(request: ConnectionRequest, headers: Readonly<Record<string, string>>): Plan {
    if (isWebSocketUpgrade(request)) return this.#answer('method-not-allowed', { ...headers, Allow: METHODS })
    if (!isTransferCoding(request.header('transfer-encoding')))
      return this.#answer('bad-request', headers, OTHER_CODING)
    const coding = request.header('content-encoding')
    if (coding !== undefined && coding.trim().toLowerCase() !== 'identity') {
      return this.#answer(
        'unsupported-media-type',
        headers,
        'The body must not be encoded (Content-Encoding).',
      )
    }
    const connectionId = request.header(CONNECTION_HEADER)
    if (connectionId === undefined || connectionId === '') {
      const detail = `A message is posted with the header ${CONNECTION_HEADER}: the id that the open event carries.`
      return { kind: 'answer', answer: this.problem('bad-request', headers, detail) }
    }
    // One of this node has a rate of its own.
    const refusal = isHere(this.#host.find(connectionId))
      ? null
      : this.#host.meters.post(request.remoteAddress)
    if (refusal !== null) return { kind: 'answer', answer: this.#uplinkProblem(refusal, headers) }
    return { kind: 'uplink', connectionId, maxBytes: this.limits.maxMessageBytes, headers }
  }

  /**
   * The answer to a client that comes too often: without a connection, since that is what it must not cost. An EventSource gives up for good on
   * any status but 200, so it is told when to come back.
   */
  #turnAway(
    refusal: Refusal,
    { transport, envelope }: Wish,
    headers: Readonly<Record<string, string>>,
  ): Plan {
    if (transport !== 'sse') return { kind: 'answer', answer: this.#uplinkProblem(refusal, headers) }
    const { contentType, control } = streamFormat(transport, envelope, 'raw')
    const retryAfterMs = refusal.retryAfterMs ?? 0
    const close = { code: ERRORS[refusal.code].closeCode, reason: refusal.reason, retryAfterMs }
    const body = String(control({ close }, retryAfterMs + randomRetryMs(this.limits.retrySpreadMs)))
    const fields = { 'Content-Type': contentType, 'Cache-Control': 'no-store' }
    return { kind: 'answer', answer: { status: 200, headers: { ...headers, ...fields }, body } }
  }

  async #deliver(
    connection: LiveConnection | 'elsewhere' | null,
    connectionId: string,
    frame: ClientFrame,
    body: string,
  ): Promise<void> {
    if (connection === 'elsewhere') return this.#host.forward(connectionId, body)
    // One that is closing would take the message and drop it.
    if (connection?.isOpen !== true) throw new GroupcastError('unknown-connection')
    if (!connection.receivePosted(frame)) throw new GroupcastError('too-many-messages')
  }

  #uplinkProblem(error: GroupcastError, headers: Readonly<Record<string, string>>): HttpAnswer {
    const retryAfterMs = error instanceof Refusal ? error.retryAfterMs : null
    const retry = ERRORS[error.code].comeBack ? retryAfter(retryAfterMs) : {}
    const detail = ERRORS[error.code].audience === 'client' ? error.message : undefined
    return this.problem(error.code, { ...headers, ...retry }, detail, retryAfterMs)
  }

  #answer(code: ErrorCode, headers: Readonly<Record<string, string>>, detail?: string): Plan {
    return { kind: 'answer', answer: this.problem(code, headers, detail) }
  }
}

function isHere(connection: LiveConnection | 'elsewhere' | null): connection is LiveConnection {
  return connection !== null && connection !== 'elsewhere'
}

/** Behind a door that stays shut there is nobody to tell. */
const NOBODY: LinkOwner = Object.freeze({
  opened: (link) => link.terminate(),
  received() {},
  drained() {},
  alive() {},
  pinged() {},
  answered() {},
  closed() {},
} satisfies LinkOwner)
