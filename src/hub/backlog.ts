import type { Batch } from '../batch.ts'
import type { Publication } from '../publication.ts'

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

  /** A congested connection has yet to get these as the past: they stay in memory, also when history has let go of them. */
  holdPast(publications: readonly Publication[]): void {
    for (const publication of publications)
      if (publication.holders++ === 0) this.#totalBytes += publication.json.length
  }

  /** It has got them, or given them up. */
  letGoPast(publications: readonly Publication[]): void {
    for (const publication of publications)
      if (--publication.holders === 0) this.#totalBytes -= publication.json.length
  }

  /** It has written it, or given it up. */
  letGo(batch: Batch): void {
    if (--batch.holders > 0) return
    for (const frame of batch.frames()) if (--frame.holders === 0) this.#totalBytes -= frame.bytes.length
  }
}
