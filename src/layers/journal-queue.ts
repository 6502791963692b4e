/** The way of publications through a journal: into it first, then to the nodes, in the order in which they were sent. */
import { errorCodeOf } from '../errors.ts'
import type { HistoryBounds } from '../history.ts'
import type { Journal, JournaledHistory, JournalRecord } from './journal.ts'
import type { LayerPublication } from './layer.ts'
import type { MemoryHistory } from './memory-history.ts'

type HistoryOf = (group: string) => HistoryBounds | null

interface Waiting {
  readonly group: string
  readonly json: string
  readonly bounds: HistoryBounds | null
  readonly resolve: (cursor: string | null) => void
}

/** Options of {@link JournalQueue}. */
export interface JournalQueueParts {
  readonly journal: Journal
  readonly history: MemoryHistory
  /** Gives a publication to the nodes. */
  readonly accept: (group: string, publication: LayerPublication) => void
  /** Tells operators. */
  readonly report: (error: unknown) => void
}

/**
 * Collects what is published in one turn of the microtasks, writes it with one call, and only then makes it history and
 * gives it to the nodes: a sequence that somebody has seen is in the journal. What groups without history get queues behind,
 * for the order of one sender holds across groups.
 *
 * The memory layer without a journal does not come here.
 */
export class JournalQueue {
  readonly #parts: JournalQueueParts
  #waiting: Waiting[] = []
  #isScheduled = false
  #isCommitting = false
  /** Settles when the write that is under way does; never rejects. */
  #writing: Promise<void> | null = null
  #state: 'closed' | 'open' | 'failed' = 'closed'
  #opening: Promise<void> | null = null
  /** Settles when the journal is closed that was open before. */
  #closing: Promise<void> | null = null
  #users = 0

  constructor(parts: JournalQueueParts) {
    this.#parts = parts
  }

