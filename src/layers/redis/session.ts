import { randomBytes } from 'node:crypto'
import { MisuseError } from '../../errors.ts'
import { type Deferred, deferred } from '../broker/deferred.ts'
import type { Attempt, Session } from '../broker/lifeline.ts'
import type { MakeClient } from '../broker/redis-connection.ts'
import { explained } from '../broker/redis-errors.ts'
import { isObject } from './deliveries.ts'
import { RedisHistory } from './history.ts'
import { HISTORY_SCRIPTS } from './history-scripts.ts'
import type { Keys } from './keys.ts'
import { QUEUE_SCRIPTS } from './queue-scripts.ts'
import { type Address, Servers, type Shard } from './servers.ts'
import { type Listener, Wire } from './wire.ts'

/** What a session is opened with. */
export interface SessionOptions {
  readonly nodeId: string
  readonly keys: Keys
  readonly make: MakeClient
  /** `null`: there is no Cluster. */
  readonly seeds: readonly Address[] | null
  readonly connectTimeoutMs: number
  readonly spanMs: number
  readonly attempt: Attempt
  /** A node's flush: the cursor of the new epoch, and the epoch before. */
  onFlush(text: string): void
  /** This node has got whatever was accepted up to this cursor. */
  onReached(cursor: string): void
  /** A message for one of this node's channels. */
  onMessage(channel: string, json: string): void
  /** Something came that no node has sent. */
  onForeign(where: string): void
  /** Before it is closed in good order. */
  beforeClose(): Promise<void>
}

/** All connections of a node, as long as none of them fails. */
export class RedisSession implements Session {
  readonly wire: Wire
  readonly history: RedisHistory
  readonly #options: SessionOptions
  readonly #markers = new Map<string, Deferred<string>>()
  /** What no other session sends, nor anybody else. */
  readonly #markerPrefix = randomBytes(6).toString('hex')
  #markerCount = 0
  /** The fence that is sent at the end of this turn. */
  #nextFence: Promise<string> | null = null
  /** Where this node sends itself markers: a channel at each server but that of the history. */
  readonly #probes = new Map<Shard, string>()

  /** Connects, loads the scripts and listens to what is for this node. Its groups are not subscribed yet. */
  static async open(options: SessionOptions): Promise<RedisSession> {
    const { attempt, seeds } = options
    const servers = new Servers({ ...options, onLost: (error) => attempt.lost(error) })
    const onAbort = () => servers.destroy()
    attempt.signal.addEventListener('abort', onAbort)
    try {
      await servers.connect()
      assertKind(servers, seeds !== null)
      const wire = new Wire(servers, seeds !== null, (error) => attempt.lost(explained(error)))
      const session = new RedisSession(wire, options)
      await session.#begin()
      attempt.signal.throwIfAborted()
      return session
    } catch (error) {
      servers.destroy()
      throw explained(error)
    } finally {
      attempt.signal.removeEventListener('abort', onAbort)
    }
  }

  private constructor(wire: Wire, options: SessionOptions) {
    this.wire = wire
    this.#options = options
    this.history = new RedisHistory(wire, options.keys, options.spanMs)
    const { keys, nodeId } = options
    const home = wire.servers.shardOf(keys.state)
    for (const shard of wire.servers.shards) {
      if (shard !== home) this.#probes.set(shard, this.#probeChannel(shard, nodeId))
    }
  }

  /** Where the nodes of its Cluster are. */
  get addresses(): readonly Address[] {
    return this.wire.servers.addresses
  }

  /** What servers do when they are full, where that is to drop something. */
  get eviction(): string | null {
    return this.wire.servers.shards.find(({ info }) => info.eviction !== null)?.info.eviction ?? null
  }

  /**
   * Resolves with the position when this node has got all that was accepted before the call. All who ask in one turn of the event loop
   * share one.
   */
  fence(): Promise<string> {
    this.#nextFence ??= Promise.resolve().then(() => {
      this.#nextFence = null
      return this.#sendFence()
    })
    return this.#nextFence
  }

  /** Resolves when this node has got all that was published before the call in a channel to which it listens. */
  async fenceAt(channel: string): Promise<void> {
    const probe = this.#probes.get(this.wire.servers.shardOf(channel))
    await (probe === undefined ? this.fence() : this.#mark((marker) => this.wire.publish(probe, marker)))
  }

  async probe(): Promise<void> {
    await Promise.all([this.fence(), ...[...this.#probes.values()].map((channel) => this.fenceAt(channel))])
  }

  destroy(): void {
    this.wire.servers.destroy()
    for (const { reject } of this.#markers.values()) reject(new Error('The session has ended.'))
  }

  async close(): Promise<void> {
    await this.#options.beforeClose()
    await this.wire.servers.close()
  }

  async #begin(): Promise<void> {
    const { keys, nodeId, onFlush } = this.#options
    await this.wire.load([...HISTORY_SCRIPTS, ...QUEUE_SCRIPTS])
    const channels: [string, Listener][] = [
      [keys.all, (payload) => onFlush(payload.toString())],
      [keys.fence(nodeId), (payload) => this.#fenceCame(payload.toString())],
      [keys.node(nodeId), (payload) => this.#messageCame(payload.toString())],
    ]
    for (const channel of this.#probes.values())
      channels.push([channel, (payload) => this.#markers.get(payload.toString())?.resolve('')])
    await this.wire.subscribeAll(channels)
  }

  /** A channel of this node that the server has. */
  #probeChannel(shard: Shard, nodeId: string): string {
    for (let number = 0; ; number++) {
      const channel = this.#options.keys.probe(nodeId, number)
      if (this.wire.servers.isAt(channel, shard)) return channel
    }
  }

  #sendFence(): Promise<string> {
    const { keys, nodeId } = this.#options
    return this.#mark((marker) => this.history.fence(keys.fence(nodeId), marker))
  }

  /** Sends a marker to this node. @returns what came with it */
  async #mark(send: (marker: string) => Promise<unknown>): Promise<string> {
    const marker = `${this.#markerPrefix}.${this.#markerCount++}`
    const came = deferred<string>()
    this.#markers.set(marker, came)
    try {
      await send(marker)
      return await came.promise
    } finally {
      this.#markers.delete(marker)
    }
  }

  #fenceCame(text: string): void {
    const [marker = '', cursor = ''] = text.split(' ')
    const waiting = this.#markers.get(marker)
    // One of the session before may come late; what else there is has no say in where this node is.
    if (waiting === undefined) return
    this.#options.onReached(cursor)
    waiting.resolve(cursor)
  }

  #messageCame(text: string): void {
    const end = text.indexOf('\n')
    const json = text.slice(end + 1)
    if (end === -1 || !isObject(json)) this.#options.onForeign("this node's channel")
    else this.#options.onMessage(text.slice(0, end), json)
  }
}

function assertKind(servers: Servers, isCluster: boolean): void {
  if (isCluster || servers.shards[0]?.info.isCluster !== true) return
  throw new MisuseError(
    'invalid-option',
    'The server is a node of a Cluster: give redisLayer the addresses of some of its nodes as cluster, instead of url.',
  )
}
