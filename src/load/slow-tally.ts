/** The account of a client that reads slowly: what it got, and what it was told, to be held against the policy of its groups. */
import type { LoadTransport } from './handshake.ts'
import type { NumberReader } from './numbered.ts'
import type { Account } from './tally.ts'

/** What became of a slow client. Plain data. */
export interface SlowReport {
  readonly transport: LoadTransport
  readonly received: number
  /** Dropped messages that it was told of. */
  readonly told: number
  /** Messages that did not come, although later ones did. */
  readonly skipped: number
  /** Places where it was told of another number of dropped messages than did not come there. */
  readonly mistold: number
  /** Messages that came after the last that did not, or all. */
  readonly sinceGap: number
  readonly isInOrder: boolean
  /** One more than the last message that came. */
  readonly next: number
  /** The last message of each key. */
  readonly newest: readonly number[]
  /** Whether the connection has ended, and with which code if the server gave one. */
  readonly isOver: boolean
  readonly closeCode: number | null
}

/** All messages are for it, from number `first` on. */
export class SlowTally implements Account {
  readonly #transport: LoadTransport
  readonly #numbers: NumberReader
  readonly #newest: number[]
  #next: number
  #received = 0
  #told = 0
  #skipped = 0
  #mistold = 0
  #sinceGap = 0
  /** What it was told since the last message. */
  #toldHere = 0
  #isInOrder = true
  #isOver = false
  #closeCode: number | null = null

  constructor(transport: LoadTransport, numbers: NumberReader, first: number, keys: number) {
    this.#transport = transport
    this.#numbers = numbers
    this.#next = first
    this.#newest = new Array<number>(keys).fill(-1)
  }

  add(bytes: Buffer, start: number, end: number): void {
    const n = this.#numbers.read(bytes, start, end)
    if (n < 0) {
      this.event(bytes.toString('latin1', start, end))
      return
    }
    this.#received++
    if (n < this.#next) this.#isInOrder = false
    const skipped = Math.max(0, n - this.#next)
    this.#skipped += skipped
    if (skipped !== this.#toldHere) this.#mistold++
    this.#toldHere = 0
    this.#sinceGap = skipped > 0 ? 1 : this.#sinceGap + 1
    this.#next = n + 1
    if (this.#newest.length > 0) this.#newest[n % this.#newest.length] = n
  }

  /** A control object: `groupcast.dropped` or `groupcast.close`, as an event or as a message. */
  event(text: string): void {
    if (text.includes('groupcast.dropped')) this.#wasTold(Number(/"count":(\d+)/.exec(text)?.[1] ?? 0))
    // The socket below may be kept for another request.
    if (text.includes('groupcast.close')) this.ended(Number(/"code":(\d+)/.exec(text)?.[1] ?? 0))
  }

  #wasTold(count: number): void {
    this.#told += count
    this.#toldHere += count
  }

  /** @param closeCode of a WebSocket */
  ended(closeCode: number | null): void {
    this.#isOver = true
    this.#closeCode ??= closeCode
  }

  get report(): SlowReport {
    return {
      transport: this.#transport,
      received: this.#received,
      told: this.#told,
      skipped: this.#skipped,
      mistold: this.#mistold,
      sinceGap: this.#sinceGap,
      isInOrder: this.#isInOrder,
      next: this.#next,
      newest: this.#newest,
      isOver: this.#isOver,
      closeCode: this.#closeCode,
    }
  }
}
