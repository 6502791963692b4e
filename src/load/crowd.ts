/** Many clients in one process. */
import { Client, type ClientOwner } from './client.ts'
import { monotonicMs } from './clocks.ts'
import type { LoadTransport } from './handshake.ts'
import { DeliveryClock, type Schedule } from './latency.ts'
import { Membership } from './membership.ts'
import { NumberReader } from './numbered.ts'
import { type SlowReport, SlowTally } from './slow-tally.ts'
import { Tally, Totals } from './tally.ts'

/** What a crowd is made of. Plain data: it travels between processes. */
export interface CrowdOptions {
  /** The server: `http://127.0.0.1:8000`. */
  readonly url: string
  readonly transport: LoadTransport | 'mixed'
  readonly path: string
  /** Names of all groups; message `n` goes to the one at `n` modulo their count. */
  readonly groups: readonly string[]
  /** How many of them each client joins. */
  readonly groupsEach: number
  /** Clients of the whole load, and which of them are in this crowd: from `first` up to but not `end`. */
  readonly clients: number
  readonly first: number
  readonly end: number
  /** Handshakes at once. */
  readonly concurrency: number
  /** Local addresses to connect from, in turns; `null`: the system chooses. */
  readonly localAddresses: readonly string[] | null
  /** Bytes of each message, with which samples are compared; not before a clock is started unless given. */
  readonly messageBytes?: number
  /** Keys of the messages: see {@link numberedMessage}. */
  readonly keys?: number
  /** Set where the clients read slowly: they are waited for by nobody, and each has an account of its own. All are in all groups. */
  readonly slow?: SlowOptions
  readonly hello?: string
}

/** How the clients of a crowd are slow. */
export interface SlowOptions {
  /** Number of the first message that they get. */
  readonly first: number
  /** What each reads while it crawls; needed for that. */
  readonly bytesPerSecond?: number
}

/** What a crowd has seen. Plain data. */
export interface CrowdReport {
  readonly connected: number
  /** Clients that never got in, and those that were in and left before they were told to. */
  readonly failed: number
  readonly ended: number
  /** Why, with counts. */
  readonly reasons: readonly (readonly [why: string, count: number])[]
  readonly received: number
  readonly other: number
  readonly lost: number
  readonly doubled: number
  readonly outOfOrder: number
  readonly sampled: number
  readonly damaged: number
  readonly bytes: number
}

export class Crowd implements ClientOwner {
  readonly totals: Totals
  readonly #options: CrowdOptions
  readonly #numbers = { websocket: new NumberReader(), sse: new NumberReader() }
  readonly #clients: Client[] = []
  readonly #tallies: Tally[] = []
  readonly #slow = new Map<Client, SlowTally>()
  readonly #reasons = new Map<string, number>()
  #opened = 0
  #failed = 0
  #ended = 0
  #handshakesDone: (() => void) | null = null
  #target = Number.POSITIVE_INFINITY
  #targetReached: (() => void) | null = null

  constructor(options: CrowdOptions) {
    this.#options = options
    this.totals = new Totals(new DeliveryClock(), options.keys)
    this.totals.messageBytes = options.messageBytes ?? 0
  }

  get size(): number {
    return this.#options.end - this.#options.first
  }

  get connected(): number {
    return this.#opened - this.#ended
  }

  /** Clients that never got in. */
  get failed(): number {
    return this.#failed
  }

