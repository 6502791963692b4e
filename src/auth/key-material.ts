/** The keys that tokens are signed with: read once at the start, and refused there when they would protect nothing. */
import { createPublicKey, createSecretKey, KeyObject, X509Certificate } from 'node:crypto'
import { MisuseError } from '../errors.ts'
import { quote } from '../names.ts'
import { LEAST_SECRET_BYTES, secretProblem } from './secrets.ts'

/** The signatures that can be checked (RFC 7518, section 3; RFC 8037). `none` is none of them. */
export const TOKEN_ALGORITHMS = ['HS256', 'RS256', 'ES256', 'EdDSA'] as const
export type TokenAlgorithm = (typeof TOKEN_ALGORITHMS)[number]

/** One key, and the one algorithm that it is for (RFC 8725, section 3.1). */
export interface TokenKey {
  readonly algorithm: TokenAlgorithm
  /** HS256: at least 32 bytes that nobody can guess. A text stands for its UTF-8. */
  readonly secret?: string | Uint8Array
  /** The others: the public key as PEM (SPKI or a certificate), as a JWK, or as a `KeyObject`. */
  readonly publicKey?: string | KeyObject | Readonly<Record<string, unknown>>
  /** Which of several keys it is: tokens name it in their header. */
  readonly kid?: string
}

/** A {@link TokenKey}, read. */
export interface ReadKey {
  readonly algorithm: TokenAlgorithm
  readonly kid: string | null
  readonly key: KeyObject
}

/** RFC 7518, section 3.3. */
const LEAST_RSA_BITS = 2048

/**
 * Reads and checks keys.
 *
 * @throws {MisuseError} `invalid-option` for a secret that is weak or well known, a key that does not fit its algorithm, and several keys that
 *   cannot be told apart. No text shows a secret
 */
export function readKeys(keys: readonly TokenKey[]): readonly ReadKey[] {
  const read = keys.map((key, index) => readKey(key, keys.length === 1 ? 'key' : `keys[${index}]`))
  if (read.length === 0) throw misuse('keys is empty: give at least one key.')
  if (read.length === 1) return read
  const kids = new Set(read.map(({ kid }) => kid))
  if (kids.size === read.length && !kids.has(null)) return read
  throw misuse('Several keys need a kid each, all different: that is how a token names its key.')
}

function readKey(given: TokenKey, where: string): ReadKey {
  if (typeof given !== 'object' || given === null) {
    throw misuse(`${where} must be an object such as { algorithm: "HS256", secret }.`)
  }
  const { algorithm, secret, publicKey, kid } = given
  for (const name of Object.keys(given)) {
    if (['algorithm', 'secret', 'publicKey', 'kid'].includes(name)) continue
    throw misuse(`${where} has no option ${quote(name)}. The options are algorithm, secret, publicKey, kid.`)
  }
  if (!TOKEN_ALGORITHMS.includes(algorithm)) {
    throw misuse(
      `${where}.algorithm is ${quote(algorithm)}: it must be one of ${TOKEN_ALGORITHMS.join(', ')}.`,
    )
  }
  if (kid !== undefined && (typeof kid !== 'string' || kid === '')) {
    throw misuse(`${where}.kid must be a text of at least one character.`)
  }
  const key = algorithm === 'HS256' ? secretOf(given, where) : publicKeyOf(algorithm, publicKey, where)
  if (algorithm !== 'HS256' && secret !== undefined) {
    throw misuse(`${where} has a secret, and ${algorithm} takes a publicKey.`)
  }
  return { algorithm, kid: kid ?? null, key }
}

