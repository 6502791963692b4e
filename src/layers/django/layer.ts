import { ChannelFullError, GroupcastError, MisuseError } from '../../errors.ts'
import { Mailboxes } from '../../mailboxes.ts'
import { RESERVED_PREFIX } from '../../message.ts'
import { badName, isChannelName, isGroupName, quote } from '../../names.ts'
import { Interest } from '../broker/interest.ts'
import { Lifeline } from '../broker/lifeline.ts'
import { refusalOf } from '../broker/redis-errors.ts'
import type { ChannelLayer, LayerCapabilities, LayerSink, LayerStart, LayerStatus } from '../layer.ts'
import { CoreProtocol } from './core.ts'
import { Inbox } from './inbox.ts'
import { assertDjangoChannel, assertDjangoGroup, isOfHub, nodeChannel, nodeOf } from './names.ts'
import type { Settings } from './options.ts'
import type { DjangoSession, Protocol } from './protocol.ts'
import { PubsubProtocol } from './pubsub.ts'
import { UncarriableError } from './values.ts'

/** A node among Django processes, by either protocol. */
export class DjangoLayer implements ChannelLayer {
  readonly name = 'django'
  readonly capabilities: LayerCapabilities
  readonly position = null
  readonly #settings: Settings
  #node: Node | null = null
  #isClosed = false

  constructor(settings: Settings) {
    this.#settings = settings
    const { protocol, hosts, queues } = settings
    // One connection keeps the order of what it is told; several do not, and neither do several queues of a reader.
    const isOneWay = hosts.length === 1 && (protocol === 'pubsub' || queues === 1)
    this.capabilities = Object.freeze({
      replay: false,
      queues: protocol === 'core',
      order: isOneWay ? 'sender' : 'group',
    })
  }

  async start({ nodeId, sink }: LayerStart): Promise<void> {
    if (this.#isClosed) throw closedError()
    if (this.#node !== null)
      throw new MisuseError(
        'invalid-option',
        'This djangoLayer() is started: give each hub a layer of its own.',
      )
    this.#node = new Node(this.#settings, nodeId, sink)
    await this.#node.lifeline.start()
  }

  async groupAdd(group: string): Promise<void> {
    this.#assertGroup(group)
    const { interest, lifeline } = this.#started()
    await interest.add(group, (adding) => lifeline.run(adding))
  }

  async groupDiscard(group: string): Promise<void> {
    this.#started().interest.discard(group)
  }

  async groupSend(group: string, json: string): Promise<null> {
    this.#assertGroup(group)
    const { lifeline } = this.#started()
    const encoded = this.#encode(json)
    await lifeline.run((session) => session.groupSend(group, encoded))
    return null
  }

  async refresh(): Promise<void> {
    this.#started()
  }

  async replay(): Promise<never> {
    this.#started()
    throw new GroupcastError(
      'history-not-available',
      'Channel layers of Django keep no history: there is nothing to replay.',
    )
  }

  channelOf(nodeId: string, localId: string): string {
    return nodeChannel(nodeId, localId)
  }

  async send(channel: string, json: string): Promise<void> {
    const { lifeline, inbox, nodeId } = this.#startedFor(channel)
    if (!isOfHub(channel) && isReserved(json)) {
      // A consumer of Django has no handler for it, and would end.
      throw new GroupcastError(
        'invalid-message',
        `Only hubs understand each other: ${quote(channel)} is none’s.`,
      )
    }
    const encoded = this.#encode(json)
    await lifeline.run<unknown>(async (session) => {
      if (nodeOf(channel) !== nodeId) return session.send(channel, encoded)
      // What lives here needs no way around; and only so a full queue is noticed.
      if (!inbox.push(channel, json)) throw new ChannelFullError(channel)
      return null
    })
  }

  async receive(channel: string, signal?: AbortSignal): Promise<string> {
    const node = this.#startedFor(channel)
    const isOfProcess = channel.includes('!')
    if (isOfProcess && !isOfHub(channel)) {
      const text = `${quote(channel)} is a channel of one process of Django, and nobody else may read it.`
      throw new MisuseError('invalid-name', text)
    }
    signal?.throwIfAborted()
    // What comes for connections is pushed to their node (obligation 10).
    return isOfProcess ? node.wait(signal) : node.receive(channel, signal)
  }

  async flush(): Promise<void> {
    const { lifeline, protocol } = this.#started()
    await lifeline.run((session) => session.flush())
    protocol.flush()
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await this.#node?.close()
  }

  #started(): Node {
    if (this.#isClosed) throw closedError()
    if (this.#node === null)
      throw new MisuseError('invalid-option', 'This djangoLayer() is not started: a hub does that, once.')
    return this.#node
  }

  #startedFor(channel: string): Node {
    const node = this.#started()
    const { strictNames } = this.#settings
    if (strictNames) assertDjangoChannel(channel)
    else if (!isChannelName(channel)) throw new MisuseError('invalid-name', badName('channel', channel))
    if (node.protocol.isReserved(channel)) {
      throw new MisuseError(
        'invalid-name',
        `${quote(channel)} is the topic of a group: no channel can have its name.`,
      )
    }
    return node
  }

  #assertGroup(group: string): void {
    if (this.#settings.strictNames) assertDjangoGroup(group)
    else if (!isGroupName(group)) throw new MisuseError('invalid-name', badName('group', group))
  }

  /** @throws {GroupcastError} `invalid-message` for what would end a consumer of Django */
  #encode(json: string): Buffer {
    try {
      return this.#settings.format.encode(json)
    } catch (error) {
      if (!(error instanceof UncarriableError)) throw error
      throw new GroupcastError('invalid-message', `Django cannot be sent this message: ${error.message}.`)
    }
  }
}

/** What a layer has once it is started. */
class Node {
  readonly nodeId: string
  readonly inbox: Inbox
  readonly protocol: Protocol
  readonly lifeline: Lifeline<DjangoSession>
  readonly interest: Interest
  /** Those who wait for what never comes. */
  readonly #idle: Mailboxes
  /** The session that was opened last, also before the lifeline says that it is ready. */
  #latest: DjangoSession | null = null
  #closing: Promise<void> | null = null

