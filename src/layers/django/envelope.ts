import { randomFillSync } from 'node:crypto'
import type { Fernet } from './fernet.ts'
import { UncarriableError } from './values.ts'

/** Options of {@link Envelope}. */
export interface EnvelopeOptions {
  readonly fernet: Fernet | null
  /** How old an encrypted message may be; `null`: of any age. */
  readonly ttlSeconds: number | null
  /** Random bytes before each message: they keep equal messages apart in a sorted set. */
  readonly prefixBytes: number
}

/** Random bytes are cheaper by the thousand. */
const POOL_BYTES = 4096

/** What is around the bytes of a message on the wire: encryption, and in the core protocol random bytes. */
export class Envelope {
  readonly #options: EnvelopeOptions
  readonly #pool = Buffer.alloc(POOL_BYTES)
  #used = POOL_BYTES

  constructor(options: EnvelopeOptions) {
    this.#options = options
  }

  seal(bytes: Buffer): Buffer {
    const { fernet, prefixBytes } = this.#options
    const body = fernet === null ? bytes : fernet.encrypt(bytes)
    return prefixBytes === 0 ? body : Buffer.concat([this.#random(prefixBytes), body])
  }

  /** @throws {UncarriableError} */
  open(bytes: Buffer): Buffer {
    const { fernet, ttlSeconds, prefixBytes } = this.#options
    if (bytes.length < prefixBytes) throw new UncarriableError('it is too short to be a message')
    const body = bytes.subarray(prefixBytes)
    return fernet === null ? body : fernet.decrypt(body, ttlSeconds)
  }

  #random(size: number): Buffer {
    if (this.#used + size > POOL_BYTES) {
      randomFillSync(this.#pool)
      this.#used = 0
    }
    const bytes = this.#pool.subarray(this.#used, this.#used + size)
    this.#used += size
    return bytes
  }
}
