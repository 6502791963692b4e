import type { Publication } from './publication.ts'

/** The bytes of one publication, or of one control object, in one wire format. Shared by all connections that get them. */
export class Frame {
  readonly bytes: Buffer
  /** What it carries; `null` for control objects, which nothing may drop. */
  readonly publication: Publication | null
  /** How many waiting batches it is in. */
  holders = 0

  constructor(bytes: Buffer, publication: Publication | null = null) {
    this.bytes = bytes
    this.publication = publication
  }
}
