/**
 * A journal in files of one directory. Publications are appended to a log; when it is long enough the next one is begun, and beside it a base is
 * written: a copy of what history keeps. A base and the logs from its number on hold everything, so what came before is removed then.
 */

import { join } from 'node:path'
import { setImmediate as immediate } from 'node:timers/promises'
import { GroupcastError, MisuseError } from '../../errors.ts'
import type { Journal, JournaledHistory, JournalRecord, JournalStart, KeptGroup } from '../journal.ts'
import type { File, Files } from './files.ts'
import { Encoder, HEAD_BYTES, PUBLICATION_BYTES } from './format.ts'
import { type Lock, lock } from './lock.ts'
import { baseName, journalFiles, logName, recover, UnknownVersion, unfinishedName } from './recovery.ts'

/** The options of a {@link FileJournal}, resolved, and what tests replace. */
export interface FileJournalParts {
  readonly directory: string
  readonly maxBytes: number
  /** Whether each write is made to survive a loss of power before it counts. */
  readonly isSynced: boolean
  readonly files: Files
  /** As `Date.now()`. */
  readonly timeOfDay: () => number
  /** The machine's boot; `null` where that cannot be known. */
  readonly boot: string | null
}

/** A log that is shorter is not worth a copy of what history keeps. */
const MIN_LOG_BYTES = 8 * 1024 * 1024
/** How much of a base is written, or of its size reckoned, before others get their turn. */
const CHUNK_BYTES = 256 * 1024
const CHUNK_GROUPS = 1000

/** What is wrong with the directory, and not with the disk: waiting does not mend it. */
const WRONG_DIRECTORY = [
  'EACCES',
  'EPERM',
  'EROFS',
  'ENOTDIR',
  'ENOENT',
  'EEXIST',
  'ELOOP',
  'ENAMETOOLONG',
  'ENOTSUP',
  'EOPNOTSUPP',
]
const NO_DESCRIPTOR = ['EMFILE', 'ENFILE']

/** A log that is written. */
interface Log {
  readonly file: File
  bytes: number
  /** The first record says which publication it goes on from. */
  isEmpty: boolean
}

/** Writes a base: asks for a file to be synchronised, or, with `null`, for a pause. */
type Copying = Generator<File | null, void>

/** See `journal.ts` for its obligations, and `fileJournal` for what it promises. */
export class FileJournal implements Journal {
  readonly #parts: FileJournalParts
  readonly #encoder = new Encoder()
  /** Most bytes of a base, and of a log while the next base is written; twice each is all there is at a time. */
  readonly #mostBase: number
  readonly #mostLog: number
  #start: JournalStart | null = null
  #lock: Lock | null = null
  /** Open all the time: when the process has no descriptor left, names can still be made to last. */
  #directory: File | null = null
  /** The highest number of a file. */
  #number = 0
  #log: Log | null = null
  #copying: Copying | null = null
  /** The length of the log at which the next one is begun. */
  #copyAt = 0

  constructor(parts: FileJournalParts) {
    this.#parts = parts
    this.#mostBase = Math.floor(parts.maxBytes / 3)
    this.#mostLog = Math.floor(parts.maxBytes / 6)
  }

  async open(start: JournalStart): Promise<void> {
    if (this.#start !== null) {
      throw new MisuseError('invalid-option', 'This fileJournal() is in use: give each layer one of its own.')
    }
    this.#start = start
    try {
      await this.#open(start)
    } catch (error) {
      const fault = this.#openFault(error)
      if (fault.code !== 'journal-failed') await this.close()
      throw fault
    }
  }

  write(records: readonly JournalRecord[]): Promise<void> | undefined {
    try {
      return this.#write(records)
    } catch (error) {
      throw this.#fault(error)
    }
  }

  restart(): void {
    try {
      this.#stop()
      const number = ++this.#number
      for (const file of this.#copy(number, this.#createBase(number))) {
        if (file !== null) this.#parts.files.syncNow(file)
      }
      this.#beginLog(number)
    } catch (error) {
      throw this.#fault(error)
    }
  }

  abandon(): boolean {
    const { files, directory, isSynced } = this.#parts
    try {
      this.#stop()
      const { bases, logs, unfinished } = journalFiles(files.list(directory))
      // Without a base nothing is restored, whatever else is left.
      for (const name of [...bases.map(baseName), ...logs.map(logName), ...unfinished.map(unfinishedName)]) {
        files.remove(join(directory, name))
      }
      // Should they come back after a loss of power: a journal that was not synchronised is not restored then.
      if (isSynced) this.#syncNames()
      return true
    } catch (error) {
      return codeOf(error) === 'ENOENT'
    }
  }

  async close(): Promise<void> {
    try {
      await this.#finish()
    } catch (error) {
      this.#start?.report(this.#fault(error))
      this.abandon()
    }
    this.#closeFile(this.#directory)
    this.#directory = null
    await this.#lock?.release()
    this.#lock = null
    this.#start = null
  }

  // --- Beginning ---

