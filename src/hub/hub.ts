import { nanoid } from 'nanoid'
import { systemClock } from '../clock.ts'
import { GroupcastError, MisuseError } from '../errors.ts'
import { type Authenticate, isIdentityId, lifetimeOf } from '../identity.ts'
import { type AnyMessages, MessageCheck, type MessageOf } from '../message.ts'
import { assertChannelName, assertGroupName, quote } from '../names.ts'
import { invalidLimit, isLimit, type Limits, resolveLimits } from '../options.ts'
import { assertOrigins } from '../origin.ts'
import { type Rates, resolveRates } from '../rates.ts'
import type { Source } from '../source.ts'
import type { Attachment, ConnectionRequest, ServerBackend } from '../transports/backend.ts'
import { ChannelReader } from './channel-reader.ts'
import { assertClose } from './close-code.ts'
import type { Consumer, PathParams } from './consumer.ts'
import { HubCore } from './core.ts'
import { HubGate } from './gate.ts'
import { GroupRules } from './group-rules.ts'
import { readHistory } from './history-query.ts'
import type {
  ErrorContext,
  GroupInfo,
  History,
  HistoryQuery,
  Hub,
  HubParts,
  HubStats,
  HubStatus,
  Sent,
} from './hub-api.ts'
import { MessageStream, type StreamedMessages, type StreamOptions } from './message-stream.ts'
import type { AnyConsumer } from './router.ts'

/** How long `close` waits unless told otherwise. */
const DEFAULT_DEADLINE_MS = 10_000

/** The public face of a hub: checks what it is given and passes it on. {@link Hub} documents each method. */
export class GroupcastHub<Server> implements Hub<AnyMessages, Server> {
  readonly #core: HubCore
  readonly #gate: HubGate
  readonly #backend: ServerBackend<Server>
  readonly #attachments = new Set<Attachment>()
  /** Streams to groups under way. */
  readonly #streams = new Map<MessageStream, Promise<StreamedMessages>>()
  readonly #closed = new AbortController()
  #closing: Promise<void> | null = null

