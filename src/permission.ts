/** What a token allows by itself: `{"groupcast":{"join":["chat.*"],"send":["chat.lobby"]}}` among its claims. */
import { MisuseError } from './errors.ts'
import { Glob } from './glob.ts'
import type { Identity } from './identity.ts'
import { quote } from './names.ts'

/** What a client wants to do to a group: join it, send to it, or get what it has kept. */
export type GroupAction = 'join' | 'send' | 'history'

/** The claim `groupcast`: patterns of groups, in which `*` stands for any run of characters. */
export interface GroupClaims {
  /** Groups that may be joined. None unless given. */
  readonly join?: readonly string[]
  /** Groups that may be sent to. None unless given. */
  readonly send?: readonly string[]
  /** Groups whose history may be had: those that may be joined, unless given. */
  readonly history?: readonly string[]
}

/** Most patterns of one claim: each is compared with a name. */
const MAX_PATTERNS = 256

/** Of identities. Not of their claims: an application may change those, and give the same object with the next token. */
const KNOWN = new WeakMap<object, GroupPermissions | null>()

/** The groups that a claim allows. */
export class GroupPermissions {
  readonly #globs: Readonly<Record<GroupAction, readonly Glob[]>>

  private constructor(globs: Readonly<Record<GroupAction, readonly Glob[]>>) {
    this.#globs = globs
  }

  /**
   * The permissions of an identity, as its claims have them; `null`: there is none, or they say nothing of groups. Read once for each identity.
   *
   * @throws {MisuseError} `invalid-option` for a claim `groupcast` that cannot be read
   */
  static of(identity: Identity | null): GroupPermissions | null {
    if (identity === null) return null
    const known = KNOWN.get(identity)
    if (known !== undefined) return known
    const made = GroupPermissions.read(identity.claims)
    KNOWN.set(identity, made)
    return made
  }

  /** The permissions that claims hold. @throws {MisuseError} as {@link of} */
  static read(claims: Readonly<Record<string, unknown>>): GroupPermissions | null {
    if (!Object.hasOwn(claims, 'groupcast')) return null
    const claim = claims.groupcast
    if (typeof claim !== 'object' || claim === null || Array.isArray(claim)) throw malformed(claim)
    const given = new Map<string, unknown>(Object.entries(claim))
    const join = compiled(given.get('join') ?? [])
    const send = compiled(given.get('send') ?? [])
    const history = given.has('history') ? compiled(given.get('history')) : join
    return new GroupPermissions({ join, send, history })
  }

  allows(action: GroupAction, group: string): boolean {
    return this.#globs[action].some((glob) => glob.matches(group))
  }
}

function compiled(patterns: unknown): Glob[] {
  if (!Array.isArray(patterns) || patterns.length > MAX_PATTERNS) throw malformed(patterns)
  return patterns.map((pattern) => new Glob(pattern))
}

function malformed(value: unknown): MisuseError {
  const allowed = `an object of lists of at most ${MAX_PATTERNS} patterns, such as {"join":["chat.*"],"send":["chat.lobby"]}`
  return new MisuseError('invalid-option', `The claim groupcast has ${quote(value)}: it must be ${allowed}.`)
}
