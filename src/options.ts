/** The hub's limits: section 9 of the design. Each is an option with a finite default. */
import { MisuseError } from './errors.ts'
import { quote } from './names.ts'

/** What one client may cost, and how long things may take. Bytes, counts and milliseconds as the names say. */
export interface Limits {
  /** Largest message from a client, in bytes. */
  readonly maxMessageBytes: number
  /** Most groups that one connection can be in. */
  readonly maxGroupsPerConnection: number
  /**
   * Most bytes waiting for one client, in its socket too; beyond it the slow-consumer policy applies. A single message may be larger: while it is in the
   * socket, a quarter of this may wait behind it.
   */
  readonly maxBacklogBytes: number
  /**
   * Most bytes waiting for all slow clients together, in their sockets too; what several wait for counts once, and the newest 8 KiB of each
   * client do not. Beyond it whoever has most waiting gives way, by its policy; what several wait for is shared out among them. What is in a
   * socket cannot be dropped: whoever has most of that is cut.
   */
  readonly maxTotalBacklogBytes: number
  /** Most messages of one client waiting for its consumer; beyond it nothing more is read from it. */
  readonly maxPendingMessages: number
  /** Deepest nesting of a client's JSON. */
  readonly maxJsonDepth: number
  /** Time between heartbeats; `false` turns them off. */
  readonly heartbeatMs: number | false
  /**
   * A WebSocket that answers a heartbeat with nothing for this long is dead; or for 1.25 ms for each byte written to it since it last owed
   * no answer, if that is longer: the heartbeat waits behind them.
   */
  readonly deadAfterMs: number
  /**
   * A congested client that takes nothing for this long, and 1.25 ms more for each byte that waits in its socket, is dead: it cannot be
   * asked. Systems hand over nothing more before a third of their buffer is free, which Linux lets grow to 4 MiB: a client that reads
   * 1 KB/s then seems to take nothing for up to 24 minutes.
   */
  readonly maxStallMs: number
  /** Longest time from a request to the end of the consumer's `connect`. */
  readonly handshakeTimeoutMs: number
  /** Longest time that `authenticate` may take, its wait for others included. */
  readonly authenticateTimeoutMs: number
  /** How many `authenticate` run at once; 16 times as many may wait. */
  readonly maxAuthentications: number
  /** Most one-time tickets of this node that wait to be used. */
  readonly maxTickets: number
  /** Most revoked identities that are remembered; beyond it the oldest give way, and all tokens of that age with them. */
  readonly maxRevocations: number
  /** Longest time that the body of a posted message, or of a request to the HTTP API that is read as a whole, may take to arrive. */
  readonly bodyTimeoutMs: number
  /** How long a closed client may take to go before it is cut. */
  readonly closeTimeoutMs: number
  /** An EventSource told to come back waits a second, and at random up to this much more. */
  readonly retrySpreadMs: number
}

export const DEFAULT_LIMITS: Limits = Object.freeze({
  maxMessageBytes: 64 * 1024,
  maxGroupsPerConnection: 128,
  maxBacklogBytes: 1024 * 1024,
  maxTotalBacklogBytes: 256 * 1024 * 1024,
  maxPendingMessages: 64,
  maxJsonDepth: 64,
  heartbeatMs: 25_000,
  deadAfterMs: 10_000,
  maxStallMs: 1_800_000,
  handshakeTimeoutMs: 10_000,
  authenticateTimeoutMs: 10_000,
  maxAuthentications: 64,
  maxTickets: 10_000,
  maxRevocations: 100_000,
  bodyTimeoutMs: 30_000,
  closeTimeoutMs: 10_000,
  retrySpreadMs: 5_000,
})

// Node's timers fire at once for anything longer than 31 bits.
const MOST = 2 ** 31 - 1

/**
 * Fills in the defaults and checks each limit.
 *
 * @throws {MisuseError} (code `invalid-option`) naming the limit, the value and what is allowed
 */
export function resolveLimits(given: Partial<Limits> = {}): Limits {
  const limits: Record<string, number | false> = { ...DEFAULT_LIMITS }
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined) continue
    if (!Object.hasOwn(DEFAULT_LIMITS, name)) {
      const known = Object.keys(DEFAULT_LIMITS).join(', ')
      throw new MisuseError('invalid-option', `There is no limit ${quote(name)}. The limits are ${known}.`)
    }
    const maySwitchOff = name === 'heartbeatMs'
    if (!(maySwitchOff && value === false) && !isLimit(value)) {
      throw invalidLimit(`limits.${name}`, value, maySwitchOff ? ', or false' : '')
    }
    limits[name] = value
  }
  return Object.freeze(limits) as unknown as Limits
}

/** The error for a limit that is none. */
export function invalidLimit(name: string, value: unknown, or = ''): MisuseError {
  // JSON has no word for them.
  const given = typeof value === 'number' ? String(value) : quote(value)
  return new MisuseError(
    'invalid-option',
    `${name} is ${given}: it must be a whole number from 1 to ${MOST}${or}.`,
  )
}

/** Whether a value can be a limit: a count, a number of bytes, or milliseconds that Node's timers can wait. */
export function isLimit(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= MOST
}

/** @throws {MisuseError} `invalid-option` for an option that does not exist: a misspelt limit must not be a missing one */
export function assertKnownOptions(where: string, options: object, known: readonly string[]): void {
  const unknown = Object.keys(options).find((name) => !known.includes(name))
  if (unknown === undefined) return
  throw new MisuseError(
    'invalid-option',
    `${where} has no option ${quote(unknown)}. The options are ${known.join(', ')}.`,
  )
}
