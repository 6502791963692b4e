/** Checks a token (RFC 7519, RFC 8725) and says whose it is. */
import { decodeProtectedHeader, errors, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from 'jose'
import { MisuseError, Refusal } from '../errors.ts'
import { type GivenIdentity, isIdentityId } from '../identity.ts'
import { GroupPermissions } from '../permission.ts'
import type { ReadKey, TokenAlgorithm } from './key-material.ts'

/** What tokens are held against, checked. */
export interface TokenRules {
  readonly algorithms: readonly TokenAlgorithm[]
  readonly issuer: readonly string[] | null
  readonly audience: readonly string[] | null
  readonly maxLifetimeSeconds: number
  readonly leewaySeconds: number
  /** Milliseconds since 1970. */
  readonly now: () => number
}

/** Longer ones fit no header of Node (16 KiB for all of them). */
const MAX_TOKEN_LENGTH = 8 * 1024
const COMPACT = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/
/** What a token may say it is (RFC 8725, section 3.11): others are signed by the same issuers for other ends, such as logging out. */
const TYPES: ReadonlySet<string> = new Set(['jwt', 'at+jwt'])

/** Finds the key for the header of a token. May throw jose's errors, or a {@link Refusal}. */
export type FindKey = JWTVerifyGetKey

/** Among given keys: by `kid` where there are several. The algorithm is the key's, whatever the token says. */
export function findAmong(keys: readonly ReadKey[]): FindKey {
  const [only] = keys
  return ({ alg, kid }) => {
    const found = keys.length === 1 ? only : keys.find((key) => key.kid === kid)
    const isOther = found !== undefined && found.kid !== null && kid !== undefined && kid !== found.kid
    if (found === undefined || isOther || found.algorithm !== alg) throw new errors.JWKSNoMatchingKey()
    return found.key
  }
}

/**
 * The identity that a token stands for: `sub` is its id.
 *
 * @throws {Refusal} `invalid-token` with a reason that the client may read; `authentication-unavailable` where the keys cannot be had
 */
export async function verifyToken(
  token: string,
  findKey: FindKey,
  rules: TokenRules,
): Promise<GivenIdentity> {
  if (token.length > MAX_TOKEN_LENGTH)
    throw invalid(`The token is longer than ${MAX_TOKEN_LENGTH} characters.`)
  if (!COMPACT.test(token))
    throw invalid('The token is no signed JWT: three parts in base64url with dots between.')
  const { algorithms, issuer, audience, leewaySeconds, now } = rules
  try {
    assertHeader(token)
    const { payload } = await jwtVerify(token, findKey, {
      algorithms: [...algorithms],
      ...(issuer !== null && { issuer: [...issuer] }),
      ...(audience !== null && { audience: [...audience] }),
      clockTolerance: leewaySeconds,
      currentDate: new Date(now()),
      requiredClaims: ['exp', 'sub'],
    })
    return identityOf(payload, rules)
  } catch (error) {
    throw error instanceof Refusal ? error : refusalOf(error)
  }
}

/** What jose does not look at. */
function assertHeader(token: string): void {
  const { typ } = decodeProtectedHeader(token)
  if (typ === undefined) return
  const name = typeof typ === 'string' ? typ.toLowerCase().replace(/^application\//, '') : ''
  if (!TYPES.has(name)) throw invalid('The token is of another type (typ).')
}

function identityOf(
  claims: JWTPayload,
  { maxLifetimeSeconds, leewaySeconds, now }: TokenRules,
): GivenIdentity {
  const { sub, exp, iat } = claims
  if (!isIdentityId(sub))
    throw invalid('The subject (sub) is not 1 to 255 characters, none of them control characters.')
  const seconds = now() / 1000
  // `requiredClaims` has seen to it that it is there, and jose that it is a number.
  const end = exp as number
  if (end - seconds > maxLifetimeSeconds + leewaySeconds) {
    throw invalid(`The token is good for longer than ${maxLifetimeSeconds} seconds (exp).`)
  }
  // Its last hours would come after a revocation of its first ones is forgotten.
  if (iat !== undefined && end - iat > maxLifetimeSeconds + leewaySeconds) {
    throw invalid(`The token is good for longer than ${maxLifetimeSeconds} seconds (from iat to exp).`)
  }
  // It would outlive a revocation.
  if (iat !== undefined && iat > seconds + leewaySeconds)
    throw invalid('The token was issued in the future (iat).')
  assertGroupClaims(claims)
  return {
    id: sub,
    claims,
    expiresAt: (end + leewaySeconds) * 1000,
    // Its issuer's clock may be ahead of the one that revocations are timed by: as new as it says, it would outlive one that came after it. One
    // that does not say when it was made may be older than any.
    issuedAt: iat === undefined ? 0 : (iat - leewaySeconds) * 1000,
  }
}

function assertGroupClaims(claims: JWTPayload): void {
  try {
    GroupPermissions.read(claims)
  } catch (error) {
    if (error instanceof MisuseError)
      throw invalid('The claim groupcast is malformed: give lists of patterns of groups.')
    throw error
  }
}

/** What jose found, in words that help whoever made the token and nobody else. */
function refusalOf(error: unknown): unknown {
  if (error instanceof errors.JWTExpired) return invalid('The token has expired.')
  if (error instanceof errors.JWTClaimValidationFailed) {
    const { claim, reason } = error
    if (reason === 'missing') return invalid(`The token has no ${claim}.`)
    if (claim === 'nbf') return invalid('The token is not good yet (nbf).')
    return invalid(`The token’s ${claim} is not what it must be.`)
  }
  if (error instanceof errors.JWSSignatureVerificationFailed) return invalid('The signature does not fit.')
  if (error instanceof errors.JOSEAlgNotAllowed)
    return invalid('The algorithm (alg) is not one of those that are allowed.')
  if (error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWKSMultipleMatchingKeys) {
    return invalid('No key is known that it could be signed with (kid, alg).')
  }
  // Malformed parts, headers that must be understood and are not (crit), unencoded payloads.
  if (error instanceof errors.JOSEError || error instanceof TypeError)
    return invalid('The token is malformed.')
  return error
}

function invalid(reason: string): Refusal {
  return new Refusal('invalid-token', reason)
}