  constructor(settings: Settings, nodeId: string, sink: LayerSink) {
    const { clock, timeoutMs } = settings
    this.nodeId = nodeId
    this.inbox = new Inbox(sink, settings)
    this.#idle = new Mailboxes({ capacity: 0, expiryMs: 1, clock })
    const node = {
      settings,
      nodeId,
      inbox: this.inbox,
      has: (group: string) => this.interest.has(group),
    }
    this.protocol = settings.protocol === 'core' ? new CoreProtocol(node) : new PubsubProtocol(node)
    const { lingerMs } = this.protocol
    this.interest = new Interest({
      clock,
      ...(lingerMs !== undefined && { lingerMs }),
      fence: async (group) => this.#session().fence(group),
      subscribe: async (group) => this.#session().groupAdd(group),
      unsubscribe: async (group) => this.#latest?.groupDiscard(group),
    })
    this.lifeline = new Lifeline<DjangoSession>({
      broker: 'Redis',
      open: async (attempt) => {
        const groups = this.interest.lost()
        const session = await this.protocol.open(attempt, groups)
        this.#latest = session
        this.interest.restored(groups)
        return session
      },
      status: (status) => this.#status(status),
      report: (error) => this.inbox.report(error),
      refusalOf,
      clock,
      timeoutMs,
    })
  }

  receive(channel: string, signal: AbortSignal | undefined): Promise<string> {
    return this.protocol.receive(channel, signal, () => this.lifeline.next(signal))
  }

  /** Until it aborts, or the layer closes. */
  wait(signal: AbortSignal | undefined): Promise<string> {
    return this.#idle.pull('', signal)
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.protocol.close(closedError())
    this.#idle.close(closedError())
    this.interest.close()
    await this.lifeline.close()
    this.inbox.close()
  }

  #session(): DjangoSession {
    const { session } = this.lifeline
    if (session === null) throw new GroupcastError('layer-unavailable', 'The session with Redis has ended.')
    return session
  }

  #status(status: LayerStatus): void {
    this.inbox.status(status)
    if (status.state === 'ready') this.lifeline.session?.begin()
  }
}

/** Whether a message is one of those that hubs send each other. */
function isReserved(json: string): boolean {
  // Most are not: look before parsing.
  if (!json.includes(RESERVED_PREFIX)) return false
  const { type } = JSON.parse(json) as { type?: unknown }
  return typeof type === 'string' && type.startsWith(RESERVED_PREFIX)
}

function closedError(): GroupcastError {
  return new GroupcastError('hub-closed', 'This djangoLayer() is closed, as its hub is.')
}
