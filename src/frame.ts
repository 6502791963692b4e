import type { Publication } from './publication.ts'
import type { SlowPolicy } from './slow.ts'

/** What is asked of a publication that waits: by the policies for slow readers, and by who has got it as the past. */
export type Waiting = Pick<Publication, 'slow' | 'conflationKey' | 'group' | 'cursor'>

/** The bytes of one publication, or of one control object, in one wire format. Shared by all connections that get them. */
export class Frame {
  readonly bytes: Buffer
  #publication: Waiting | null
  /** How many waiting batches it is in. */
  holders = 0

  constructor(bytes: Buffer, publication: Publication | null = null) {
    this.bytes = bytes
    this.#publication = publication
  }

  /** What it carries; `null` for control objects, which nothing may drop. */
  get publication(): Waiting | null {
    return this.#publication
  }

  get size(): number {
    return this.bytes.length
  }

  /** It waits for slow readers: keeps no more of its publication than their policies ask for. The text would be as large as the bytes. */
  settle(): void {
    if (this.#publication === null) return
    const { slow, group, cursor } = this.#publication
    // The key is read from the text: only where somebody may ask for it.
    const conflationKey = slow === null || slow === 'latest' ? this.#publication.conflationKey : null
    const isPlain = conflationKey === null && cursor === null
    this.#publication = isPlain ? PLAIN[slow ?? 'none'] : { slow, conflationKey, group, cursor }
  }
}

/** One object for all frames of a policy. */
const PLAIN: Readonly<Record<SlowPolicy | 'none', Waiting>> = {
  none: plain(null),
  close: plain('close'),
  drop: plain('drop'),
  latest: plain('latest'),
}

function plain(slow: SlowPolicy | null): Waiting {
  return { slow, conflationKey: null, group: null, cursor: null }
}
