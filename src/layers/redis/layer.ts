import { ChannelFullError, GroupcastError, MisuseError } from '../../errors.ts'
import { Interest } from '../broker/interest.ts'
import type { Attempt } from '../broker/lifeline.ts'
import { Lifeline } from '../broker/lifeline.ts'
import { Patience } from '../broker/patience.ts'
import { isFatal, refusalOf } from '../broker/redis-errors.ts'
import { decodeCursor } from '../cursor.ts'
import type {
  ChannelLayer,
  LayerCapabilities,
  LayerSink,
  LayerStart,
  LayerStatus,
  Replay,
  ReplayRequest,
} from '../layer.ts'
import { Deliveries } from './deliveries.ts'
import { historyLost } from './errors.ts'
import { scan } from './history.ts'
import { Keys } from './keys.ts'
import type { RedisParts } from './options.ts'
import { Queues } from './queues.ts'
import type { Address } from './servers.ts'
import { RedisSession } from './session.ts'
import type { Listener } from './wire.ts'

/** A started layer. */
interface Node {
  readonly start: LayerStart
  readonly deliveries: Deliveries
  readonly interest: Interest
  readonly lifeline: Lifeline<RedisSession>
}

/** The layer: what a hub calls, and what holds its parts together. */
export class RedisLayer implements ChannelLayer {
  readonly name = 'redis'
  readonly capabilities: LayerCapabilities
  readonly #parts: RedisParts
  readonly #keys: Keys
  readonly #queues: Queues
  readonly #patience: Patience
  #node: Node | null = null
  #isClosed = false
  /** Nodes of a Cluster, the last that were known first. */
  #seeds: readonly Address[] | null
  #turn = 0
  /** A server that may drop history is told of once. */
  #warned: string | null = null

  constructor(parts: RedisParts) {
    this.#parts = parts
    this.#seeds = parts.seeds
    // On a Cluster groups come through several connections.
    this.capabilities = Object.freeze({
      replay: true,
      queues: true,
      order: parts.seeds === null ? 'sender' : 'group',
    })
    this.#keys = new Keys(parts.prefix, parts.seeds !== null)
    this.#patience = new Patience(parts.clock, parts.timeoutMs)
    this.#queues = new Queues({ ...parts, keys: this.#keys, refused: refusedRead })
  }

