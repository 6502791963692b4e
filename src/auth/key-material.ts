/** The keys that tokens are signed with: read once at the start, and refused there when they would protect nothing. */
import { createHash, createPublicKey, createSecretKey, KeyObject, X509Certificate } from 'node:crypto'
import { MisuseError } from '../errors.ts'
import { quote } from '../names.ts'

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

/** RFC 7518, section 3.2: as long as the hash at least. */
const LEAST_SECRET_BYTES = 32
/** RFC 7518, section 3.3. */
const LEAST_RSA_BITS = 2048
/** What so many different bytes cannot be told from: words, and a letter held down. */
const LEAST_DIFFERENT_BYTES = 8
/** About half of what 32 random bytes have: 32 hexadecimal digits pass, a word that is repeated does not. */
const LEAST_ENTROPY_BITS = 80

/** Whatever can be found in docs and tutorials, in lower case and without what is not a letter or a digit. */
const WELL_KNOWN: ReadonlySet<string> = new Set(
  [
    // jwt.io, past and present.
    'your-256-bit-secret',
    'your-384-bit-secret',
    'your-512-bit-secret',
    'a-string-secret-at-least-256-bits-long',
    'qwertyuiopasdfghjklzxcvbnm123456',
    // RFC 7515, appendix A.1.
    'AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow',
    // Frameworks and templates.
    'please-change-this-secret-before-production',
    'change-me-to-a-long-random-string-please',
    'this-is-a-secret-key-that-should-be-changed',
    'replace-this-with-a-32-character-secret',
    'supersecretkeythatnobodyshouldguess',
    'thisisaverysecretkeythatshouldbechanged',
    'cc7e0d44fd473002f1c42167459001140ec6389b7353f8088f4d9a95f2f596f2',
    '00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff',
    '0123456789abcdef0123456789abcdef',
    '000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f',
    'abcdefghijklmnopqrstuvwxyz123456',
    'abcdefghijklmnopqrstuvwxyz0123456789',
    '12345678901234567890123456789012',
  ].map(letters),
)
/** The same, where it is the bytes that are known (RFC 7515, appendix A.1). */
const WELL_KNOWN_SHA256: ReadonlySet<string> = new Set([
  sha256(
    Buffer.from(
      'AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow',
      'base64url',
    ),
  ),
])
/** Words of placeholders: a secret that says what it is was never replaced. */
const PLACEHOLDER =
  /change.?me|replace.?(?:me|this)|your.{0,12}secret|(?:example|default|sample|placeholder).{0,3}secret/i
/** What public keys look like when they are pasted where a secret belongs. */
const PUBLIC_KEY_TEXT =
  /-----BEGIN|ssh-(?:rsa|ed25519)|ecdsa-sha2|"kty"\s*:|^(?:MII|MFkw|MCow|LS0tLS1CRUdJTi)[A-Za-z0-9+/_-]{20}/

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
  const problem = isPublicKey(bytes)
    ? 'a public key, which everybody has'
    : bytes.length < LEAST_SECRET_BYTES
      ? `shorter than ${LEAST_SECRET_BYTES} bytes`
      : isWellKnown(bytes)
        ? 'well known: it stands in docs or tutorials'
        : isWeak(bytes)
          ? 'easy to guess'
          : null
  if (problem === null) return createSecretKey(bytes)
  const how = `node -e "console.log(require('crypto').randomBytes(32).toString('base64url'))"`
  throw misuse(
    `${where}.secret is ${problem} (it is not shown): give at least ${LEAST_SECRET_BYTES} random bytes, made for example by ${how}.`,
  )
}

function isPublicKey(bytes: Buffer): boolean {
  const text = bytes.toString('latin1')
  if (PUBLIC_KEY_TEXT.test(text)) return true
  try {
    createPublicKey({ key: bytes, format: 'der', type: 'spki' })
    return true
  } catch {
    return false
  }
}

function isWellKnown(bytes: Buffer): boolean {
  const text = bytes.toString('latin1')
  return WELL_KNOWN.has(letters(text)) || WELL_KNOWN_SHA256.has(sha256(bytes)) || PLACEHOLDER.test(text)
}

/** By what can be seen of it: few different bytes, or a short text that repeats. */
function isWeak(bytes: Buffer): boolean {
  const counts = new Map<number, number>()
  for (const byte of bytes) counts.set(byte, (counts.get(byte) ?? 0) + 1)
  if (counts.size < LEAST_DIFFERENT_BYTES) return true
  const unrepeated = bytes.subarray(0, periodOf(bytes))
  let bits = 0
  for (const byte of unrepeated) bits -= Math.log2((counts.get(byte) ?? 1) / bytes.length)
  return bits < LEAST_ENTROPY_BITS
}

/** The length of the shortest text whose repetition it is (by the failure function of Knuth, Morris and Pratt). */
function periodOf(bytes: Buffer): number {
  const borders = [0]
  for (let i = 1, border = 0; i < bytes.length; i++) {
    while (border > 0 && bytes[i] !== bytes[border]) border = borders[border - 1] ?? 0
    if (bytes[i] === bytes[border]) border++
    borders.push(border)
  }
  return bytes.length - (borders.at(-1) ?? 0)
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

function letters(text: string): string {
  return text.toLowerCase().replace(/[^a-z0-9]/g, '')
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

function misuse(text: string): MisuseError {
  return new MisuseError('invalid-option', text)
}
