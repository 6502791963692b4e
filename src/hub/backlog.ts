import type { Batch } from '../batch.ts'

/** What waits for slow readers, in the whole hub: bytes of frames, each counted once however many connections wait for it. */
export class Backlog {
  readonly #maxTotalBytes: number
  #totalBytes = 0

  constructor(maxTotalBytes: number) {
    this.#maxTotalBytes = maxTotalBytes
  }

  get totalBytes(): number {
    return this.#totalBytes
  }

  get isOverTotal(): boolean {
    return this.#totalBytes > this.#maxTotalBytes
  }

  /** A connection waits to write this batch, which grows no more. */
  hold(batch: Batch): void {
    if (batch.holders++ > 0) return
    batch.settle()
    for (const frame of batch.frames()) {
      if (frame.holders++ > 0) continue
      frame.settle()
      this.#totalBytes += frame.bytes.length
    }
  }

  /** So many more or fewer bytes of the past wait for a connection; what several wait for counts for each. */
  changePast(bytes: number): void {
    this.#totalBytes += bytes
  }

  /** It has written it, or given it up. */
  letGo(batch: Batch): void {
    if (--batch.holders > 0) return
    for (const frame of batch.frames()) if (--frame.holders === 0) this.#totalBytes -= frame.bytes.length
  }
}
