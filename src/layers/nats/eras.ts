import { decodeCursor, encodeCursor, type Position } from '../cursor.ts'
import type { Stored } from './jet-stream.ts'

/** What a server stored between two of its starts. */
export interface Era {
  /** What tells it from all others: `[a-z0-9]{0,15}`; empty before the first that is known. */
  readonly name: string
  /** Its first sequence. */
  readonly from: number
}

/** So many eras are remembered; cursors of older ones are lost. */
const MOST_ERAS = 16

/**
 * The eras of one epoch. A server that loses the end of its stream gives the same sequences again, but it was started in between. So a cursor names its era,
 * and is good only where its sequence is from before the next one.
 */
export class Eras {
  readonly #epoch: string
  /** Oldest first; there is always one. */
  readonly #list: readonly Era[]

  constructor(epoch: string, list: readonly Era[] = [{ name: '', from: 0 }]) {
    this.#epoch = epoch
    this.#list = list
  }

  /** What the stream says. */
  static parse(epoch: string, { sequence, data }: Stored): Eras {
    const list = JSON.parse(data.toString()) as { name: string; from: number | null }[]
    return new Eras(
      epoch,
      list.map(({ name, from }) => ({ name, from: from ?? sequence })),
    )
  }

  /** For the stream; `next` begins with the message that says so. */
  toJson(next: string | null = null): string {
    const list = next === null ? this.#list : [...this.#list, { name: next, from: null }]
    return JSON.stringify(list.slice(-MOST_ERAS))
  }

  /** These, and the next. */
  and(name: string, from: number): Eras {
    return new Eras(this.#epoch, [...this.#list, { name, from }].slice(-MOST_ERAS))
  }

  /** Whether there is nothing to remember: no start of a server is known, as in a cluster. */
  get isEmpty(): boolean {
    return this.#list.every(({ name }) => name === '')
  }

  has(name: string): boolean {
    return this.#list.some((era) => era.name === name)
  }

  get epoch(): string {
    return this.#epoch
  }

  position(sequence: number): Position {
    const era = this.#list.findLast(({ from }) => from <= sequence) ?? (this.#list[0] as Era)
    return { epoch: era.name === '' ? this.#epoch : `${this.#epoch}${MARK}${era.name}`, sequence }
  }

  cursor(sequence: number): string {
    const { epoch } = this.position(sequence)
    return encodeCursor(epoch, sequence)
  }

  /** The sequence of a position that is good up to an end; `undefined` for all others. */
  sequenceOf(position: Position | null, end: number): number | undefined {
    if (position === null || position.sequence > end) return undefined
    const index = this.#indexOf(position)
    return index !== -1 && position.sequence < this.#endOf(index) ? position.sequence : undefined
  }

  /** The same, for a cursor that a client made up. */
  sequenceIn(cursor: string, end: number): number | undefined {
    return this.sequenceOf(decodeCursor(cursor), end)
  }

  /** Whether who knows a position knows by it that the stream lost something: it has other messages there, or forgot its era. */
  contradicts(position: Position): boolean {
    if (partsOf(position).stream !== this.#epoch) return false
    const index = this.#indexOf(position)
    return index === -1 ? this.#list.length < MOST_ERAS : position.sequence >= this.#endOf(index)
  }

  #indexOf(position: Position): number {
    const { stream, name } = partsOf(position)
    return stream === this.#epoch ? this.#list.findIndex((era) => era.name === name) : -1
  }

  #endOf(index: number): number {
    return this.#list[index + 1]?.from ?? Number.POSITIVE_INFINITY
  }
}

/** Between a stream's epoch, which has hexadecimal digits only, and the name of an era. */
const MARK = 'z'

function partsOf({ epoch }: Position): { readonly stream: string; readonly name: string } {
  const end = epoch.indexOf(MARK)
  return end === -1
    ? { stream: epoch, name: '' }
    : { stream: epoch.slice(0, end), name: epoch.slice(end + 1) }
}
