import { type Batch, FrameRun } from '../batch.ts'
import { Frame, type Waiting } from '../frame.ts'
import type { Limits } from '../options.ts'
import type { Publication } from '../publication.ts'
import { type SlowPolicy, shed } from '../slow.ts'
import type { Link } from '../transports/backend.ts'
import type { WireFormat } from '../wire/wire-format.ts'
import type { Backlog } from './backlog.ts'
import type { Place } from './recall.ts'
import type { Pending, Turn } from './turn.ts'

/** Dropping goes down to this part of the limit: a walk through a backlog then pays for a quarter of it in new messages. */
const TARGET = 3 / 4
/** Replacing must make this much room to be enough by itself: or the next message would have the whole backlog walked through again. */
const ENOUGH = 15 / 16

/** What most outboxes have waiting: they share it (bench: idle-memory). */
const NONE: readonly Batch[] = Object.freeze([])

const NO_PAST: readonly Publication[] = Object.freeze([])

const NO_NOTICE = Object.freeze({ frame: null, count: 0, replaced: null })

/** What an outbox needs of the hub. */
export interface OutboxHost {
  readonly turn: Turn
  readonly limits: Limits
  readonly backlog: Backlog
  /** Most bytes of one write; a batch that passes this is written at once, whatever else the turn brings. */
  readonly writeBytes: number
}

/** What goes out when an outbox need not hold back any more. */
export interface Released {
  readonly past: readonly Publication[]
  /** A control object between the past and what was held back. */
  readonly before: Buffer | null
  /** Where something stands that was held back. */
  placeOf(publication: Waiting): Place
}

/** Nothing but what was held back. */
export const NOTHING_MORE: Released = Object.freeze({
  past: [],
  before: null,
  placeOf: () => 'later' as const,
})

/** Hears what became of a backlog. */
export interface OutboxOwner {
  /** Too much waits, and the policies leave no way but to close. Called at the end of the turn, when no group is being walked. */
  overflowed(): void
  /** That many messages were dropped. */
  dropped(count: number): void
}

/**
 * The frames that one connection has yet to get: until the end of the turn, until the client is let in, or while its link is
 * congested. What waits longer than a turn is cut into batches of one write each, which grow no more: connections that are slow in the
 * same way share them, and each leaves with one write.
 */
export class Outbox implements Pending {
  readonly format: WireFormat
  readonly #host: OutboxHost
  readonly #owner: OutboxOwner
  readonly #policy: SlowPolicy
  #link: Link | null = null
  /** Grows: the newest frames. */
  #pending: Batch | null = null
  /** Full: older than `#pending`, oldest first. */
  #waiting: readonly Batch[] = NONE
  #waitingBytes = 0
  /** What `#pending` may grow to before something must be done. */
  #room: number
  /** The link was congested, or the client not let in, when something was to be written. */
  #hasWaited = false
  /** What goes out before all that is pending or waiting: the past of groups. */
  #past: readonly Publication[] = NO_PAST
  /** It is congested with a past to write, which counts as backlog. */
  #holdsPast = false
  /** How many wait for a past that is yet to come: nothing goes out meanwhile. */
  #holds = 0
  /** The last frame that was waiting when it began to hold back: the past comes after it. */
  #heldAfter: Frame | null = null
  /** The newest notice of a gap. */
  #notice: { frame: Frame | null; count: number; replaced: Frame | null } = NO_NOTICE
  /** Takes no more frames. */
  #isShut = false
  #isOverflowing = false

  constructor(format: WireFormat, policy: SlowPolicy, host: OutboxHost, owner: OutboxOwner) {
    this.format = format
    this.#policy = policy
    this.#host = host
    this.#owner = owner
    this.#room = host.writeBytes
  }

