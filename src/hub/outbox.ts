import type { Batch } from '../batch.ts'
import { Frame } from '../frame.ts'
import type { Limits } from '../options.ts'
import { type SlowPolicy, split } from '../slow.ts'
import type { Link } from '../transports/backend.ts'
import type { WireFormat } from '../wire/wire-format.ts'
import type { Backlog, Occasion } from './backlog.ts'
import type { Pending, Turn } from './turn.ts'

/** What an outbox needs of the hub. */
export interface OutboxHost {
  readonly turn: Turn
  readonly limits: Limits
  readonly backlog: Backlog
  /** A batch that passes this is written at once, whatever else the turn brings. */
  readonly earlyFlushBytes: number
  /** Whether any group or consumer has a policy for slow readers other than `close`. */
  readonly hasPolicies: boolean
}

/** Hears that too much waits and that the policies leave no way but to close: at the end of the turn, when no group is being walked. */
export interface OutboxOwner {
  overflowed(): void
  /** That many messages were dropped. */
  dropped(count: number): void
}

/** The frames that one connection has yet to get: until the end of the turn, until the client is let in, or while its link is congested. */
export class Outbox implements Pending {
  readonly format: WireFormat
  readonly #host: OutboxHost
  readonly #owner: OutboxOwner
  readonly #policy: SlowPolicy
  #link: Link | null = null
  #pending: Batch | null = null
  /** The part of `#pending` that the hub's total counts. */
  #counted: Batch | null = null
  /** Dropped since the client was last told. */
  #dropped = 0
  /** Takes no more frames. */
  #isShut = false
  #isOverflowing = false

  constructor(format: WireFormat, policy: SlowPolicy, host: OutboxHost, owner: OutboxOwner) {
    this.format = format
    this.#policy = policy
    this.#host = host
    this.#owner = owner
  }

  /**
   * Adds a frame, starting from `root` when nothing is pending. Runs once for every delivery: no allocation but the batch that the
   * first member of a group makes, no closure, no call into the transport (bench: fan-out).
   */
  append(frame: Frame, root: Batch): void {
    const pending = this.#pending
    if (pending === null) {
      if (this.#isShut) return
      this.#pending = root.append(frame)
      this.#host.turn.add(this)
      return
    }
    const next = pending.append(frame)
    this.#pending = next
    if (next.size > this.#host.earlyFlushBytes) this.#tooMuch(next)
  }

  /** Adds a frame for this connection alone. */
  send(frame: Frame): void {
    this.append(frame, this.#host.turn.root(this.format))
  }

  /** The client is let in: `first` goes out before whatever was held for it. */
  open(link: Link, first: Buffer | null): void {
    this.#link = link
    if (first !== null) this.#writeAlone(first, link)
    this.flush()
  }

  /** End of the turn, or the link is writable again. */
  flush(): void {
    if (this.#isOverflowing) {
      this.#isOverflowing = false
      this.#owner.overflowed()
    }
    const link = this.#link
    if (link?.writable !== true) return
    if (this.#dropped > 0) this.#tellDropped(link)
    if (this.#pending === null) return
    if (this.#host.hasPolicies) this.#writeInParts(this.#pending, link)
    else this.#writePending(this.#pending, link)
  }

  /** Too much waits for this client, and nothing but closing helps: drops all, takes nothing more, and tells the owner after the turn. */
  overflow(): void {
    if (this.#isShut) return
    this.#isShut = true
    this.#setPending(null)
    this.#isOverflowing = true
    this.#host.turn.add(this)
  }

  /** Writes all that waits and a last frame, congested or not, and takes nothing more. */
  finish(last: Buffer | null): void {
    const link = this.#link
    this.#isShut = true
    if (link === null) return
    if (this.#pending !== null) this.#writePending(this.#pending, link)
    if (last !== null) this.#writeAlone(last, link)
  }

  /** Drops what waits and takes nothing more. */
  shut(): void {
    this.#isShut = true
    this.#setPending(null)
    this.#link = null
  }

  /** Past the early flush: write, or keep and mind the bounds. */
  #tooMuch(pending: Batch): void {
    const link = this.#link
    if (link?.writable === true) {
      this.flush()
      return
    }
    const { backlog, limits, hasPolicies } = this.#host
    this.#setPending(pending)
    const isOverTotal = backlog.isOverTotal
    if (pending.size <= limits.maxBacklogBytes && !isOverTotal) return
    if (hasPolicies) this.#relieve(pending, isOverTotal ? 'total' : 'limit')
    const left = this.#pending?.size ?? 0
    if (left > limits.maxBacklogBytes || (isOverTotal && left === pending.size)) this.overflow()
  }

  #relieve(pending: Batch, occasion: Occasion): void {
    const { batch, dropped } = this.#host.backlog.relieve(pending, this.#policy, occasion)
    this.#setPending(batch)
    if (dropped === 0) return
    this.#dropped += dropped
    this.#owner.dropped(dropped)
  }

  /**
   * What newer messages may replace is written a little at a time: once it is in the socket's buffer nothing can replace it.
   */
  #writeInParts(pending: Batch, link: Link): void {
    if (pending.length > 1) this.#relieve(pending, 'writing')
    const left = this.#pending
    if (left === null) return
    if (left.size <= this.#host.earlyFlushBytes) {
      this.#writePending(left, link)
      return
    }
    const { first, rest } = split(left, this.#host.turn.root(this.format), this.#host.earlyFlushBytes)
    this.#setPending(rest)
    this.#write(first, link)
    if (rest !== null && link.writable) this.#host.turn.add(this)
  }

  #tellDropped(link: Link): void {
    const bytes = this.format.control({ dropped: { count: this.#dropped } })
    this.#dropped = 0
    if (bytes !== null) this.#writeAlone(bytes, link)
  }

  /** Backlogs that a hub should mind are those past the early flush; others end with the turn, or are small. */
  #setPending(batch: Batch | null): void {
    this.#pending = batch
    const counted = batch !== null && batch.size > this.#host.earlyFlushBytes ? batch : null
    if (counted === this.#counted) return
    this.#host.backlog.changed(this.#counted, counted)
    this.#counted = counted
  }

  #writePending(batch: Batch, link: Link): void {
    if (this.#counted !== null) this.#setPending(null)
    this.#pending = null
    this.#write(batch, link)
  }

  #writeAlone(bytes: Buffer, link: Link): void {
    this.#write(this.#host.turn.root(this.format).append(new Frame(bytes)), link)
  }

  #write(batch: Batch, link: Link): void {
    link.write(batch)
    this.#host.turn.wrote(batch)
  }
}
