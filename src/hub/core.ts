import { customAlphabet, nanoid } from 'nanoid'
import type { Clock } from '../clock.ts'
import { GroupcastError, Refusal } from '../errors.ts'
import { type Authenticate, type Identity, lifetimeOf } from '../identity.ts'
import type { ChannelLayer } from '../layers/layer.ts'
import { encodeMessage, type MessageCheck } from '../message.ts'
import { NODES_GROUP } from '../names.ts'
import type { Limits } from '../options.ts'
import type { Rates } from '../rates.ts'
import type { ConnectionRequest } from '../transports/backend.ts'
import type { WireFormat } from '../wire/wire-format.ts'
import { Authenticator, type Question, tokenOf } from './authenticator.ts'
import { Backlog } from './backlog.ts'
import { type ConnectionHost, Counters } from './connection-host.ts'
import { Connections } from './connections.ts'
import { isFailedAuthentication } from './denial.ts'
import type { GateHost } from './gate.ts'
import type { GroupRules } from './group-rules.ts'
import { Groups } from './groups.ts'
import { Heartbeats } from './heartbeats.ts'
import type { ErrorContext, Sent } from './hub-api.ts'
import { LiveConnection } from './live-connection.ts'
import { Meters } from './meters.ts'
import { encodeNodeMessage, type Grant, type NodeMessage } from './node-message.ts'
import { NODE_LOCAL_ID, NodeSink } from './node-sink.ts'
import { Nodes } from './nodes.ts'
import { Recall } from './recall.ts'
import { Revocations } from './revocations.ts'
import { type AnyConsumer, type Route, type RouteMatch, Router } from './router.ts'
import { Sessions } from './sessions.ts'
import { Tickets } from './tickets.ts'
import { Turn } from './turn.ts'

const makeNodeId = customAlphabet('0123456789abcdefghijklmnopqrstuvwxyz', 12)

/** Most bytes of one write: a larger one would save no system call worth its wait, and share less. */
const WRITE_BYTES = 64 * 1024

/** The options of a hub, resolved. */
export interface CoreParts {
  readonly layer: ChannelLayer
  readonly limits: Limits
  readonly rates: Rates
  readonly messages: MessageCheck
  readonly groupRules: GroupRules
  /** Of consumers without a hook of their own. */
  readonly authenticate: Authenticate | null
  readonly allowedOrigins: readonly string[]
  readonly allowedHosts: readonly string[] | null
  readonly clock: Clock
  readonly onError: (error: unknown, context: ErrorContext) => void
}

/** What stands behind a hub's public face: one process's connections, groups and layer, and what they need of each other. */
export class HubCore implements ConnectionHost, GateHost {
  readonly nodeId = makeNodeId()
  readonly layer: ChannelLayer
  readonly limits: Limits
  readonly rates: Rates
  readonly messages: MessageCheck
  readonly allowedOrigins: readonly string[]
  readonly allowedHosts: readonly string[] | null
  readonly clock: Clock
  readonly writeBytes: number
  readonly router = new Router()
  readonly turn = new Turn((error) => this.report(error, 'fan-out'))
  readonly counters = new Counters()
  readonly meters: Meters
  readonly connections = new Connections()
  readonly groups: Groups
  readonly recall: Recall
  readonly backlog: Backlog
  readonly sink: NodeSink
  readonly revocations: Revocations
  readonly sessions: Sessions
  readonly tickets: Tickets
  readonly nodes: Nodes
  readonly #authenticator: Authenticator
  readonly #authenticate: Authenticate | null
  /** Resolves when the layer can be used. */
  readonly started: Promise<void>
  readonly #heartbeats: Heartbeats
  readonly #onError: CoreParts['onError']
  /** Nothing can be sent any more. */
  isClosed = false
  #isStarted = false
  /** How much was sent before the layer had started and has not reached it: what is sent now goes behind it. */
  #early = 0
  /** Somebody has asked for {@link ready}, and hears of a failure. */
  #isAwaited = false
  #isDraining = false

