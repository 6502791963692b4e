import { customAlphabet, nanoid } from 'nanoid'
import type { Clock } from '../clock.ts'
import { GroupcastError } from '../errors.ts'
import type { ChannelLayer } from '../layers/layer.ts'
import type { MessageCheck } from '../message.ts'
import type { Limits } from '../options.ts'
import type { ConnectionRequest } from '../transports/backend.ts'
import type { WireFormat } from '../wire/wire-format.ts'
import { Backlog } from './backlog.ts'
import { type ConnectionHost, Counters } from './connection-host.ts'
import { Connections } from './connections.ts'
import type { GateHost } from './gate.ts'
import type { GroupRules } from './group-rules.ts'
import { Groups } from './groups.ts'
import { Heartbeats } from './heartbeats.ts'
import type { ErrorContext, Sent } from './hub-api.ts'
import { LiveConnection } from './live-connection.ts'
import { encodeNodeMessage, type NodeMessage } from './node-message.ts'
import { NodeSink } from './node-sink.ts'
import { type RouteMatch, Router } from './router.ts'
import { Turn } from './turn.ts'

const makeNodeId = customAlphabet('0123456789abcdefghijklmnopqrstuvwxyz', 12)

/** A batch that passes this is written at once: one larger write would save no system call worth its wait. */
const EARLY_FLUSH_BYTES = 64 * 1024

/** The options of a hub, resolved. */
export interface CoreParts {
  readonly layer: ChannelLayer
  readonly limits: Limits
  readonly messages: MessageCheck
  readonly groupRules: GroupRules
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
  readonly messages: MessageCheck
  readonly allowedOrigins: readonly string[]
  readonly allowedHosts: readonly string[] | null
  readonly clock: Clock
  readonly earlyFlushBytes: number
  readonly router = new Router()
  readonly turn = new Turn()
  readonly counters = new Counters()
  readonly connections = new Connections()
  readonly groups: Groups
  readonly backlog: Backlog
  readonly sink: NodeSink
  /** Resolves when the layer can be used. */
  readonly started: Promise<void>
  readonly #hasGroupPolicies: boolean
  readonly #heartbeats: Heartbeats
  readonly #onError: CoreParts['onError']
  /** Nothing can be sent any more. */
  isClosed = false
  #isStarted = false
  #isDraining = false

  constructor({
    layer,
    limits,
    messages,
    groupRules,
    allowedOrigins,
    allowedHosts,
    clock,
    onError,
  }: CoreParts) {
    this.layer = layer
    this.limits = limits
    this.messages = messages
    this.allowedOrigins = allowedOrigins
    this.allowedHosts = allowedHosts
    this.clock = clock
    this.#onError = onError
    this.earlyFlushBytes = Math.min(EARLY_FLUSH_BYTES, limits.maxBacklogBytes)
    this.sink = new NodeSink(this)
    this.started = layer.start({ nodeId: this.nodeId, sink: this.sink })
    this.started.then(
      () => {
        this.#isStarted = true
      },
      (error) => this.report(error, 'layer'),
    )
    this.groups = new Groups(layer, this.started, (group) => groupRules.slowOf(group))
    this.backlog = new Backlog(this.turn, limits)
    this.#hasGroupPolicies = groupRules.hasPolicies
    this.#heartbeats = new Heartbeats(limits.heartbeatMs, limits.deadAfterMs, clock)
  }

  get hasPolicies(): boolean {
    return this.#hasGroupPolicies || this.router.hasPolicies
  }

  get isDraining(): boolean {
    return this.#isDraining
  }

  /** Sends a message that has passed {@link assertMessage}; checks its schema. */
  async groupSend(group: string, message: { readonly type: string }): Promise<Sent> {
    const checked = this.messages.isOn ? await this.messages.parse(message) : message
    if (!this.#isStarted) await this.started
    return { cursor: await this.layer.groupSend(group, JSON.stringify(checked)) }
  }

  /** Sends a message that has passed {@link assertMessage} to a channel; checks its schema. */
  async send(channel: string, message: { readonly type: string }): Promise<void> {
    const checked = this.messages.isOn ? await this.messages.parse(message) : message
    await this.started
    await this.layer.send(channel, JSON.stringify(checked))
  }

  /** Sends a message between nodes to a channel of a node, perhaps this one. */
  async sendTo(channel: string, message: NodeMessage): Promise<void> {
    await this.started
    await this.layer.send(channel, encodeNodeMessage(message))
  }

  // --- Gate ---

  connect(match: RouteMatch, request: ConnectionRequest, format: WireFormat): LiveConnection {
    const connection = new LiveConnection(nanoid(), match, request, format, this)
    this.connections.connecting(connection)
    return connection
  }

  find(connectionId: string): LiveConnection | 'elsewhere' | null {
    const [node, localId] = splitId(connectionId)
    if (node !== this.nodeId) return node === '' ? null : 'elsewhere'
    return this.connections.get(localId) ?? null
  }

  forward(connectionId: string, body: string): Promise<void> {
    return this.tell(connectionId, { type: 'groupcast.uplink', body })
  }

  /** Sends a message between nodes to wherever a connection lives. */
  tell(connectionId: string, message: NodeMessage): Promise<void> {
    const [node, localId] = splitId(connectionId)
    return this.sendTo(this.layer.channelOf(node, localId), message)
  }

  // --- Connections ---

  opened(connection: LiveConnection): void {
    this.counters.opened++
    this.connections.opened(connection)
    this.#heartbeats.add(connection)
  }

  closed(connection: LiveConnection): void {
    this.connections.closed(connection)
    this.#heartbeats.remove(connection)
  }

  finished(connection: LiveConnection): void {
    this.connections.finished(connection)
  }

  report(error: unknown, where: string, connection?: LiveConnection): void {
    this.counters.errors++
    try {
      this.#onError(error, { where, ...(connection !== undefined && { connection: connection.id }) })
    } catch (failure) {
      // The hook that hears of failures failed: the process's own log is the last place left.
      console.error('onError failed:', failure, 'while reporting:', error)
    }
  }

  // --- The end ---

  /** Tells everybody to come back, waits until `deadlineMs`, cuts the rest, ends the layer. */
  async drain(deadlineMs: number): Promise<void> {
    this.#isDraining = true
    for (const connection of this.connections.all()) connection.closeWith('restarting')
    let cancel = () => {}
    const deadline = new Promise<void>((resolve) => {
      cancel = this.clock.after(deadlineMs, resolve)
    })
    await Promise.race([this.connections.idle(), deadline])
    cancel()
    for (const connection of this.connections.all()) connection.terminate()
    this.isClosed = true
    this.#heartbeats.close()
    this.sink.close(new GroupcastError('hub-closed'))
    await this.layer.close()
  }
}

/** `nodeId.localId`; empty parts for what is no id. */
function splitId(connectionId: string): [node: string, localId: string] {
  const [, node = '', localId = ''] = /^([a-z0-9]{12})\.([A-Za-z0-9_-]{1,64})$/.exec(connectionId) ?? []
  return [node, localId]
}
