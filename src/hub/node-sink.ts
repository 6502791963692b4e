import { ChannelFullError } from '../errors.ts'
import {
  CHANNEL_DEFAULTS,
  type LayerPublication,
  type LayerRecovery,
  type LayerSink,
  type LayerStatus,
} from '../layers/layer.ts'
import { Mailboxes } from '../mailboxes.ts'
import { NODES_GROUP } from '../names.ts'
import { Publication } from '../publication.ts'
import { parseClientFrame } from './client-frame.ts'
import type { HubCore } from './core.ts'
import type { Group } from './groups.ts'
import type { LiveConnection } from './live-connection.ts'
import { type NodeMessage, parseNodeMessage } from './node-message.ts'

/** Channels that `newChannel` makes start so, to be told from those of connections. */
const READER_PREFIX = 'reader-'
/** The channel of the node itself, where other nodes ask it things. */
export const NODE_LOCAL_ID = 'node'

/** Where the layer hands over what is for this node: publications of its groups, and messages for channels that live here. */
export class NodeSink implements LayerSink {
  readonly #core: HubCore
  /** Channels of this node that are no connections: a worker waits for answers there. */
  readonly #mailboxes: Mailboxes
  #status: LayerStatus = { state: 'connecting' }

  constructor(core: HubCore) {
    this.#core = core
    this.#mailboxes = new Mailboxes({ ...CHANNEL_DEFAULTS, clock: core.clock })
  }

  get layerStatus(): LayerStatus {
    return this.#status
  }

  deliver(name: string, publication: LayerPublication): void {
    try {
      this.#deliver(name, publication)
    } catch (error) {
      // What another program put on the layer must not stop what comes after it.
      this.#core.report(error, `group ${name}`)
    }
  }

  receive(channel: string, json: string): boolean {
    try {
      return this.#receive(channel, json)
    } catch (error) {
      this.#core.report(error, `channel ${channel}`)
      return true
    }
  }

  recovered({ publications, lost, after, cursor }: LayerRecovery): void {
    try {
      // First: with the cursor of a publication before it, a client that is cut in between would never hear of it.
      const told = this.#tellOfLoss(lost, (publications.length === 0 ? null : after) ?? cursor)
      for (const { group, publication } of publications) {
        if (group === NODES_GROUP) this.#core.nodes.delivered(publication.json, false)
        else this.deliver(group, publication)
      }
      if (lost.includes(NODES_GROUP)) this.#core.nodes.lost()
      if (publications.length > 0) for (const connection of told) connection.sayLater({ cursor })
    } catch (error) {
      this.#core.report(error, 'layer')
    }
  }

