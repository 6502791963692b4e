/** What the journal asks of the file system: few calls, so that tests can let each of them fail. */
import {
  closeSync,
  fdatasync,
  fdatasyncSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { dirname } from 'node:path'

/** An open file. */
export type File = number

/** Names are whole paths. Calls are synchronous but for {@link Files.sync}. */
export interface Files {
  makeDirectory(path: string): void
  list(directory: string): string[]
  /** Makes a file that is not there yet. */
  create(path: string): File
  openToRead(path: string): File
  sizeOf(file: File): number
  /** @returns how many bytes were read */
  read(file: File, into: Uint8Array, position: number): number
  /** Appends all of it. */
  write(file: File, bytes: Uint8Array): void
  /** Makes what was written survive a loss of power; of a directory, the names in it. */
  sync(file: File): Promise<void>
  syncNow(file: File): void
  rename(from: string, to: string): void
  remove(path: string): void
  close(file: File): void
}

/** Messages may be private. */
const OWNER_ONLY = 0o600

export const systemFiles: Files = {
  makeDirectory,
  list: (directory) => readdirSync(directory),
  create: (path) => openSync(path, 'wx', OWNER_ONLY),
  openToRead: (path) => openSync(path, 'r'),
  sizeOf: (file) => fstatSync(file).size,
  read: (file, into, position) => readSync(file, into, 0, into.length, position),
  write(file, bytes) {
    // A disk that is nearly full takes a part, and says so only when it is asked for the rest.
    for (let done = 0; done < bytes.length; ) done += writeSync(file, bytes, done)
  },
  sync: (file) =>
    new Promise((resolve, reject) => {
      fdatasync(file, (error) => (error === null ? resolve() : reject(error)))
    }),
  syncNow: (file) => fdatasyncSync(file),
  rename: (from, to) => renameSync(from, to),
  remove: (path) => unlinkSync(path),
  close: (file) => closeSync(file),
}

/** Not by `recursive`: where a parent is there and takes nothing (`/proc`), Node tries for ever. */
function makeDirectory(path: string): void {
  try {
    mkdirSync(path)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST' && statSync(path).isDirectory()) return
    const parent = dirname(path)
    if (code !== 'ENOENT' || parent === path) throw error
    makeDirectory(parent)
    mkdirSync(path)
  }
}
