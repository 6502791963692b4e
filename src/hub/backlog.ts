import type { Batch, Unsent } from '../batch.ts'
import type { Frame } from '../frame.ts'
import type { Publication } from '../publication.ts'
import { Heaviest } from './heaviest.ts'

/** Who has something waiting: an outbox. */
export interface Holder {
  /** Of what it has waiting, the bytes that are on its account: what several wait for is shared out among them. */
  readonly share: number
  /** Makes do with clearly less, by its policies, or gives up all of it. Called while any group may be walked. */
  giveWay(): void
}

/**
 * What waits for slow readers, in the whole hub and in its links: bytes of frames, each counted once however many connections wait for it, and
 * bytes that congested links have yet to send.
 */
export class Backlog {
  readonly #maxTotalBytes: number
  #totalBytes = 0
  readonly #holders = new Heaviest<Holder>()

  constructor(maxTotalBytes: number) {
    this.#maxTotalBytes = maxTotalBytes
  }

  get totalBytes(): number {
    return this.#totalBytes
  }

  /** A connection waits to write this batch, which does not change any more. */
  hold(batch: Batch): void {
    if (batch.holders++ > 0) return
    batch.settle()
    for (const frame of batch.frames()) this.#hold(frame)
  }

  /**
   * A congested link has yet to send so many bytes.
   *
   * @param unsent whose bytes they are, where all links that have them share one copy; `null`: they are the link's own
   */
  holdUnsent(unsent: Unsent | null, bytes: number): void {
    if (unsent === null) this.#totalBytes += bytes
    else if (unsent.counted++ > 0) return
    else if (unsent.frame === null) this.#totalBytes += unsent.size
    else this.#hold(unsent.frame)
  }

  /** It has sent them, or has ended. */
  letGoUnsent(unsent: Unsent | null, bytes: number): void {
    if (unsent === null) this.#totalBytes -= bytes
    else if (--unsent.counted > 0) return
    else if (unsent.frame === null) this.#totalBytes -= unsent.size
    else this.#letGo(unsent.frame)
  }

  /**
   * A congested connection has yet to get these as the past: they stay in memory, also when history has let go of them.
   *
   * @returns how many bytes they are
   */
  holdPast(publications: readonly Publication[]): number {
    let bytes = 0
    for (const publication of publications) {
      bytes += publication.json.length
      if (publication.holders++ === 0) this.#totalBytes += publication.json.length
    }
    return bytes
  }

  /** It has got them, or given them up. @returns how many bytes they are */
  letGoPast(publications: readonly Publication[]): number {
    let bytes = 0
    for (const publication of publications) {
      bytes += publication.json.length
      if (--publication.holders === 0) this.#totalBytes -= publication.json.length
    }
    return bytes
  }

  /** It has written it, or given it up. */
  letGo(batch: Batch): void {
    if (--batch.holders > 0) return
    for (const frame of batch.frames()) this.#letGo(frame)
  }

  /** A connection holds so much now, shared or not; 0: nothing any more. */
  file(holder: Holder, bytes: number): void {
    this.#holders.file(holder, bytes)
  }

  /**
   * While more waits in all than may, whoever has most of it gives way: not whoever happens to be sent something. Each that does frees a part
   * of what it was sent before, so that this costs no more than the sending did.
   */
  relieve(): void {
    while (this.#totalBytes > this.#maxTotalBytes) {
      const holder = this.#holders.pick()
      if (holder === null) return
      holder.giveWay()
    }
  }

  #hold(frame: Frame): void {
    if (frame.holders++ > 0) return
    frame.settle()
    this.#totalBytes += frame.bytes.length
  }

  #letGo(frame: Frame): void {
    if (--frame.holders === 0) this.#totalBytes -= frame.bytes.length
  }
}
