/** The built-in `authenticate`: signed tokens (JWT, RFC 7519). */
import { MisuseError, Refusal } from '../errors.ts'
import type { Authenticate, AuthenticationRequest, GivenIdentity } from '../identity.ts'
import { quote } from '../names.ts'
import { assertKnownOptions } from '../options.ts'
import { RemoteKeys } from './jwks.ts'
import { readKeys, TOKEN_ALGORITHMS, type TokenAlgorithm, type TokenKey } from './key-material.ts'
import { type FindKey, findAmong, type TokenRules, verifyToken } from './verifier.ts'

/** Options of {@link tokens}: exactly one of `key`, `keys` and `jwksUrl`. */
export interface TokenOptions {
  /** The key that all tokens are signed with. */
  readonly key?: TokenKey
  /** Several, each with a `kid`: to replace one, add the new one, sign with it, and remove the old one when its tokens have expired. */
  readonly keys?: readonly TokenKey[]
  /**
   * Where the public keys of an issuer are (RFC 7517): https, or http on this machine. They are fetched anew when they are ten minutes
   * old, and for a `kid` that is not among them, at most every 30 seconds; tokens that name one of those of before do not wait for that.
   */
  readonly jwksUrl?: string | URL
  /** With `jwksUrl`: what its keys may be used with. `["RS256", "ES256", "EdDSA"]` unless given; HS256 is not possible. */
  readonly algorithms?: readonly TokenAlgorithm[]
  /** Who must have made the token (`iss`): one of these. */
  readonly issuer?: string | readonly string[]
  /** Whom it must be meant for (`aud`): one of these. */
  readonly audience?: string | readonly string[]
  /** The longest time for which a token may be good, from `iat` to `exp`: a day unless given. It must have an end (`exp`). */
  readonly maxLifetimeSeconds?: number
  /** By how much clocks may differ: 5 seconds unless given, 60 at most. */
  readonly leewaySeconds?: number
  /** The name of a cookie that holds a token, for clients that give none otherwise. None unless given. */
  readonly cookie?: string | false
  /** The name of a query parameter that may hold one. URLs end up in logs: a ticket is better. None unless given. */
  readonly query?: string | false
  /** Whether a client without a token is refused: `true` unless given. Otherwise it has no identity. */
  readonly required?: boolean
}

const KNOWN: readonly (keyof TokenOptions)[] = [
  'key',
  'keys',
  'jwksUrl',
  'algorithms',
  'issuer',
  'audience',
  'maxLifetimeSeconds',
  'leewaySeconds',
  'cookie',
  'query',
  'required',
]

