/** Encryption as Python's `cryptography.fernet` does it, with keys made of texts as channels_redis makes them. */
import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  randomBytes,
  timingSafeEqual,
} from 'node:crypto'
import { UncarriableError } from './values.ts'

const VERSION = 0x80
/** Of the version, the time, the initial vector and the signature. */
const HEAD_BYTES = 1 + 8 + 16
const SIGNATURE_BYTES = 32
const BLOCK_BYTES = 16
/** How far in the future a token may be, in seconds. */
const MAX_CLOCK_SKEW = 60

const TOKEN = /^[A-Za-z0-9_-]+={0,2}$/

/** What a token is made with besides; tests say it. */
export interface FernetMoment {
  /** Milliseconds since 1970. */
  readonly now: number
  readonly iv: Buffer
}

interface Key {
  readonly signing: Buffer
  readonly encryption: Buffer
}

/** Encrypts with the first of several keys and decrypts with any of them: so keys are changed without a gap. */
export class Fernet {
  readonly #keys: readonly Key[]

  /** @param keys as `symmetric_encryption_keys` of channels_redis has them */
  constructor(keys: readonly string[]) {
    this.#keys = keys.map((text) => {
      const digest = createHash('sha256').update(text, 'utf8').digest()
      return { signing: digest.subarray(0, 16), encryption: digest.subarray(16) }
    })
  }

  /** The token, in ASCII. */
  encrypt(plain: Buffer, { now, iv }: FernetMoment = { now: Date.now(), iv: randomBytes(16) }): Buffer {
    const { signing, encryption } = this.#keys[0] as Key
    const head = Buffer.alloc(HEAD_BYTES)
    head[0] = VERSION
    head.writeBigUInt64BE(BigInt(Math.floor(now / 1000)), 1)
    iv.copy(head, 9)
    const cipher = createCipheriv('aes-128-cbc', encryption, iv)
    const signed = Buffer.concat([head, cipher.update(plain), cipher.final()])
    const token = Buffer.concat([signed, signatureOf(signed, signing)])
    return Buffer.from(urlSafe(token.toString('base64')))
  }

  /**
   * @param ttlSeconds how old a token may be; `null`: of any age, and of any future
   * @throws {UncarriableError} for what is no token of these keys, or too old
   */
  decrypt(token: Buffer, ttlSeconds: number | null, now = Date.now()): Buffer {
    const text = token.toString('latin1')
    const bytes = Buffer.from(text.length % 4 === 0 && TOKEN.test(text) ? text : '', 'base64url')
    const length = bytes.length - HEAD_BYTES - SIGNATURE_BYTES
    if (length < BLOCK_BYTES || length % BLOCK_BYTES !== 0 || bytes[0] !== VERSION) {
      throw new UncarriableError('it is not encrypted, or not by channels_redis')
    }
    const signed = bytes.subarray(0, -SIGNATURE_BYTES)
    const signature = bytes.subarray(-SIGNATURE_BYTES)
    const key = this.#keys.find(({ signing }) => timingSafeEqual(signatureOf(signed, signing), signature))
    if (key === undefined) throw new UncarriableError('it is encrypted with another key, or was changed')
    assertTimely(Number(bytes.readBigUInt64BE(1)), ttlSeconds, now / 1000)
    const decipher = createDecipheriv('aes-128-cbc', key.encryption, bytes.subarray(9, HEAD_BYTES))
    return Buffer.concat([decipher.update(signed.subarray(HEAD_BYTES)), decipher.final()])
  }
}

function signatureOf(signed: Buffer, key: Buffer): Buffer {
  return createHmac('sha256', key).update(signed).digest()
}

function assertTimely(sent: number, ttlSeconds: number | null, now: number): void {
  if (ttlSeconds === null) return
  if (sent + ttlSeconds < now) throw new UncarriableError('it was encrypted too long ago')
  if (sent > now + MAX_CLOCK_SKEW)
    throw new UncarriableError('it was encrypted in the future: check the clocks')
}

/** Base64 for URLs, padded as Python does. */
function urlSafe(base64: string): string {
  return base64.replaceAll('+', '-').replaceAll('/', '_')
}