  async start(start: LayerStart): Promise<void> {
    if (this.#isClosed) throw closedError()
    if (this.#node !== null) {
      throw new MisuseError(
        'invalid-option',
        'This redisLayer() is started: give each hub a layer of its own.',
      )
    }
    const node = this.#makeNode(start)
    this.#node = node
    await node.lifeline.start()
  }

  async groupAdd(group: string): Promise<void> {
    const { lifeline, interest } = this.#started()
    await interest.add(group, (adding) => lifeline.run(adding))
  }

  async groupDiscard(group: string): Promise<void> {
    this.#started().interest.discard(group)
  }

  async groupSend(group: string, json: string): Promise<string | null> {
    const { lifeline, start, deliveries } = this.#started()
    const bounds = start.historyOf(group)
    return lifeline.run(async ({ wire, history }) => {
      if (bounds !== null) {
        const cursor = await history.publish(group, json, bounds)
        deliveries.acknowledged(cursor)
        return cursor
      }
      await wire.publish(this.#keys.group(group, false), json)
      return null
    })
  }

  get position(): string | null {
    return this.#node?.deliveries.position ?? null
  }

  async refresh(): Promise<void> {
    await this.#started().lifeline.run((session) => session.fence())
  }

  async replay({ groups, after }: ReplayRequest): Promise<Replay> {
    const { lifeline, start } = this.#started()
    const kept = new Map([...groups].filter(([group]) => start.historyOf(group) !== null))
    return lifeline.run(async (session) => {
      // Both are under way at once; the fence is behind what is replayed.
      const replay = session.history.replay({ groups: kept, after })
      const [result] = await Promise.all([replay, session.fence()])
      return result
    })
  }

  channelOf(nodeId: string, localId: string): string {
    return `${NODE_PREFIX}${nodeId}!${localId}`
  }

  async send(channel: string, json: string): Promise<void> {
    const { lifeline, start } = this.#started()
    const nodeId = nodeOf(channel)
    await lifeline.run(async ({ wire }) => {
      if (nodeId === null) {
        if (!(await this.#queues.push(wire, channel, json))) throw new ChannelFullError(channel)
      } else if (nodeId === start.nodeId) {
        if (!this.#receive(start.sink, channel, json)) throw new ChannelFullError(channel)
      } else {
        await wire.publish(this.#keys.node(nodeId), `${channel}\n${json}`)
      }
    })
  }

  async receive(channel: string, signal?: AbortSignal): Promise<string> {
    this.#started()
    return this.#queues.read(channel, signal)
  }

  async flush(): Promise<void> {
    await this.#started().lifeline.run(async (session) => {
      const { wire, history } = session
      await history.flush()
      for (const shard of wire.servers.shards) {
        // One by one: on a Cluster their slots differ.
        await scan(wire, shard, this.#keys.queues, async (queues) => {
          await Promise.all(queues.map((queue) => wire.send(shard, 'UNLINK', queue)))
        })
      }
      await session.fence()
    })
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#queues.close(closedError())
    this.#node?.interest.close()
    await this.#node?.lifeline.close()
  }

  #makeNode(start: LayerStart): Node {
    const { clock, timeoutMs } = this.#parts
    const interest: Interest = new Interest({
      clock,
      subscribe: (group) => this.#subscribe(group),
      unsubscribe: (group) => this.#unsubscribe(group),
      fence: (group) => this.#session().fenceAt(this.#channelOf(group)),
    })
    const lifeline = new Lifeline<RedisSession>({
      broker: 'Redis',
      open: (attempt) => this.#open(attempt),
      status: (status) => this.#status(start.sink, status),
      report: (error) => this.#report(start.sink, error),
      refusalOf,
      clock,
      timeoutMs,
    })
    const deliveries = new Deliveries({ sink: start.sink, has: (group) => interest.has(group) })
    return { start, deliveries, interest, lifeline }
  }

  /** Connects, adds all groups again, and goes on where the last session ended. */
  async #open(attempt: Attempt): Promise<RedisSession> {
    const { start, deliveries, interest } = this.#started()
    const { timeoutMs } = this.#parts
    const session = await RedisSession.open({
      ...this.#parts,
      seeds: this.#nextSeeds(),
      nodeId: start.nodeId,
      keys: this.#keys,
      // A server that has stopped must leave time to ask another.
      connectTimeoutMs: Math.ceil(timeoutMs / 3),
      attempt,
      onFlush: (text) => deliveries.flushed(text),
      onForeign: (where) => deliveries.foreign(where),
      onReached: (cursor) => deliveries.reached(cursor),
      onMessage: (channel, json) => this.#receive(start.sink, channel, json),
      beforeClose: () => this.#queues.idle(),
    })
    // Nobody else has it yet: what waits for an answer must not wait for ever.
    const onAbort = () => session.destroy()
    attempt.signal.addEventListener('abort', onAbort)
    try {
      await this.#recover(session, attempt, interest.lost())
      return session
    } catch (error) {
      session.destroy()
      throw error
    } finally {
      attempt.signal.removeEventListener('abort', onAbort)
    }
  }

  async #recover(session: RedisSession, attempt: Attempt, groups: readonly string[]): Promise<void> {
    const { start, deliveries, interest } = this.#started()
    const { wire, history } = session
    if (this.#parts.seeds !== null) this.#seeds = withoutRepeats([...session.addresses, ...this.#parts.seeds])
    deliveries.begin((error) => attempt.lost(error))
    const hello = await history.hello(deliveries.known)
    await wire.subscribeAll(groups.map((group) => this.#subscriptionOf(group)))
    // First subscribed, then asked what was missed: nothing falls between. What is in both is told by its number.
    const kept = groups.filter((group) => start.historyOf(group) !== null)
    const after = deliveries.position
    // What connecting took is another matter: a server that stood still is no reason to give up what it has.
    const replaying =
      after === null ? null : this.#patience.during((tooLong) => history.recover(kept, after, tooLong))
    const [missed, reached] = await Promise.all([replaying, session.fence()])
    attempt.signal.throwIfAborted()
    interest.restored(groups)
    deliveries.resume(missed, decodeCursor(reached) ?? hello)
    this.#queues.attach(wire)
    this.#warn(start.sink, session.eviction)
  }

  #nextSeeds(): readonly Address[] | null {
    const seeds = this.#seeds
    if (seeds === null) return null
    const turn = this.#turn++ % seeds.length
    return [...seeds.slice(turn), ...seeds.slice(0, turn)]
  }

  async #subscribe(group: string): Promise<void> {
    await this.#session().wire.subscribeAll([this.#subscriptionOf(group)])
  }

  #session(): RedisSession {
    const session = this.#node?.lifeline.session
    if (session == null) throw new GroupcastError('layer-unavailable', 'The session with Redis has ended.')
    return session
  }