  /** @returns who was told */
  #tellOfLoss(lost: readonly string[], cursor: string): Iterable<LiveConnection> {
    const groupsOf = new Map<LiveConnection, string[]>()
    for (const name of lost) {
      for (const { members } of this.#core.groups.get(name)?.buckets ?? []) {
        for (const connection of members) {
          const groups = groupsOf.get(connection)
          if (groups === undefined) groupsOf.set(connection, [name])
          else groups.push(name)
        }
      }
    }
    for (const [connection, groups] of groupsOf) connection.missed(groups, cursor)
    return groupsOf.keys()
  }

  #deliver(name: string, { json, cursor }: LayerPublication): void {
    const { groups, counters } = this.#core
    if (name === NODES_GROUP) {
      this.#core.nodes.delivered(json, true)
      return
    }
    counters.publications++
    const group = groups.get(name)
    if (group === undefined) return
    const publication = new Publication(name, json, cursor, group.slow)
    counters.deliveries += group.deliver(publication)
    if (group.channels.size > 0) this.#copyToChannels(group, publication)
  }

  #receive(channel: string, json: string): boolean {
    const localId = this.localIdOf(channel)
    if (localId === null) return true
    const message = parseNodeMessage(json)
    if (localId === NODE_LOCAL_ID) {
      if (message !== null) this.#core.nodes.received(message)
      return true
    }
    if (localId.startsWith(READER_PREFIX)) {
      if (message === null) return this.#mailboxes.push(channel, json)
      this.#changeMembership(channel, message)
      return true
    }
    const connection = this.connectionOf(channel)
    // Gone: like every message to a reader that left, it is dropped.
    if (connection === null) return true
    return message === null
      ? connection.receiveFromChannel(new Publication(null, json, null))
      : this.#obey(connection, message)
  }

  status(status: LayerStatus): void {
    this.#status = status
    if (status.state === 'ready') this.#core.nodes.back()
  }

  report(error: unknown): void {
    this.#core.report(error, 'layer')
  }

  /** The part of a channel's name that says which of this node's it is; `null` for other channels. */
  localIdOf(channel: string): string | null {
    const prefix = this.#core.layer.channelOf(this.#core.nodeId, '')
    return channel.startsWith(prefix) ? channel.slice(prefix.length) : null
  }

  /** The connection whose channel this is, if it lives here. */
  connectionOf(channel: string): LiveConnection | null {
    return this.#core.connections.get(this.localIdOf(channel) ?? '') ?? null
  }

  /** Whether a channel lives on another node: of a connection, or made by `newChannel` there. */
  isElsewhere(channel: string): boolean {
    return channel.includes('!') && this.localIdOf(channel) === null
  }

  /** Whether a channel is that of a connection of this node which has ended. */
  isGone(channel: string): boolean {
    const localId = this.localIdOf(channel)
    return localId !== null && !localId.startsWith(READER_PREFIX) && this.connectionOf(channel) === null
  }

  newChannel(id: string): string {
    return this.#core.layer.channelOf(this.#core.nodeId, READER_PREFIX + id)
  }

  /** The next message of a channel, which may be one of this node's. */
  async pull(channel: string, signal: AbortSignal): Promise<string> {
    if (this.localIdOf(channel) !== null) return this.#mailboxes.pull(channel, signal)
    await this.#core.started
    return this.#core.layer.receive(channel, signal)
  }

  close(reason: Error): void {
    this.#mailboxes.close(reason)
    this.#status = { state: 'closed' }
  }

  #copyToChannels(group: Group, { json }: Publication): void {
    for (const channel of group.channels) {
      this.#core.layer.send(channel, json).catch((error) => {
        // A group never waits for a full channel: that reader misses this message, the others do not.
        if (!(error instanceof ChannelFullError)) this.#core.report(error, `group ${group.name}`)
      })
    }
  }

  #obey(connection: LiveConnection, message: NodeMessage): boolean {
    switch (message.type) {
      case 'groupcast.close':
        connection.close(message.code, message.reason)
        return true
      case 'groupcast.join':
        connection.join(message.group).catch((error) => this.#core.report(error, 'groupAdd', connection))
        return true
      case 'groupcast.leave':
        connection.leave(message.group).catch((error) => this.#core.report(error, 'groupDiscard', connection))
        return true
      case 'groupcast.uplink':
        // The node that took it from the client has checked its form.
        return connection.receiveForwarded(
          parseClientFrame(message.body, 'both', this.#core.limits.maxJsonDepth),
          Buffer.byteLength(message.body),
        )
      case 'groupcast.revoke':
      case 'groupcast.redeem':
      case 'groupcast.redeemed':
        // Not for a connection: whoever sent it has mistaken the channel.
        return true
      default:
        return message satisfies never
    }
  }

  #changeMembership(channel: string, message: NodeMessage): void {
    if (message.type === 'groupcast.join') {
      this.#core.groups
        .addChannel(message.group, channel)
        .catch((error) => this.#core.report(error, 'groupAdd'))
    }
    if (message.type === 'groupcast.leave') {
      this.#core.groups
        .discardChannel(message.group, channel)
        .catch((error) => this.#core.report(error, 'groupDiscard'))
    }
  }
}
