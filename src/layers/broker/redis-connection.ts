import type { Redis, RedisOptions } from 'ioredis'
import { deferred } from './deferred.ts'

/** Makes a client with these options, which is not connected. */
export type MakeClient = (options: RedisOptions) => Redis

/** What a connection is opened with. */
export interface RedisConnectionOptions {
  readonly make: MakeClient
  readonly connectTimeoutMs: number
  /** The connection is lost; called once at most, and not when it was ended on purpose. */
  onLost(error: unknown): void
}

/**
 * Nothing of what clients do to hide a break: the layer's session ends with any of its connections, so what is under way must fail at once and nothing may be sent
 * again or later.
 */
const NO_SECOND_CHANCE = {
  lazyConnect: true,
  retryStrategy: () => null,
  sentinelRetryStrategy: () => null,
  reconnectOnError: () => false as const,
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  autoResubscribe: false,
  maxRetriesPerRequest: null,
  enableAutoPipelining: false,
  enableReadyCheck: false,
  // Whatever a given client has: the layer's names are whole, and its replies are read as they come in RESP2.
  keyPrefix: '',
  protocol: 2,
  stringNumbers: false,
  readOnly: false,
  monitor: false,
} satisfies RedisOptions & { monitor: boolean }

/** One connection to one server. */
export class RedisConnection {
  readonly redis: Redis
  readonly #onLost: (error: unknown) => void
  #failure: unknown = null
  #isOver = false
  #isCorked = false

  /** It is not connected: see {@link connect}. */
  constructor({ make, connectTimeoutMs, onLost }: RedisConnectionOptions) {
    this.#onLost = onLost
    this.redis = make({
      ...NO_SECOND_CHANCE,
      connectTimeout: connectTimeoutMs,
      sentinelCommandTimeout: connectTimeoutMs,
      // Of a server that has stopped no answer to our FIN comes either.
      disconnectTimeout: 1,
    })
    // ioredis says why in an event, and rejects with no more than that it is closed.
    this.redis.on('error', (error: unknown) => {
      this.#failure ??= error
    })
    this.redis.on('end', () => this.#ended())
  }

  /** Resolves when commands can be sent. */
  async connect(): Promise<void> {
    try {
      await this.redis.connect()
    } catch (error) {
      throw this.#failure ?? error
    }
    // It refuses the password by an event, but is ready all the same.
    if (this.#failure !== null) throw this.#failure
  }

  /** Sends a command; lists and numbers come as they are, strings as text. */
  send(command: string, ...words: (string | number | Buffer)[]): Promise<unknown> {
    if (!this.#isCorked) this.#cork()
    return this.redis.call(command, ...words)
  }

  /** The same; strings come as the bytes that they are. */
  sendBinary(command: string, ...words: (string | number | Buffer)[]): Promise<unknown> {
    if (!this.#isCorked) this.#cork()
    return this.redis.callBuffer(command, ...words)
  }

  /** What one turn sends goes out in one write: a system call for each command costs more than the rest of it. */
  #cork(): void {
    const { stream } = this.redis
    if (stream === undefined) return
    this.#isCorked = true
    stream.cork()
    process.nextTick(() => {
      this.#isCorked = false
      stream.uncork()
    })
  }

  /** Cuts it at once. */
  destroy(): void {
    this.#isOver = true
    this.redis.disconnect()
    // `disconnect` waits for the other end.
    this.redis.stream?.destroy()
  }

  /** Ends it when what has been sent is answered. */
  async close(): Promise<void> {
    this.#isOver = true
    if (this.redis.status === 'end') return
    const { promise, resolve } = deferred<void>()
    this.redis.once('end', () => resolve())
    await this.redis.quit().catch(() => {})
    await promise
  }

  #ended(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#onLost(this.#failure ?? new Error('The connection was closed by the other end.'))
  }
}
