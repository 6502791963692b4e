import type { Clock } from '../../clock.ts'
import { ChannelFullError } from '../../errors.ts'
import { type Deferred, deferred } from '../broker/deferred.ts'
import { ApiError } from './jet-stream.ts'
import type { NatsSession } from './session.ts'
import type { Subjects } from './subjects.ts'
import { Refused, type Subscription } from './wire.ts'

/** One who waits for a message. */
interface Reader {
  readonly got: Deferred<string>
  /** Why it waits no more. */
  aborted: { readonly reason: unknown } | null
}

/** A channel that is read on this node. */
interface Queue {
  readonly channel: string
  readonly readers: Set<Reader>
  /** Of which session the subscription is. */
  session: NatsSession | null
  subscription: Subscription | null
  /** Whether messages are being taken; then also whether to look again. */
  isTaking: boolean
  isAgain: boolean
  /** Whether a message is being taken: if so, somebody must get it. */
  isClaiming: boolean
  stopTimer: (() => void) | null
}

/** What {@link Queues} are made with. */
export interface QueuesOptions {
  readonly subjects: Subjects
  readonly capacity: number
  readonly expiryMs: number
  readonly lingerMs: number
  readonly clock: Clock
  /** The server refuses what those who wait need. */
  refused(error: Refused): void
}

/**
 * Channels as a stream with a subject for each. A message is read by looking at the oldest and deleting it: the server lets one of several do that, and
 * whoever did has it. So there is nothing to acknowledge, and a reader that gives up leaves nothing behind.
 */
export class Queues {
  readonly #options: QueuesOptions
  readonly #queues = new Map<string, Queue>()
  #session: NatsSession | null = null

  constructor(options: QueuesOptions) {
    this.#options = options
  }

  /** Channels that are read, or were a moment ago: for leak tests. */
  get size(): number {
    return this.#queues.size
  }

  /** @throws {ChannelFullError} */
  async send(session: NatsSession, channel: string, json: string): Promise<void> {
    for (let tries = 0; tries <= this.#options.capacity; tries++) {
      try {
        await session.enqueue(channel, json)
        return
      } catch (error) {
        if (!isFull(error)) throw error
        // The server is late in forgetting; nothing was stored, so it is not sent twice.
        if (!(await this.#dropExpired(session, channel))) break
      }
    }
    throw new ChannelFullError(channel)
  }

  /** Waits for a message, through breaks too. */
  async receive(channel: string, signal?: AbortSignal): Promise<string> {
    signal?.throwIfAborted()
    const queue = this.#queues.get(channel) ?? this.#open(channel)
    const reader: Reader = { got: deferred(), aborted: null }
    queue.stopTimer?.()
    queue.stopTimer = null
    queue.readers.add(reader)
    const onAbort = () => {
      reader.aborted = { reason: signal?.reason }
      this.#leave(queue)
    }
    signal?.addEventListener('abort', onAbort)
    this.#look(queue)
    try {
      return await reader.got.promise
    } finally {
      signal?.removeEventListener('abort', onAbort)
      queue.readers.delete(reader)
      this.#linger(queue)
    }
  }

  /** There is a session: who waits looks whether something is there. */
  connected(session: NatsSession): void {
    this.#session = session
    this.look()
  }

  /** Looks whether something came of which this node was not told. */
  look(): void {
    for (const queue of this.#queues.values()) this.#look(queue)
  }

  /** The session is gone: nothing more is taken. */
  lost(): void {
    this.#session = null
    for (const queue of this.#queues.values()) {
      // Nobody knows whether it was taken: a message is read at most once.
      queue.isClaiming = false
      this.#leave(queue)
    }
  }

  /** Ends all who wait. Resolves when no message is being taken: until then it is one of theirs. */
  async close(error: unknown): Promise<void> {
    for (const queue of this.#queues.values()) {
      queue.stopTimer?.()
      for (const reader of queue.readers) reader.aborted ??= { reason: error }
      this.#leave(queue)
    }
    const taken = [...this.#queues.values()].flatMap(({ readers }) =>
      [...readers].map(({ got }) => got.promise),
    )
    this.#queues.clear()
    await Promise.allSettled(taken)
    this.#session = null
  }

  #open(channel: string): Queue {
    const queue: Queue = {
      ...{ channel, readers: new Set<Reader>(), session: null, subscription: null },
      ...{ isTaking: false, isAgain: false, isClaiming: false, stopTimer: null },
    }
    this.#queues.set(channel, queue)
    return queue
  }

  /** Those that were aborted go, unless a message that is being taken may be theirs. */
  #leave(queue: Queue): void {
    if (queue.isClaiming) return
    for (const reader of queue.readers) {
      if (reader.aborted === null) continue
      queue.readers.delete(reader)
      reader.got.reject(reader.aborted.reason)
    }
  }

  #linger(queue: Queue): void {
    if (queue.readers.size > 0 || this.#queues.get(queue.channel) !== queue) return
    const { clock, lingerMs } = this.#options
    queue.stopTimer?.()
    queue.stopTimer = clock.after(lingerMs, () => {
      queue.stopTimer = null
      if (queue.readers.size > 0) return
      this.#queues.delete(queue.channel)
      if (queue.session === this.#session) queue.subscription?.unsubscribe()
      queue.subscription = null
    })
  }

  #look(queue: Queue): void {
    const session = this.#session
    if (session === null || queue.readers.size === 0) return
    queue.isAgain = true
    if (queue.isTaking) return
    queue.isTaking = true
    const isOver = () => {
      queue.isTaking = false
      queue.isClaiming = false
      this.#leave(queue)
      if (queue.isAgain) this.#look(queue)
    }
    this.#takeAll(session, queue).then(isOver, (error) => {
      // It fails with the session, or is tried again after the next probe.
      if (error instanceof Refused && this.#session === session) this.#options.refused(error)
      isOver()
    })
  }

