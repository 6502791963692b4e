import { hubOf, nonLocalName } from './names.ts'

/** Names of keys in the core protocol. */
export class CoreKeys {
  readonly #prefix: string

  constructor(prefix: string) {
    this.#prefix = prefix
  }

  /** The members of a group: channels, by the time at which they joined. */
  group(name: string): string {
    return `${this.#prefix}:group:${name}`
  }

  /** The messages of a channel; those of one process have one queue. */
  queue(channel: string): string {
    return this.#prefix + nonLocalName(channel)
  }

  /** The channel of a queue that no process has for itself. */
  channelOf(queue: string): string {
    return queue.slice(this.#prefix.length)
  }

  /** What this node sends itself, to be woken and to see whether it hears. */
  wake(nodeId: string): string {
    return `${this.#prefix}groupcast.${nodeId}.wake!`
  }

  /** What is gone when Redis has lost its data, or the node is. */
  mark(nodeId: string): string {
    return `${this.#prefix}groupcast.${nodeId}.mark!`
  }

  /** The mark of the node that a channel belongs to; empty for what belongs to no hub. */
  markOf(channel: string): string {
    const nodeId = hubOf(channel)
    return nodeId === null ? '' : this.mark(nodeId)
  }

  /** A pattern of all keys of the prefix. */
  get all(): string {
    return `${this.#prefix.replace(/[*?[\]\\]/g, '\\$&')}*`
  }

  /** Whether a key that fits the pattern is a queue: what other applications have under a longer prefix mostly is none. */
  isQueue(key: string): boolean {
    const name = key.slice(this.#prefix.length)
    return /^[A-Za-z0-9._-]+!?(?:\$inflight)?$/.test(name) && !name.endsWith('.wake!')
  }
}
