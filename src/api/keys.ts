import { hash, timingSafeEqual } from 'node:crypto'

// RFC 9110, section 11.1: the scheme in any case, one or more spaces.
const BEARER = /^bearer +([\x21-\x7e]+) *$/i

/** The API keys of a server. Holds their hashes only. */
export class ApiKeys {
  readonly #digests: readonly Buffer[]

  constructor(keys: readonly string[]) {
    this.#digests = keys.map(digest)
  }

  /** Whether there are keys, so that a request needs one. */
  get isRequired(): boolean {
    return this.#digests.length > 0
  }

  /** Whether an `Authorization` header carries one of the keys. Takes as long for a wrong key as for a right one. */
  accepts(authorization: string | undefined): boolean {
    const given = BEARER.exec(authorization ?? '')?.[1]
    if (given === undefined) return false
    // Hashes have one length, which timingSafeEqual needs; and all are compared, so that time does not tell which key it was.
    const presented = digest(given)
    let isKnown = false
    for (const known of this.#digests) {
      if (timingSafeEqual(presented, known)) isKnown = true
    }
    return isKnown
  }
}

function digest(key: string): Buffer {
  return hash('sha256', key, 'buffer')
}