  /** Connects all clients. Resolves with the milliseconds it took when each is in or has failed. */
  async connect(): Promise<number> {
    const startMs = monotonicMs()
    if (this.size > 0) {
      await new Promise<void>((resolve) => {
        this.#handshakesDone = resolve
        for (let i = 0; i < Math.min(this.#options.concurrency, this.size); i++) this.#open()
      })
    }
    return monotonicMs() - startMs
  }

  /** From now on deliveries are timed. */
  startClock(schedule: Schedule, messageBytes: number): void {
    this.totals.messageBytes = messageBytes
    this.totals.clock.start(schedule)
  }

  /**
   * Resolves with whether the clients have got as many messages as they should of those up to but not `end`, within the time. Slow ones
   * are not waited for.
   */
  async caughtUp(end: number, timeoutMs: number): Promise<boolean> {
    let count = 0
    for (const tally of this.#tallies) count += tally.expected(end)
    if (this.totals.received >= count) return true
    this.#target = count
    return new Promise((resolve) => {
      const timer = setTimeout(() => settle(false), timeoutMs)
      const settle = (isReached: boolean) => {
        clearTimeout(timer)
        this.#target = Number.POSITIVE_INFINITY
        this.#targetReached = null
        resolve(isReached)
      }
      this.#targetReached = () => settle(true)
    })
  }

  /** All clients stop reading. */
  stop(): void {
    for (const client of this.#clients) client.stop()
  }

  /** All clients read on. */
  resume(): void {
    for (const client of this.#clients) client.resume()
  }

  /** All clients read on at {@link SlowOptions.bytesPerSecond}. */
  crawl(): void {
    for (const client of this.#clients) client.crawl()
  }

  /** What became of each slow client. */
  slowReports(): SlowReport[] {
    return [...this.#slow.values()].map(({ report }) => report)
  }

  leave(): void {
    for (const client of this.#clients) client.leave()
  }

  /** @param end one more than the last message published */
  report(end: number): CrowdReport {
    const { received, other, doubled, outOfOrder, sampled, damaged, bytes } = this.totals
    let lost = 0
    for (const tally of this.#tallies) lost += tally.lost(end)
    return {
      connected: this.connected,
      failed: this.#failed,
      ended: this.#ended,
      reasons: [...this.#reasons],
      ...{ received, other, lost, doubled, outOfOrder, sampled, damaged, bytes },
    }
  }

  opened(_client: Client): void {
    this.#opened++
    this.#next()
  }

  ended(client: Client, why: string): void {
    this.#reasons.set(why, (this.#reasons.get(why) ?? 0) + 1)
    if (!client.wasOpen) {
      this.#failed++
      this.#next()
    } else {
      this.#ended++
      this.#slow.get(client)?.ended(client.closeCode)
    }
  }

  read(): void {
    if (this.totals.received >= this.#target) this.#targetReached?.()
  }

  /** A handshake is over: begins the next one. */
  #next(): void {
    if (this.#clients.length < this.size) this.#open()
    else if (this.#opened + this.#failed === this.size) this.#handshakesDone?.()
  }

  #open(): void {
    const options = this.#options
    const index = options.first + this.#clients.length
    const { clients, groups, groupsEach, localAddresses } = options
    const membership = Membership.of(index, clients, groups.length, groupsEach)
    const target = {
      url: new URL(options.url),
      transport: transportOf(options.transport, index),
      target: targetOf(options, membership),
      localAddress: localAddresses?.[index % localAddresses.length] ?? null,
      hello: options.hello ?? null,
      bytesPerSecond: options.slow?.bytesPerSecond ?? null,
    }
    const numbers = this.#numbers[target.transport]
    if (options.slow === undefined) {
      const tally = new Tally(this.totals, numbers, membership)
      this.#tallies.push(tally)
      this.#clients.push(new Client(target, tally, this.totals, this))
    } else {
      const tally = new SlowTally(target.transport, numbers, options.slow.first, options.keys ?? 0)
      const client = new Client(target, tally, this.totals, this)
      this.#clients.push(client)
      this.#slow.set(client, tally)
    }
  }
}

function transportOf(transport: CrowdOptions['transport'], index: number): LoadTransport {
  if (transport !== 'mixed') return transport
  return index % 2 === 0 ? 'websocket' : 'sse'
}

function targetOf({ path, groups, groupsEach }: CrowdOptions, membership: Membership): string {
  const [base, ...query] = path.split('?')
  const names = groupsEach === 0 ? [] : membership.indexes().map((index) => groups[index] ?? '')
  const joined = names.map((name) => `group=${encodeURIComponent(name)}`)
  const parameters = [...query, ...joined].join('&')
  return parameters === '' ? (base ?? '/') : `${base}?${parameters}`
}