  constructor(parts: HubParts<AnyMessages, Server>) {
    const allowedOrigins = [...(parts.allowedOrigins ?? [])]
    assertOrigins(allowedOrigins)
    const groupRules = new GroupRules(parts.groups ?? [])
    if (groupRules.keepHistory && !parts.layer.capabilities.replay) {
      const text = `groups has a history, which the layer ${quote(parts.layer.name)} does not keep: use one that does, or leave it out.`
      throw new MisuseError('invalid-option', text)
    }
    this.#core = new HubCore({
      layer: parts.layer,
      limits: resolveLimits(parts.limits),
      rates: resolveRates(parts.rates),
      messages: new MessageCheck(parts.messages),
      groupRules,
      authenticate: checkedHook(parts.authenticate),
      allowedOrigins,
      allowedHosts: checkedHosts(parts.allowedHosts),
      clock: parts.clock ?? systemClock,
      onError: parts.onError ?? logError,
    })
    this.#gate = new HubGate(this.#core)
    this.#backend = parts.backend
  }

  get nodeId(): string {
    return this.#core.nodeId
  }

  get limits(): Limits {
    return this.#core.limits
  }

  get rates(): Rates {
    return this.#core.rates
  }

  get status(): HubStatus {
    const layer = this.#core.sink.layerStatus
    const draining = this.#core.isDraining
    return { ready: layer.state === 'ready' && !draining, draining, layer }
  }

  get stats(): HubStats {
    const { connections, groups, backlog, counters } = this.#core
    return {
      connections: connections.open,
      groups: groups.size,
      backlogBytes: backlog.totalBytes,
      ...counters,
      authenticationSeconds: counters.authenticationSeconds.stats,
      rateRefusals: { ...counters.rateRefusals },
    }
  }

  async ready(): Promise<void> {
    this.#assertOpen()
    return this.#core.ready()
  }

  consumer<Path extends string>(path: Path, consumer: Consumer<AnyMessages, PathParams<Path>>): void {
    // The router gives each consumer the parameters of its own path: TypeScript forgets which.
    this.#core.addConsumer(path, consumer as AnyConsumer)
  }

  attach(server: Server): Attachment {
    this.#assertNotClosing()
    const attachment = this.#backend.attach(server, this.#gate)
    this.#attachments.add(attachment)
    return {
      detach: () => {
        if (this.#attachments.delete(attachment)) attachment.detach()
      },
    }
  }

  async groupSend(group: string, message: MessageOf<AnyMessages>): Promise<Sent> {
    assertGroupName(group)
    this.#assertOpen()
    return this.#core.groupSend(group, message)
  }

  async history(group: string, query: HistoryQuery = {}): Promise<History<AnyMessages>> {
    assertGroupName(group)
    this.#assertOpen()
    await this.#core.started
    return readHistory(this.#core.recall, group, query)
  }

  async groupStream(group: string, source: Source, options: StreamOptions): Promise<StreamedMessages> {
    assertGroupName(group)
    this.#assertNotClosing()
    const target = {
      isGone: false,
      ready: () => Promise.resolve(),
      send: (message: MessageOf<AnyMessages>) => this.groupSend(group, message),
    }
    const stream = new MessageStream(source, options, target, (error) => this.#core.report(error, 'stream'))
    const running = stream.run()
    this.#streams.set(stream, running)
    try {
      return await running
    } finally {
      this.#streams.delete(stream)
    }
  }

  async groupAdd(group: string, channel: string): Promise<void> {
    assertGroupName(group)
    assertChannelName(channel)
    this.#assertOpen()
    const { sink, groups } = this.#core
    if (sink.isElsewhere(channel)) return this.#core.sendTo(channel, { type: 'groupcast.join', group })
    // A worker that answers a client which has left meanwhile: nobody is there to add.
    if (sink.isGone(channel)) return
    return sink.connectionOf(channel)?.join(group) ?? groups.addChannel(group, channel)
  }

  async groupDiscard(group: string, channel: string): Promise<void> {
    assertGroupName(group)
    assertChannelName(channel)
    this.#assertOpen()
    const { sink, groups } = this.#core
    if (sink.isElsewhere(channel)) return this.#core.sendTo(channel, { type: 'groupcast.leave', group })
    return sink.connectionOf(channel)?.leave(group) ?? groups.discardChannel(group, channel)
  }

  async send(channel: string, message: MessageOf<AnyMessages>): Promise<void> {
    assertChannelName(channel)
    this.#assertOpen()
    return this.#core.send(channel, message)
  }

  receive(
    channel: string,
    options: { readonly signal?: AbortSignal } = {},
  ): ChannelReader<MessageOf<AnyMessages>> {
    assertChannelName(channel)
    this.#assertNotClosing()
    const { signal } = options
    const signals = signal === undefined ? [this.#closed.signal] : [this.#closed.signal, signal]
    return new ChannelReader((until) => this.#core.sink.pull(channel, until), signals)
  }

  newChannel(): string {
    return this.#core.sink.newChannel(nanoid())
  }

  groups(): GroupInfo[] {
    return this.#core.groups.list()
  }

  group(name: string): GroupInfo {
    assertGroupName(name)
    return this.#core.groups.get(name)?.info() ?? { name, connections: { websocket: 0, sse: 0, ndjson: 0 } }
  }

  async closeConnection(id: string, code = 1000, reason = ''): Promise<'closed' | 'forwarded'> {
    assertClose(code, reason)
    this.#assertOpen()
    const connection = this.#core.find(id)
    if (connection === null) throw new GroupcastError('unknown-connection')
    if (connection === 'elsewhere') {
      await this.#core.tell(id, { type: 'groupcast.close', code, reason })
      return 'forwarded'
    }
    connection.close(code, reason)
    return 'closed'
  }

  async createTicket(request: ConnectionRequest): Promise<{ ticket: string; expiresInMs: number }> {
    this.#assertNotClosing()
    return this.#core.createTicket(request)
  }

  async revoke(identityId: string): Promise<void> {
    if (!isIdentityId(identityId)) {
      throw new MisuseError(
        'invalid-option',
        `${quote(identityId)} is no identity: it is 1 to 255 characters.`,
      )
    }
    this.#assertOpen()
    return this.#core.nodes.revoke(identityId)
  }

  close(options: { readonly deadlineMs?: number; readonly pending?: Promise<unknown> } = {}): Promise<void> {
    const { deadlineMs = DEFAULT_DEADLINE_MS, pending = Promise.resolve() } = options
    if (!isLimit(deadlineMs)) return Promise.reject(invalidLimit('deadlineMs', deadlineMs))
    this.#closing ??= this.#close(deadlineMs, pending)
    return this.#closing
  }

  async #close(deadlineMs: number, pending: Promise<unknown>): Promise<void> {
    // Streams have yet to tell the other nodes that no more will come.
    const drained = this.#core.drain(deadlineMs, Promise.allSettled([pending, ...this.#streams.values()]))
    for (const stream of this.#streams.keys()) stream.stop('restarting')
    // Readers end at once: what they have not read stays in the channel for others.
    this.#closed.abort()
    try {
      await drained
    } finally {
      for (const attachment of this.#attachments) attachment.detach()
      this.#attachments.clear()
    }
  }

  /** Until the layer is closed: hooks of connections that end while the hub drains still say their goodbyes. */
  #assertOpen(): void {
    if (this.#core.isClosed) throw new GroupcastError('hub-closed')
  }

  #assertNotClosing(): void {
    if (this.#closing !== null) throw new GroupcastError('hub-closed')
  }
}

function checkedHook(hook: unknown): Authenticate | null {
  if (hook === undefined || hook === null) return null
  if (typeof hook !== 'function') {
    throw new MisuseError('invalid-option', `authenticate is ${quote(hook)}: it must be a function.`)
  }
  lifetimeOf(hook as Authenticate)
  return hook as Authenticate
}

function checkedHosts(hosts: unknown): readonly string[] | null {
  if (hosts === undefined || hosts === null) return null
  if (Array.isArray(hosts) && hosts.every((host) => typeof host === 'string' && host !== ''))
    return [...hosts]
  throw new MisuseError(
    'invalid-option',
    `allowedHosts is ${quote(hosts)}: it must be a list of host names, or null.`,
  )
}

function logError(error: unknown, { where, connection }: ErrorContext): void {
  console.error(`groupcast: ${where}${connection === undefined ? '' : ` (connection ${connection})`}:`, error)
}
