// @ts-check
/** What was published, and what became of it: the log against which every client is held. */

/** Of one group. */
class GroupLog {
  /** Messages are numbered from 0 in the order in which they are published. */
  issued = 0
  /** By number, the position in the history of those that were acknowledged. @type {(number | undefined)[]} */
  positions = []
  /** The newest that was acknowledged; -1: none. */
  last = -1
}

export class Ledger {
  /** @type {ReadonlyMap<string, GroupLog>} */ #groups
  acknowledged = 0

  /** @param {readonly string[]} groups */
  constructor(groups) {
    this.#groups = new Map(groups.map((group) => [group, new GroupLog()]))
  }

  /** @param {string} group */
  of(group) {
    const log = this.#groups.get(group)
    if (log === undefined) throw new Error(`Nobody publishes to ${group}.`)
    return log
  }

  /** The next message of a group. @param {string} group */
  issue(group) {
    return { type: 'storm', group, n: this.of(group).issued++ }
  }

  /** The hub has accepted a message. @param {{ group: string, n: number }} message @param {string | null} cursor */
  accepted({ group, n }, cursor) {
    const log = this.of(group)
    log.positions[n] = positionOf(cursor)
    log.last = Math.max(log.last, n)
    this.acknowledged++
  }
}

/** Cursors are opaque to clients; the log may know that those of the memory layer end with a number. @param {string | null | undefined} cursor */
export function positionOf(cursor) {
  const position = Number(cursor?.split('.').at(-1))
  if (!Number.isSafeInteger(position)) throw new Error(`There is no position in the cursor ${cursor}.`)
  return position
}