  /**
   * Called for each layer that starts; the first opens the journal and restores the history.
   *
   * @throws {GroupcastError} `journal-in-use`
   * @throws {MisuseError} `invalid-option`
   */
  async open(historyOf: HistoryOf): Promise<void> {
    this.#users++
    this.#opening ??= this.#open(historyOf)
    try {
      await this.#opening
    } catch (error) {
      if (--this.#users === 0) this.#opening = null
      throw error
    }
  }

  /** Called for each layer that closes; the last closes the journal when everything is written. */
  async close(): Promise<void> {
    if (--this.#users > 0) return
    while (this.#isBusy) await this.#writing
    if (this.#users > 0) return
    this.#opening = null
    this.#state = 'closed'
    this.#closing = this.#parts.journal.close().then(() => this.#parts.history.clear())
    await this.#closing
  }

  /** @returns its cursor, when it is in the journal and the nodes have got it */
  publish(group: string, json: string, bounds: HistoryBounds | null): Promise<string | null> | string | null {
    if (!this.#isBusy && (bounds === null || this.#state !== 'open')) {
      return this.#accept({ group, json, bounds })
    }
    return new Promise((resolve) => {
      this.#waiting.push({ group, json, bounds, resolve })
      this.#schedule()
    })
  }

  /** Forgets all history; what was sent before has been delivered then. */
  async clear(): Promise<void> {
    while (this.#isBusy) await this.#writing
    this.#parts.history.clear()
    if (this.#state !== 'open') return
    try {
      this.#parts.journal.restart()
    } catch (error) {
      this.#fail(error)
    }
  }

  get #isBusy(): boolean {
    return this.#waiting.length > 0 || this.#writing !== null || this.#isCommitting
  }

  async #open(historyOf: HistoryOf): Promise<void> {
    const { journal, history, report } = this.#parts
    const restored = new RestoredHistory(history, historyOf)
    await this.#closing
    try {
      await journal.open({ history: restored, report, failed: (error) => this.#fail(error) })
      this.#state = 'open'
    } catch (error) {
      // A journal that another process has, or a directory that cannot be right: whoever starts the hub must hear of it. What
      // the disk does is no reason to be down.
      if (errorCodeOf(error) !== 'journal-failed') throw error
      this.#fail(error)
    }
  }

  #schedule(): void {
    if (this.#isScheduled || this.#writing !== null || this.#isCommitting) return
    this.#isScheduled = true
    queueMicrotask(() => this.#write())
  }

  #write(): void {
    this.#isScheduled = false
    const batch = this.#waiting
    this.#waiting = []
    const writing = this.#journalAll(batch)
    if (writing === undefined) {
      this.#commit(batch)
      return
    }
    this.#writing = writing
      .catch((error) => this.#fail(error))
      .then(() => {
        this.#writing = null
        this.#commit(batch)
      })
  }

  #journalAll(batch: readonly Waiting[]): Promise<void> | undefined {
    if (this.#state !== 'open') return undefined
    const records: JournalRecord[] = []
    let { sequence } = this.#parts.history
    for (const { group, json, bounds } of batch) {
      if (bounds !== null) records.push({ group, json, sequence: ++sequence })
    }
    if (records.length === 0) return undefined
    try {
      return this.#parts.journal.write(records)
    } catch (error) {
      this.#fail(error)
      return undefined
    }
  }

  #commit(batch: readonly Waiting[]): void {
    // What a sink sends while it is called comes after all that was sent before it.
    this.#isCommitting = true
    for (const waiting of batch) waiting.resolve(this.#accept(waiting))
    this.#isCommitting = false
    if (this.#waiting.length > 0) this.#schedule()
  }

  #accept({ group, json, bounds }: Omit<Waiting, 'resolve'>): string | null {
    const { history, accept } = this.#parts
    const publication = bounds === null ? { json, cursor: null } : history.append(group, json, bounds)
    accept(group, publication)
    return publication.cursor
  }

  /** Goes on without the journal: its history stays in memory, whole, and its cursors hold until the process ends. */
  #fail(error: unknown): void {
    if (this.#state === 'failed') return
    this.#state = 'failed'
    // A journal that stayed as it is would be taken for whole by the next start, and what is accepted from now on be missing without a trace.
    // Where it cannot be removed, at least those who come from now on are told.
    if (!this.#parts.journal.abandon()) this.#parts.history.clear()
    this.#parts.report(error)
  }
}

/** A {@link MemoryHistory} as journals see it: with the bounds that groups have now. */
class RestoredHistory implements JournaledHistory {
  readonly #history: MemoryHistory
  readonly #historyOf: HistoryOf
  /** A group that kept history keeps none now. What it gets will not be in the journal. */
  #lacksGroups = false

  constructor(history: MemoryHistory, historyOf: HistoryOf) {
    this.#history = history
    this.#historyOf = historyOf
  }

  get epoch(): string {
    return this.#history.epoch
  }

  get sequence(): number {
    return this.#history.sequence
  }

  get forgottenTo(): number {
    return this.#history.forgottenTo
  }

  groups(): string[] {
    return this.#history.groupNames()
  }

  kept(group: string) {
    return this.#history.kept(group)
  }

  begin(epoch: string | null): void {
    this.#lacksGroups = false
    this.#history.clear(epoch ?? undefined)
  }

  restoreGroup(group: string, goneTo: number): void {
    const bounds = this.#historyOf(group)
    if (bounds === null) this.#lacksGroups = true
    else this.#history.restoreGroup(group, goneTo, bounds)
  }

  restore(group: string, publication: { sequence: number; json: string; ageMs: number }): void {
    const bounds = this.#historyOf(group)
    if (bounds === null) this.#lacksGroups = true
    else this.#history.restore(group, publication, bounds)
  }

  restorePosition(sequence: number, forgottenTo: number): void {
    // The journal knows nothing of that group from here on: should it keep history again, what came before must not look whole.
    this.#history.restorePosition(sequence, this.#lacksGroups ? sequence : forgottenTo)
  }
}