  constructor({
    layer,
    limits,
    rates,
    messages,
    groupRules,
    authenticate,
    allowedOrigins,
    allowedHosts,
    clock,
    onError,
  }: CoreParts) {
    this.layer = layer
    this.limits = limits
    this.rates = rates
    this.meters = new Meters(rates, clock, this.counters.rateRefusals)
    this.messages = messages
    this.allowedOrigins = allowedOrigins
    this.allowedHosts = allowedHosts
    this.clock = clock
    this.#onError = onError
    this.writeBytes = Math.min(WRITE_BYTES, limits.maxBacklogBytes)
    this.sink = new NodeSink(this)
    this.revocations = new Revocations(limits.maxRevocations)
    this.sessions = new Sessions(clock, this.revocations, this.counters)
    this.tickets = new Tickets(this)
    // Before the layer starts, which may say at once that it is ready.
    this.nodes = new Nodes(this)
    const nodesHistory = Nodes.historyOf(layer)
    const historyOf = (group: string) => (group === NODES_GROUP ? nodesHistory : groupRules.historyOf(group))
    this.started = layer.start({ nodeId: this.nodeId, sink: this.sink, historyOf })
    this.started.then(
      () => {
        this.#isStarted = true
      },
      (error) => {
        if (!this.#isAwaited) this.report(error, 'layer')
      },
    )
    this.groups = new Groups(layer, this.started, this.turn, (group) => groupRules.slowOf(group))
    this.recall = new Recall(layer, this.started, groupRules, clock)
    this.backlog = new Backlog(limits.maxTotalBacklogBytes)
    this.#heartbeats = new Heartbeats(limits, clock)
    this.#authenticate = authenticate
    this.#authenticator = new Authenticator(this)
    if (authenticate !== null) this.nodes.expect(lifetimeOf(authenticate))
  }

  get isDraining(): boolean {
    return this.#isDraining
  }

  ready(): Promise<void> {
    this.#isAwaited = true
    return this.started
  }

  /** Sends a message that has passed {@link assertMessage}; checks its schema. */
  async groupSend(group: string, message: { readonly type: string }): Promise<Sent> {
    const json = encodeMessage(message)
    // Nothing to wait for: the layer gets it before this call returns, in the order of the calls.
    if (this.#isOpen && !this.messages.isOn) return { cursor: await this.layer.groupSend(group, json) }
    return { cursor: await this.#handOver(json, (checked) => this.layer.groupSend(group, checked)) }
  }

  /** Sends a message that has passed {@link assertMessage} to a channel; checks its schema. */
  async send(channel: string, message: { readonly type: string }): Promise<void> {
    const json = encodeMessage(message)
    if (this.#isOpen && !this.messages.isOn) return this.layer.send(channel, json)
    return this.#handOver(json, (checked) => this.layer.send(channel, checked))
  }

  /** Whether what is sent now overtakes nothing. */
  get #isOpen(): boolean {
    return this.#isStarted && this.#early === 0
  }

  /** Checked, and when the layer has started. The text was made before: what the caller does to the message meanwhile changes nothing. */
  async #handOver<T>(json: string, send: (json: string) => Promise<T>): Promise<T> {
    const isEarly = !this.#isOpen
    if (isEarly) this.#early++
    let sending: Promise<T>
    try {
      if (isEarly) await this.started
      const checked = this.messages.isOn ? encodeMessage(await this.messages.parse(JSON.parse(json))) : json
      sending = send(checked)
    } finally {
      if (isEarly) this.#early--
    }
    return sending
  }

  /** Sends a message between nodes to a channel of a node, perhaps this one. */
  async sendTo(channel: string, message: NodeMessage): Promise<void> {
    await this.started
    await this.layer.send(channel, encodeNodeMessage(message))
  }

  // --- Gate ---

  connect(match: RouteMatch, request: ConnectionRequest, format: WireFormat): LiveConnection {
    const connection = new LiveConnection(newLocalId(), match, request, format, this)
    this.connections.connecting(connection)
    this.meters.began(connection)
    return connection
  }

  asks({ route }: RouteMatch): boolean {
    return this.#hookOf(route) !== null
  }

  find(connectionId: string): LiveConnection | 'elsewhere' | null {
    const [node, localId] = splitId(connectionId)
    if (node !== this.nodeId) return node === '' ? null : 'elsewhere'
    return this.connections.get(localId) ?? null
  }

  forward(connectionId: string, body: string): Promise<void> {
    return this.tell(connectionId, { type: 'groupcast.uplink', body })
  }

  /** Sends a message to a node itself. */
  tellNode(nodeId: string, message: NodeMessage): Promise<void> {
    return this.sendTo(this.layer.channelOf(nodeId, NODE_LOCAL_ID), message)
  }

  /** Sends a message between nodes to wherever a connection lives. */
  tell(connectionId: string, message: NodeMessage): Promise<void> {
    const [node, localId] = splitId(connectionId)
    return this.sendTo(this.layer.channelOf(node, localId), message)
  }

  // --- Identity ---

  /** Serves a consumer. @throws {MisuseError} `invalid-option` */
  addConsumer(path: string, consumer: AnyConsumer): void {
    this.router.add(path, consumer)
    const { authenticate } = consumer
    if (typeof authenticate === 'function') this.nodes.expect(lifetimeOf(authenticate))
  }

  identify(connection: LiveConnection): Promise<void> | null {
    const hook = this.#hookOf(connection.route)
    return hook === null ? null : this.#identify(connection, hook)
  }

  async refresh(connection: LiveConnection, token: string): Promise<Identity> {
    const hook = this.#hookOf(connection.route)
    const { identity: known } = connection
    if (hook === null || known === null) {
      throw new Refusal('not-supported', 'This connection has no token that could be refreshed.')
    }
    const { request, route } = connection
    const excess = this.meters.mayAuthenticate(request.remoteAddress)
    if (excess !== null) throw excess
    const askedAt = Date.now()
    const where = `authenticate of ${route.path}`
    const accept = (identity: Identity | null) => {
      if (identity === null || identity.id !== known.id) {
        throw new Refusal('forbidden', 'The token is of somebody else: connect anew.')
      }
      this.#assign(connection, identity, askedAt)
      this.counters.refreshedTokens++
      return identity
    }
    return this.#ask({ asker: connection, hook, where, request, token, identity: known, accept })
  }

  /**
   * A one-time ticket for the client behind a request.
   *
   * @throws {Refusal} what the hook refuses with, `unauthorized` for a client without an identity, `not-supported` where the hub has no hook
   */
  async createTicket(request: ConnectionRequest): Promise<{ ticket: string; expiresInMs: number }> {
    const hook = this.#authenticate
    if (hook === null) throw new Refusal('not-supported', 'This hub does not ask who its clients are.')
    const excess = this.meters.mayAuthenticate(request.remoteAddress)
    if (excess !== null) throw excess
    await this.nodes.join()
    const askedAt = Date.now()
    const accept = (identity: Identity | null) => {
      if (identity === null) throw new Refusal('unauthorized')
      this.nodes.assertRemembered(identity)
      if (this.revocations.refuses(identity.id, identity.issuedAt ?? askedAt)) throw new Refusal('revoked')
      const ticket = this.tickets.issue({ identity, askedAt })
      this.counters.issuedTickets++
      return ticket
    }
    return this.#ask({
      asker: {},
      hook,
      where: 'authenticate of a ticket',
      request,
      identity: null,
      accept,
    })
  }