const DAY_SECONDS = 86_400
const YEAR_SECONDS = 365 * DAY_SECONDS
const MOST_LEEWAY_SECONDS = 60
// RFC 6265, section 4.1.1: a token of RFC 9110.
const COOKIE_NAME = /^[\w!#$%&'*+.^`|~-]+$/

/**
 * Makes a hook `authenticate` that takes signed tokens: from `Authorization: Bearer`, from the subprotocol `groupcast.token.<token>`, and where
 * allowed from a cookie or the query. The token's `sub` is the identity's id.
 *
 * @example
 * const hub = createHub({ authenticate: tokens({ key: { algorithm: 'HS256', secret: process.env.SECRET } }) })
 *
 * @throws {MisuseError} `invalid-option` for weak and well-known secrets, keys that do not fit their algorithm, and all else that would protect
 *   less than it seems to
 */
export function tokens(options: TokenOptions): Authenticate {
  assertKnownOptions('tokens', options, KNOWN)
  const { findKey, algorithms } = keysOf(options)
  const rules: TokenRules = {
    algorithms,
    issuer: listOf('issuer', options.issuer),
    audience: listOf('audience', options.audience),
    maxLifetimeSeconds: wholeOf(
      'maxLifetimeSeconds',
      options.maxLifetimeSeconds ?? DAY_SECONDS,
      1,
      YEAR_SECONDS,
    ),
    leewaySeconds: wholeOf('leewaySeconds', options.leewaySeconds ?? 5, 0, MOST_LEEWAY_SECONDS),
    now: Date.now,
  }
  const find = tokenFinder(options)
  const { required = true } = options
  if (typeof required !== 'boolean') throw misuse(`required is ${quote(required)}: it must be true or false.`)
  const authenticate = async (request: AuthenticationRequest): Promise<GivenIdentity | null> => {
    const token = find(request)
    if (token !== null) return verifyToken(token, findKey, rules)
    if (required) throw new Refusal('unauthorized')
    return null
  }
  return Object.assign(authenticate, {
    // From `issuedAt` to `expiresAt`: a leeway at the start, one at the end, and one that the length itself may be over.
    maxLifetimeMs: (rules.maxLifetimeSeconds + 3 * rules.leewaySeconds) * 1000,
  })
}

function keysOf(options: TokenOptions): { findKey: FindKey; algorithms: readonly TokenAlgorithm[] } {
  const { key, keys, jwksUrl, algorithms } = options
  if ([key, keys, jwksUrl].filter((given) => given !== undefined).length !== 1) {
    throw misuse('tokens takes exactly one of key, keys and jwksUrl.')
  }
  if (jwksUrl === undefined) {
    if (algorithms !== undefined)
      throw misuse('algorithms goes with jwksUrl: each key has its own algorithm.')
    if (keys !== undefined && !Array.isArray(keys)) throw misuse('keys must be a list of keys.')
    const read = readKeys(key === undefined ? (keys as readonly TokenKey[]) : [key])
    return { findKey: findAmong(read), algorithms: [...new Set(read.map(({ algorithm }) => algorithm))] }
  }
  const remote = new RemoteKeys(jwksUrl, { fetch: (url, init) => fetch(url, init), now: Date.now })
  return { findKey: (header, token) => remote.find(header, token), algorithms: publicAlgorithms(algorithms) }
}

function publicAlgorithms(
  given: readonly TokenAlgorithm[] = ['RS256', 'ES256', 'EdDSA'],
): readonly TokenAlgorithm[] {
  const isKnown =
    Array.isArray(given) && given.length > 0 && given.every((name) => TOKEN_ALGORITHMS.includes(name))
  // What everybody can fetch is no secret.
  if (isKnown && !given.includes('HS256')) return [...given]
  throw misuse(`algorithms is ${quote(given)}: with jwksUrl it must be a list of RS256, ES256 and EdDSA.`)
}

/**
 * Where a client's token is. What it gives by itself counts before a cookie, which browsers send along with everything.
 *
 * @throws {MisuseError} `invalid-option`
 */
function tokenFinder({
  cookie = false,
  query = false,
}: TokenOptions): (request: AuthenticationRequest) => string | null {
  if (cookie !== false && (typeof cookie !== 'string' || !COOKIE_NAME.test(cookie))) {
    throw misuse(`cookie is ${quote(cookie)}: it must be the name of a cookie, or false.`)
  }
  if (query !== false && (typeof query !== 'string' || query === '')) {
    throw misuse(`query is ${quote(query)}: it must be the name of a query parameter, or false.`)
  }
  return (request) => {
    const inQuery = query === false ? [] : request.query.getAll(query).filter((text) => text !== '')
    // RFC 6750, section 2: not more than one way in each request. While it is refreshed, the old one still stands in the URL.
    if (inQuery.length > 1 || (inQuery.length === 1 && request.token !== null && request.identity === null)) {
      throw new Refusal('bad-request', 'The request has more than one token: give it in one way.')
    }
    if (request.token !== null) return request.token
    const inCookie = cookie === false ? undefined : request.cookie(cookie)
    return inQuery[0] ?? (inCookie === '' ? null : (inCookie ?? null))
  }
}

function listOf(name: string, given: string | readonly string[] | undefined): readonly string[] | null {
  if (given === undefined) return null
  const list: readonly unknown[] = Array.isArray(given) ? given : [given]
  if (list.length > 0 && list.every((text) => typeof text === 'string' && text !== ''))
    return list as string[]
  throw misuse(`${name} is ${quote(given)}: it must be a text, or a list of texts.`)
}

function wholeOf(name: string, value: unknown, least: number, most: number): number {
  if (Number.isInteger(value) && (value as number) >= least && (value as number) <= most)
    return value as number
  throw misuse(`${name} is ${quote(value)}: it must be a whole number from ${least} to ${most}.`)
}

function misuse(text: string): MisuseError {
  return new MisuseError('invalid-option', text)
}