function secretOf({ secret, publicKey }: TokenKey, where: string): KeyObject {
  // The oldest trick with tokens: what is public signs, because both sides believe it to be a secret (RFC 8725, section 2.1).
  const isPublic =
    publicKey !== undefined ||
    (secret as unknown) instanceof KeyObject ||
    (typeof secret === 'object' && !(secret instanceof Uint8Array))
  if (isPublic) {
    throw misuse(
      `${where}: HS256 takes a secret that nobody else knows, not a key: give secret, or use RS256, ES256 or EdDSA.`,
    )
  }
  if (typeof secret !== 'string' && !(secret instanceof Uint8Array)) {
    throw misuse(`${where}.secret is missing: HS256 takes at least ${LEAST_SECRET_BYTES} random bytes.`)
  }
  const bytes = Buffer.from(secret as Uint8Array)
  const problem = secretProblem(bytes)
  if (problem === null) return createSecretKey(bytes)
  const how = `node -e "console.log(require('crypto').randomBytes(32).toString('base64url'))"`
  throw misuse(
    `${where}.secret is ${problem} (it is not shown): give at least ${LEAST_SECRET_BYTES} random bytes, made for example by ${how}.`,
  )
}

function publicKeyOf(
  algorithm: Exclude<TokenAlgorithm, 'HS256'>,
  given: TokenKey['publicKey'],
  where: string,
): KeyObject {
  if (given === undefined)
    throw misuse(`${where}.publicKey is missing: ${algorithm} takes one (PEM, a JWK or a KeyObject).`)
  const key = parsedKey(given, where)
  if (key.type !== 'public')
    throw misuse(`${where}.publicKey is a ${key.type} key: the hub needs the public one alone.`)
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key
  switch (algorithm) {
    case 'RS256': {
      if (type !== 'rsa') throw doesNotFit(where, algorithm, 'an RSA key', type)
      const bits = details?.modulusLength ?? 0
      if (bits < LEAST_RSA_BITS)
        throw misuse(`${where}.publicKey has ${bits} bits: RS256 takes ${LEAST_RSA_BITS} or more.`)
      return key
    }
    case 'ES256':
      if (type === 'ec' && details?.namedCurve === 'prime256v1') return key
      throw doesNotFit(where, algorithm, 'a key on the curve P-256', details?.namedCurve ?? type)
    case 'EdDSA':
      if (type === 'ed25519') return key
      throw doesNotFit(where, algorithm, 'an Ed25519 key', type)
    default:
      return algorithm satisfies never
  }
}

function parsedKey(given: NonNullable<TokenKey['publicKey']>, where: string): KeyObject {
  if (given instanceof KeyObject) return given
  try {
    if (typeof given !== 'string') return jwkOf(given, where)
    const text = given.trim()
    if (text.startsWith('{')) return jwkOf(JSON.parse(text), where)
    if (text.startsWith('-----BEGIN CERTIFICATE')) return new X509Certificate(text).publicKey
    // `createPublicKey` would make the public key of a private one, and nobody would notice where the private one is.
    if (/PRIVATE KEY/.test(text))
      throw misuse(`${where}.publicKey is a private key: the hub needs the public one alone.`)
    return createPublicKey(text)
  } catch (error) {
    if (error instanceof MisuseError) throw error
    throw misuse(`${where}.publicKey cannot be read: give PEM (SPKI or a certificate), a JWK or a KeyObject.`)
  }
}

function jwkOf(jwk: Readonly<Record<string, unknown>>, where: string): KeyObject {
  if (jwk.kty === 'oct')
    throw misuse(`${where}.publicKey is a secret (kty "oct"): it belongs into secret, with HS256.`)
  if (jwk.d !== undefined)
    throw misuse(`${where}.publicKey is a private key: the hub needs the public one alone.`)
  return createPublicKey({ key: jwk as never, format: 'jwk' })
}

function doesNotFit(
  where: string,
  algorithm: string,
  wanted: string,
  given: string | undefined,
): MisuseError {
  return misuse(`${where}.publicKey is ${given ?? 'of another kind'}: ${algorithm} takes ${wanted}.`)
}

function misuse(text: string): MisuseError {
  return new MisuseError('invalid-option', text)
}
