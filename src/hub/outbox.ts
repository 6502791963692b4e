import { type Batch, FrameRun, type Unsent } from '../batch.ts'
import { Frame, type Waiting } from '../frame.ts'
import type { Limits } from '../options.ts'
import type { Publication } from '../publication.ts'
import { ENOUGH, type SlowPolicy, shed, TARGET } from '../slow.ts'
import type { Link } from '../transports/backend.ts'
import type { WireFormat } from '../wire/wire-format.ts'
import type { Backlog, Holder } from './backlog.ts'
import { aroundPast, type Place } from './recall.ts'
import type { Looking, Pending, Turn } from './turn.ts'

/**
 * Of what grows while a link is congested, so much is not counted in the hub's total. To count it, what is pending (64 KiB) is walked through, so
 * that a message is walked past eight times at most; to count each by itself would be work for `append`.
 */
const UNCOUNTED_BYTES = 8 * 1024

/**
 * This part of `maxBacklogBytes` is there for what waits, however much of it is in the link: a single message may be larger than the bound, and what
 * comes after it must not close a client that is about to read it.
 */
const LEAST_ROOM = 1 / 4

/** What most outboxes have waiting: they share it (bench: idle-memory). */
const NONE: readonly Batch[] = Object.freeze([])

const NOTHING: readonly Buffer[] = Object.freeze([])

const NO_PAST: readonly Publication[] = Object.freeze([])

const NO_NOTICE = Object.freeze({ frame: null, count: 0 })

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
  /** What is in its link is too much for the hub, and only the end of the link frees it. Called like `overflowed`, and instead of it. */
  cut(): void
  /** That many messages were dropped. */
  dropped(count: number): void
  /** All that `finish` had to leave for later is written. */
  finished(): void
}

type Verdict = 'overflowed' | 'cut'

/**
 * The frames that one connection has yet to get: until the end of the turn, until the client is let in, or while its link is
 * congested. What waits longer than a turn is cut into batches of one write each, which grow no more: connections that are slow in the
 * same way share them, and each leaves with one write.
 */