  async #takeAll(session: NatsSession, queue: Queue): Promise<void> {
    queue.isAgain = false
    if (queue.session !== session) {
      queue.session = session
      queue.subscription = null
    }
    queue.subscription ??= await session.watchQueue(queue.channel, () => this.#look(queue))
    while (this.#session === session && queue.readers.size > 0) {
      queue.isAgain = false
      const isTaken = await this.#take(session, queue)
      if (!isTaken && !queue.isAgain) return
    }
  }

  /** @returns whether there may be more */
  async #take(session: NatsSession, queue: Queue): Promise<boolean> {
    const { subjects, expiryMs } = this.#options
    const stored = await session.js.next(subjects.queueStream, subjects.queue(queue.channel), 1)
    if (stored === null || queue.readers.size === 0) return false
    if (session.now - stored.at >= expiryMs) {
      await session.js.delete(subjects.queueStream, stored.sequence)
      return true
    }
    queue.isClaiming = true
    const isOurs = await session.js.delete(subjects.queueStream, stored.sequence)
    if (isOurs && this.#session === session) this.#give(queue, stored.data.toString())
    queue.isClaiming = false
    this.#leave(queue)
    return true
  }

  /** To the first who still waits, else to the first who did when it was taken. */
  #give(queue: Queue, json: string): void {
    const readers = [...queue.readers]
    const reader = readers.find(({ aborted }) => aborted === null) ?? readers[0]
    if (reader === undefined) return
    queue.readers.delete(reader)
    reader.got.resolve(json)
  }

  async #dropExpired(session: NatsSession, channel: string): Promise<boolean> {
    const { subjects, expiryMs } = this.#options
    const oldest = await session.js.next(subjects.queueStream, subjects.queue(channel), 1)
    if (oldest === null) return true
    if (session.now - oldest.at < expiryMs) return false
    await session.js.delete(subjects.queueStream, oldest.sequence)
    return true
  }
}

/** The server has one number for all that a store refuses. */
function isFull(error: unknown): boolean {
  return error instanceof ApiError && error.message.includes('maximum messages per subject exceeded')
}
