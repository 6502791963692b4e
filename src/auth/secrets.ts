/** What is given as a secret and is none: public keys, what stands in docs, what can be guessed. In any of the forms that bytes are written in. */
import { createHash, createPublicKey, X509Certificate } from 'node:crypto'
import { withoutGuessable } from './guessing.ts'

/** RFC 7518, section 3.2: as long as the hash at least. */
export const LEAST_SECRET_BYTES = 32
/** What so many different bytes cannot be told from: words, and a letter held down. */
const LEAST_DIFFERENT_BYTES = 8
/** About half of what 32 random bytes have: 32 hexadecimal digits pass, a word that is repeated does not. */
const LEAST_ENTROPY_BITS = 80

const HEX = /^(?:[0-9a-f]{2})+$/i
const BASE64 = /^[A-Za-z0-9+/_-]+={0,2}$/
/** A key in base64 in base64 is as public: somebody has seen that. */
const DEPTH = 2

/** Whatever can be found in docs and tutorials. */
const IN_DOCS: readonly string[] = [
  // jwt.io, past and present.
  'your-256-bit-secret',
  'your-384-bit-secret',
  'your-512-bit-secret',
  'a-string-secret-at-least-256-bits-long',
  'qwertyuiopasdfghjklzxcvbnm123456',
  // RFC 7515, appendix A.1.
  'AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow',
  // Supabase, PostgREST, Mercure, Hasura, Nhost, Centrifugo, Directus: their docs and defaults.
  'super-secret-jwt-token-with-at-least-32-characters-long',
  'your-super-secret-jwt-token-with-at-least-32-characters-long',
  'reallyreallyreallyreallyverysafe',
  '!ChangeThisMercureHubJWTSecretKey!',
  '3EK6FD+o0+c7tzBNVfjpMkNDi2yARAAKzQlk8O2IKoxQu4nF7EdAh8s3TwpHwrdWT6R',
  '0f987876650b4a085e64594fae9219e7781b17506bec02489ad061fba8cb22db',
  'bbe7d157-a253-4094-9759-06a8236543f9',
  '255d861b-5ea1-5996-9aa3-922530ec40b1',
  '6116487b-cda1-52c2-b5b5-c8022c45e263',
  // Tutorials of FastAPI and Spring.
  '09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7',
  '404E635266556A586E3272357538782F413F4428472B4B6250645367566B5970',
  '5367566B59703373367639792F423F4528482B4D6251655468576D5A71347437',
  '413F4428472B4B6250655368566D5970337336763979244226452948404D6351',
  '357538782F413F4428472B4B6250655368566D59703373367639792442264529',
  '3cfa76ef14937c1c0ea519f8fc057a80fcd04a7420f8e8bcd0a7567c272e007b',
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
]
/** In lower case and without what is not a letter or a digit. */
const WELL_KNOWN: ReadonlySet<string> = new Set(IN_DOCS.map(letters))
/** As the bytes that they stand for. */
const WELL_KNOWN_SHA256: ReadonlySet<string> = new Set(
  IN_DOCS.flatMap((text) => formsOf(Buffer.from(text), 1)).map(sha256),
)
/** Words of placeholders: a secret that says what it is was never replaced. */
const PLACEHOLDER =
  /(?:change|replace).?(?:me|this|it\b)|your.{0,12}secret|(?:example|default|sample|placeholder).{0,3}secret|insecure|do.?not.?use/i
