const EMPTY = Buffer.alloc(0)
const FIRST_CAPACITY = 4096

/** Gathers chunks into one run of bytes. */
export class ByteCollector {
  #bytes: Buffer = EMPTY
  #length = 0

  get length(): number {
    return this.#length
  }

  /** Appends a chunk. A first chunk is kept, not copied. */
  add(chunk: Uint8Array): void {
    const end = this.#length + chunk.length
    if (this.#length === 0) {
      // Nearly every body comes in one piece.
      this.#bytes = asBuffer(chunk)
      this.#length = end
      return
    }
    // The first chunk is full, so it is never written to.
    if (this.#bytes.length < end) this.#grow(end)
    this.#bytes.set(chunk, this.#length)
    this.#length = end
  }

  /** The bytes so far. The collector is empty afterwards. */
  take(): Buffer {
    const bytes = this.#bytes.subarray(0, this.#length)
    this.#bytes = EMPTY
    this.#length = 0
    return bytes
  }

  // A list of chunks would cost a client one byte, and us an object, for each: so they are copied together, in room that doubles.
  #grow(needed: number): void {
    const grown = Buffer.allocUnsafe(Math.max(needed, this.#length * 2, FIRST_CAPACITY))
    grown.set(this.#bytes.subarray(0, this.#length))
    this.#bytes = grown
  }
}

/** The same memory as a Buffer. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
