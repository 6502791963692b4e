/** `RedisPubSubChannelLayer` of channels_redis: a topic for each group and each channel, and nothing is kept. */
import { Mailboxes } from '../../mailboxes.ts'
import { quote } from '../../names.ts'
import { Interest } from '../broker/interest.ts'
import type { Attempt } from '../broker/lifeline.ts'
import { nodeOf } from './names.ts'
import { connectAll, type DjangoSession, type Protocol, type ProtocolNode, readOn } from './protocol.ts'
import { PubsubSession, PubsubTopics } from './pubsub-session.ts'

/** How long messages of a channel are kept for a reader that is busy with the one before. */
const READER_LINGER_MS = 5_000

/** The pub/sub protocol, through all sessions. */
export class PubsubProtocol implements Protocol {
  readonly #node: ProtocolNode
  readonly #topics: PubsubTopics
  /** The channels that somebody reads. */
  readonly #interest: Interest
  /** Those that are subscribed: the same, and those that were read a moment ago. */
  readonly #channels = new Set<string>()
  /** Those who wait for a message, and the messages that came while nobody did. */
  readonly #readers: Mailboxes
  /** How many wait, by channel. */
  readonly #waiting = new Map<string, number>()
  #session: PubsubSession | null = null
  #isClosed = false

  constructor(node: ProtocolNode) {
    this.#node = node
    const { prefix, capacity, clock } = node.settings
    this.#topics = new PubsubTopics(prefix)
    this.#readers = new Mailboxes({ capacity, expiryMs: READER_LINGER_MS, clock })
    this.#interest = new Interest({
      clock,
      lingerMs: READER_LINGER_MS,
      subscribe: async (channel) => {
        this.#channels.add(channel)
        await this.#session?.subscribe(channel)
      },
      unsubscribe: async (channel) => {
        this.#channels.delete(channel)
        await this.#session?.unsubscribe(channel)
      },
    })
  }

  isReserved(channel: string): boolean {
    return this.#topics.groupOf(channel) !== null
  }

  async open(attempt: Attempt, groups: readonly string[]): Promise<PubsubSession> {
    const hosts = await connectAll(this.#node.settings, attempt, ['commands', 'subscriber'])
    const session = new PubsubSession({
      node: this.#node,
      attempt,
      hosts,
      topics: this.#topics,
      onPublication: (group, message) => this.#deliver(group, message),
      onMessage: (channel, message) => this.#hand(channel, message),
    })
    try {
      const channels = this.#interest.lost()
      this.#channels.clear()
      for (const channel of channels) this.#channels.add(channel)
      await session.restore(groups, channels)
      this.#session = session
      this.#interest.restored(channels)
    } catch (error) {
      session.destroy()
      throw error
    }
    return session
  }

  async receive(
    channel: string,
    signal: AbortSignal | undefined,
    session: () => Promise<DjangoSession>,
  ): Promise<string> {
    this.#waiting.set(channel, (this.#waiting.get(channel) ?? 0) + 1)
    try {
      while (!(await this.#subscribed(channel, session)));
      return await this.#readers.pull(channel, signal)
    } finally {
      const left = (this.#waiting.get(channel) ?? 1) - 1
      if (left > 0) this.#waiting.set(channel, left)
      else {
        this.#waiting.delete(channel)
        this.#interest.discard(channel)
      }
    }
  }

  flush(): void {
    this.#readers.clear()
  }

  close(reason: Error): void {
    this.#isClosed = true
    this.#interest.close()
    this.#readers.close(reason)
  }

  /** @returns whether it is; not when the session was lost. @throws {GroupcastError} `layer-unavailable` */
  async #subscribed(channel: string, session: () => Promise<DjangoSession>): Promise<boolean> {
    await session()
    try {
      await this.#interest.add(channel)
      return true
    } catch (error) {
      await readOn(error)
      return false
    }
  }

  #deliver(group: string, message: Buffer): void {
    const { inbox, has } = this.#node
    if (!has(group)) return
    const incoming = inbox.read(message, `for group ${quote(group)}`)
    if (incoming !== null) inbox.deliver(group, incoming)
  }

  #hand(channel: string, message: Buffer): void {
    const { inbox, nodeId } = this.#node
    if (this.#isClosed) return
    const isOwn = nodeOf(channel) === nodeId
    if (!isOwn && !this.#channels.has(channel)) return
    const incoming = inbox.read(message, `for channel ${quote(channel)}`)
    if (incoming === null) return
    if (isOwn) inbox.push(channel, incoming.json)
    else this.#handToReaders(channel, incoming.json)
  }

  /** To all who wait; when nobody does, to the next who comes. */
  #handToReaders(channel: string, json: string): void {
    const readers = Math.max(1, this.#waiting.get(channel) ?? 0)
    for (let n = 0; n < readers; n++) this.#readers.push(channel, json)
  }
}