export class Outbox implements Pending, Looking, Holder {
  readonly format: WireFormat
  readonly #host: OutboxHost
  readonly #owner: OutboxOwner
  readonly #policy: SlowPolicy
  #link: Link | null = null
  /** Grows: the newest frames. */
  #pending: Batch | null = null
  /** What `#pending` was when it was last counted in the hub's total; it has grown by {@link UNCOUNTED_BYTES} at most. */
  #counted: Batch | null = null
  /** Full: older than `#pending`, oldest first. */
  #waiting: readonly Batch[] = NONE
  #waitingBytes = 0
  /** What `#pending` may grow to before something must be done. */
  #room: number
  /** The link was congested, or the client not let in, when something was to be written. */
  #hasWaited = false
  /** What goes out before all that is pending or waiting: the past of groups. */
  #past: readonly Publication[] = NO_PAST
  /** It is congested with a past to write, which counts as backlog: its bytes. */
  #pastBytes = 0
  /** How many wait for a past that is yet to come: nothing goes out meanwhile. */
  #holds = 0
  /** The last frame that was waiting when it began to hold back: the past comes after it. */
  #heldAfter: Frame | null = null
  /** The newest notice of a gap. */
  #notice: { readonly frame: Frame | null; readonly count: number } = NO_NOTICE
  /** Its link was not writable any more after the last write, and may have some of it still. */
  #hasUnsent = false
  /** What is in its link, where links share it. */
  #unsent: Unsent | null = null
  /** How much is in its link, once it is counted. */
  #unsentBytes = 0
  /** Takes no more frames. */
  #isShut = false
  /** What is to be written after all that waits; `null`: it is not finishing. */
  #last: readonly Buffer[] | null = null
  /** What its owner is to be told after the turn. */
  #verdict: Verdict | null = null

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
    const { before: older, after: rest } = aroundPast(held, ({ publication }) =>
      publication === null ? 'later' : placeOf(publication),
    )
    const first = [...earlier, ...older]
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
    if (this.#verdict !== null) this.#tell(this.#verdict)
    const link = this.#link
    if (this.#hasUnsent && link?.writable === true) this.#forgetUnsent()
    if (this.#last !== null) {
      if (link !== null && this.#writeLast(link, this.#last)) this.#owner.finished()
      return
    }
    if (this.#pending === null && this.#waiting.length === 0 && this.#past.length === 0) return
    while (link?.writable === true && this.#holds === 0 && this.#past.length > 0) this.#writePast(link)
    if (link?.writable !== true || this.#isHeld) {
      if (link !== null && this.#past.length > 0) this.#holdPast()
      this.#waits()
      return
    }
    const hasWaited = this.#hasWaited
    // A reader that keeps up gets every message. And only what has not left may be replaced: so one write at a time.
    if (hasWaited && this.#mayReplace()) this.#shed(Number.POSITIVE_INFINITY)
    while (link.writable && this.#waiting.length > 0) this.#writeOldest(link)
    if (this.#pending !== null && link.writable) this.#writePending(this.#pending, link)
    this.#hasWaited = this.#pending !== null
    if (this.#hasWaited) this.#waits()
    else if (hasWaited) this.#minded()
  }

  /** What is left waits longer than the turn. */
  #waits(): void {
    this.#hasWaited = true
    this.#count()
    this.#host.backlog.relieve()
  }

  /** Too much waits for this client, and nothing but closing helps: drops all, takes nothing more, and tells the owner after the turn. */
  overflow(): void {
    if (this.#isShut) return
    this.#forget()
    this.#forgetPast()
    this.#isShut = true
    this.#verdict = 'overflowed'
    this.#host.turn.add(this)
  }

  /** A turn after its link took something and was congested: what has not left by now may stay for long. */
  look(): void {
    const link = this.#link
    if (!this.#hasUnsent || this.#unsentBytes > 0 || link === null) return
    const bytes = link.writable ? 0 : link.bufferedBytes
    if (bytes === 0) {
      this.#forgetUnsent()
      return
    }
    this.#unsentBytes = bytes
    this.#host.backlog.holdUnsent(this.#unsent, bytes)
    this.#minded()
    const bound = this.#bound
    if (!this.#isShut && this.#bytes > bound) this.#makeDo(bound * TARGET, bound * ENOUGH)
    this.#host.backlog.relieve()
  }

  get share(): number {
    let bytes = this.#counted?.share ?? 0
    for (const batch of this.#waiting) bytes += batch.share
    // Those that come back together all want the newest.
    if (this.#pastBytes > 0) bytes += this.#pastBytes / Math.max(1, this.#past.at(-1)?.holders ?? 1)
    const unsent = this.#unsent
    return bytes + this.#unsentBytes / Math.max(1, unsent?.counted ?? 1, unsent?.frame?.holders ?? 1)
  }

  giveWay(): void {
    if (this.#isShut) {
      this.#cut()
      return
    }
    if (this.#hasSentSome()) return
    const [bytes, unsent] = [this.#bytes, this.#unsentBytes]
    // Nothing of the past may be dropped: the client comes back for what it has not got.
    if (this.#pastBytes > bytes + unsent) this.overflow()
    else this.#makeDo((bytes + unsent) * TARGET - unsent, (bytes + unsent) * ENOUGH - unsent)
  }

  /**
   * Takes nothing more, and writes all that waits and a last frame: as far as the link takes it at once, the rest as it drains, so that those who wait
   * for the same share it to the end. The last frame is written when nothing else waits, congested or not.
   *
   * @returns whether all is written; if not, the owner hears when it is
   */
  finish(last: Buffer | null): boolean {
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
    if (link === null) return true
    if (this.#pending !== null) {
      if (link.writable && this.#waiting.length === 0) this.#writePending(this.#pending, link)
      else this.#wait(this.#pending)
    }
    this.#last = last === null ? NOTHING : [last]
    const isDone = this.#writeLast(link, this.#last)
    // What was pending is counted to its end only now that it waits.
    if (!isDone) this.#host.backlog.relieve()
    return isDone
  }

  /** Drops what waits and takes nothing more. */
  shut(): void {
    this.#forget()
    this.#forgetPast()
    this.#forgetUnsent()
    this.#isShut = true
    this.#last = null
    this.#link = null
  }

  #tell(verdict: Verdict): void {
    this.#verdict = null
    if (verdict === 'cut') this.#owner.cut()
    else this.#owner.overflowed()
  }

  /** Of one that takes nothing more only what is in its link is left, or what waits for that: both go with the link. */
  #cut(): void {
    this.#forget()
    this.#forgetUnsent()
    this.#last = null
    this.#verdict = 'cut'
    this.#host.turn.add(this)
  }

  /** @returns whether all is written */
  #writeLast(link: Link, last: readonly Buffer[]): boolean {
    while (link.writable && this.#waiting.length > 0) this.#writeOldest(link)
    if (this.#waiting.length > 0) return false
    this.#last = null
    if (last.length > 0) this.#writeAlone(last, link)
    return true
  }

  /** With the run, more is pending than one write should be: write it, or take it frame by frame and mind the bounds. */
  #appendMuch(run: FrameRun, root: Batch, next: Batch): void {
    const link = this.#link
    if (link?.writable === true && this.#waiting.length === 0 && !this.#isHeld) {
      this.#writePending(next, link)
      return
    }
    if (next.size > this.#most) this.#appendEach(run, root)
    else {
      // Nothing but to be counted.
      if (this.#pending === null) this.#host.turn.add(this)
      this.#pending = next
    }
    this.#count()
    this.#host.backlog.relieve()
  }

  #appendEach(run: FrameRun, root: Batch): void {
    for (const frame of run.frames) {
      if (this.#isShut) return
      if (this.#pending === null) this.#host.turn.add(this)
      this.#pending = (this.#pending ?? root).append(frame)
      if (this.#pending.size > this.#most) this.#waitMore(this.#pending)
    }
  }

  /** Lets the pending batch wait, and applies the policies when too much does. */
  #waitMore(pending: Batch): void {
    this.#hasWaited = true
    this.#wait(pending)
    const bound = this.#bound
    if (this.#waitingBytes > bound) this.#makeDo(bound * TARGET, bound * ENOUGH)
  }

  /** Too much waits: applies the policies, or gives up if more than `enough` would be left. */
  #makeDo(target: number, enough: number): void {
    // Newer messages in place of older ones lose nothing: only what is still too much is dropped.
    if (this.#mayReplace()) this.#shed(Number.POSITIVE_INFINITY)
    if (this.#bytes > enough) this.#shed(Math.max(0, target), enough)
    if (this.#bytes > enough) this.overflow()
  }

  #wait(batch: Batch): void {
    this.#host.backlog.hold(batch)
    this.#waiting = [...this.#waiting, batch]
    this.#waitingBytes += batch.size
    this.#forgetPending()
    this.#minded()
  }

  /** Counts what is pending in the hub's total, if it has grown by so much; its frames are counted once, in whichever batch they are. */
  #count(): void {
    const [pending, counted] = [this.#pending, this.#counted]
    if (pending !== null && pending.size - (counted?.size ?? 0) > UNCOUNTED_BYTES) {
      this.#host.backlog.hold(pending)
      if (counted !== null) this.#host.backlog.letGo(counted)
      this.#counted = pending
    }
    this.#minded()
  }

  /** It waits elsewhere, was written, or was given up. */
  #forgetPending(): void {
    this.#pending = null
    if (this.#counted === null) return
    this.#host.backlog.letGo(this.#counted)
    this.#counted = null
    this.#minded()
  }

  /** All that waits, but the past. */
  get #bytes(): number {
    return this.#waitingBytes + (this.#pending?.size ?? 0)
  }

  /** What may wait beside what is in the link. */
  get #bound(): number {
    const { maxBacklogBytes } = this.#host.limits
    return Math.max(maxBacklogBytes - this.#unsentBytes, maxBacklogBytes * LEAST_ROOM)
  }

  /** What `#pending` may grow to: the bound is exact. */
  get #most(): number {
    return Math.min(this.#host.writeBytes, Math.max(0, this.#bound - this.#waitingBytes))
  }

  /** After each change of what waits: the room follows it, and so does its weight among all that wait. */
  #minded(): void {
    const counted = this.#counted?.size ?? 0
    this.#room = this.#hasWaited ? Math.min(this.#most, counted + UNCOUNTED_BYTES) : this.#most
    this.#host.backlog.file(this, this.#waitingBytes + counted + this.#pastBytes + this.#unsentBytes)
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
    if (this.#pastBytes > 0) {
      this.#pastBytes -= this.#host.backlog.letGoPast(this.#past.slice(0, count))
      this.#minded()
    }
    this.#past = count === this.#past.length ? NO_PAST : this.#past.slice(count)
    this.#write(batch, link)
  }

  /** Only while it is congested: of a thousand that come back at once, most get their past without having to wait. */
  #holdPast(): void {
    if (this.#pastBytes === 0) this.#pastBytes = this.#host.backlog.holdPast(this.#past)
  }

  #forgetPast(): void {
    if (this.#pastBytes > 0) this.#host.backlog.letGoPast(this.#past)
    this.#pastBytes = 0
    this.#past = NO_PAST
    this.#minded()
  }

  #mayReplace(): boolean {
    if (this.#policy === 'latest') return true
    return [...this.#waiting, this.#pending].some((batch) => batch?.hasLatest === true)
  }

  /**
   * Applies the policies to all that waits, and tells the client of a gap where it is.
   *
   * @param enough where more than this would be left, nothing is changed: who gives up has not dropped anything
   */
  #shed(targetBytes: number, enough = targetBytes): void {
    const frames = this.#frames()
    const { kept, bytes, dropped, before } = shed(frames, this.#policy, targetBytes)
    if (kept.length === frames.length || bytes > enough) return
    const left = dropped === 0 ? kept : this.#withNotice(kept, dropped, before)
    if (this.#holds > 0) this.#heldAfter = lastLeft(frames, left, this.#heldAfter)
    this.#forget()
    for (const frame of left) this.#keep(frame)
    this.#count()
    if (this.#pending !== null) this.#host.turn.add(this)
    if (dropped > 0) this.#owner.dropped(dropped)
  }

  /** What tells the client of a gap goes where the first is. One that waits already is taken in: however often something is dropped, one waits. */
  #withNotice(kept: readonly Frame[], dropped: number, before: number): readonly Frame[] {
    const earlier = this.#notice
    const place = earlier.frame === null ? -1 : kept.indexOf(earlier.frame)
    const count = dropped + (place === -1 ? 0 : earlier.count)
    const bytes = this.format.control({ dropped: { count } })
    if (bytes === null) return kept
    const frame = new Frame(bytes)
    this.#notice = { frame, count }
    if (place === -1) return kept.toSpliced(before, 0, frame)
    return kept.toSpliced(place, 1).toSpliced(Math.min(place, before), 0, frame)
  }

  #keep(frame: Frame): void {
    this.#pending = (this.#pending ?? this.#host.turn.root(this.format)).append(frame)
    if (this.#pending.size > this.#host.writeBytes) this.#wait(this.#pending)
  }

  #forget(): void {
    for (const batch of this.#waiting) this.#host.backlog.letGo(batch)
    this.#waiting = NONE
    this.#waitingBytes = 0
    this.#forgetPending()
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
    this.#forgetPending()
    this.#write(batch, link)
  }

  #writeAlone(frames: readonly Buffer[], link: Link): void {
    let batch = this.#host.turn.root(this.format)
    for (const bytes of frames) batch = batch.append(new Frame(bytes))
    this.#write(batch, link)
  }

  /** A link that takes all costs nothing more than its answer (bench: fan-out). */
  #write(batch: Batch, link: Link): void {
    if (!link.write(batch)) this.#leaveInLink(batch, link)
    this.#host.turn.wrote(batch)
  }

  /**
   * Not counted at once: most of these links only wait until the system has confirmed the write, which is before the next turn. What is
   * written to a link with something in it is a last frame, and little.
   */
  #leaveInLink(batch: Batch, link: Link): void {
    if (this.#hasUnsent) return
    this.#hasUnsent = true
    if (link.sharesBytes) this.#unsent = batch.leaveInLink()
    this.#host.turn.later(this)
  }

  /** Its link has sent what was in it, or has ended. */
  #forgetUnsent(): void {
    if (!this.#hasUnsent) return
    if (this.#unsentBytes > 0) this.#host.backlog.letGoUnsent(this.#unsent, this.#unsentBytes)
    this.#unsent?.letGo()
    this.#unsent = null
    this.#hasUnsent = false
    if (this.#unsentBytes === 0) return
    this.#unsentBytes = 0
    this.#minded()
  }

  /** Counts anew what is in a link that has it for itself. @returns whether that is less than before */
  #hasSentSome(): boolean {
    if (this.#unsent !== null || this.#unsentBytes === 0) return false
    const left = Math.max(1, this.#link?.bufferedBytes ?? 1)
    if (left >= this.#unsentBytes) return false
    this.#host.backlog.letGoUnsent(null, this.#unsentBytes - left)
    this.#unsentBytes = left
    this.#minded()
    return true
  }
}

/** The last of those up to `until` that is left; `null`: none is. */
function lastLeft(frames: readonly Frame[], left: readonly Frame[], until: Frame | null): Frame | null {
  if (until === null) return null
  const remaining = new Set(left)
  return frames.slice(0, frames.lastIndexOf(until) + 1).findLast((frame) => remaining.has(frame)) ?? null
}
