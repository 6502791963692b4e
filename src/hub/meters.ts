import type { Clock } from '../clock.ts'
import { Refusal } from '../errors.ts'
import { type Excess, RateTable } from '../rate-table.ts'
import { networkOf, type RateName, type Rates, type RefusedFor, rateOf } from '../rates.ts'
import { AddressList } from '../transports/trusted-proxies.ts'
import type { LiveConnection } from './live-connection.ts'

/** How often who was refused for what: see `HubStats.rateRefusals`. */
export type RefusalCounts = Record<RefusedFor, number>

/** Why a client is refused, and whether it is to go. */
export interface Overdraft {
  readonly refusal: Refusal
  /** It has been refused for as much as it may burst, and has not stopped. */
  readonly isFinal: boolean
}

/** What is beyond a rate, as the start of a text for clients. */
const WHAT: Readonly<Record<RateName, string>> = {
  messagesPerConnection: 'Too many messages',
  bytesPerConnection: 'Too many bytes',
  joinsPerConnection: 'Too many joins',
  framesPerConnection: 'Too many frames',
  messagesPerIdentity: 'Too many messages of this identity',
  bytesPerIdentity: 'Too many bytes of this identity',
  joinsPerIdentity: 'Too many joins of this identity',
  handshakesPerAddress: 'Too many attempts to connect from this address',
  failedAuthenticationsPerAddress: 'Too many failed attempts to authenticate from this address',
  postsPerAddress: 'Too many messages posted from this address',
}

/** Whoever finds all places taken cannot know when one will be free. */
const FULL_RETRY_MS = 10_000

/** One rate: its table, and its name for texts and counts. */
class Meter<Key> {
  readonly #table: RateTable<Key>
  readonly #name: RateName
  readonly #refused: RefusalCounts

  constructor(table: RateTable<Key>, name: RateName, refused: RefusalCounts) {
    this.#table = table
    this.#name = name
    this.#refused = refused
  }

  get size(): number {
    return this.#table.size
  }

  charge(key: Key, cost: number): Overdraft | null {
    return this.#overdraft(this.#table.charge(key, cost))
  }

  admit(key: Key): Refusal | null {
    return this.#overdraft(this.#table.admit(key, 1))?.refusal ?? null
  }

  look(key: Key, reserved = 0): Refusal | null {
    return this.#overdraft(this.#table.look(key, 1, reserved))?.refusal ?? null
  }

  /** Counts what has happened already. */
  note(key: Key): void {
    this.#table.charge(key, 1)
  }

  forget(key: Key): void {
    this.#table.delete(key)
  }

  #overdraft(excess: Excess | null): Overdraft | null {
    if (excess === null) return null
    this.#refused[this.#name]++
    const { waitMs: retryAfterMs, isFinal } = excess
    // The time is at the end, where clients of WebSockets find it: a close frame has nothing but its reason.
    const refusal = new Refusal('rate-exceeded', `${WHAT[this.#name]}: retry in ${retryAfterMs} ms`, {
      retryAfterMs,
    })
    return { refusal, isFinal }
  }
}

/**
 * What clients spend, of this node: by connection, by identity, by address. Where a rate is switched off nothing is counted. Connections
 * have no fields for it: one that says nothing costs nothing.
 */
export class Meters {
  readonly #rates: Rates
  readonly #clock: Clock
  readonly #refused: RefusalCounts
  readonly #messages: Meter<LiveConnection> | null
  readonly #bytes: Meter<LiveConnection> | null
  readonly #joins: Meter<LiveConnection> | null
  readonly #frames: Meter<LiveConnection> | null
  readonly #identityMessages: Meter<string> | null
  readonly #identityBytes: Meter<string> | null
  readonly #identityJoins: Meter<string> | null
  readonly #handshakes: Meter<string> | null
  readonly #failures: Meter<string> | null
  readonly #posts: Meter<string> | null
  readonly #exempt: AddressList
  /** Connections by address, of those that have any. */
  readonly #connections = new Map<string, number>()
  /** Attempts to authenticate that have not ended, by address. */
  readonly #attempts = new Map<string, number>()

  constructor(rates: Rates, clock: Clock, refused: RefusalCounts) {
    this.#rates = rates
    this.#clock = clock
    this.#refused = refused
    this.#exempt = new AddressList(rates.exemptAddresses)
    // As many as there are connections.
    this.#messages = this.#meter('messagesPerConnection')
    this.#bytes = this.#meter('bytesPerConnection')
    this.#joins = this.#meter('joinsPerConnection')
    this.#frames = this.#meter('framesPerConnection')
    const { maxTracked } = rates
    this.#identityMessages = this.#meter('messagesPerIdentity', maxTracked)
    this.#identityBytes = this.#meter('bytesPerIdentity', maxTracked)
    this.#identityJoins = this.#meter('joinsPerIdentity', maxTracked)
    this.#handshakes = this.#meter('handshakesPerAddress', maxTracked)
    this.#failures = this.#meter('failedAuthenticationsPerAddress', maxTracked)
    this.#posts = this.#meter('postsPerAddress', maxTracked)
  }

