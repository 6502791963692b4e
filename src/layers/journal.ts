/**
 * A journal: where the memory layer's history outlives the process. This file is the contract; a driver is one module
 * beside it. The layer hands it every publication of groups that keep history before any node sees it, and the journal
 * gives all of them back when the layer starts again.
 *
 * Obligations of a driver:
 *
 *  1. When `write` has returned (or what it returned has resolved) its records survive whatever the driver promises to
 *     survive. The layer calls it again only then; sequences grow by one from record to record.
 *  2. `open` takes the journal for itself, and rejects where another process has it. It restores into `history` the epoch
 *     and all that was written, in the order of each group, or calls `history.begin(null)`: a group whose publications are
 *     not all there must not look whole. Where something was lost or cut it says so through `report`.
 *     An `open` that rejects with another code than `journal-failed` holds nothing.
 *  3. What it stores is bounded. What does not fit is forgotten by group, the quietest first, and restored as gone.
 *  4. After a failure of `write`, `restart` or on its own (told through `failed`) it is not called again but for `abandon` and
 *     `close`. `abandon` makes sure that a later `open` restores nothing: the layer goes on without the journal.
 *  5. `close` makes everything durable and lets the journal go; no timer and no descriptor stays.
 */
import type { GroupcastError } from '../errors.ts'

/** A publication as a journal is given it. */
export interface JournalRecord {
  readonly group: string
  /** One above that of the record before. */
  readonly sequence: number
  readonly json: string
}

/** A publication that a group keeps. */
export interface KeptPublication {
  readonly sequence: number
  readonly json: string
  /** How long ago it was accepted; across a restart, by the time of day. */
  readonly ageMs: number
}

/** What a group keeps. */
export interface KeptGroup {
  /** Everything up to this sequence may be gone. */
  readonly goneTo: number
  /** How many publications it keeps, and the bytes of their JSON. */
  readonly count: number
  readonly bytes: number
  /** Oldest first. */
  publications(): Iterable<KeptPublication>
}

/** The layer's history, as a journal restores and copies it. */
export interface JournaledHistory {
  readonly epoch: string
  /** The sequence of the last publication. */
  readonly sequence: number
  /** Groups of which nothing is known may have lost what came up to here. */
  readonly forgottenTo: number
  /** The groups of which something is known, the quietest first. */
  groups(): string[]
  /** `null`: nothing is known of it any more. */
  kept(group: string): KeptGroup | null

  /** Forgets everything and goes on under this epoch; `null`: under a new one. */
  begin(epoch: string | null): void
  /** Makes the group the one that got something last. */
  restoreGroup(group: string, goneTo: number): void
  /** The same, with a publication; one that is there already, or gone, changes nothing. */
  restore(group: string, publication: KeptPublication): void
  /** What came last, and up to where groups that are not known may have lost something. Called at the end. */
  restorePosition(sequence: number, forgottenTo: number): void
}

/** What a journal is opened with. */
export interface JournalStart {
  readonly history: JournaledHistory
  /** Something that operators must hear of; the journal goes on. */
  readonly report: (error: GroupcastError) => void
  /** The journal failed while nobody waited for it. */
  readonly failed: (error: unknown) => void
}

/** See the obligations at the head of this file. */
export interface Journal {
  /**
   * @throws {GroupcastError} `journal-in-use` when another process has it; `journal-failed` for what the disk does: the layer starts without
   * it then, and calls `abandon`
   * @throws {MisuseError} `invalid-option` for what only the developer or operator can mend, such as a directory that is a file
   */
  open(start: JournalStart): Promise<void>
  /** @throws whatever went wrong; nothing of the records counts then */
  write(records: readonly JournalRecord[]): Promise<void> | undefined
  /** Forgets everything that was written: `history` has begun a new epoch. */
  restart(): void
  /** Forgets everything after a failure. @returns whether a later `open` restores nothing */
  abandon(): boolean
  close(): Promise<void>
}
