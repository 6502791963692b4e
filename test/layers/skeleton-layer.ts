import {
  ChannelFullError,
  type ChannelLayer,
  GroupcastError,
  type LayerSink,
  type LayerStart,
  MisuseError,
} from 'groupcast'
import type { BrokerClient } from './broker-client.ts'

/** Options of {@link skeletonLayer}. */
export interface SkeletonLayerOptions {
  /** A connected client. Whoever opened it closes it: the layer does not. */
  readonly client: BrokerClient
  /** Keeps applications on one broker apart. */
  readonly prefix?: string
  readonly capacity?: number
  readonly expiryMs?: number
}

/** A channel layer over a broker with subjects and queues. */
export function skeletonLayer(options: SkeletonLayerOptions): ChannelLayer {
  return new SkeletonLayer({ prefix: 'groupcast', capacity: 100, expiryMs: 60_000, ...options })
}

class SkeletonLayer implements ChannelLayer {
  readonly name = 'skeleton'
  readonly capabilities = { replay: false, queues: true, order: 'sender' } as const
  readonly position = null
  readonly #options: Required<SkeletonLayerOptions>
  readonly #client: BrokerClient
  readonly #groups = new Set<string>()
  readonly #receives = new Set<AbortController>()
  #node: LayerStart | null = null
  #isClosed = false

  constructor(options: Required<SkeletonLayerOptions>) {
    this.#options = options
    this.#client = options.client
  }

  async start(node: LayerStart): Promise<void> {
    if (this.#node !== null)
      throw new MisuseError('invalid-option', 'This layer is started: give each hub its own.')
    this.#node = node
    await this.#client.subscribe(this.#subject('node', node.nodeId), (text) => {
      const { channel, json } = JSON.parse(text) as { channel: string; json: string }
      this.#call((sink) => sink.receive(channel, json))
    })
    this.#call((sink) => sink.status({ state: 'ready' }))
  }

  async groupAdd(group: string): Promise<void> {
    this.#assertOpen()
    this.#groups.add(group)
    // Obligation 3: resolves when the broker has confirmed. Subscribing again replaces the listener, so it
    // changes nothing.
    await this.#client.subscribe(this.#subject('group', group), (json) => {
      if (this.#groups.has(group)) this.#call((sink) => sink.deliver(group, { json, cursor: null }))
    })
  }

  async groupDiscard(group: string): Promise<void> {
    this.#assertOpen()
    if (this.#groups.delete(group)) await this.#client.unsubscribe(this.#subject('group', group))
  }

  async groupSend(group: string, json: string): Promise<null> {
    this.#assertOpen()
    // Obligation 4: one client keeps the order of its publications. The sender's own node gets them through
    // the broker, too.
    await this.#client.publish(this.#subject('group', group), json)
    return null
  }

  async refresh(): Promise<void> {
    this.#assertOpen()
  }

  async replay(): Promise<never> {
    this.#assertOpen()
    // Obligation 23: better than an answer that looks as if nothing had happened.
    throw new GroupcastError('history-not-available')
  }

  channelOf(nodeId: string, localId: string): string {
    return `${nodeId}!${localId}`
  }

  async send(channel: string, json: string): Promise<void> {
    this.#assertOpen()
    const end = channel.indexOf('!')
    if (end === -1) {
      // Obligation 7: the broker compares and appends in one step, or two senders would find the same room.
      const isTaken = await this.#client.push(this.#subject('channel', channel), json, this.#options)
      if (!isTaken) throw new ChannelFullError(channel)
      return
    }
    const nodeId = channel.slice(0, end)
    if (nodeId === this.#node?.nodeId) {
      if (this.#call((sink) => sink.receive(channel, json)) === false) throw new ChannelFullError(channel)
      return
    }
    await this.#client.publish(this.#subject('node', nodeId), JSON.stringify({ channel, json }))
  }

  async receive(channel: string, signal?: AbortSignal): Promise<string> {
    this.#assertOpen()
    signal?.throwIfAborted()
    // Ended by the caller or by close. Not AbortSignal.any: in Node 20 each call leaves something on a signal
    // that lives long.
    const stop = new AbortController()
    const onAbort = () => stop.abort(signal?.reason)
    signal?.addEventListener('abort', onAbort)
    this.#receives.add(stop)
    try {
      return await this.#client.pop(this.#subject('channel', channel), stop.signal)
    } finally {
      this.#receives.delete(stop)
      signal?.removeEventListener('abort', onAbort)
    }
  }

  async flush(): Promise<void> {
    this.#assertOpen()
    await this.#client.clear(this.#subject('channel', ''))
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    for (const receive of this.#receives) receive.abort(new GroupcastError('hub-closed'))
    if (this.#node === null) return
    await this.#client.unsubscribe(this.#subject('node', this.#node.nodeId))
    for (const group of this.#groups) await this.#client.unsubscribe(this.#subject('group', group))
  }

  #assertOpen(): void {
    if (this.#isClosed) throw new GroupcastError('hub-closed')
  }

  #subject(kind: 'group' | 'channel' | 'node', name: string): string {
    return `${this.#options.prefix}:${kind}:${name}`
  }

  /** Obligations 12 and 13: a sink is not called after close, and what it throws is its own business. */
  #call<T>(call: (sink: LayerSink) => T): T | null {
    if (this.#node === null || this.#isClosed) return null
    try {
      return call(this.#node.sink)
    } catch {
      return null
    }
  }
}
