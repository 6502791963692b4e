import { isFatal } from '../broker/redis-errors.ts'
import type { Script } from '../broker/redis-script.ts'
import type { Servers, Shard } from './servers.ts'

/** Hears what is published in a channel. Must not throw. */
export type Listener = (payload: Buffer) => void

/** How many subscriptions go into one command, where one can have several. */
const CHANNELS_A_COMMAND = 500

/** Commands, scripts and channels of one session, each sent to the server that it concerns. */
export class Wire {
  readonly servers: Servers
  /** The command that publishes: on a Cluster only the shard that has a channel hears of it. */
  readonly publishCommand: 'PUBLISH' | 'SPUBLISH'
  readonly #isCluster: boolean
  readonly #onFatal: (error: unknown) => void
  readonly #listeners = new Map<string, Listener>()
  /** Called before each command: what was put off goes first. */
  beforeSend: () => void = () => {}

  /** @param onFatal a reply says that the session is of no use any more */
  constructor(servers: Servers, isCluster: boolean, onFatal: (error: unknown) => void) {
    this.servers = servers
    this.#isCluster = isCluster
    this.#onFatal = onFatal
    this.publishCommand = isCluster ? 'SPUBLISH' : 'PUBLISH'
    for (const { subscriber } of servers.shards) {
      subscriber.redis.on(
        isCluster ? 'smessageBuffer' : 'messageBuffer',
        (channel: Buffer, payload: Buffer) => this.#listeners.get(channel.toString('latin1'))?.(payload),
      )
      // A slot that has moved takes its channels along.
      subscriber.redis.on('moved', () => onFatal(new Error('A slot of the Cluster has moved.')))
    }
  }

  /** Makes scripts known to all servers: sending the text each time would cost more than most of what they do. */
  async load(scripts: readonly Script[]): Promise<void> {
    const loading = this.servers.shards.flatMap(({ commands }) =>
      scripts.map(({ source }) => commands.send('SCRIPT', 'LOAD', source)),
    )
    await Promise.all(loading)
  }

  /** Runs a script where its first key is. */
  run(script: Script, keys: readonly string[], ...words: (string | number)[]): Promise<unknown> {
    this.beforeSend()
    const { commands } = this.servers.shardOf(keys[0] as string)
    return this.#watched(commands.send('EVALSHA', script.sha, keys.length, ...keys, ...words))
  }

  /** Sends a command to a server. */
  send(shard: Shard, command: string, ...words: (string | number)[]): Promise<unknown> {
    this.beforeSend()
    return this.#watched(shard.commands.send(command, ...words))
  }

  /** Publishes; what a subscriber of this session hears comes by the other connection. */
  publish(channel: string, payload: string): Promise<unknown> {
    return this.send(this.servers.shardOf(channel), this.publishCommand, channel, payload)
  }

  /** Resolves when the server has confirmed. */
  async subscribe(channel: string, listener: Listener): Promise<void> {
    await this.subscribeAll([[channel, listener]])
  }

  async subscribeAll(entries: readonly (readonly [channel: string, listener: Listener])[]): Promise<void> {
    for (const [channel, listener] of entries) this.#listeners.set(channel, listener)
    const channels = entries.map(([channel]) => channel)
    await Promise.all(
      this.#isCluster ? channels.map((channel) => this.#ssubscribe(channel)) : this.#inRuns(channels),
    )
  }

  async unsubscribe(channel: string): Promise<void> {
    this.#listeners.delete(channel)
    const { redis } = this.servers.shardOf(channel).subscriber
    await this.#watched(this.#isCluster ? redis.sunsubscribe(channel) : redis.unsubscribe(channel))
  }

  /** Channels of one command must be in one slot. */
  #ssubscribe(channel: string): Promise<unknown> {
    return this.#watched(this.servers.shardOf(channel).subscriber.redis.ssubscribe(channel))
  }

  #inRuns(channels: readonly string[]): Promise<unknown>[] {
    const { redis } = (this.servers.shards[0] as Shard).subscriber
    const runs: Promise<unknown>[] = []
    for (let start = 0; start < channels.length; start += CHANNELS_A_COMMAND) {
      runs.push(this.#watched(redis.subscribe(...channels.slice(start, start + CHANNELS_A_COMMAND))))
    }
    return runs
  }

  #watched<T>(reply: Promise<T>): Promise<T> {
    reply.catch((error) => {
      // In a later turn: who waits for this reply must hear that it was refused, not that the session was lost.
      if (isFatal(error)) setImmediate(() => this.#onFatal(error))
    })
    return reply
  }
}