  /** Connections, addresses and attempts that are counted: for leak tests. */
  get size(): number {
    const tables = [this.#messages, this.#bytes, this.#joins, this.#frames]
    const others = this.#connections.size + this.#attempts.size
    return tables.reduce((sum, table) => sum + (table?.size ?? 0), others)
  }

  // --- What a connection says ---

  /** A message or a command of so many bytes. @returns `null`: it may be handled */
  message(connection: LiveConnection, bytes: number): Overdraft | null {
    const own = this.#messages?.charge(connection, 1) ?? this.#bytes?.charge(connection, bytes) ?? null
    if (own !== null || (this.#identityMessages === null && this.#identityBytes === null)) return own
    const id = connection.identity?.id
    if (id === undefined) return null
    return this.#identityMessages?.charge(id, 1) ?? this.#identityBytes?.charge(id, bytes) ?? null
  }

  /** A join that a client asks for. Those of its URL are bounded for each connection, and count for its identity. */
  join(connection: LiveConnection): Overdraft | null {
    const own = connection.isOpen ? (this.#joins?.charge(connection, 1) ?? null) : null
    if (own !== null || this.#identityJoins === null) return own
    const id = connection.identity?.id
    return id === undefined ? null : this.#identityJoins.charge(id, 1)
  }

  /** Frames that say nothing, and reads. */
  frames(connection: LiveConnection, count: number): Overdraft | null {
    return this.#frames?.charge(connection, count) ?? null
  }

  // --- Who knocks ---

  /**
   * An attempt to connect.
   *
   * @param isAsked whether it would be asked who it is
   */
  knock(address: string, isAsked: boolean): Refusal | null {
    const network = this.#counted(address)
    if (network === null) return null
    return (
      this.#handshakes?.admit(network) ??
      this.#full(network) ??
      (isAsked ? (this.#failures?.look(network) ?? null) : null)
    )
  }

  /** Whether there is no place for one more. */
  full(address: string): Refusal | null {
    const network = this.#counted(address)
    return network === null ? null : this.#full(network)
  }

  /** Whether nobody from there is to be asked who it is. */
  mayAuthenticate(address: string): Refusal | null {
    const network = this.#counted(address)
    return network === null ? null : (this.#failures?.look(network) ?? null)
  }

  /**
   * Somebody is asked who it is. Until {@link authenticated}, that counts as if it failed: those who try many things at once would all be asked
   * before the first has failed.
   *
   * @returns why it must not be asked; `null`: it is counted
   */
  authenticating(address: string): Refusal | null {
    const network = this.#failures === null ? null : this.#counted(address)
    if (network === null) return null
    const others = this.#attempts.get(network) ?? 0
    const refusal = this.#failures?.look(network, others) ?? null
    if (refusal === null) this.#attempts.set(network, others + 1)
    return refusal
  }

  /** Who was asked has been answered, or has not been in time. */
  authenticated(address: string): void {
    const network = this.#failures === null ? null : this.#counted(address)
    if (network !== null) takeOne(this.#attempts, network)
  }

  /** An attempt to authenticate failed. */
  failed(address: string): void {
    const network = this.#counted(address)
    if (network !== null) this.#failures?.note(network)
  }

  /** A message posted for a connection that is not here. */
  post(address: string): Refusal | null {
    const network = this.#counted(address)
    return network === null ? null : (this.#posts?.admit(network) ?? null)
  }

  /** A connection begins; {@link ended} takes it back. */
  began({ request }: LiveConnection): void {
    const network = this.#counted(request.remoteAddress)
    if (network !== null) this.#connections.set(network, (this.#connections.get(network) ?? 0) + 1)
  }

  /** A connection is gone. */
  ended(connection: LiveConnection): void {
    for (const meter of [this.#messages, this.#bytes, this.#joins, this.#frames]) meter?.forget(connection)
    const network = this.#counted(connection.request.remoteAddress)
    if (network !== null) takeOne(this.#connections, network)
  }

  /** What an address is counted as; `null`: it is not counted. A socket of the file system has none. */
  #counted(address: string): string | null {
    return address === '' || this.#exempt.has(address) ? null : networkOf(address)
  }

  #full(network: string): Refusal | null {
    const most = this.#rates.connectionsPerAddress
    if (most === false || (this.#connections.get(network) ?? 0) < most) return null
    this.#refused.connectionsPerAddress++
    const text = `Too many connections from this address: retry in ${FULL_RETRY_MS} ms`
    return new Refusal('too-many-connections', text, { retryAfterMs: FULL_RETRY_MS })
  }

  #meter<Key>(name: RateName, most?: number): Meter<Key> | null {
    const rate = rateOf(this.#rates, name)
    if (rate === null) return null
    return new Meter(new RateTable<Key>(rate, this.#clock, most), name, this.#refused)
  }
}

/** Counts one less; what is down to none is forgotten. */
function takeOne(counts: Map<string, number>, key: string): void {
  const left = (counts.get(key) ?? 1) - 1
  if (left === 0) counts.delete(key)
  else counts.set(key, left)
}
