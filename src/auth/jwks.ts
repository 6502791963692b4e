/** Keys from a JWKS URL (RFC 7517): fetched when they are needed, kept for a while, never asked for more often than is good. */

import type { FlattenedJWSInput } from 'jose'
import { createLocalJWKSet, errors, type JSONWebKeySet, type JWSHeaderParameters } from 'jose'
import { MisuseError, Refusal } from '../errors.ts'
import { quote } from '../names.ts'

type LocalKeys = ReturnType<typeof createLocalJWKSet>

/** What a fetch of the keys takes; the time of day in milliseconds. */
export interface JwksPlatform {
  readonly fetch: (
    url: string,
    init: { readonly signal: AbortSignal; readonly redirect: 'error' },
  ) => Promise<Response>
  readonly now: () => number
}

/** So long keys are taken for the newest. */
const FRESH_MS = 10 * 60_000
/** So long they are used while newer ones are fetched, or when none can be. */
const STALE_MS = 60 * 60_000
/** The least time between two fetches, whatever came of the first: tokens with made-up key ids must not become requests. */
const COOLDOWN_MS = 30_000
/** After a failed fetch, where there are no keys to go on with. */
const RETRY_MS = 2_000
const TIMEOUT_MS = 5_000
const MAX_BYTES = 256 * 1024
/** Two keys for each of a few algorithms, in the middle of a rotation, are far fewer. */
const MAX_KEYS = 100

/** The keys behind one URL, which the configuration gives and no token can change. */
export class RemoteKeys {
  readonly #url: string
  readonly #platform: JwksPlatform
  #keys: LocalKeys | null = null
  #fetchedAt = Number.NEGATIVE_INFINITY
  #askedAt = Number.NEGATIVE_INFINITY
  #pending: Promise<void> | null = null

  /** @throws {MisuseError} `invalid-option` for a URL that is none, or that somebody on the way could answer */
  constructor(url: string | URL, platform: JwksPlatform) {
    this.#url = checkedUrl(url)
    this.#platform = platform
  }

  /**
   * The key that a token names.
   *
   * @throws {Refusal} `authentication-unavailable` where there are no keys; jose's errors where none of them fits
   */
  async find(header: JWSHeaderParameters, token: FlattenedJWSInput): ReturnType<LocalKeys> {
    if (this.#age() >= FRESH_MS) {
      const refreshed = this.#refresh()
      // Those of before go on while newer ones are on their way: an issuer that hangs must not hold up all who come.
      if (this.#age() >= STALE_MS) await refreshed
    }
    try {
      return await this.#current()(header, token)
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey) || !this.#mayAsk(COOLDOWN_MS)) throw error
      // A key of a rotation that we have not heard of.
      await this.#refresh()
      return this.#current()(header, token)
    }
  }

  #current(): LocalKeys {
    if (this.#keys === null || this.#age() >= STALE_MS) throw new Refusal('authentication-unavailable')
    return this.#keys
  }

  #age(): number {
    return this.#platform.now() - this.#fetchedAt
  }

  #mayAsk(waitMs: number): boolean {
    return this.#pending !== null || this.#platform.now() - this.#askedAt >= waitMs
  }

  /** Fetches the keys, unless that was done a moment ago; those who ask meanwhile share one request. Never rejects. */
  async #refresh(): Promise<void> {
    if (!this.#mayAsk(this.#keys === null ? RETRY_MS : COOLDOWN_MS)) return
    this.#pending ??= this.#fetch().finally(() => {
      this.#pending = null
    })
    await this.#pending
  }

  async #fetch(): Promise<void> {
    this.#askedAt = this.#platform.now()
    try {
      const keys = createLocalJWKSet(await this.#fetchSet())
      this.#keys = keys
      this.#fetchedAt = this.#platform.now()
    } catch {
      // Those of before are used for a while; then `find` refuses.
    }
  }

  async #fetchSet(): Promise<JSONWebKeySet> {
    // A redirect could lead to an address that nobody has allowed.
    const init = { signal: AbortSignal.timeout(TIMEOUT_MS), redirect: 'error' } as const
    const response = await this.#platform.fetch(this.#url, init)
    if (response.status !== 200) throw new Error(`The keys were answered with ${response.status}.`)
    const set = JSON.parse(await textOf(response)) as JSONWebKeySet
    if (!Array.isArray(set?.keys) || set.keys.length > MAX_KEYS) throw new Error('This is no set of keys.')
    // A secret that everybody can fetch is none.
    return { keys: set.keys.filter(({ kty }) => kty !== 'oct') }
  }
}

async function textOf({ body }: Response): Promise<string> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of (body ?? []) as AsyncIterable<Uint8Array>) {
    size += chunk.length
    if (size > MAX_BYTES) throw new Error(`The keys are larger than ${MAX_BYTES} bytes.`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}

const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/

function checkedUrl(given: string | URL): string {
  const url = URL.canParse(String(given)) ? new URL(given) : null
  const isSafe = url?.protocol === 'https:' || (url?.protocol === 'http:' && LOOPBACK.test(url.hostname))
  if (url !== null && isSafe && url.username === '' && url.password === '') return url.href
  throw new MisuseError(
    'invalid-option',
    `jwksUrl is ${quote(String(given).replace(/\/\/[^/]*@/, '//***@'))}: it must be an https: URL without a password (http: for this machine alone).`,
  )
}
