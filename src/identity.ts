/** Who a client is: what a hook `authenticate` is asked and what it answers. */
import { MisuseError } from './errors.ts'
import { quote } from './names.ts'
import type { ConnectionRequest } from './transports/backend.ts'

/** Who a client is, as `authenticate` says. */
export interface Identity {
  /** Whoever it is: 1 to 255 characters without control characters. `DELETE /api/identities/{id}/connections` names it. */
  readonly id: string
  /** What else is known: plain data. `claims.groupcast` says which groups it may join and send to (see {@link GroupClaims}). */
  readonly claims: Readonly<Record<string, unknown>>
  /** When it ends, in milliseconds since 1970 as of `Date.now()`; `null`: not by itself. Its connections end then. */
  readonly expiresAt: number | null
  /**
   * When its credentials were made, in milliseconds since 1970; `null`: not known. After a revocation those that were made before
   * are refused. Where it is not known, the hook decides whether they are still good. 0 stands for older than all: refused after any
   * revocation that is remembered. Those from longer ago than `maxLifetimeMs` of the hook are refused: their revocation may be forgotten.
   */
  readonly issuedAt: number | null
}

/** What a hook returns for a client: its identity, of which all but the id may be left out. */
export type GivenIdentity = Pick<Identity, 'id'> & Partial<Identity>

/** The request of a client that `authenticate` decides about. */
export interface AuthenticationRequest extends ConnectionRequest {
  /**
   * The token that the client gave: in `Authorization: Bearer`, as the subprotocol `groupcast.token.<token>`, or to refresh the one that it
   * came with. `null`: none of these.
   */
  readonly token: string | null
  /**
   * A cookie's value as it was sent. `undefined` where there is none, and for pages that only `*` in `allowedOrigins` lets connect: a browser
   * sends cookies along with WebSockets of any page, and none of those may speak for the user.
   */
  cookie(name: string): string | undefined
  /** Who the connection belongs to, where it refreshes its token; `null` while it is at the door. */
  readonly identity: Identity | null
  /** Aborts when nobody waits for the answer any more. */
  readonly signal: AbortSignal
}

/**
 * Decides who a client is. Return its identity, or `null` for a client without one; throw a `Refusal` (`unauthorized`, `invalid-token`, or
 * another code of the error table) to refuse it. Anything else that it throws or returns refuses the client too, and is reported.
 */
export interface Authenticate {
  (request: AuthenticationRequest): GivenIdentity | null | Promise<GivenIdentity | null>
  /**
   * The longest time that an identity can be good for, from its `issuedAt` on: so long a revocation is remembered, and identities that are
   * older are refused. A day unless given; of several hooks of a hub the longest counts for all.
   */
  readonly maxLifetimeMs?: number
}

const DAY_MS = 86_400_000

/**
 * How long the identities of a hook can be good for, in milliseconds.
 *
 * @throws {MisuseError} `invalid-option` for a `maxLifetimeMs` that is no time
 */
export function lifetimeOf({ maxLifetimeMs = DAY_MS }: Authenticate): number {
  if (typeof maxLifetimeMs === 'number' && Number.isFinite(maxLifetimeMs) && maxLifetimeMs > 0)
    return maxLifetimeMs
  throw misuse(
    `maxLifetimeMs of authenticate is ${quote(maxLifetimeMs)}: it must be a number of milliseconds above 0.`,
  )
}

const MAX_ID_LENGTH = 255
const CONTROL = /\p{Cc}/u
/** Times before 1973 are seconds that were meant as milliseconds. */
const LEAST_TIME_MS = 1e11

/** Whether a value can be the id of an identity. */
export function isIdentityId(id: unknown): id is string {
  return (
    typeof id === 'string' &&
    id !== '' &&
    id.length <= MAX_ID_LENGTH &&
    !CONTROL.test(id) &&
    id.isWellFormed()
  )
}

/**
 * An identity as a hook gave it, with what it left out.
 *
 * @throws {MisuseError} `invalid-option` for what is none
 */
export function asIdentity(given: unknown): Identity {
  if (typeof given !== 'object' || given === null) {
    throw misuse(`authenticate returned ${quote(given)}: return an identity such as { id: "ann" }, or null.`)
  }
  const {
    id,
    claims = {},
    expiresAt = null,
    issuedAt = null,
  } = given as Partial<Record<keyof Identity, unknown>>
  if (!isIdentityId(id)) {
    throw misuse(
      `The identity's id is ${quote(id)}: it must be 1 to 255 characters, none of them control characters.`,
    )
  }
  if (typeof claims !== 'object' || claims === null || Array.isArray(claims)) {
    throw misuse(`The claims of ${quote(id)} are ${quote(claims)}: they must be an object.`)
  }
  return Object.freeze({
    id,
    claims: claims as Identity['claims'],
    expiresAt: asTime('expiresAt', expiresAt),
    issuedAt: asTime('issuedAt', issuedAt),
  })
}

function asTime(name: string, value: unknown): number | null {
  if (value === null) return null
  // 0 is what is older than everything.
  if (typeof value === 'number' && Number.isFinite(value) && (value === 0 || value >= LEAST_TIME_MS))
    return value
  throw misuse(
    `${name} is ${quote(value)}: it must be milliseconds since 1970, as of Date.now() (of a JWT, exp * 1000), or null.`,
  )
}

function misuse(text: string): MisuseError {
  return new MisuseError('invalid-option', text)
}
