/** Reads the records of one file, and says how it ends. */
import type { File, Files } from './files.ts'
import { decodePayload, HEAD_BYTES, type JournalItem, MAGIC, payloadLength } from './format.ts'

/** How a file ends: behind a record, within one that was not finished, or before bytes that no write leaves behind. */
export interface FileEnd {
  readonly kind: 'whole' | 'torn' | 'damaged'
  /** Up to here it is as it was written. */
  readonly offset: number
  /** Bytes behind that. */
  readonly rest: number
}

const WINDOW_BYTES = 1024 * 1024

/** Reads a file from its beginning, a window at a time: journals may be larger than a buffer. */
export class RecordReader {
  readonly #files: Files
  readonly #file: File
  readonly #size: number
  #window = Buffer.alloc(0)
  #windowStart = 0
  #offset = 0

  constructor(files: Files, file: File) {
    this.#files = files
    this.#file = file
    this.#size = files.sizeOf(file)
  }

  /** Gives each record to `take`, which answers `false` to one that cannot stand there. */
  read(take: (item: JournalItem) => boolean): FileEnd {
    const magic = this.#at(0, Math.min(MAGIC.length, this.#size))
    if (!magic.equals(MAGIC.subarray(0, magic.length))) return this.#end('damaged')
    if (magic.length < MAGIC.length) return this.#end('torn')
    this.#offset = MAGIC.length
    while (this.#offset < this.#size) {
      const rest = this.#size - this.#offset
      if (rest < HEAD_BYTES) return this.#end('torn')
      const length = payloadLength(this.#at(this.#offset, HEAD_BYTES))
      // A loss of power can leave a file longer than what was written into it.
      if (length === null) return this.#end(this.#isZeroToTheEnd() ? 'torn' : 'damaged')
      if (HEAD_BYTES + length > rest) return this.#end('torn')
      const record = this.#at(this.#offset, HEAD_BYTES + length)
      const item = decodePayload(record.subarray(0, HEAD_BYTES), record.subarray(HEAD_BYTES))
      if (item === null || !take(item)) return this.#end('damaged')
      this.#offset += HEAD_BYTES + length
    }
    return this.#end('whole')
  }

  #end(kind: FileEnd['kind']): FileEnd {
    return { kind, offset: this.#offset, rest: this.#size - this.#offset }
  }

  #isZeroToTheEnd(): boolean {
    for (let offset = this.#offset; offset < this.#size; offset += WINDOW_BYTES) {
      const bytes = this.#at(offset, Math.min(WINDOW_BYTES, this.#size - offset))
      if (bytes.some((byte) => byte !== 0)) return false
    }
    return true
  }

  #at(offset: number, length: number): Buffer {
    const from = offset - this.#windowStart
    if (from >= 0 && from + length <= this.#window.length) return this.#window.subarray(from, from + length)
    const bytes = Math.min(Math.max(WINDOW_BYTES, length), this.#size - offset)
    this.#window = Buffer.alloc(bytes)
    this.#windowStart = offset
    for (let done = 0; done < bytes; ) {
      const read = this.#files.read(this.#file, this.#window.subarray(done), offset + done)
      if (read === 0) throw new Error('The file became shorter while it was read.')
      done += read
    }
    return this.#window.subarray(0, length)
  }
}
