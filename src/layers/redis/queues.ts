import type { Clock } from '../../clock.ts'
import type { Keys } from './keys.ts'
import { POP, PUSH, RETURN } from './queue-scripts.ts'
import type { Wire } from './wire.ts'

/** Options of {@link Queues}. */
export interface QueuesOptions {
  readonly keys: Keys
  readonly clock: Clock
  capacityOf(channel: string): number
  readonly expiryMs: number
  /** What a reader is told that the server refuses; `null`: it is no refusal, and the reader waits for the next session. */
  refused(error: unknown): Error | null
}

/** Most messages that are taken at once for readers that wait. */
const MOST_AT_ONCE = 64

/** So long a channel without readers stays subscribed: a worker reads one message after another. */
const LINGER_MS = 5_000

interface Reader {
  resolve(json: string): void
  reject(error: unknown): void
  /** Waits no longer. */
  leave(): void
}

/** A channel that is read here, or was a moment ago. */
interface Reading {
  readonly channel: string
  readonly readers: Set<Reader>
  /** The session in which it is woken, if it is. */
  subscribedIn: Wire | null
  /** Takes messages; `null` when there is nothing to do. */
  running: Promise<void> | null
  /** Woken while it was looking. */
  isWoken: boolean
  stopTimer: (() => void) | null
}

/**
 * Channels: bounded queues in Redis, read by whoever comes first. Nobody blocks a connection: readers that wait are woken by a message to all
 * nodes that have some, and each looks once; of a queue one node at a time gets a message, since Redis does one thing after another.
 */
export class Queues {
  readonly #options: QueuesOptions
  readonly #readings = new Map<string, Reading>()
  #wire: Wire | null = null
  #closedWith: Error | null = null

  constructor(options: QueuesOptions) {
    this.#options = options
  }

  /** Channels that are read, or were a moment ago: for leak tests. */
  get size(): number {
    return this.#readings.size
  }

  /** There is a session again: whoever waits looks. */
  attach(wire: Wire): void {
    this.#wire = wire
    for (const reading of this.#readings.values()) this.#look(reading)
  }

  /** @returns `false` when the queue is full */
  async push(wire: Wire, channel: string, json: string): Promise<boolean> {
    const { keys, capacityOf, expiryMs } = this.#options
    const wake = keys.wake(channel)
    const words = [capacityOf.call(this.#options, channel), expiryMs, wire.publishCommand, wake, json]
    return (await wire.run(PUSH, [keys.queue(channel)], ...words)) === 1
  }

  /** The next message of a channel, now or when it comes. @throws the signal's reason; the reason of {@link close} */
  read(channel: string, signal?: AbortSignal): Promise<string> {
    if (this.#closedWith !== null) return Promise.reject(this.#closedWith)
    if (signal?.aborted) return Promise.reject(signal.reason)
    const reading = this.#readings.get(channel) ?? this.#open(channel)
    reading.stopTimer?.()
    reading.stopTimer = null
    return new Promise((resolve, reject) => {
      const leave = () => {
        signal?.removeEventListener('abort', onAbort)
        reading.readers.delete(reader)
        this.#rest(reading)
      }
      const onAbort = () => {
        leave()
        reject(signal?.reason)
      }
      const reader: Reader = { resolve, reject, leave }
      reading.readers.add(reader)
      signal?.addEventListener('abort', onAbort)
      this.#look(reading)
    })
  }

  /** Rejects all who read. What was taken for them goes back to its queue: {@link idle} resolves when it has. */
  close(error: Error): void {
    this.#closedWith = error
    for (const reading of this.#readings.values()) {
      for (const reader of [...reading.readers]) {
        reader.leave()
        reader.reject(error)
      }
      reading.stopTimer?.()
      reading.stopTimer = null
    }
  }

  /** Resolves when nothing is being taken. */
  async idle(): Promise<void> {
    await Promise.all([...this.#readings.values()].map(({ running }) => running))
  }

  #open(channel: string): Reading {
    const reading: Reading = {
      channel,
      readers: new Set(),
      subscribedIn: null,
      running: null,
      isWoken: false,
      stopTimer: null,
    }
    this.#readings.set(channel, reading)
    return reading
  }

  #look(reading: Reading): void {
    reading.isWoken = true
    if (reading.running !== null || this.#wire === null) return
    const wire = this.#wire
    reading.running = this.#run(reading, wire)
      .catch((error) => this.#failed(reading, error))
      .finally(() => {
        reading.running = null
        // Somebody came, or there is another session, since it last looked.
        if (reading.readers.size > 0 && (reading.isWoken || this.#wire !== wire) && this.#closedWith === null)
          this.#look(reading)
        else this.#rest(reading)
      })
  }

  async #run(reading: Reading, wire: Wire): Promise<void> {
    while (reading.isWoken && reading.readers.size > 0 && this.#wire === wire) {
      reading.isWoken = false
      if ((await this.#take(reading, wire)) > 0) reading.isWoken = true
      else if (reading.readers.size > 0 && reading.subscribedIn !== wire) {
        // It looks again when it cannot miss a message any more.
        await wire.subscribe(this.#options.keys.wake(reading.channel), () => this.#look(reading))
        reading.subscribedIn = wire
        reading.isWoken = true
      }
    }
  }

  /** Takes a message for each who waits. @returns how many there were */
  async #take(reading: Reading, wire: Wire): Promise<number> {
    const { keys } = this.#options
    const wanted = Math.min(reading.readers.size, MOST_AT_ONCE)
    const items = (await wire.run(POP, [keys.queue(reading.channel)], wanted)) as string[]
    let given = 0
    for (const reader of [...reading.readers].slice(0, items.length)) {
      const item = items[given++] as string
      reader.leave()
      reader.resolve(item.slice(item.indexOf(' ') + 1))
    }
    const left = items.slice(given)
    // Readers left meanwhile: obligation 9.
    if (left.length > 0) await this.#giveBack(reading.channel, wire, left)
    return given
  }

  async #giveBack(channel: string, wire: Wire, items: readonly string[]): Promise<void> {
    const { keys, expiryMs } = this.#options
    await wire.run(RETURN, [keys.queue(channel)], expiryMs, wire.publishCommand, keys.wake(channel), ...items)
  }

  #failed(reading: Reading, error: unknown): void {
    const refusal = this.#options.refused(error)
    if (refusal === null) {
      // The session is gone, or is going: the next one looks.
      if (this.#wire !== null && reading.subscribedIn === this.#wire) reading.subscribedIn = null
      reading.isWoken = false
      return
    }
    for (const reader of [...reading.readers]) {
      reader.leave()
      reader.reject(refusal)
    }
  }

  /** A channel that nobody reads is forgotten after a while. */
  #rest(reading: Reading): void {
    if (reading.readers.size > 0 || reading.running !== null || reading.stopTimer !== null) return
    if (this.#closedWith !== null) return
    reading.stopTimer = this.#options.clock.after(LINGER_MS, () => {
      this.#readings.delete(reading.channel)
      const wire = this.#wire
      if (wire === null || reading.subscribedIn !== wire) return
      wire.unsubscribe(this.#options.keys.wake(reading.channel)).catch(() => {
        // The session is gone, and the subscription with it.
      })
    })
  }
}
