import { crc32 } from 'node:zlib'
import { nodeChannel, nonLocalName } from './names.ts'

/**
 * The channels under which a node is in groups: one for each, since a message says for which channels it is and not for which group. Each time that a
 * group is added it gets another, so that what was sent before is not taken for it.
 */
export class CoreMembers {
  readonly #nodeId: string
  readonly #queues: number
  readonly #channels = new Map<string, string>()
  readonly #groups = new Map<string, string>()
  /** Channels that may be in a group at Redis and must not be, by their groups: the node left, or does not know whether it came in. */
  readonly #strays = new Map<string, string>()
  #last = 0

  constructor(nodeId: string, queues: number) {
    this.#nodeId = nodeId
    this.#queues = queues
  }

  /** The node's own channels, up to their `!`: of connections first, then of groups. */
  get processes(): string[] {
    const ofGroups = Array.from({ length: this.#queues }, (_, index) =>
      nonLocalName(this.#channel(index, '')),
    )
    return [nonLocalName(nodeChannel(this.#nodeId, '')), ...ofGroups]
  }

  /** Another channel for a group. It is a stray until it is {@link join}ed, and gets messages from then on. */
  next(group: string): string {
    const channel = this.#channel(crc32(group) % this.#queues, (++this.#last).toString(36))
    this.#strays.set(channel, group)
    return channel
  }

  join(group: string, channel: string): void {
    this.#channels.set(group, channel)
    this.#groups.set(channel, group)
    this.#strays.delete(channel)
  }

  /** @returns the channel that the group had, which is a stray until it is {@link removed} */
  leave(group: string): string | null {
    const channel = this.#channels.get(group)
    if (channel === undefined) return null
    this.#channels.delete(group)
    this.#groups.delete(channel)
    this.#strays.set(channel, group)
    return channel
  }

  /** The channel is in no group at Redis. */
  removed(channel: string): void {
    this.#strays.delete(channel)
  }

  /** Channels that are to be taken out of their groups at Redis. */
  strays(): [channel: string, group: string][] {
    return [...this.#strays]
  }

  channelOf(group: string): string | null {
    return this.#channels.get(group) ?? null
  }

  groupOf(channel: string): string | null {
    return this.#groups.get(channel) ?? null
  }

  get size(): number {
    return this.#channels.size
  }

  groups(): string[] {
    return [...this.#channels.keys()]
  }

  /** Keeps these groups alone, each with the channel that it had or a new one: a session is about to begin. */
  keep(groups: readonly string[]): void {
    const kept = new Set(groups)
    for (const group of [...this.#channels.keys()]) if (!kept.has(group)) this.leave(group)
    for (const group of groups) if (!this.#channels.has(group)) this.join(group, this.next(group))
  }

  #channel(queue: number, localId: string): string {
    return nodeChannel(`${this.#nodeId}.${queue}`, localId)
  }
}
