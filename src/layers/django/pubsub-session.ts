import { deferred } from '../broker/deferred.ts'
import type { Attempt } from '../broker/lifeline.ts'
import type { RedisConnection } from '../broker/redis-connection.ts'
import { nodeChannel } from './names.ts'
import { assertPrimary, type DjangoSession, type ProtocolNode, watched } from './protocol.ts'
import { shardOf } from './shards.ts'

/** Topics that go into one command. */
const RUN = 500

/** One Redis of a pub/sub session. */
export interface PubsubHost {
  readonly commands: RedisConnection
  readonly subscriber: RedisConnection
}

/** Options of {@link PubsubSession}. */
export interface PubsubSessionOptions {
  readonly node: ProtocolNode
  readonly attempt: Attempt
  readonly hosts: readonly PubsubHost[]
  readonly topics: PubsubTopics
  /** A message in a group that was added. Must not throw. */
  onPublication(group: string, message: Buffer): void
  /** A message for a channel. Must not throw. */
  onMessage(channel: string, message: Buffer): void
}

/** Names of topics: those of channels are the channels' names. */
export class PubsubTopics {
  readonly #start: string

  constructor(prefix: string) {
    this.#start = `${prefix}__group__`
  }

  ofGroup(group: string): string {
    return this.#start + group
  }

  /** The group whose topic it is; `null` for those of channels. */
  groupOf(topic: string): string | null {
    return topic.startsWith(this.#start) ? topic.slice(this.#start.length) : null
  }
}

/** The pub/sub protocol on open connections. */
export class PubsubSession implements DjangoSession {
  readonly #options: PubsubSessionOptions
  readonly #probes = new Map<string, () => void>()
  /** What comes before the layer is ready. */
  #held: [topic: string, message: Buffer][] | null = []
  #tokens = 0

  constructor(options: PubsubSessionOptions) {
    this.#options = options
    for (const { subscriber } of options.hosts) {
      subscriber.redis.on('messageBuffer', (topic: Buffer, message: Buffer) => this.#came(topic, message))
      subscriber.redis.on('pmessageBuffer', (_: unknown, topic: Buffer, message: Buffer) =>
        this.#came(topic, message),
      )
    }
  }

  /** Subscribes to what concerns this node; a session is used only after that. */
  async restore(groups: readonly string[], channels: readonly string[]): Promise<void> {
    const { hosts, node, topics: names } = this.#options
    const topics = [...groups.map((group) => names.ofGroup(group)), ...channels]
    // Django may send to any channel of a connection, and Redis says nothing of those before.
    const own = `${nodeChannel(node.nodeId, '')}*`
    await Promise.all(hosts.map(({ subscriber }) => this.#watched(subscriber.redis.psubscribe(own))))
    for (const [index, host] of hosts.entries()) {
      const ofHost = topics.filter((topic) => shardOf(topic, hosts.length) === index)
      for (let start = 0; start < ofHost.length; start += RUN) {
        await this.#watched(host.subscriber.redis.subscribe(...ofHost.slice(start, start + RUN)))
      }
    }
  }

  begin(): void {
    const held = this.#held ?? []
    this.#held = null
    for (const [topic, message] of held) this.#hand(topic, message)
  }

  groupAdd(group: string): Promise<void> {
    return this.subscribe(this.#options.topics.ofGroup(group))
  }

  fence(group: string): Promise<void> {
    return this.#probeHost(this.#hostOf(this.#options.topics.ofGroup(group)))
  }

  groupDiscard(group: string): Promise<void> {
    return this.unsubscribe(this.#options.topics.ofGroup(group))
  }

  groupSend(group: string, encoded: Buffer): Promise<unknown> {
    return this.send(this.#options.topics.ofGroup(group), encoded)
  }

  send(topic: string, encoded: Buffer): Promise<unknown> {
    const { envelope } = this.#options.node.settings
    return this.#publish(this.#hostOf(topic), topic, envelope.seal(encoded))
  }

  async subscribe(topic: string): Promise<void> {
    await this.#watched(this.#hostOf(topic).subscriber.redis.subscribe(topic))
  }

  async unsubscribe(topic: string): Promise<void> {
    await this.#watched(this.#hostOf(topic).subscriber.redis.unsubscribe(topic))
  }

  /** Redis keeps nothing. */
  async flush(): Promise<void> {}

  async probe(): Promise<void> {
    const { hosts } = this.#options
    await Promise.all(hosts.map((host) => this.#probeHost(host)))
    await Promise.all(hosts.map(({ commands }) => assertPrimary(commands)))
  }

  destroy(): void {
    for (const { commands, subscriber } of this.#options.hosts) {
      commands.destroy()
      subscriber.destroy()
    }
  }

  async close(): Promise<void> {
    await Promise.all(
      this.#options.hosts.flatMap(({ commands, subscriber }) => [commands.close(), subscriber.close()]),
    )
  }

  async #probeHost(host: PubsubHost): Promise<void> {
    const { promise, resolve } = deferred<void>()
    // No name of a channel, so nobody else sends there.
    const topic = nodeChannel(this.#options.node.nodeId, `~${++this.#tokens}`)
    this.#probes.set(topic, () => resolve())
    await this.#publish(host, topic, Buffer.alloc(0))
    await promise
  }

  #came(topicBytes: Buffer, message: Buffer): void {
    const topic = topicBytes.toString('latin1')
    const probed = this.#probes.get(topic)
    if (probed !== undefined) {
      this.#probes.delete(topic)
      probed()
    } else if (this.#held === null) this.#hand(topic, message)
    else this.#held.push([topic, message])
  }

  #hand(topic: string, message: Buffer): void {
    const group = this.#options.topics.groupOf(topic)
    if (group === null) this.#options.onMessage(topic, message)
    else this.#options.onPublication(group, message)
  }

  #publish({ commands }: PubsubHost, topic: string, message: Buffer): Promise<unknown> {
    return this.#watched(commands.send('PUBLISH', topic, message))
  }

  #hostOf(topic: string): PubsubHost {
    const { hosts } = this.#options
    return hosts[shardOf(topic, hosts.length)] as PubsubHost
  }

  #watched<T>(reply: Promise<T>): Promise<T> {
    return watched(this.#options.attempt, reply)
  }
}
