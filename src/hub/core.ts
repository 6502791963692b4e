import { customAlphabet, nanoid } from 'nanoid'
import type { Clock } from '../clock.ts'
import { GroupcastError } from '../errors.ts'
import type { ChannelLayer } from '../layers/layer.ts'
import { encodeMessage, type MessageCheck } from '../message.ts'
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
import { Recall } from './recall.ts'
import { type RouteMatch, Router } from './router.ts'
import { Turn } from './turn.ts'

const makeNodeId = customAlphabet('0123456789abcdefghijklmnopqrstuvwxyz', 12)

/** Most bytes of one write: a larger one would save no system call worth its wait, and share less. */
const WRITE_BYTES = 64 * 1024

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
  readonly writeBytes: number
  readonly router = new Router()
  readonly turn = new Turn((error) => this.report(error, 'fan-out'))
  readonly counters = new Counters()
  readonly connections = new Connections()
  readonly groups: Groups
  readonly recall: Recall
  readonly backlog: Backlog
  readonly sink: NodeSink
  /** Resolves when the layer can be used. */
  readonly started: Promise<void>
  readonly #heartbeats: Heartbeats
  readonly #onError: CoreParts['onError']
  /** Nothing can be sent any more. */
  isClosed = false
  #isStarted = false
  /** Somebody has asked for {@link ready}, and hears of a failure. */
  #isAwaited = false
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
    this.writeBytes = Math.min(WRITE_BYTES, limits.maxBacklogBytes)
    this.sink = new NodeSink(this)
    const historyOf = (group: string) => groupRules.historyOf(group)
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
    if (this.#isStarted && !this.messages.isOn) return { cursor: await this.layer.groupSend(group, json) }
    return { cursor: await this.layer.groupSend(group, await this.#checked(json)) }
  }

  /** Sends a message that has passed {@link assertMessage} to a channel; checks its schema. */
  async send(channel: string, message: { readonly type: string }): Promise<void> {
    const json = encodeMessage(message)
    if (this.#isStarted && !this.messages.isOn) return this.layer.send(channel, json)
    return this.layer.send(channel, await this.#checked(json))
  }

  /** The text is made before anything is awaited: what the caller does to the message afterwards changes nothing. */
  async #checked(json: string): Promise<string> {
    if (!this.#isStarted) await this.started
    return this.messages.isOn ? encodeMessage(await this.messages.parse(JSON.parse(json))) : json
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

/** `nodeId.localId`; empty parts for what is no id. */
function splitId(connectionId: string): [node: string, localId: string] {
  const [, node = '', localId = ''] = /^([a-z0-9]{12})\.([A-Za-z0-9_-]{1,64})$/.exec(connectionId) ?? []
  return [node, localId]
}
