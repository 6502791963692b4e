import type { Publication } from '../publication.ts'
import { makeRoom, type Sheddable, type SlowPolicy } from '../slow.ts'
import type { Inbox, Task } from './inbox.ts'

/** What a waiting handler costs beside its message. */
const TASK_BYTES = 256

/** The connection whose handlers these are. */
export interface HandlerOwner {
  /** Whether it still handles what comes. */
  readonly isHandling: boolean
  /** Handles a publication, or sends it. */
  handle(publication: Publication): unknown
  /** Tells the client of so many messages that its handlers will not get. */
  tellDropped(count: number): void
  /** That many messages were dropped. */
  dropped(count: number): void
}

interface Entry extends Sheddable {
  /** `null` for the notice of a gap. */
  readonly publication: Publication | null
  /** In the inbox; `null` while it is put aside. */
  task: Task | null
}

/**
 * What the handlers of one connection have yet to see of its groups, and what waits behind that: cursors must not say that it was handled. Bounded like
 * what waits for a client that does not read, and under the same policies.
 */
export class HandlerBacklog {
  readonly #inbox: Inbox
  readonly #policy: SlowPolicy
  readonly #maxBytes: number
  readonly #owner: HandlerOwner
  /** In the inbox and not started, oldest first. What is not held against the bound is not among them. */
  #waiting: Entry[] = []
  /** Put aside while a past is on its way, and for how many pasts. */
  #aside: Entry[] | null = null
  #asides = 0
  #bytes = 0
  /** Tasks in the inbox that have not ended. */
  #tasks = 0
  /** The notice that waits, and what it is to tell. */
  #notice: Entry | null = null
  #untold = 0
  #hasGivenUp = false

  /** @param policy of messages whose group has none */
  constructor(inbox: Inbox, policy: SlowPolicy, maxBytes: number, owner: HandlerOwner) {
    this.#inbox = inbox
    this.#policy = policy
    this.#maxBytes = maxBytes
    this.#owner = owner
  }

  /** Whether what comes now must wait: something that came before it does. */
  get isBusy(): boolean {
    return this.#aside !== null || this.#tasks > 0
  }

  get hasTasks(): boolean {
    return this.#tasks > 0
  }

  /** Whether more waited than its policies could do away with. */
  get hasGivenUp(): boolean {
    return this.#hasGivenUp
  }

  /** A publication of a group, after all that came before. @returns `false`: too much waits, and the policies leave no way but to close */
  take(publication: Publication): boolean {
    if (this.#hasGivenUp) return false
    const entry: Entry = { publication, size: publication.json.length + TASK_BYTES, task: null }
    this.#bytes += entry.size
    if (this.#aside !== null) this.#aside.push(entry)
    else this.#push(entry)
    this.#hasGivenUp = this.#bytes > this.#maxBytes && !this.#makeRoom()
    return !this.#hasGivenUp
  }

  /** A publication that is not held against the bound. */
  takeLater(publication: Publication): void {
    this.inOrder(() => this.#owner.handle(publication))
  }

  /** Runs a task after all that came before. */
  inOrder(task: Task): void {
    this.#inbox.push(this.#taskOf(task))
  }

  /** From now on what is taken is put aside. */
  holdAside(): void {
    this.#aside ??= []
    this.#asides++
  }

  /** Ends it. @returns what was put aside, oldest first; while others hold on, only what `mayGo` says */
  releaseAside(mayGo: (live: Publication) => boolean): Publication[] {
    const aside = this.#aside ?? []
    const isLast = --this.#asides === 0
    const goes = ({ publication }: Entry) => isLast || (publication !== null && mayGo(publication))
    const released = aside.filter(goes)
    this.#aside = isLast ? null : aside.filter((entry) => !goes(entry))
    for (const { size } of released) this.#bytes -= size
    return released.flatMap(({ publication }) => publication ?? [])
  }

  /** The inbox has forgotten its tasks. */
  forget(): void {
    this.#waiting = []
    if (this.#aside !== null) this.#aside = []
    this.#notice = null
    this.#bytes = 0
  }

  #push(entry: Entry): void {
    entry.task = this.#taskOf(() => {
      this.#started(entry)
      return entry.publication === null ? undefined : this.#owner.handle(entry.publication)
    })
    this.#waiting.push(entry)
    this.#inbox.push(entry.task)
  }

  #taskOf(task: Task): Task {
    this.#tasks++
    return async () => {
      try {
        if (this.#owner.isHandling) await task()
      } finally {
        this.#tasks--
      }
    }
  }

  /** All that came before it has started, or was dropped. */
  #started(entry: Entry): void {
    if (this.#waiting[0] !== entry) return
    this.#waiting.shift()
    this.#bytes -= entry.size
  }

  /** @returns whether there is room now; if not, nothing has changed */
  #makeRoom(): boolean {
    const aside = this.#aside ?? []
    const left = makeRoom([...this.#waiting, ...aside], this.#policy, this.#maxBytes)
    if (left === null) return false
    const kept = new Set(left.kept)
    const instead = new Map<Task, readonly Task[]>()
    for (const entry of this.#waiting)
      if (!kept.has(entry) && entry.task !== null) instead.set(entry.task, [])
    this.#tasks -= instead.size
    this.#waiting = left.kept.filter(({ task }) => task !== null)
    if (this.#aside !== null) this.#aside = left.kept.filter(({ task }) => task === null)
    this.#bytes = left.bytes
    if (left.dropped > 0) this.#tell(left.dropped, left.before, instead)
    this.#inbox.change(instead)
    return true
  }

  /** The client is told before what follows the first gap. However often something is dropped, one notice waits. */
  #tell(count: number, before: number, instead: Map<Task, readonly Task[]>): void {
    this.#owner.dropped(count)
    this.#untold += count
    if (this.#notice !== null) return
    const notice: Entry = { publication: null, size: TASK_BYTES, task: null }
    const task = this.#taskOf(() => {
      this.#started(notice)
      this.#notice = null
      this.#owner.tellDropped(this.#untold)
      this.#untold = 0
    })
    notice.task = task
    this.#notice = notice
    this.#bytes += notice.size
    const next = this.#waiting[before]?.task ?? null
    this.#waiting.splice(before, 0, notice)
    // Nothing follows but what was put aside, which is not in the inbox yet.
    if (next === null) this.#inbox.push(task)
    else instead.set(next, [task, next])
  }
}
