/** Cursors of layers whose positions are one growing number: `<epoch>.<sequence>`. */

/** A position: the sequence number of the last publication, in an epoch. */
export interface Position {
  /** Another one whenever history may have been lost. `[a-z0-9]{1,32}`. */
  readonly epoch: string
  /** From 1; 0 is before the first. */
  readonly sequence: number
}

const CURSOR = /^([a-z0-9]{1,32})\.(0|[1-9][0-9]{0,15})$/

export function encodeCursor(epoch: string, sequence: number): string {
  return `${epoch}.${sequence}`
}

/** `null` for whatever is no cursor of this form: it came from a client. */
export function decodeCursor(text: string): Position | null {
  const [, epoch, digits] = CURSOR.exec(text) ?? []
  if (epoch === undefined || digits === undefined) return null
  const sequence = Number(digits)
  return Number.isSafeInteger(sequence) ? { epoch, sequence } : null
}

/** The position just before a publication of this form. */
export function cursorBefore(cursor: string): string {
  const position = decodeCursor(cursor)
  return position === null ? cursor : encodeCursor(position.epoch, position.sequence - 1)
}