  async #unsubscribe(group: string): Promise<void> {
    this.#node?.deliveries.forget(group)
    await this.#node?.lifeline.session?.wire.unsubscribe(this.#channelOf(group))
  }

  #subscriptionOf(group: string): readonly [channel: string, listener: Listener] {
    const { deliveries } = this.#started()
    return [this.#channelOf(group), (payload) => deliveries.take(group, payload)]
  }

  #channelOf(group: string): string {
    return this.#keys.group(group, this.#started().start.historyOf(group) !== null)
  }

  /** @returns `false` when the sink has no room */
  #receive(sink: LayerSink, channel: string, json: string): boolean {
    if (this.#isClosed) return true
    try {
      return sink.receive(channel, json)
    } catch {
      // Obligation 13. Taken or not, who knows; but there was room.
      return true
    }
  }

  #status(sink: LayerSink, status: LayerStatus): void {
    try {
      sink.status(status)
    } catch {
      // Obligation 13.
    }
    if (status.state === 'ready') this.#node?.deliveries.release()
  }

  #report(sink: LayerSink, error: unknown): void {
    try {
      sink.report?.(error)
    } catch {
      // Obligation 13.
    }
  }

  /** History that is evicted may leave no trace: the only one who can help is the operator. */
  #warn(sink: LayerSink, eviction: string | null): void {
    if (eviction === this.#warned) return
    this.#warned = eviction
    if (eviction === null) return
    const text = `Redis drops keys when it is full (maxmemory-policy ${eviction}): clients may miss messages of groups that keep history and not be told. Set it to noeviction.`
    this.#report(sink, historyLost(text))
  }

  #started(): Node {
    if (this.#isClosed) throw closedError()
    if (this.#node === null) {
      throw new MisuseError('invalid-option', 'This redisLayer() is not started: a hub does that, once.')
    }
    return this.#node
  }
}

/** What a reader is told that Redis refuses; `null` where it is to wait for another session. */
function refusedRead(error: unknown): Error | null {
  const refusal = isFatal(error) ? null : refusalOf(error)
  if (refusal === null) return null
  return new GroupcastError('layer-unavailable', `Redis refused: ${refusal}`, { cause: error })
}

function closedError(): GroupcastError {
  return new GroupcastError('hub-closed', 'This redisLayer() is closed, as its hub is.')
}

function withoutRepeats(addresses: readonly Address[]): Address[] {
  return [...new Map(addresses.map((address) => [`${address.host}:${address.port}`, address])).values()]
}

const NODE_PREFIX = 'specific.'

/** The node that a channel was made for by `channelOf`; `null` for all other channels. */
function nodeOf(channel: string): string | null {
  const end = channel.indexOf('!')
  return end !== -1 && channel.startsWith(NODE_PREFIX) ? channel.slice(NODE_PREFIX.length, end) : null
}
