/** Reads what an earlier run left. */
import { join } from 'node:path'
import type { JournaledHistory } from '../journal.ts'
import type { Files } from './files.ts'
import type { About, JournalItem } from './format.ts'
import { type FileEnd, RecordReader } from './record-reader.ts'

/** What was found. */
export interface Recovered {
  /** The highest number of a file; 0: there is none. */
  readonly lastNumber: number
  /** What operators must hear, or `null`. */
  readonly notice: string | null
}

/** What recovery needs to know. */
export interface RecoveryParts {
  readonly directory: string
  readonly files: Files
  readonly history: JournaledHistory
  /** Time of day, as `Date.now()`. */
  readonly now: number
  /** The machine's boot; `null` where that cannot be known. */
  readonly boot: string | null
}

/** The files of a directory by their number. */
export interface JournalFiles {
  /** What history kept when the log of that number was begun. */
  readonly bases: readonly number[]
  readonly logs: readonly number[]
  /** Bases that were not finished. */
  readonly unfinished: readonly number[]
}

export const baseName = (number: number) => `journal-${number}.base`
export const unfinishedName = (number: number) => `${baseName(number)}.new`
export const logName = (number: number) => `journal-${number}.log`

export function journalFiles(names: readonly string[]): JournalFiles {
  const numbers = (pattern: RegExp) =>
    names
      .map((name) => Number(pattern.exec(name)?.[1] ?? Number.NaN))
      .filter((number) => !Number.isNaN(number))
      .sort((a, b) => a - b)
  return {
    bases: numbers(/^journal-([1-9]\d{0,14})\.base$/),
    logs: numbers(/^journal-([1-9]\d{0,14})\.log$/),
    unfinished: numbers(/^journal-([1-9]\d{0,14})\.base\.new$/),
  }
}

/** Nothing can be proved of what the files hold. The text says why. */
class Lost extends Error {}

/** A file of another version of groupcast: nothing that may be forgotten. */
export class UnknownVersion extends Error {}

/**
 * Restores into the history what the newest base and the logs behind it hold; or begins a new epoch where that is not, or may not be, all that
 * was accepted.
 *
 * @throws {UnknownVersion}
 */
export function recover(parts: RecoveryParts): Recovered {
  const found = journalFiles(parts.files.list(parts.directory))
  const lastNumber = Math.max(0, ...found.bases, ...found.logs, ...found.unfinished)
  if (found.bases.length + found.logs.length === 0) {
    parts.history.begin(null)
    return { lastNumber, notice: null }
  }
  try {
    return { lastNumber, notice: new Recovery(parts, found).run() }
  } catch (error) {
    if (!(error instanceof Lost)) throw error
    parts.history.begin(null)
    return {
      lastNumber,
      notice: `The journal in ${parts.directory} ${error.message} History begins anew, and clients that come back are told so.`,
    }
  }
}

class Recovery {
  readonly #parts: RecoveryParts
  readonly #found: JournalFiles
  #sequence = 0
  #forgottenTo = 0
  /** The last log that says of itself how it was written. */
  #run: About | null = null
  #isClosed = false
  /** The end of what is whole, once it is met. */
  #tear: string | null = null

  constructor(parts: RecoveryParts, found: JournalFiles) {
    this.#parts = parts
    this.#found = found
  }

  /** @returns what was cut, if anything was */
  run(): string | null {
    const { bases, logs } = this.#found
    const base = bases.at(-1)
    if (base === undefined) throw new Lost(`has ${logName(logs[0] ?? 0)} and not what came before it.`)
    this.#readBase(baseName(base))
    const reached = this.#sequence
    // Groups that come up in the logs for the first time may have been forgotten before.
    this.#parts.history.restorePosition(reached, this.#forgottenTo)
    const rest = logs.filter((log) => log >= base)
    for (const [index, log] of rest.entries()) {
      if (log !== base + index) throw new Lost(`lacks ${logName(base + index)}.`)
      // A base is written while its log goes on, and holds publications of both; the log begins before.
      this.#readLog(logName(log), index === 0)
    }
    if (this.#sequence < reached) {
      throw new Lost(`is shorter than ${baseName(base)} says: publications are missing at its end.`)
    }
    this.#assertNothingUnwritten()
    this.#parts.history.restorePosition(this.#sequence, this.#forgottenTo)
    return this.#tear
  }

