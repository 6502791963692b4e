import type { Clock } from '../../clock.ts'

/** Options of {@link Interest}. */
export interface InterestOptions {
  /** Resolves when the broker has confirmed. Rejects with what `groupAdd` is to reject with. */
  subscribe(group: string): Promise<void>
  /** A rejection is ignored: the session it belonged to is gone. */
  unsubscribe(group: string): Promise<void>
  /**
   * Resolves when all has come that was published in a subscribed group before the call. A group that comes back while it is still subscribed must not
   * get what was published while it was away. Where this is left out, it does.
   */
  fence?(group: string): Promise<void>
  readonly clock: Clock
  /** How long a group that was discarded stays subscribed, since those that flap come back; 0: it is given up at once. */
  readonly lingerMs?: number
}

interface Interested {
  /** Whether the node has added it. */
  isAdded: boolean
  /** Whether a caller has been told so. */
  isConfirmed: boolean
  /** Callers of `add` that have not been told yet. */
  adding: number
  /** Whether its publications are handed on: not before what was published while it was away has passed. */
  isHeard: boolean
  /** How often it was discarded. */
  discards: number
  /** Whether the broker has confirmed. */
  isSubscribed: boolean
  /** Brings the broker in line; `null` when it is. */
  syncing: Promise<void> | null
  stopTimer: (() => void) | null
}

/**
 * The groups that a node has added, and its subscriptions at the broker. A group costs a subscription only where it has members, and one that flaps
 * costs one for all of it: it is given up a while after its last member has left.
 */
export class Interest {
  readonly #options: InterestOptions & { readonly lingerMs: number }
  readonly #groups = new Map<string, Interested>()
  /** Grows with each session: what an older one did is of no account. */
  #session = 0

  constructor(options: InterestOptions) {
    this.#options = { lingerMs: 5_000, ...options }
  }

  /** Groups that are added, or linger: for leak tests. */
  get size(): number {
    return this.#groups.size
  }

  /** Whether the node is to get what comes of a group. */
  has(group: string): boolean {
    return this.#groups.get(group)?.isHeard === true
  }

  /** The groups that the node has added. */
  added(): string[] {
    return [...this.#groups].filter(([, { isAdded }]) => isAdded).map(([group]) => group)
  }

  /**
   * Resolves when the broker delivers the group. Rejects with the error of `subscribe`, or of `within`, and then the group is as it was.
   *
   * @param within does it, and may fail before it is done, as by a deadline, or without doing it
   */
  async add(group: string, within = (adding: () => Promise<void>) => adding()): Promise<void> {
    const begun: Interested[] = []
    try {
      await within(() => {
        const known = this.#begin(group)
        begun.push(known)
        return this.#sync(group, known)
      })
    } catch (error) {
      for (const known of begun) this.#failed(group, known)
      throw error
    }
    for (const known of begun) {
      known.adding--
      known.isConfirmed = known.isAdded
    }
  }

  /** Nothing of the group is handed on any more. */
  discard(group: string): void {
    const known = this.#groups.get(group)
    if (known?.isAdded !== true) return
    this.#leave(known)
    this.#linger(group, known)
  }

  /** The session is lost, and all its subscriptions. @returns the groups that the next one must subscribe before it is used */
  lost(): string[] {
    this.#session++
    for (const [group, known] of this.#groups) {
      known.isSubscribed = false
      known.isHeard = false
      known.syncing = null
      if (known.isAdded) continue
      known.stopTimer?.()
      known.stopTimer = null
      this.#groups.delete(group)
    }
    return this.added()
  }

  /** The new session has subscribed these. */
  restored(groups: Iterable<string>): void {
    for (const group of groups) {
      const known = this.#groups.get(group) ?? this.#open(group)
      known.isSubscribed = true
      known.isHeard = known.isAdded
      // It was discarded meanwhile, or its `add` failed with the session before.
      if (!known.isAdded) this.#linger(group, known)
    }
  }

  /** Forgets all. */
  close(): void {
    this.#session++
    for (const { stopTimer } of this.#groups.values()) stopTimer?.()
    this.#groups.clear()
  }

  #begin(group: string): Interested {
    const known = this.#groups.get(group) ?? this.#open(group)
    known.isAdded = true
    known.adding++
    known.stopTimer?.()
    known.stopTimer = null
    return known
  }

  /** A caller was told that it has failed. The broker may do it all the same, later: then nobody would ever discard it. */
  #failed(group: string, known: Interested): void {
    known.adding--
    const isWanted = known.isConfirmed || known.adding > 0
    if (isWanted || !known.isAdded || this.#groups.get(group) !== known) return
    this.#leave(known)
    if (known.isSubscribed || known.syncing !== null) this.#linger(group, known)
    else this.#forget(group, known)
  }

  #leave(known: Interested): void {
    known.isAdded = false
    known.isConfirmed = false
    known.isHeard = false
    known.discards++
  }

  #open(group: string): Interested {
    const known: Interested = {
      isAdded: false,
      isConfirmed: false,
      adding: 0,
      isHeard: false,
      discards: 0,
      isSubscribed: false,
      syncing: null,
      stopTimer: null,
    }
    this.#groups.set(group, known)
    return known
  }

  #linger(group: string, known: Interested): void {
    const { clock, lingerMs } = this.#options
    known.stopTimer?.()
    known.stopTimer = null
    const giveUp = () => {
      known.stopTimer = null
      this.#sync(group, known).catch(() => {})
    }
    if (lingerMs === 0) giveUp()
    else known.stopTimer = clock.after(lingerMs, giveUp)
  }

  #sync(group: string, known: Interested): Promise<void> {
    if (known.syncing !== null) return known.syncing
    if (this.#isInLine(known)) {
      this.#forget(group, known)
      return Promise.resolve()
    }
    known.syncing = this.#run(group, known)
    return known.syncing
  }

  /** Not for what is in line: it would be over before it is remembered. */
  async #run(group: string, known: Interested): Promise<void> {
    const session = this.#session
    const isCurrent = () => this.#session === session
    try {
      // Changes that come meanwhile are seen by this run: adds and discards never overtake each other.
      while (isCurrent() && !this.#isInLine(known)) {
        const { discards } = known
        if (!known.isSubscribed) {
          await this.#options.subscribe(group)
          if (isCurrent()) known.isSubscribed = true
        } else if (known.isAdded) {
          await this.#options.fence?.(group)
        } else {
          known.isSubscribed = false
          await this.#options.unsubscribe(group).catch(() => {})
          continue
        }
        if (isCurrent()) known.isHeard = known.isAdded && known.discards === discards
      }
    } finally {
      if (isCurrent()) {
        known.syncing = null
        this.#forget(group, known)
      }
    }
  }

  /** One that lingers is wanted as it is. */
  #isInLine({ isAdded, isHeard, isSubscribed, stopTimer }: Interested): boolean {
    return isAdded ? isSubscribed && isHeard : !isSubscribed || stopTimer !== null
  }

  #forget(group: string, known: Interested): void {
    const isIdle = !known.isAdded && !known.isSubscribed && known.syncing === null && known.stopTimer === null
    if (isIdle && this.#groups.get(group) === known) this.#groups.delete(group)
  }
}
