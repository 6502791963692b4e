import { hash, timingSafeEqual } from 'node:crypto'
import { MisuseError, Refusal } from '../errors.ts'
import { Glob } from '../glob.ts'
import { quote } from '../names.ts'

/** What a key may be used for: sending messages; reading groups, their history and metrics; closing connections and revoking. */
export const KEY_SCOPES = ['publish', 'read', 'admin'] as const
export type KeyScope = (typeof KEY_SCOPES)[number]

/** A key that is good for some things only. */
export interface ApiKey {
  readonly key: string
  readonly scopes: readonly KeyScope[]
  /**
   * Patterns of the groups (and channels) that it is good for; all unless given. A key that is limited to some can do nothing that concerns
   * more than groups: no metrics, no connections, no identities.
   */
  readonly groups?: readonly string[]
}

/** A request whose key is good, but not for this; `scope` is what it would need. */
export class InsufficientScope extends Refusal {
  readonly scope: KeyScope

  constructor(scope: KeyScope) {
    super(
      'forbidden',
      `The key is not for this: it would need the scope "${scope}", without limits to groups where none are concerned.`,
    )
    this.scope = scope
  }
}

/** A request with a key that is none of ours. */
export class UnknownKey extends Refusal {
  constructor() {
    super('unauthorized')
  }
}

/** What the key of a request is good for. */
export interface KeyGrant {
  has(scope: KeyScope): boolean
  /** Whether it is good for all groups, and for what concerns no group. */
  readonly isUnlimited: boolean
  allows(name: string): boolean
}

/** Where no key is needed, and for keys that are plain texts. */
export const ALL_GRANTED: KeyGrant = Object.freeze({
  has: () => true,
  isUnlimited: true,
  allows: () => true,
})

class LimitedGrant implements KeyGrant {
  readonly #scopes: ReadonlySet<KeyScope>
  readonly #globs: readonly Glob[]

  constructor(scopes: readonly KeyScope[], groups: readonly string[]) {
    this.#scopes = new Set(scopes)
    this.#globs = groups.map((pattern) => new Glob(pattern))
  }

  get isUnlimited(): boolean {
    return this.#globs.some(({ pattern }) => pattern === '*')
  }

  has(scope: KeyScope): boolean {
    return this.#scopes.has(scope)
  }

  allows(name: string): boolean {
    return this.#globs.some((glob) => glob.matches(name))
  }
}

// RFC 9110, section 11.1: the scheme in any case, one or more spaces.
const BEARER = /^bearer +([\x21-\x7e]+) *$/i

/** The API keys of a server. Holds their hashes only. */
export class ApiKeys {
  readonly #known: readonly { readonly digest: Buffer; readonly grant: KeyGrant }[]

  /** @throws {MisuseError} `invalid-option`; see {@link assertKeys} */
  constructor(keys: readonly (string | ApiKey)[]) {
    assertKeys(keys)
    this.#known = keys.map((given) =>
      typeof given === 'string'
        ? { digest: digest(given), grant: ALL_GRANTED }
        : { digest: digest(given.key), grant: new LimitedGrant(given.scopes, given.groups ?? ['*']) },
    )
  }

  /** Whether there are keys, so that a request needs one. */
  get isRequired(): boolean {
    return this.#known.length > 0
  }

  /**
   * What the key in an `Authorization` header is good for. Takes as long for a wrong key as for a right one.
   *
   * @throws {Refusal} `unauthorized` without a key
   * @throws {UnknownKey}
   */
  grantOf(authorization: string | undefined): KeyGrant {
    const given = BEARER.exec(authorization ?? '')?.[1]
    if (given === undefined) throw new Refusal('unauthorized')
    // Hashes have one length, which timingSafeEqual needs; and all are compared, so that time does not tell which key it was.
    const presented = digest(given)
    let found: KeyGrant | null = null
    for (const { digest, grant } of this.#known) {
      if (timingSafeEqual(presented, digest)) found = grant
    }
    if (found === null) throw new UnknownKey()
    return found
  }
}

// What fits a header as it is (RFC 9110, section 5.5), without the spaces that would end the key.
const KEY = /^[\x21-\x7e]+$/

/**
 * Checks keys. No text shows one: it may end in a log.
 *
 * @throws {MisuseError} `invalid-option`
 */
export function assertKeys(keys: readonly (string | ApiKey)[]): void {
  const limited = new Set<string>()
  const texts = keys.map((given, index) => {
    const where = `apiKeys[${index}]`
    if (typeof given !== 'string') assertKey(given, where)
    const key = typeof given === 'string' ? given : given.key
    if (!KEY.test(key)) {
      throw misuse(
        `${where} is not a usable key: it must have at least one character, all of them printable ASCII without spaces.`,
      )
    }
    if (typeof given !== 'string') limited.add(key)
    return key
  })
  for (const [index, key] of texts.entries()) {
    if (!limited.has(key) || texts.indexOf(key) === index) continue
    throw misuse(
      `apiKeys[${index}] is the same key as apiKeys[${texts.indexOf(key)}]: nobody could say what it is good for.`,
    )
  }
}

function assertKey(given: ApiKey, where: string): void {
  if (typeof given !== 'object' || given === null || typeof given.key !== 'string') {
    throw misuse(
      `${where} is not a usable key: it must be a text, or an object such as { key, scopes: ["publish"] }.`,
    )
  }
  for (const name of Object.keys(given)) {
    if (['key', 'scopes', 'groups'].includes(name)) continue
    throw misuse(`${where} has no option ${quote(name)}. The options are key, scopes, groups.`)
  }
  const { scopes, groups = ['*'] } = given
  if (!Array.isArray(scopes) || scopes.length === 0 || !scopes.every((scope) => KEY_SCOPES.includes(scope))) {
    throw misuse(
      `${where}.scopes is ${quote(scopes)}: it must be a list of ${KEY_SCOPES.join(', ')}, at least one.`,
    )
  }
  if (!Array.isArray(groups) || groups.length === 0) {
    throw misuse(`${where}.groups is ${quote(groups)}: it must be a list of patterns, at least one.`)
  }
  for (const pattern of groups) new Glob(pattern)
}

function digest(key: string): Buffer {
  return hash('sha256', key, 'buffer')
}

function misuse(text: string): MisuseError {
  return new MisuseError('invalid-option', text)
}
