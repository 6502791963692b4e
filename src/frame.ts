import type { Publication } from './publication.ts'
import type { SlowPolicy } from './slow.ts'

/** What slow readers' policies ask of a publication. */
export type Conflation = Pick<Publication, 'slow' | 'conflationKey'>

/** The bytes of one publication, or of one control object, in one wire format. Shared by all connections that get them. */
export class Frame {
  readonly bytes: Buffer
  #publication: Conflation | null
  /** How many waiting batches it is in. */
  holders = 0

  constructor(bytes: Buffer, publication: Publication | null = null) {
    this.bytes = bytes
    this.#publication = publication
  }

  /** What it carries; `null` for control objects, which nothing may drop. */
  get publication(): Conflation | null {
    return this.#publication
  }

  /** It waits for slow readers: keeps no more of its publication than their policies ask for. The text would be as large as the bytes. */
  settle(): void {
    if (this.#publication === null) return
    const { slow } = this.#publication
    // The key is read from the text: only where somebody may ask for it.
    const conflationKey = slow === null || slow === 'latest' ? this.#publication.conflationKey : null
    this.#publication = conflationKey === null ? KEYLESS[slow ?? 'none'] : { slow, conflationKey }
  }
}

/** One object for all frames of a policy. */
const KEYLESS: Readonly<Record<SlowPolicy | 'none', Conflation>> = {
  none: { slow: null, conflationKey: null },
  close: { slow: 'close', conflationKey: null },
  drop: { slow: 'drop', conflationKey: null },
  latest: { slow: 'latest', conflationKey: null },
}
