import type { RedisConnection } from '../broker/redis-connection.ts'

/** A blocking command must end by itself one day, or Redis would go on serving a node that is gone. In seconds. */
const BLOCK_SECONDS = 5
/** Most messages that are taken of a queue at a time. */
const DRAIN = 100

/** Options of {@link CoreReader}. */
export interface CoreReaderOptions {
  /** One that nothing else uses: it waits. */
  readonly connection: RedisConnection
  /** What is always read, and in this order: of the first comes {@link onWake}. */
  readonly queues: readonly string[]
  /** Which other queues somebody waits for; one message is taken of one of them at a time. */
  waiting(): readonly string[]
  onWake(token: string): void
  /** A message, and the time that it was sent at. Must not throw. */
  onMessage(queue: string, message: Buffer, score: string): void
}

/** Waits for messages in all queues of one host that concern this node. */
export class CoreReader {
  readonly #options: CoreReaderOptions
  #isStopped = false
  #running: Promise<void> = Promise.resolve()

  constructor(options: CoreReaderOptions) {
    this.#options = options
  }

  /** @param onFailure it reads no more */
  start(onFailure: (error: unknown) => void): void {
    this.#running = this.#run().catch(onFailure)
  }

  /** Resolves when nothing is read any more, which takes until it is woken. */
  stop(): Promise<void> {
    this.#isStopped = true
    return this.#running
  }

  async #run(): Promise<void> {
    const { queues, waiting } = this.#options
    while (!this.#isStopped) await this.#read(queues, [...queues, ...waiting()])
  }

  /** Waits for a message, and takes what came with it in the same round trip. */
  async #read(drained: readonly string[], all: readonly string[]): Promise<void> {
    const { connection } = this.#options
    const replies = await Promise.all([
      connection.sendBinary('BZPOPMIN', ...all, BLOCK_SECONDS),
      ...drained.map((queue) => connection.sendBinary('ZPOPMIN', queue, DRAIN)),
    ])
    const [first, ...more] = replies as [[Buffer, Buffer, Buffer] | null, ...Buffer[][]]
    if (first !== null) this.#take(first[0].toString(), first[1], first[2])
    for (const [index, entries] of more.entries()) {
      for (let i = 0; i + 1 < entries.length; i += 2) {
        this.#take(drained[index] as string, entries[i] as Buffer, entries[i + 1] as Buffer)
      }
    }
  }

  #take(queue: string, message: Buffer, score: Buffer): void {
    const { queues, onWake, onMessage } = this.#options
    if (queue === queues[0]) onWake.call(this.#options, message.toString())
    else onMessage.call(this.#options, queue, message, score.toString())
  }
}