/** What public keys look like when they are pasted where a secret belongs, whole or in part. */
const PUBLIC_KEY_TEXT =
  /-----BEGIN|---- BEGIN SSH2|ssh-(?:rsa|dss|ed25519)|ecdsa-sha2|\bkty\b["']?\s*[:=]|^MII[A-Za-z0-9+/_-]{200}|^(?:MFkwEwYHKoZIzj0C|MCowBQYDK2VwAyEA)/

/** What is wrong with a secret, as the end of "the secret is …"; `null`: nothing that can be seen. */
export function secretProblem(bytes: Buffer): string | null {
  const forms = formsOf(bytes)
  if (forms.some(isPublicKey)) return 'a public key, which everybody has'
  if (bytes.length < LEAST_SECRET_BYTES) return `shorter than ${LEAST_SECRET_BYTES} bytes`
  if (forms.some(isWellKnown)) return 'well known: it stands in docs or tutorials'
  // What is written as digits can be no better than the text that it stands for.
  return isWeak(bytes) || forms.some(isGuessable) ? 'easy to guess' : null
}

/** The bytes themselves, and what they stand for if they are the text of others, in hexadecimal or base64. */
function formsOf(bytes: Buffer, depth = DEPTH): readonly Buffer[] {
  // Line breaks and spaces around are none of it.
  const text = bytes.toString('latin1').replace(/\s+/g, '')
  const decoded: Buffer[] = []
  if (HEX.test(text)) decoded.push(Buffer.from(text, 'hex'))
  // Of both alphabets.
  if (BASE64.test(text)) decoded.push(Buffer.from(text, 'base64'))
  return [bytes, ...(depth === 0 ? decoded : decoded.flatMap((form) => formsOf(form, depth - 1)))]
}

function isPublicKey(bytes: Buffer): boolean {
  return (
    PUBLIC_KEY_TEXT.test(bytes.toString('latin1')) ||
    canRead(() => createPublicKey({ key: bytes, format: 'der', type: 'spki' })) ||
    canRead(() => createPublicKey({ key: bytes, format: 'der', type: 'pkcs1' })) ||
    canRead(() => new X509Certificate(bytes)) ||
    isModulus(bytes)
  )
}

function canRead(read: () => unknown): boolean {
  try {
    read()
    return true
  } catch {
    return false
  }
}

/** Of RSA keys of 2048, 3072 and 4096 bits. */
const MODULUS_BYTES: readonly number[] = [256, 384, 512]

/**
 * Whether it may be the modulus of an RSA key, as `n` of a JWK has it: of full length, and without small divisors. Of forty random numbers of
 * that length one is like that; no secret needs to be as long.
 */
function isModulus(bytes: Buffer): boolean {
  if (!MODULUS_BYTES.includes(bytes.length) || (bytes[0] ?? 0) < 0x80) return false
  const number = BigInt(`0x${bytes.toString('hex')}`)
  return smallPrimes().every((prime) => number % prime !== 0n)
}

const MOST_SMALL = 1 << 16

/** The sieve of Eratosthenes. */
function smallPrimes(): readonly bigint[] {
  const isComposite = new Uint8Array(MOST_SMALL)
  const primes: bigint[] = []
  for (let n = 2; n < MOST_SMALL; n++) {
    if (isComposite[n] === 1) continue
    primes.push(BigInt(n))
    for (let multiple = n * n; multiple < MOST_SMALL; multiple += n) isComposite[multiple] = 1
  }
  return primes
}

function isWellKnown(bytes: Buffer): boolean {
  const text = bytes.toString('latin1')
  return WELL_KNOWN.has(letters(text)) || WELL_KNOWN_SHA256.has(sha256(bytes)) || PLACEHOLDER.test(text)
}

/** By what can be seen of it: few different bytes, or a short text that repeats. */
function isWeak(bytes: Buffer): boolean {
  if (new Set(bytes).size < LEAST_DIFFERENT_BYTES) return true
  return entropyOf(bytes, periodOf(bytes)) < LEAST_ENTROPY_BITS
}

/** Whether words and sequences are most of it, and what is left is too little. */
function isGuessable(bytes: Buffer): boolean {
  const text = bytes.toString('latin1')
  const rest = withoutGuessable(text)
  return rest.length <= text.length / 2 && entropyOf(Buffer.from(rest, 'latin1')) < LEAST_ENTROPY_BITS
}

/** How many bits its first bytes could hold, going by how often each of them stands in all. */
function entropyOf(bytes: Buffer, length = bytes.length): number {
  const counts = new Map<number, number>()
  for (const byte of bytes) counts.set(byte, (counts.get(byte) ?? 0) + 1)
  let bits = 0
  for (const byte of bytes.subarray(0, length)) bits -= Math.log2((counts.get(byte) ?? 1) / bytes.length)
  return bits
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

function letters(text: string): string {
  return text.toLowerCase().replace(/[^a-z0-9]/g, '')
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