  /**
   * Adds frames, starting from `root` when nothing is pending. Runs once for every member and run of publications of a group: no
   * allocation but the batches that the first member makes, no closure, no call into the transport (bench: fan-out).
   */
  append(run: FrameRun, root: Batch): void {
    const pending = this.#pending
    if (pending === null && this.#isShut) return
    const next = run.after(pending ?? root)
    if (next.size > this.#room) {
      this.#appendMuch(run, root, next)
      return
    }
    this.#pending = next
    if (pending === null) this.#host.turn.add(this)
  }

  /** Adds a frame for this connection alone, after all that was sent before. */
  send(frame: Frame): void {
    const { turn } = this.#host
    turn.settle()
    this.append(new FrameRun([frame]), turn.root(this.format))
  }

  /** The client is let in: `first` goes out before whatever was held for it, in one write. */
  open(link: Link, first: readonly Buffer[]): void {
    this.#link = link
    if (first.length > 0) this.#writeAlone(first, link)
    this.flush()
  }

  /** Holds everything back until `release`: the past of a group is to go out first. */
  hold(): void {
    this.#host.turn.settle()
    // What was sent before goes out before, as far as the client takes it.
    this.flush()
    if (this.#holds++ === 0) this.#heldAfter = this.#frames().at(-1) ?? null
  }

  /**
   * What was held back may go out, after the past and `before`, and without what is among the past. Policies are for what is live:
   * the past waits for as long as the client needs to read it, and is framed when it leaves.
   */
  release({ past, before, placeOf }: Released): void {
    this.#host.turn.settle()
    this.#holds--
    if (this.#isShut) return
    this.#host.turn.add(this)
    if (past.length === 0 && before === null) return
    const frames = this.#frames()
    const since = this.#heldAfter === null ? 0 : frames.lastIndexOf(this.#heldAfter) + 1
    const [earlier, held] = [frames.slice(0, since), frames.slice(since)]
    const placed = (place: Place) =>
      held.filter(({ publication }) => (publication === null ? 'later' : placeOf(publication)) === place)
    const first = [...earlier, ...placed('older')]
    const rest = placed('later')
    this.#forget()
    for (const frame of first) this.#keep(frame)
    // Behind what waits the past waits with it; else it leaves at the client's pace.
    if (first.length === 0) {
      const others = this.#past
      this.#forgetPast()
      this.#past = others.length === 0 ? past : [...others, ...past]
    } else for (const publication of past) this.#keep(publication.frame(this.format))
    if (before !== null) this.#keep(new Frame(before))
    for (const frame of rest) this.#keep(frame)
  }

  /** All that waits, oldest first, but the past. */
  #frames(): Frame[] {
    const batches = this.#pending === null ? this.#waiting : [...this.#waiting, this.#pending]
    return batches.flatMap((batch) => batch.frames())
  }

  /** End of the turn, or the link is writable again. */
  flush(): void {
    if (this.#isOverflowing) {
      this.#isOverflowing = false
      this.#owner.overflowed()
    }
    const link = this.#link
    if (this.#pending === null && this.#waiting.length === 0 && this.#past.length === 0) return
    while (link?.writable === true && this.#holds === 0 && this.#past.length > 0) this.#writePast(link)
    if (link?.writable !== true || this.#isHeld) {
      this.#hasWaited = true
      if (link !== null && this.#past.length > 0) this.#holdPast()
      return
    }
    // A reader that keeps up gets every message. And only what has not left may be replaced: so one write at a time.
    if (this.#hasWaited && this.#mayReplace()) this.#shed(Number.POSITIVE_INFINITY)
    while (link.writable && this.#waiting.length > 0) this.#writeOldest(link)
    if (this.#pending !== null && link.writable) this.#writePending(this.#pending, link)
    this.#hasWaited = this.#pending !== null
  }

  /** Too much waits for this client, and nothing but closing helps: drops all, takes nothing more, and tells the owner after the turn. */
  overflow(): void {
    if (this.#isShut) return
    this.#forget()
    this.#forgetPast()
    this.#isShut = true
    this.#isOverflowing = true
    this.#host.turn.add(this)
  }

  /** Writes all that waits and a last frame, congested or not, and takes nothing more. */
  finish(last: Buffer | null): void {
    this.#host.turn.settle()
    const link = this.#link
    while (link?.writable === true && this.#holds === 0 && this.#past.length > 0) this.#writePast(link)
    // What comes after a past that has not come would look like the whole: the client resumes from what it has. And to write all of it
    // to clients that do not read would take the memory of all their pasts at once.
    if (this.#isHeld) {
      this.#forget()
      this.#forgetPast()
    }
    this.#isShut = true
    if (link === null) return
    while (this.#waiting.length > 0) this.#writeOldest(link)
    if (this.#pending !== null) this.#writePending(this.#pending, link)
    if (last !== null) this.#writeAlone([last], link)
  }

  /** Drops what waits and takes nothing more. */
  shut(): void {
    this.#forget()
    this.#forgetPast()
    this.#isShut = true
    this.#link = null
  }

  /** With the run, more is pending than one write should be: write it, or take it frame by frame and mind the bounds. */
  #appendMuch(run: FrameRun, root: Batch, next: Batch): void {
    const link = this.#link
    if (link?.writable === true && this.#waiting.length === 0 && !this.#isHeld) {
      this.#writePending(next, link)
      return
    }
    for (const frame of run.frames) {
      if (this.#isShut) return
      if (this.#pending === null) this.#host.turn.add(this)
      this.#pending = (this.#pending ?? root).append(frame)
      if (this.#pending.size > this.#room) this.#waitMore(this.#pending)
    }
  }

  /** Lets the pending batch wait, and applies the policies when too much does. */
  #waitMore(pending: Batch): void {
    this.#hasWaited = true
    this.#wait(pending)
    const { backlog, limits } = this.#host
    if (!backlog.isOverTotal && this.#waitingBytes <= limits.maxBacklogBytes) return
    // Newer messages in place of older ones lose nothing: only what is still too much is dropped.
    if (this.#mayReplace()) this.#shed(Number.POSITIVE_INFINITY)
    if (backlog.isOverTotal) this.#shed(0)
    else if (this.#waitingBytes > limits.maxBacklogBytes * ENOUGH) this.#shed(limits.maxBacklogBytes * TARGET)
    if (backlog.isOverTotal || this.#waitingBytes > limits.maxBacklogBytes) this.overflow()
  }

  #wait(batch: Batch): void {
    this.#host.backlog.hold(batch)
    this.#waiting = [...this.#waiting, batch]
    this.#waitingBytes += batch.size
    this.#pending = null
    this.#minded()
  }

  /** The room follows what waits, so that the bound is exact; what must go beyond it is looked at frame by frame. */
  #minded(): void {
    const { writeBytes, limits } = this.#host
    this.#room = Math.min(writeBytes, Math.max(0, limits.maxBacklogBytes - this.#waitingBytes))
  }

  /** Whether something else is to go out before what is pending or waiting. */
  get #isHeld(): boolean {
    return this.#holds > 0 || this.#past.length > 0
  }

  /** One write of the past. */
  #writePast(link: Link): void {
    const { turn, writeBytes } = this.#host
    let batch = turn.root(this.format)
    let count = 0
    for (const publication of this.#past) {
      if (batch.size >= writeBytes) break
      batch = batch.append(publication.frame(this.format))
      count++
    }
    if (this.#holdsPast) this.#host.backlog.letGoPast(this.#past.slice(0, count))
    this.#past = count === this.#past.length ? NO_PAST : this.#past.slice(count)
    if (this.#past.length === 0) this.#holdsPast = false
    this.#write(batch, link)
  }

  /** Only while it is congested: of a thousand that come back at once, most get their past without having to wait. */
  #holdPast(): void {
    const { backlog } = this.#host
    if (!this.#holdsPast) backlog.holdPast(this.#past)
    this.#holdsPast = true
    if (backlog.isOverTotal) this.overflow()
  }

  #forgetPast(): void {
    if (this.#holdsPast) this.#host.backlog.letGoPast(this.#past)
    this.#holdsPast = false
    this.#past = NO_PAST
  }

  #mayReplace(): boolean {
    if (this.#policy === 'latest') return true
    return [...this.#waiting, this.#pending].some((batch) => batch?.hasLatest === true)
  }

  /** Applies the policies to all that waits, and tells the client of a gap where it is. */
  #shed(targetBytes: number): void {
    const frames = this.#frames()
    const { kept, dropped, before } = shed(frames, this.#policy, targetBytes)
    if (kept.length === frames.length) return
    this.#forget()
    const notice = dropped === 0 ? null : this.#noticeOf(dropped, kept[before - 1] ?? null)
    for (const [index, frame] of kept.entries()) {
      if (notice !== null && index === before) this.#keep(notice)
      // One that the new notice has taken in.
      if (frame.publication !== null || !this.#isReplaced(frame)) this.#keep(frame)
    }
    if (notice !== null && before === kept.length) this.#keep(notice)
    if (this.#pending !== null) this.#host.turn.add(this)
    if (dropped > 0) this.#owner.dropped(dropped)
  }

  /** What tells the client of a gap; takes in the notice of an older gap that ends where this one begins. */
  #noticeOf(dropped: number, previous: Frame | null): Frame | null {
    const count = dropped + (previous !== null && previous === this.#notice.frame ? this.#notice.count : 0)
    const bytes = this.format.control({ dropped: { count } })
    if (bytes === null) return null
    this.#notice = { frame: new Frame(bytes), count, replaced: count > dropped ? previous : null }
    return this.#notice.frame
  }

  #isReplaced(frame: Frame): boolean {
    return frame === this.#notice.replaced
  }

  #keep(frame: Frame): void {
    this.#pending = (this.#pending ?? this.#host.turn.root(this.format)).append(frame)
    if (this.#pending.size > this.#host.writeBytes) this.#wait(this.#pending)
  }

  #forget(): void {
    for (const batch of this.#waiting) this.#host.backlog.letGo(batch)
    this.#waiting = NONE
    this.#waitingBytes = 0
    this.#pending = null
    this.#minded()
  }

  #writeOldest(link: Link): void {
    const [batch, ...others] = this.#waiting
    if (batch === undefined) return
    this.#waiting = others.length === 0 ? NONE : others
    this.#waitingBytes -= batch.size
    this.#host.backlog.letGo(batch)
    this.#minded()
    this.#write(batch, link)
  }

  #writePending(batch: Batch, link: Link): void {
    this.#pending = null
    this.#write(batch, link)
  }

  #writeAlone(frames: readonly Buffer[], link: Link): void {
    let batch = this.#host.turn.root(this.format)
    for (const bytes of frames) batch = batch.append(new Frame(bytes))
    this.#write(batch, link)
  }

  #write(batch: Batch, link: Link): void {
    link.write(batch)
    this.#host.turn.wrote(batch)
  }
}
