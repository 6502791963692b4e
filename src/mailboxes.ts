import type { Clock } from './clock.ts'

/** How many messages wait, and how long. */
export interface MailboxesOptions {
  /** Most messages that wait in one mailbox; a function where that depends on the mailbox's name. */
  readonly capacity: number | ((name: string) => number)
  /** A message that waited longer than this is forgotten, in milliseconds. */
  readonly expiryMs: number
  readonly clock: Clock
}

/**
 * Queues by name, bounded and expiring, where each message goes to one reader. A mailbox exists while
 * messages or readers wait in it (never both), so names cost nothing once they are idle.
 *
 * There is no timer: `push` and `pull` first forget whatever expired in any mailbox. All messages expire
 * after the same time, so those are at the old end of one list, and each message is removed once: a call does
 * constant work on average.
 */
export class Mailboxes {
  readonly #capacity: number | ((name: string) => number)
  readonly #expiryMs: number
  readonly #clock: Clock
  readonly #queues = new Map<string, Queue>()
  readonly #readers = new Map<string, Set<Reader>>()
  #oldest: Waiting | null = null
  #newest: Waiting | null = null
  #closedWith: Error | null = null

  constructor({ capacity, expiryMs, clock }: MailboxesOptions) {
    this.#capacity = capacity
    this.#expiryMs = expiryMs
    this.#clock = clock
  }

  /** Names held: mailboxes in which messages or readers wait. For leak tests. */
  get size(): number {
    return this.#queues.size + this.#readers.size
  }

  /**
   * Gives a message to the reader who has waited longest, or else appends it to the queue.
   *
   * @returns `false` when the mailbox is full: nothing has changed
   * @throws the reason of `close` after it
   */
  push(name: string, json: string): boolean {
    if (this.#closedWith !== null) throw this.#closedWith
    this.#forgetExpired()
    const reader = this.#readers.get(name)?.values().next().value
    if (reader !== undefined) {
      reader.leave()
      reader.resolve(json)
      return true
    }
    const queue = this.#queues.get(name)
    if ((queue?.length ?? 0) >= this.#capacityOf(name)) return false
    this.#append(queue ?? this.#open(name), json)
    return true
  }

  /**
   * Resolves with the next message, now or when it comes. Readers of one mailbox are served in the order in
   * which they came. An abort takes no message: once this promise is resolved a later abort changes nothing,
   * and before that the message goes to the next reader.
   *
   * @throws the signal's reason when it aborts; the reason of `close` when that comes first
   */
  pull(name: string, signal?: AbortSignal): Promise<string> {
    if (this.#closedWith !== null) return Promise.reject(this.#closedWith)
    if (signal?.aborted) return Promise.reject(signal.reason)
    this.#forgetExpired()
    const queue = this.#queues.get(name)
    return queue === undefined ? this.#wait(name, signal) : Promise.resolve(this.#takeFirst(queue))
  }

  /** Forgets all queued messages. Readers go on waiting. */
  clear(): void {
    this.#queues.clear()
    this.#oldest = null
    this.#newest = null
  }

  /**
   * Forgets all queued messages and rejects all readers, those who wait and those who come, with `reason`.
   * Final.
   */
  close(reason: Error): void {
    if (this.#closedWith !== null) return
    this.#closedWith = reason
    this.clear()
    for (const reader of [...this.#readers.values()].flatMap((readers) => [...readers])) {
      reader.leave()
      reader.reject(reason)
    }
  }

  #capacityOf(name: string): number {
    return typeof this.#capacity === 'number' ? this.#capacity : this.#capacity(name)
  }

  #open(name: string): Queue {
    const queue: Queue = { name, length: 0, first: null, last: null }
    this.#queues.set(name, queue)
    return queue
  }

  #append(queue: Queue, json: string): void {
    const expiresAt = this.#clock.now() + this.#expiryMs
    const added: Waiting = { queue, json, expiresAt, next: null, older: this.#newest, newer: null }
    if (this.#newest === null) this.#oldest = added
    else this.#newest.newer = added
    this.#newest = added

    if (queue.last === null) queue.first = added
    else queue.last.next = added
    queue.last = added
    queue.length++
  }

  #takeFirst(queue: Queue): string {
    const taken = queue.first as Waiting
    if (taken.older === null) this.#oldest = taken.newer
    else taken.older.newer = taken.newer
    if (taken.newer === null) this.#newest = taken.older
    else taken.newer.older = taken.older

    queue.first = taken.next
    queue.length--
    if (queue.length === 0) this.#queues.delete(queue.name)
    return taken.json
  }

  #forgetExpired(): void {
    const now = this.#clock.now()
    // The oldest message of all is the first of its queue.
    while (this.#oldest !== null && this.#oldest.expiresAt < now) this.#takeFirst(this.#oldest.queue)
  }

  #wait(name: string, signal: AbortSignal | undefined): Promise<string> {
    const readers = this.#readers.get(name) ?? new Set()
    this.#readers.set(name, readers)
    return new Promise((resolve, reject) => {
      const leave = () => {
        signal?.removeEventListener('abort', onAbort)
        readers.delete(reader)
        if (readers.size === 0) this.#readers.delete(name)
      }
      const onAbort = () => {
        leave()
        reject(signal?.reason)
      }
      const reader: Reader = { resolve, reject, leave }
      readers.add(reader)
      signal?.addEventListener('abort', onAbort)
    })
  }
}

/** The messages of one mailbox; never empty while it is in the map. */
interface Queue {
  readonly name: string
  length: number
  first: Waiting | null
  last: Waiting | null
}

/**
 * A queued message, linked in two lists: its queue (`next`) and all messages by age (`older`, `newer`). Links
 * rather than arrays or a Set because messages leave the second list from its middle, and V8's Set walks over
 * the holes at its front.
 */
interface Waiting {
  readonly queue: Queue
  readonly json: string
  readonly expiresAt: number
  next: Waiting | null
  older: Waiting | null
  newer: Waiting | null
}

interface Reader {
  resolve(json: string): void
  reject(reason: unknown): void
  /** Waits no longer: leaves its mailbox and its signal. */
  leave(): void
}