  #readBase(name: string): void {
    let isComplete = false
    const end = this.#read(name, 'base', (item, about) => {
      if (isComplete) return false
      const { history } = this.#parts
      switch (item.type) {
        case 'about':
          history.begin(about.epoch)
          return true
        case 'group':
          history.restoreGroup(item.group, item.goneTo)
          return true
        case 'publication':
          this.#restore(item)
          return true
        case 'position':
          isComplete = true
          this.#sequence = item.sequence
          this.#forgottenTo = item.forgottenTo
          return true
        default:
          return false
      }
    })
    if (end.kind !== 'whole' || !isComplete) throw damaged(name, end)
  }

  #readLog(name: string, isFirst: boolean): void {
    if (this.#isClosed) throw new Lost(`was closed, and has ${name} behind its end.`)
    let position: number | null = null
    const end = this.#read(name, 'log', (item, about) => {
      if (this.#isClosed) return false
      switch (item.type) {
        case 'about':
          this.#run = about
          return true
        case 'position':
          if (position !== null) return false
          if (isFirst ? item.sequence > this.#sequence : item.sequence !== this.#sequence)
            throw new Lost(`lacks publications before ${name}.`)
          // Nothing was written into this log before the one before it was complete.
          if (this.#tear !== null) throw new Lost(`has an unfinished record before ${name}.`)
          position = item.sequence
          this.#sequence = item.sequence
          return true
        case 'publication':
          if (position === null || item.sequence !== this.#sequence + 1) return false
          this.#sequence = item.sequence
          this.#restore(item)
          return true
        case 'closed':
          this.#isClosed = true
          return true
        default:
          return false
      }
    })
    if (end.kind === 'damaged') throw damaged(name, end)
    // One that is empty was only just made.
    if (end.kind === 'torn' && end.offset + end.rest > 0) {
      this.#tear = `${end.rest} bytes of a record that was not finished were cut from ${name} at ${end.offset}, in ${this.#parts.directory}: what it held had not been accepted, so nothing is lost.`
    }
  }

  #read(name: string, kind: About['kind'], take: (item: JournalItem, about: About) => boolean): FileEnd {
    const { files, directory } = this.#parts
    const file = files.openToRead(join(directory, name))
    let about: About | null = null
    try {
      return new RecordReader(files, file).read((item) => {
        if (item.type === 'about') {
          if (!item.isKnownVersion) throw new UnknownVersion(name)
          if (about !== null || item.about.kind !== kind) return false
          about = item.about
          if (kind === 'log' && about.epoch !== this.#parts.history.epoch) return false
        }
        return about !== null && take(item, about)
      })
    } finally {
      files.close(file)
    }
  }

  #restore({ group, sequence, at, json }: JournalItem & { type: 'publication' }): void {
    this.#parts.history.restore(group, { sequence, json, ageMs: Math.max(0, this.#parts.now - at) })
  }

  /**
   * A process that is killed loses nothing that it has written: the system has it. When the machine itself went down, what was not made to survive that
   * may be missing without a trace, behind any record.
   */
  #assertNothingUnwritten(): void {
    if (this.#run === null || this.#isClosed || this.#run.isSynced) return
    const { boot } = this.#parts
    if (boot !== null && boot === this.#run.boot) return
    throw new Lost(
      "was not closed, and the machine has started since (or that cannot be told here): what was not on the disk yet would be missing. sync: 'always' prevents that.",
    )
  }
}

function damaged(name: string, { offset, rest }: FileEnd): Lost {
  return new Lost(`is damaged: ${name} at ${offset}, ${rest} bytes before its end.`)
}
