/** Names of keys and channels in Redis. */

/**
 * What belongs to history has one hash tag, the prefix, and so one slot of a Cluster: the number, the stream and the publication come from one step. Everything else
 * is spread by its own name. No prefix and no name has braces.
 */
export class Keys {
  readonly state: string
  /** Channel that all nodes listen to. */
  readonly all: string
  /** Patterns of what {@link stream} and {@link hash}, and {@link queue}, give. */
  readonly hashes: string
  readonly queues: string
  readonly #history: string
  readonly #prefix: string
  readonly #isCluster: boolean

  constructor(prefix: string, isCluster: boolean) {
    this.#prefix = prefix
    this.#history = `{${prefix}}`
    this.#isCluster = isCluster
    this.state = `${this.#history}:state`
    this.all = `${this.#history}:all`
    this.hashes = `${this.#history}:m:*`
    this.queues = `${prefix}:c:*`
  }

  /** What is known of a group's history. */
  hash(group: string): string {
    return `${this.#history}:m:${group}`
  }

  /** A group's history. */
  stream(group: string): string {
    return `${this.#history}:h:${group}`
  }

  /** The stream beside a hash. */
  streamOf(hash: string): string {
    return this.stream(hash.slice(this.#history.length + 3))
  }

  /** Where a group is published. On one server all groups have the same: nodes that do not agree on what keeps history still hear each other. */
  group(group: string, keepsHistory: boolean): string {
    return this.#isCluster && !keepsHistory ? `${this.#prefix}:g:${group}` : `${this.#history}:g:${group}`
  }

  /** Where a node gets its fences. */
  fence(nodeId: string): string {
    return `${this.#history}:f:${nodeId}`
  }

  /** Where a node gets messages for its channels. */
  node(nodeId: string): string {
    return `${this.#prefix}:n:${nodeId}`
  }

  /** Where a node gets its probes; one for each number. */
  probe(nodeId: string, number: number): string {
    return `${this.#prefix}:p:${nodeId}:${number}`
  }

  queue(channel: string): string {
    return `${this.#prefix}:c:{${channel}}`
  }

  /** Wakes the readers of a channel; in one slot with its queue. */
  wake(channel: string): string {
    return `${this.#prefix}:w:{${channel}}`
  }
}