  async #open({ history, report }: JournalStart): Promise<void> {
    const { files, directory } = this.#parts
    files.makeDirectory(directory)
    this.#lock = await lock(directory)
    this.#directory = files.openToRead(directory)
    this.#number = this.#recover(history, report)
    const number = ++this.#number
    await this.#drive(this.#copy(number, this.#createBase(number)))
    this.#beginLog(number)
  }

  #recover(history: JournaledHistory, report: JournalStart['report']): number {
    const { files, directory, timeOfDay, boot } = this.#parts
    try {
      const { lastNumber, notice } = recover({ directory, files, history, boot, now: timeOfDay() })
      if (notice !== null) report(new GroupcastError('journal-damaged', notice))
      return lastNumber
    } catch (error) {
      // Half of it must not look whole.
      history.begin(null)
      throw error
    }
  }

  #beginLog(number: number): void {
    this.#log = this.#createLog(number)
    // Later it is the absence of a log that says that nothing was accepted.
    this.#parts.files.syncNow(this.#log.file)
    this.#syncNames()
    this.#removeBefore(number)
  }

  #createBase(number: number): File {
    return this.#parts.files.create(this.#path(unfinishedName(number)))
  }

  #createLog(number: number): Log {
    const { files } = this.#parts
    const file = files.create(this.#path(logName(number)))
    try {
      this.#about(this.#encoder, 'log')
      const bytes = this.#encoder.take()
      files.write(file, bytes)
      return { file, bytes: bytes.length, isEmpty: true }
    } catch (error) {
      this.#closeFile(file)
      throw error
    }
  }

  // --- Writing ---

  #write(records: readonly JournalRecord[]): Promise<void> | undefined {
    const { files, isSynced } = this.#parts
    const current = this.#log
    if (current === null) throw new Error('The journal is not open.')
    if (this.#copying !== null && current.bytes >= this.#mostLog) this.#finishCopying(this.#copying)
    if (this.#copying === null && current.bytes >= this.#copyAt) this.#beginNext(current)
    const log = this.#log ?? current
    this.#encode(log, records)
    const bytes = this.#encoder.take()
    files.write(log.file, bytes)
    log.bytes += bytes.length
    log.isEmpty = false
    return isSynced ? this.#synced(log.file) : undefined
  }

  #encode(log: Log, records: readonly JournalRecord[]): void {
    const { history } = this.#started()
    if (log.isEmpty) this.#encoder.position(history.sequence, history.forgottenTo)
    const now = this.#parts.timeOfDay()
    for (const { group, sequence, json } of records) this.#encoder.publication(group, sequence, now, json)
  }

  async #synced(file: File): Promise<void> {
    try {
      await this.#parts.files.sync(file)
    } catch (error) {
      throw this.#fault(error)
    }
  }

  // --- Beginning anew what has become too long ---

  #beginNext(current: Log): void {
    const number = this.#number + 1
    let base: File | null = null
    try {
      base = this.#createBase(number)
      this.#log = this.#createLog(number)
    } catch (error) {
      this.#closeFile(base)
      if (base !== null) this.#parts.files.remove(this.#path(unfinishedName(number)))
      if (!NO_DESCRIPTOR.includes(codeOf(error)) || current.bytes >= this.#mostLog * 2) throw error
      // So many connections are open. Some of them will go.
      this.#copyAt = current.bytes + Math.ceil(this.#mostLog / 8)
      return
    }
    this.#number = number
    if (this.#parts.isSynced) this.#syncNames()
    this.#closeFile(current.file)
    const copying = this.#copy(number, base)
    this.#copying = copying
    // It comes to its first pause at once: the groups are listed before anything is written into the new log.
    this.#drive(copying).catch((error) => {
      // Unless somebody else has finished it, who had the error.
      if (this.#copying !== copying) return
      this.#copying = null
      this.#start?.failed(this.#fault(error))
    })
  }

  /** Goes on with a base between other things. */
  async #drive(copying: Copying): Promise<void> {
    const isOwn = this.#copying === copying
    for (let next = copying.next(); !next.done; next = copying.next()) {
      await (next.value === null ? immediate() : this.#parts.files.sync(next.value))
      if (isOwn && this.#copying !== copying) return
    }
    if (isOwn) this.#copying = null
  }

  /** The log has become too long while the base was written: now, and at once. */
  #finishCopying(copying: Copying): void {
    for (const file of copying) if (file !== null) this.#parts.files.syncNow(file)
    this.#copying = null
  }

  /**
   * Writes what history keeps while it goes on: what was there when the log was begun, less what is gone when a group's turn comes.
   */
  *#copy(number: number, base: File): Copying {
    const { files } = this.#parts
    const { history } = this.#started()
    const encoder = new Encoder()
    const { sequence: begin, forgottenTo } = history
    const groups = history.groups()
    let isOpen = true
    let bytes = 0
    const flush = () => {
      bytes += encoder.length
      files.write(base, encoder.take())
    }
    try {
      this.#about(encoder, 'base')
      yield null
      const skipped = yield* this.#skipped(groups)
      for (const group of groups.slice(skipped)) {
        const kept = history.kept(group)
        if (kept === null) {
          // Forgotten since it was listed.
          encoder.group(group, history.forgottenTo)
          continue
        }
        encoder.group(group, kept.goneTo)
        for (const { sequence, json, ageMs } of kept.publications()) {
          // The rest is in the log; a base that grew while it is written would know no bound.
          if (sequence > begin) break
          encoder.publication(group, sequence, this.#parts.timeOfDay() - ageMs, json)
          if (encoder.length < CHUNK_BYTES) continue
          flush()
          yield null
        }
      }
      // Groups without a record may have lost what they had then; what came since is in the log.
      encoder.position(history.sequence, skipped === 0 ? forgottenTo : begin)
      flush()
      yield base
      isOpen = false
      this.#closeFile(base)
      files.rename(this.#path(unfinishedName(number)), this.#path(baseName(number)))
      this.#syncNames()
      this.#removeBefore(number)
      this.#copyAt = Math.min(this.#mostLog, Math.max(MIN_LOG_BYTES, 2 * bytes))
    } finally {
      if (isOpen) this.#closeFile(base)
    }
  }

  /** How many of the groups, the quietest first, do not fit into a base. */
  *#skipped(groups: readonly string[]): Generator<null, number> {
    const { history } = this.#started()
    let bytes = 0
    for (let index = groups.length - 1; index >= 0; index--) {
      const group = groups[index] ?? ''
      const kept = history.kept(group)
      bytes += kept === null ? 0 : bytesOf(group, kept)
      if (bytes > this.#mostBase) return index + 1
      if (index % CHUNK_GROUPS === 0) yield null
    }
    return 0
  }

  #removeBefore(number: number): void {
    const { files, directory } = this.#parts
    const { bases, logs, unfinished } = journalFiles(files.list(directory))
    const names = [
      ...bases.filter((other) => other < number).map(baseName),
      ...logs.filter((other) => other < number).map(logName),
      ...unfinished.filter((other) => other < number).map(unfinishedName),
    ]
    for (const name of names) files.remove(this.#path(name))
  }

  // --- The end ---

  /** Says in the log that it ends here, once all before that is on the disk. */
  async #finish(): Promise<void> {
    const { files } = this.#parts
    const log = this.#log
    if (log === null) return
    this.#stopCopying()
    await files.sync(log.file)
    this.#syncNames()
    this.#encoder.closed()
    files.write(log.file, this.#encoder.take())
    await files.sync(log.file)
    this.#stop()
  }

  #stop(): void {
    this.#stopCopying()
    const file = this.#log?.file ?? null
    this.#log = null
    this.#closeFile(file)
  }

  #stopCopying(): void {
    const copying = this.#copying
    this.#copying = null
    copying?.return()
  }

  // --- Small things ---

  #started(): JournalStart {
    if (this.#start === null) throw new Error('The journal is not open.')
    return this.#start
  }

  #about(encoder: Encoder, kind: 'log' | 'base'): void {
    const { boot, isSynced } = this.#parts
    encoder.about({ kind, epoch: this.#started().history.epoch, boot, isSynced })
  }

  #path(name: string): string {
    return join(this.#parts.directory, name)
  }

  #syncNames(): void {
    if (this.#directory !== null) this.#parts.files.syncNow(this.#directory)
  }

  #closeFile(file: File | null): void {
    if (file === null) return
    try {
      this.#parts.files.close(file)
    } catch {
      // The descriptor is gone all the same. Whether the bytes are on the disk is what `sync` tells.
    }
  }

  #openFault(error: unknown): GroupcastError | MisuseError {
    const { directory } = this.#parts
    if (error instanceof UnknownVersion) {
      return new MisuseError(
        'invalid-option',
        `The journal in ${directory} is of another version of groupcast (${error.message}): use that, or another directory, or remove its files.`,
      )
    }
    if (WRONG_DIRECTORY.includes(codeOf(error))) {
      return new MisuseError(
        'invalid-option',
        `The journal's directory ${directory} cannot be used: ${textOf(error)}.`,
      )
    }
    return this.#fault(error)
  }

  #fault(error: unknown): GroupcastError {
    if (error instanceof GroupcastError) return error
    return new GroupcastError(
      'journal-failed',
      `The journal in ${this.#parts.directory} failed: ${textOf(error)}. History goes on in memory alone, and a restart forgets it. Mend the disk, then restart the hub.`,
      { cause: error },
    )
  }
}

/** A JSON text that has no UTF-8 takes more; there is hardly one. */
function bytesOf(group: string, { count, bytes }: KeptGroup): number {
  const name = Buffer.byteLength(group)
  return bytes + count * (PUBLICATION_BYTES + name) + HEAD_BYTES + 9 + name
}

function codeOf(error: unknown): string {
  return String((error as { code?: unknown } | null)?.code ?? '')
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
