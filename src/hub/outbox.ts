import type { Batch } from '../batch.ts'
import type { Limits } from '../options.ts'
import type { Link } from '../transports/backend.ts'
import type { WireFormat } from '../wire/wire-format.ts'
import type { Pending, Turn } from './turn.ts'

/** What an outbox needs of the hub. */
export interface OutboxHost {
  readonly turn: Turn
  readonly limits: Limits
  /** A batch that passes this is written at once, whatever else the turn brings. */
  readonly earlyFlushBytes: number
}

/** Hears that an outbox has passed its bound: at the end of the turn, when no group is being walked. */
export interface OutboxOwner {
  overflowed(): void
}

/** The frames that one connection has yet to get: until the end of the turn, until the client is let in, or while its link is congested. */
export class Outbox implements Pending {
  readonly format: WireFormat
  readonly #host: OutboxHost
  readonly #owner: OutboxOwner
  #link: Link | null = null
  #pending: Batch | null = null
  /** Takes no more frames. */
  #isShut = false
  #isOverflowing = false

  constructor(format: WireFormat, host: OutboxHost, owner: OutboxOwner) {
    this.format = format
    this.#host = host
    this.#owner = owner
  }

  /**
   * Adds a frame, starting from `root` when nothing is pending. Runs once for every delivery: no allocation but the batch that the
   * first member of a group makes, no closure, no call into the transport (bench: fan-out).
   */
  append(frame: Buffer, root: Batch): void {
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
  send(frame: Buffer): void {
    this.append(frame, this.#host.turn.root(this.format))
  }

  /** The client is let in: `first` goes out before whatever was held for it. */
  open(link: Link, first: Buffer | null): void {
    this.#link = link
    if (first !== null) this.#write(this.#host.turn.root(this.format).append(first), link)
    this.flush()
  }

  /** End of the turn, or the link is writable again. */
  flush(): void {
    const link = this.#link
    if (this.#isOverflowing) {
      this.#isOverflowing = false
      this.#owner.overflowed()
    } else if (this.#pending !== null && link?.writable === true) {
      this.#writePending(this.#pending, link)
    }
  }

  /** Too much waits for this client: drops it, takes nothing more, and tells the owner at the end of the turn. */
  overflow(): void {
    if (this.#isShut) return
    this.#isShut = true
    this.#pending = null
    this.#isOverflowing = true
    this.#host.turn.add(this)
  }

  /** Writes all that waits and a last frame, congested or not, and takes nothing more. */
  finish(last: Buffer | null): void {
    const link = this.#link
    this.#isShut = true
    if (link === null) return
    if (this.#pending !== null) this.#writePending(this.#pending, link)
    if (last !== null) this.#write(this.#host.turn.root(this.format).append(last), link)
  }

  /** Drops what waits and takes nothing more. */
  shut(): void {
    this.#isShut = true
    this.#pending = null
    this.#link = null
  }

  #writePending(batch: Batch, link: Link): void {
    this.#pending = null
    this.#write(batch, link)
  }

  #write(batch: Batch, link: Link): void {
    link.write(batch)
    this.#host.turn.wrote(batch)
  }

  #tooMuch(pending: Batch): void {
    const link = this.#link
    if (link?.writable === true) {
      this.#writePending(pending, link)
    } else if (pending.size + (link?.bufferedBytes ?? 0) > this.#host.limits.maxBacklogBytes) {
      this.overflow()
    }
  }
}
