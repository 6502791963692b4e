/** Makes tokens: for development, tests, and applications whose secret is theirs anyway. */
import { SignJWT } from 'jose'
import { MisuseError } from '../errors.ts'
import { isIdentityId } from '../identity.ts'
import { quote } from '../names.ts'
import { type GroupClaims, GroupPermissions } from '../permission.ts'
import { readKeys } from './key-material.ts'

/** What a new token says. */
export interface NewToken {
  /** Whose it is: the identity's id. */
  readonly subject: string
  /** How long it is good for: an hour unless given. */
  readonly expiresInSeconds?: number
  /** The groups that it allows; unless given it says nothing of groups. */
  readonly groups?: GroupClaims
  readonly issuer?: string
  readonly audience?: string
  /** The key's, where the hub has several. */
  readonly kid?: string
  /** Whatever else it shall say. */
  readonly claims?: Readonly<Record<string, unknown>>
}

/**
 * Makes a token, signed with HS256.
 *
 * @param secret the hub's; at least 32 bytes that nobody can guess
 * @throws {MisuseError} `invalid-option`
 *
 * @example
 * const token = await signToken(secret, { subject: 'ann', groups: { join: ['chat.*'] } })
 */
export async function signToken(secret: string | Uint8Array, token: NewToken): Promise<string> {
  const [read] = readKeys([{ algorithm: 'HS256', secret }])
  const { subject, expiresInSeconds = 3_600, groups, issuer, audience, kid, claims } = token
  if (!isIdentityId(subject)) {
    throw new MisuseError(
      'invalid-option',
      `The subject is ${quote(subject)}: it must be 1 to 255 characters.`,
    )
  }
  if (!Number.isInteger(expiresInSeconds) || expiresInSeconds < 1) {
    const given = quote(expiresInSeconds)
    throw new MisuseError('invalid-option', `expiresInSeconds is ${given}: it must be a whole number from 1.`)
  }
  const all = { ...claims, ...(groups !== undefined && { groupcast: groups }) }
  GroupPermissions.read(all)
  const seconds = Math.floor(Date.now() / 1000)
  const jwt = new SignJWT(all)
    .setProtectedHeader({ alg: 'HS256', typ: 'JWT', ...(kid !== undefined && { kid }) })
    .setSubject(subject)
    .setIssuedAt(seconds)
    .setExpirationTime(seconds + expiresInSeconds)
  if (issuer !== undefined) jwt.setIssuer(issuer)
  if (audience !== undefined) jwt.setAudience(audience)
  return jwt.sign((read as typeof read & object).key)
}
