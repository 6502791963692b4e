import { MisuseError } from '../errors.ts'
import { type HistoryBounds, MAX_AGE_SECONDS } from '../history.ts'
import type { Identity } from '../identity.ts'
import type { ChannelLayer } from '../layers/layer.ts'
import { NODES_GROUP, quote } from '../names.ts'
import type { Counters } from './connection-host.ts'
import { encodeNodeMessage, type NodeMessage, parseNodeMessage } from './node-message.ts'
import type { Revocations } from './revocations.ts'
import type { Sessions } from './sessions.ts'
import type { Tickets } from './tickets.ts'

/** A hook's identities are good for so long at least, as far as revocations go. */
const DAY_MS = 86_400_000
/** What the layer keeps of what nodes tell each other, for those that start later or were cut off: revocations. */
const KEPT: HistoryBounds = Object.freeze({
  count: 10_000,
  ageMs: MAX_AGE_SECONDS * 1000,
  bytes: 4 * 1024 * 1024,
})

/** A revocation is no longer: an identity of 255 characters, each of which is six bytes of JSON at most, and numbers. */
const MOST_BYTES = 2_048

/** What a node's talk with the others needs of its hub. */
export interface NodesHost {
  readonly layer: ChannelLayer
  readonly started: Promise<void>
  readonly sessions: Sessions
  readonly revocations: Revocations
  readonly tickets: Tickets
  readonly counters: Counters
  report(error: unknown, where: string): void
}

/** What the nodes of a layer tell each other about clients' identities: to all by a group of their own, to one by its channel. */
export class Nodes {
  readonly #host: NodesHost
  #joined: Promise<void> | null = null
  /** There are hooks: what nodes tell each other matters. */
  #isWanted = false
  /** Something was missed since this node last read all that there is. */
  #hasLost = false
  /** The longest that credentials can be good for. */
  #lifetimeMs = DAY_MS
  /** When this node last sent a revocation, in milliseconds since 1970. */
  #lastSent: number | null = null

  constructor(host: NodesHost) {
    this.#host = host
  }

  /** What the layer keeps of the group of all nodes; `null` where it can keep nothing. */
  static historyOf(layer: ChannelLayer): HistoryBounds | null {
    return layer.capabilities.replay ? KEPT : null
  }

  /** There are hooks whose identities can be good for so long. */
  expect(lifetimeMs: number): void {
    this.#lifetimeMs = Math.max(this.#lifetimeMs, lifetimeMs)
    this.#isWanted = true
    // Whoever comes before it has worked will try again, and hear of a failure.
    this.join().catch(() => {})
  }

  /**
   * Only credentials whose revocation would be remembered may come in.
   *
   * @throws {MisuseError} `invalid-option` for an identity that was issued before
   */
  assertRemembered({ id, issuedAt }: Identity): void {
    // 0 says that it is older than all that is remembered.
    if (issuedAt === null || issuedAt === 0 || issuedAt >= Date.now() - this.#lifetimeMs) return
    const seconds = Math.round((Date.now() - issuedAt) / 1000)
    throw new MisuseError(
      'invalid-option',
      `The credentials of ${quote(id)} were made ${seconds} s ago (issuedAt), and revocations are remembered for ${this.#lifetimeMs / 1000} s: raise maxLifetimeMs of the hook authenticate (of tokens(), maxLifetimeSeconds) to the longest time that they are good for.`,
    )
  }

  /** Resolves when this node hears of revocations, and knows of those before. Rejects with the layer's error. */
  join(): Promise<void> {
    this.#joined ??= this.#join().catch((error: unknown) => {
      this.#joined = null
      throw error
    })
    return this.#joined
  }

  /** Withdraws what an identity has, on all nodes. Resolves when the layer has taken it; rejects with the layer's error. */
  async revoke(identity: string): Promise<void> {
    await this.join()
    const at = Date.now()
    const { revocations } = this.#host
    revocations.forget(at - this.#lifetimeMs)
    // The last that was sent may not have come back yet.
    const before = [revocations.oldest, this.#lastSent].filter((time) => time !== null)
    const json = encodeNodeMessage({ type: 'groupcast.revoke', identity, at, ...oldestOf(before) })
    this.#lastSent = at
    await this.#host.layer.groupSend(NODES_GROUP, json)
  }

  /**
   * A message to all nodes.
   *
   * @param isNews whether it was sent just now, and not while this node could not hear it
   */
  delivered(json: string, isNews: boolean): void {
    const message = parseNodeMessage(json)
    if (message?.type !== 'groupcast.revoke') return
    const { identity, at } = message
    if (isNews) this.#host.counters.revocations++
    this.#host.revocations.add(identity, at, Date.now() - this.#lifetimeMs)
    // Clocks of nodes differ a little: what is there now came before it.
    this.#host.sessions.revoke(identity, isNews ? null : at)
  }

  /** Revocations may be among what this node could not hear. Nobody is let in before it has read what there is. */
  lost(): void {
    const text =
      'The layer has lost what the nodes told each other: revocations of the last minutes may be missing.'
    this.#host.report(new Error(text), 'layer')
    this.#joined = null
    this.#hasLost = true
    this.back()
  }

  /** The layer can be used, perhaps again. */
  back(): void {
    if (this.#isWanted) this.join().catch(() => {})
  }

  /** A message to this node. */
  received(message: NodeMessage): void {
    if (message.type === 'groupcast.redeem') this.#host.tickets.asked(message)
    if (message.type === 'groupcast.redeemed') this.#host.tickets.answered(message)
  }

  async #join(): Promise<void> {
    const { layer, started } = this.#host
    await started
    await layer.groupAdd(NODES_GROUP)
    if (!layer.capabilities.replay) return
    const { publications } = await layer.replay({ groups: new Map([[NODES_GROUP, null]]), after: null })
    const kept = publications.map(({ publication }) => publication.json)
    for (const json of kept) this.delivered(json, false)
    this.#raiseFloor(kept)
    this.#hasLost = false
  }

  /** Where the layer keeps not all revocations that matter, whoever has credentials of before the oldest that it keeps may have been revoked. */
  #raiseFloor(kept: readonly string[]): void {
    const revocations = kept.flatMap(revocationOf)
    const [first] = revocations
    if (first === undefined || first.at < Date.now() - this.#lifetimeMs) return
    const bytes = kept.reduce((sum, json) => sum + Buffer.byteLength(json), 0)
    const isFull = kept.length >= KEPT.count || bytes > KEPT.bytes - MOST_BYTES
    // Whoever sent one of them knew of an older one that is not among them. Many are made in one millisecond: the first of those that are
    // kept had none before it, or that one is gone.
    const start = revocations.reduce((least, { at }) => Math.min(least, at), first.at)
    const isTrimmed = first.oldest !== undefined || revocations.some(({ oldest = start }) => oldest < start)
    if (isFull || isTrimmed || this.#hasLost) this.#host.revocations.missing(first.at)
  }
}

function oldestOf(times: readonly number[]): { oldest?: number } {
  return times.length === 0 ? {} : { oldest: Math.min(...times) }
}

function revocationOf(json: string): Extract<NodeMessage, { type: 'groupcast.revoke' }>[] {
  const message = parseNodeMessage(json)
  return message?.type === 'groupcast.revoke' ? [message] : []
}
