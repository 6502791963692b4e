/** The journal in files: what keeps a memory layer's history over a restart. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { MisuseError } from '../../errors.ts'
import { quote } from '../../names.ts'
import { assertKnownOptions } from '../../options.ts'
import type { Journal } from '../journal.ts'
import { FileJournal } from './file-journal.ts'
import { systemFiles } from './files.ts'

export type { Journal }

/** Options of {@link fileJournal}. */
export interface FileJournalOptions {
  /** Where its files are; made if it is not there. Relative to the working directory. One process at a time can have it. */
  readonly directory: string
  /**
   * Most bytes of all its files together (and one write more): 512 MiB unless given. A third of it must hold all that groups keep; of what is more, the groups
   * that were quiet longest are forgotten by the next start.
   */
  readonly maxBytes?: number
  /**
   * `'none'` (the default): history survives whatever ends the process, also a `kill -9`. When the machine itself goes down, it begins anew. `'always'`: it
   * survives that too, and `groupSend` waits until the disk has the message.
   */
  readonly sync?: 'none' | 'always'
}

const KNOWN = ['directory', 'maxBytes', 'sync']
const DEFAULT_MAX_BYTES = 512 * 1024 * 1024
const LEAST_MAX_BYTES = 1024 * 1024

/**
 * Keeps a memory layer's history in files, so that a hub that starts again has the history, cursors and epoch of before: what was acknowledged is
 * replayed, and clients of before resume as if nothing had happened.
 *
 * A journal that cannot be written (a full disk) stops the journal, not the hub: an error of code `journal-failed` goes to `onError`, history goes on in memory, and
 * after the next restart clients are told that it is gone. What is unfinished at its end is cut, and what is damaged begins a new epoch: both are reported there as
 * `journal-damaged`.
 *
 * @example
 * import { createHub, memoryLayer } from 'groupcast'
 * import { fileJournal } from 'groupcast/layers/journal'
 *
 * const hub = createHub({
 *   layer: memoryLayer({ journal: fileJournal({ directory: './data' }) }),
 *   groups: [{ match: 'chat.*', history: {} }],
 * })
 *
 * @throws {MisuseError} `invalid-option` naming the option, its value and what is allowed. When the layer starts: the same for a directory that cannot be used,
 *   and `journal-in-use` while another process has it
 */
export function fileJournal(options: FileJournalOptions): Journal {
  assertKnownOptions('fileJournal', options, KNOWN)
  const { directory, maxBytes = DEFAULT_MAX_BYTES, sync = 'none' } = options
  if (typeof directory !== 'string' || directory === '' || directory.includes('\0'))
    refuse('directory', directory, 'the path of a directory')
  if (!Number.isSafeInteger(maxBytes) || maxBytes < LEAST_MAX_BYTES) {
    refuse('maxBytes', maxBytes, `a whole number of bytes from ${LEAST_MAX_BYTES}`)
  }
  if (sync !== 'none' && sync !== 'always') refuse('sync', sync, "'none' or 'always'")
  return new FileJournal({
    directory: resolve(directory),
    maxBytes,
    isSynced: sync === 'always',
    files: systemFiles,
    timeOfDay: Date.now,
    boot: bootId(),
  })
}

function refuse(option: string, value: unknown, allowed: string): never {
  throw new MisuseError(
    'invalid-option',
    `fileJournal has ${option}: ${quote(value)}: it must be ${allowed}.`,
  )
}

/** Linux names each boot. Elsewhere a machine that went down cannot be told from a process that was killed. */
function bootId(): string | null {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
  } catch {
    return null
  }
}
