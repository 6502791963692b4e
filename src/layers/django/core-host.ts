import { deferred } from '../broker/deferred.ts'
import type { Attempt } from '../broker/lifeline.ts'
import type { RedisConnection } from '../broker/redis-connection.ts'
import type { Script } from '../broker/redis-script.ts'
import { watched } from './protocol.ts'

type Word = string | number | Buffer

/** How long what a node leaves behind may stay, in seconds. */
const LEFT_BEHIND_SECONDS = 3_600

/** One Redis of a core session: commands go one way, and what is waited for comes the other. */
export class CoreHost {
  readonly commands: RedisConnection
  readonly reader: RedisConnection
  readonly #attempt: Attempt
  readonly #wakeKey: string
  readonly #probes = new Map<string, () => void>()
  #tokens = 0
  #isWaking = false
  /** How much earlier it is there than here, at most, in seconds. */
  #lag = 0

  constructor(
    { commands, reader }: { readonly commands: RedisConnection; readonly reader: RedisConnection },
    attempt: Attempt,
    wakeKey: string,
  ) {
    this.commands = commands
    this.reader = reader
    this.#attempt = attempt
    this.#wakeKey = wakeKey
  }

  send(command: string, ...words: Word[]): Promise<unknown> {
    return watched(this.#attempt, this.commands.sendBinary(command, ...words))
  }

  /** Makes scripts known: to send and to hash their text each time costs as much as what they do. */
  async load(scripts: readonly Script[]): Promise<void> {
    await Promise.all(scripts.map(({ source }) => this.send('SCRIPT', 'LOAD', source)))
  }

  run({ sha }: Script, keys: readonly string[], words: readonly Word[]): Promise<unknown> {
    return this.send('EVALSHA', sha, keys.length, ...keys, ...words)
  }

  /** Reads what it sent itself: who is not allowed to read must not be ready first, and then not. */
  async assertReads(queues: readonly string[]): Promise<void> {
    await this.#sendToken('first')
    await this.reader.sendBinary('BZPOPMIN', this.#wakeKey, ...queues, 1)
  }

  /** Asks what time it is there. */
  async measure(): Promise<void> {
    const [seconds, micros] = (await this.send('TIME')) as [Buffer, Buffer]
    this.#lag = Math.max(0, Date.now() / 1000 - (Number(seconds) + Number(micros) / 1e6))
  }

  /** Seconds since 1970 by the slower of both clocks, for what is too old: a clock that is ahead must not throw away what is good. */
  now(): number {
    return Date.now() / 1000 - this.#lag
  }

  /** Makes the reader look anew at what is waited for. */
  wake(): void {
    if (this.#isWaking) return
    this.#isWaking = true
    // When it fails the session ends with it.
    this.#sendToken('wake').catch(this.#attempt.lost)
  }

  /** The reader is about to wait. */
  looked(): void {
    this.#isWaking = false
  }

  /** Sends the reader a message, and resolves when it has come. */
  async probe(): Promise<void> {
    const { promise, resolve } = deferred<void>()
    const token = `probe.${++this.#tokens}`
    this.#probes.set(token, () => resolve())
    await this.#sendToken(token)
    await promise
  }

  /** A message of this node to itself has come. */
  heard(token: string): void {
    this.#probes.get(token)?.()
    this.#probes.delete(token)
  }

  destroy(): void {
    this.commands.destroy()
    this.reader.destroy()
  }

  async close(): Promise<void> {
    // A reader that waits would answer QUIT when its time is over.
    this.reader.destroy()
    await this.commands.close()
  }

  async #sendToken(token: string): Promise<void> {
    await Promise.all([
      this.send('ZADD', this.#wakeKey, 0, token),
      this.send('EXPIRE', this.#wakeKey, LEFT_BEHIND_SECONDS),
    ])
  }
}
