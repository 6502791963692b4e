/** `RedisChannelLayer` of channels_redis: sorted sets for groups and for the queues of processes. */
import { Mailboxes } from '../../mailboxes.ts'
import { quote } from '../../names.ts'
import type { Attempt } from '../broker/lifeline.ts'
import { CoreHost } from './core-host.ts'
import { CoreKeys } from './core-keys.ts'
import { CoreMembers } from './core-members.ts'
import { CoreSession, type Taken } from './core-session.ts'
import { nodeOf } from './names.ts'
import { connectAll, type DjangoSession, type Protocol, type ProtocolNode, readOn } from './protocol.ts'
import { ScoreClock } from './score-clock.ts'

/** The core protocol, through all sessions. */
export class CoreProtocol implements Protocol {
  /** A group that comes back gets another channel, so nothing is saved by keeping the one before. */
  readonly lingerMs = 0
  readonly #node: ProtocolNode
  readonly #keys: CoreKeys
  readonly #members: CoreMembers
  readonly #scores = new ScoreClock()
  /** Those who wait for messages of channels. Nothing is kept here: what nobody waits for stays in Redis. */
  readonly #readers: Mailboxes
  /** How many wait, by channel. */
  readonly #waiting = new Map<string, number>()
  #isClosed = false

  constructor(node: ProtocolNode) {
    this.#node = node
    const { prefix, queues, clock } = node.settings
    this.#keys = new CoreKeys(prefix)
    this.#members = new CoreMembers(node.nodeId, queues)
    this.#readers = new Mailboxes({ capacity: 0, expiryMs: 1, clock })
  }

  /** Keys of groups have characters that names of channels do not. */
  isReserved(): boolean {
    return false
  }

  async open(attempt: Attempt, groups: readonly string[]): Promise<CoreSession> {
    const { settings, nodeId } = this.#node
    const connections = await connectAll(settings, attempt, ['commands', 'reader'])
    this.#members.keep(groups)
    const session = new CoreSession({
      node: this.#node,
      attempt,
      hosts: connections.map((pair) => new CoreHost(pair, attempt, this.#keys.wake(nodeId))),
      keys: this.#keys,
      members: this.#members,
      scores: this.#scores,
      waiting: () => [...this.#waiting.keys()].map((channel) => this.#keys.queue(channel)),
      onNodeMessage: (message) => this.#deliver(message),
      onTaken: (taken) => this.#hand(taken),
    })
    try {
      await session.restore()
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
    const queue = this.#keys.queue(channel)
    for (;;) {
      const current = (await session()) as CoreSession
      const taken = await takeOf(current, queue)
      if (taken === 'lost') continue
      if (taken === null) return this.#wait(channel, signal, current)
      if (signal?.aborted) {
        taken.putBack()
        throw signal.reason
      }
      const json = this.#read(channel, taken)
      if (json !== null) return json
    }
  }

  flush(): void {}

  close(reason: Error): void {
    this.#isClosed = true
    this.#readers.close(reason)
  }

  /** A message for channels of this node, which may be those under which it is in groups. */
  #deliver(message: Buffer): void {
    const { inbox, has, nodeId } = this.#node
    const where = `for node ${quote(nodeId)}`
    const incoming = inbox.read(message, where)
    if (incoming === null) return
    if (incoming.channels === null) inbox.refuse(where, 'it does not say for which channels it is')
    for (const channel of incoming.channels ?? []) {
      const group = this.#members.groupOf(channel)
      if (group !== null && has(group)) inbox.deliver(group, incoming)
      else if (nodeOf(channel) === nodeId) inbox.push(channel, incoming.json)
    }
  }

  async #wait(channel: string, signal: AbortSignal | undefined, session: CoreSession): Promise<string> {
    this.#waiting.set(channel, (this.#waiting.get(channel) ?? 0) + 1)
    try {
      const waiting = this.#readers.pull(channel, signal)
      session.wake()
      return await waiting
    } finally {
      const left = (this.#waiting.get(channel) ?? 1) - 1
      if (left === 0) this.#waiting.delete(channel)
      else this.#waiting.set(channel, left)
    }
  }

  /** A message that came for somebody who waits, and may wait no longer. */
  #hand(taken: Taken): void {
    if (this.#isClosed) {
      taken.putBack()
      return
    }
    const channel = this.#keys.channelOf(taken.queue)
    const json = this.#read(channel, taken)
    if (json !== null && !this.#readers.push(channel, json)) taken.putBack()
  }

  /** `null`: it is nothing for anybody. */
  #read(channel: string, { message, isExpired }: Taken): string | null {
    return isExpired ? null : (this.#node.inbox.read(message, `for channel ${quote(channel)}`)?.json ?? null)
  }
}

/** `lost`: the session is, or is about to be. @throws {GroupcastError} `layer-unavailable` */
async function takeOf(session: CoreSession, queue: string): Promise<Taken | null | 'lost'> {
  try {
    return await session.take(queue)
  } catch (error) {
    await readOn(error)
    return 'lost'
  }
}