  /** Asks a hook; counts how long that took, and an attempt that fails for what the client gave. */
  async #ask<Answer>(question: Question<Answer>): Promise<Answer> {
    const askedAt = this.clock.now()
    try {
      return await this.#authenticator.ask(question)
    } catch (error) {
      if (isFailedAuthentication(error)) this.counters.failedAuthentications++
      throw error
    } finally {
      this.counters.authenticationSeconds.observe((this.clock.now() - askedAt) / 1000)
    }
  }

  #assign(connection: LiveConnection, identity: Identity, askedAt: number): void {
    this.nodes.assertRemembered(identity)
    this.sessions.assign(connection, identity, askedAt)
  }

  #hookOf({ consumer }: Route): Authenticate | null {
    const { authenticate } = consumer
    if (authenticate === false) return null
    if (authenticate === undefined) return this.#authenticate
    return (request) => authenticate.call(consumer, request)
  }

  async #identify(connection: LiveConnection, hook: Authenticate): Promise<void> {
    // Before anybody is asked: a revocation that comes meanwhile must find its way here.
    await this.nodes.join()
    const { request, route } = connection
    const where = `authenticate of ${route.path}`
    const ticket = route.consumer.authenticate === undefined ? ticketOf(request) : null
    let askedAt = Date.now()
    const redeem = async () => {
      const grant: Grant = await this.tickets.redeem(ticket ?? '')
      askedAt = grant.askedAt
      this.counters.usedTickets++
      return grant.identity
    }
    const accept = (identity: Identity | null) => {
      if (identity !== null && !connection.isGone) this.#assign(connection, identity, askedAt)
    }
    const asked = ticket === null ? { hook } : { hook: redeem, takesNoPlace: true }
    await this.#ask({ asker: connection, ...asked, where, request, identity: null, accept })
  }

  // --- Connections ---

  opened(connection: LiveConnection): void {
    this.counters.opened++
    this.connections.opened(connection)
    this.#heartbeats.add(connection)
  }

  closed(connection: LiveConnection): void {
    this.#authenticator.left(connection)
    this.meters.ended(connection)
    this.sessions.closed(connection)
    this.connections.closed(connection)
    this.#heartbeats.remove(connection)
  }

  finished(connection: LiveConnection): void {
    this.connections.finished(connection)
  }

  report(error: unknown, where: string, connection?: LiveConnection): void {
    this.counters.errors++
    // The hook that hears of failures failed: the process's own log is the last place left.
    const failed = (failure: unknown) => console.error('onError failed:', failure, 'while reporting:', error)
    try {
      const heard: unknown = this.#onError(error, {
        where,
        ...(connection !== undefined && { connection: connection.id }),
      })
      if (heard instanceof Promise) heard.catch(failed)
    } catch (failure) {
      failed(failure)
    }
  }

  // --- The end ---

  /** Tells everybody to come back, waits for them and for `pending` until `deadlineMs`, cuts the rest, ends the layer. */
  async drain(deadlineMs: number, pending: Promise<unknown>): Promise<void> {
    this.#isDraining = true
    for (const connection of this.connections.all()) connection.closeWith('restarting')
    let cancel = () => {}
    const deadline = new Promise<void>((resolve) => {
      cancel = this.clock.after(deadlineMs, resolve)
    })
    const work = Promise.allSettled([this.connections.idle(), pending])
    await Promise.race([work, deadline])
    cancel()
    for (const connection of this.connections.all()) connection.terminate()
    this.isClosed = true
    this.#heartbeats.close()
    this.sessions.close()
    this.tickets.close()
    this.recall.forget()
    this.sink.close(new GroupcastError('hub-closed'))
    await this.layer.close()
  }
}

/**
 * An id that cannot be guessed. nanoid builds its text letter by letter, which leaves a chain of ten strings; copied, it is one
 * (bench: idle-memory).
 */
function newLocalId(): string {
  return Buffer.from(nanoid(), 'latin1').toString('latin1')
}

/**
 * The ticket that a client shows; `null`: none.
 *
 * @throws {Refusal} `bad-request` for a client that gives a token as well (RFC 6750, section 2)
 */
function ticketOf(request: ConnectionRequest): string | null {
  const [ticket, ...others] = request.query.getAll('ticket')
  if (ticket === undefined) return null
  if (others.length > 0 || tokenOf(request) !== null) {
    throw new Refusal('bad-request', 'The request has more than one token: give it in one way.')
  }
  return ticket
}

/** `nodeId.localId`; empty parts for what is no id. */
function splitId(connectionId: string): [node: string, localId: string] {
  const [, node = '', localId = ''] = /^([a-z0-9]{12})\.([A-Za-z0-9_-]{1,64})$/.exec(connectionId) ?? []
  return [node, localId]
}
