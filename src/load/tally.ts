/** Checks that a client gets each of its messages once and in order, and adds up what all clients of a crowd get. */
import type { DeliveryClock } from './latency.ts'
import type { Membership } from './membership.ts'
import { type NumberReader, numberedMessage, WINDOW_BYTES } from './numbered.ts'

/** Every so many messages of a crowd, one is compared with what was published, byte by byte. */
const SAMPLE_EVERY = 4096
/** Numbers that a client remembers as missing, to tell late messages from doubles. */
const MOST_MISSING = 10_000

/** Hears what a client gets. */
export interface Account {
  /** A message's text, or the start of it: see {@link MessageSink}. */
  add(bytes: Buffer, start: number, end: number, isWhole: boolean): void
  /** See {@link MessageSink}. */
  wantsWhole?(): boolean
  /** An event of an event stream that is no message. */
  event(text: string): void
}

/** What the clients of a crowd share. */
export class Totals {
  readonly clock: DeliveryClock
  /** Messages with a number. */
  received = 0
  /** Messages without one: not part of the load. */
  other = 0
  doubled = 0
  outOfOrder = 0
  /** Samples that were not what was published. */
  damaged = 0
  sampled = 0
  /** Messages that were longer than the window. */
  long = 0
  /** Bytes that came, transport included. */
  bytes = 0
  /** Bytes of each message; `0`: samples are not compared. */
  messageBytes = 0
  /** Keys of the messages. */
  readonly keys: number

  constructor(clock: DeliveryClock, keys = 0) {
    this.clock = clock
    this.keys = keys
  }
}

/** The account of one client. Exact for every message: no client is only sampled. */
export class Tally implements Account {
  readonly #totals: Totals
  readonly #numbers: NumberReader
  readonly #membership: Membership
  #next: number
  #distinct = 0
  #missing: Set<number> | null = null

  /** @param numbers one for all clients of a transport: their frames are alike */
  constructor(totals: Totals, numbers: NumberReader, membership: Membership) {
    this.#totals = totals
    this.#numbers = numbers
    this.#membership = membership
    this.#next = membership.from(0)
  }

  add(bytes: Buffer, start: number, end: number, isWhole: boolean): void {
    const totals = this.#totals
    const n = this.#numbers.read(bytes, start, end)
    if (n < 0) {
      totals.other++
      return
    }
    totals.received++
    if (n === this.#next) {
      this.#next = this.#membership.after(n)
      this.#distinct++
    } else {
      this.#unexpected(n)
    }
    totals.clock.delivered(n)
    // A long one is whole because it was asked for.
    if (isWhole && (end - start > WINDOW_BYTES || totals.received % SAMPLE_EVERY === 1))
      this.#compare(n, bytes, start, end)
  }

  wantsWhole(): boolean {
    return this.#totals.messageBytes > 0 && this.#totals.long++ % SAMPLE_EVERY === 0
  }

  event(): void {}

  /** How many messages up to but not `end` are for this client. */
  expected(end: number): number {
    return this.#membership.count(0, end)
  }

  /** How many of the messages up to but not `end` have not come. */
  lost(end: number): number {
    return this.expected(end) - this.#distinct
  }

  #unexpected(n: number): void {
    if (n > this.#next && this.#membership.from(n) === n) {
      this.#gap(n)
      this.#distinct++
      this.#next = this.#membership.after(n)
    } else if (this.#missing?.delete(n) === true) {
      this.#totals.outOfOrder++
      this.#distinct++
    } else {
      // Had before, or of a group that this client is not in: either way one too many.
      this.#totals.doubled++
    }
  }

  #gap(end: number): void {
    this.#missing ??= new Set()
    for (let n = this.#next; n < end && this.#missing.size < MOST_MISSING; n = this.#membership.after(n)) {
      this.#missing.add(n)
    }
  }

  #compare(n: number, bytes: Buffer, start: number, end: number): void {
    if (this.#totals.messageBytes === 0) return
    this.#totals.sampled++
    const expected = numberedMessage(n, this.#totals.messageBytes, this.#totals.keys)
    if (!bytes.toString('utf8', start, end).includes(expected)) this.#totals.damaged++
  }
}
