import type { Clock } from '../clock.ts'
import { Refusal } from '../errors.ts'
import type { Identity } from '../identity.ts'
import { GroupPermissions } from '../permission.ts'
import type { Counters } from './connection-host.ts'
import type { LiveConnection } from './live-connection.ts'
import type { Revocations } from './revocations.ts'

const SECOND_MS = 1_000
/** So long before its end a client is told to refresh its token, at most; and twice as long at random, so that not all do at once. */
const NOTICE_MS = 60_000
/** Of the time that is left. */
const NOTICE_PART = 4
const NOTHING: ReadonlySet<string> = new Set()

/** Who a connection belongs to. Connections without an identity have none, and it costs them nothing. */
interface Session {
  identity: Identity
  /** When its credentials were made, in milliseconds since 1970, as far as that is known. */
  since: number
  /** When it ends, by the hub's clock; `null`: not by itself. */
  endsAt: number | null
  /** When something is to be done about that: a key of {@link Sessions.#due}. */
  dueSecond: number | null
  /** Groups that it has joined because its identity may: to be looked at again when that changes. */
  checked: Set<string> | null
  /** Counts its identities. */
  version: number
}

/** The identities of a hub's connections: whose they are, and when they end. */
export class Sessions {
  readonly #clock: Clock
  readonly #revocations: Revocations
  readonly #counters: Counters
  readonly #sessions = new Map<LiveConnection, Session>()
  readonly #byIdentity = new Map<string, Set<LiveConnection>>()
  /** Connections by the second in which something is to be done: a timer for each would cost more than all else here. */
  readonly #due = new Map<number, Set<LiveConnection>>()
  #lastSecond = 0
  #stopTicking: (() => void) | null = null

  constructor(clock: Clock, revocations: Revocations, counters: Counters) {
    this.#clock = clock
    this.#revocations = revocations
    this.#counters = counters
  }

  identityOf(connection: LiveConnection): Identity | null {
    return this.#sessions.get(connection)?.identity ?? null
  }

  /** Changes with each new identity of a connection. */
  versionOf(connection: LiveConnection): number {
    return this.#sessions.get(connection)?.version ?? 0
  }

  /** How long a connection has left, in milliseconds; `null`: it does not end by itself. */
  leftMs(connection: LiveConnection): number | null {
    const endsAt = this.#sessions.get(connection)?.endsAt ?? null
    return endsAt === null ? null : Math.max(0, Math.round(endsAt - this.#clock.now()))
  }

  /** The groups to look at again when the identity changes. */
  checkedOf(connection: LiveConnection): ReadonlySet<string> {
    return this.#sessions.get(connection)?.checked ?? NOTHING
  }

  joined(connection: LiveConnection, group: string): void {
    const session = this.#sessions.get(connection)
    if (session === undefined) return
    session.checked ??= new Set()
    session.checked.add(group)
  }

  left(connection: LiveConnection, group: string): void {
    this.#sessions.get(connection)?.checked?.delete(group)
  }

  /**
   * The connection belongs to an identity from now on, instead of the one that it had.
   *
   * @param askedAt when the hook was asked, in milliseconds since 1970: credentials that do not say when they were made were good then
   * @throws {Refusal} `revoked`, `invalid-token` where it is over already
   * @throws {MisuseError} `invalid-option` for a claim `groupcast` that cannot be read
   */
  assign(connection: LiveConnection, identity: Identity, askedAt: number): void {
    const { id, expiresAt, issuedAt } = identity
    const since = issuedAt ?? askedAt
    if (this.#revocations.refuses(id, since)) throw new Refusal('revoked')
    const leftMs = expiresAt === null ? null : expiresAt - Date.now()
    if (leftMs !== null && leftMs <= 0) throw new Refusal('invalid-token', 'The token has expired.')
    GroupPermissions.of(identity)
    const known = this.#sessions.get(connection)
    const session = known ?? this.#open(connection, identity)
    session.identity = identity
    session.since = since
    session.version++
    session.endsAt = leftMs === null ? null : this.#clock.now() + leftMs
    this.#schedule(
      connection,
      session,
      leftMs === null ? null : this.#clock.now() + leftMs - noticeMs(leftMs),
    )
  }

  /** It is gone. */
  closed(connection: LiveConnection): void {
    const session = this.#sessions.get(connection)
    if (session === undefined) return
    this.#sessions.delete(connection)
    this.#schedule(connection, session, null)
    const others = this.#byIdentity.get(session.identity.id)
    others?.delete(connection)
    if (others?.size === 0) this.#byIdentity.delete(session.identity.id)
  }

  /**
   * Closes connections of an identity.
   *
   * @param until those whose credentials were made up to here, in milliseconds since 1970; `null`: all
   */
  revoke(id: string, until: number | null): void {
    for (const connection of [...(this.#byIdentity.get(id) ?? [])]) {
      const since = this.#sessions.get(connection)?.since ?? 0
      if (until !== null && since > until) continue
      this.#counters.revokedConnections++
      connection.closeWith('revoked')
    }
  }

  /** Ends its timer. */
  close(): void {
    this.#stopTicking?.()
    this.#stopTicking = null
  }

  #open(connection: LiveConnection, identity: Identity): Session {
    const session: Session = {
      identity,
      since: 0,
      endsAt: null,
      dueSecond: null,
      checked: null,
      version: 0,
    }
    this.#sessions.set(connection, session)
    const others = this.#byIdentity.get(identity.id)
    if (others === undefined) this.#byIdentity.set(identity.id, new Set([connection]))
    else others.add(connection)
    return session
  }

  /** @param at by the hub's clock; `null`: never */
  #schedule(connection: LiveConnection, session: Session, at: number | null): void {
    if (session.dueSecond !== null) {
      const others = this.#due.get(session.dueSecond)
      others?.delete(connection)
      if (others?.size === 0) this.#due.delete(session.dueSecond)
    }
    // Rounded up, and never a second that has been looked at.
    session.dueSecond = at === null ? null : Math.max(Math.ceil(at / SECOND_MS), this.#lastSecond + 1)
    if (session.dueSecond !== null) {
      const others = this.#due.get(session.dueSecond)
      if (others === undefined) this.#due.set(session.dueSecond, new Set([connection]))
      else others.add(connection)
    }
    this.#keepTicking()
  }

  #keepTicking(): void {
    if (this.#due.size === 0) {
      this.close()
    } else if (this.#stopTicking === null) {
      this.#lastSecond = Math.floor(this.#clock.now() / SECOND_MS)
      this.#stopTicking = this.#clock.every(SECOND_MS, () => this.#tick())
    }
  }

  #tick(): void {
    const now = Math.floor(this.#clock.now() / SECOND_MS)
    while (this.#lastSecond < now) {
      this.#lastSecond++
      for (const connection of this.#due.get(this.#lastSecond) ?? []) this.#isDue(connection)
    }
  }

  #isDue(connection: LiveConnection): void {
    const session = this.#sessions.get(connection)
    if (session === undefined || session.endsAt === null) return
    const leftMs = session.endsAt - this.#clock.now()
    if (leftMs <= 0) {
      this.#counters.expiredTokens++
      connection.closeWith('token-expired')
      return
    }
    connection.sayLater({ expiring: { inMs: Math.round(leftMs) } })
    this.#schedule(connection, session, session.endsAt)
  }
}

/** How long before the end a client is told, of so much time. */
function noticeMs(leftMs: number): number {
  const most = Math.min(NOTICE_MS, leftMs / NOTICE_PART)
  return most * (1 + Math.random())
}
