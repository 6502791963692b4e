/** `<epoch>.<sequence>`, as the hub's cursors are today. Others are only compared for equality. */
const POSITION = /^([^.]*)\.(\d+)$/

/** Remembers the last publication of each group, so that none is handed out twice. */
export interface Repeats {
  /** Whether this publication, or a later one of its group, was seen before. Remembers it if not. */
  isRepeat(group: string, cursor: string): boolean
  /** Whether publications of this group were seen. */
  knows(group: string): boolean
  /** After a group was left: who joins it again may be sent its last messages again. */
  forget(group: string): void
}

/**
 * The rule: within a group a hub sends publications in the order of their numbers, so one that is not after the last of its group, under
 * the same epoch, is a repeat. Groups are compared each for itself, because one that is joined later may begin with its older messages.
 * Cursors are opaque to clients: of those that have another form only the same one again is a repeat, so that nothing new is ever lost.
 */
export function createRepeats(): Repeats {
  const lastOf = new Map<string, string>()
  return {
    isRepeat(group, cursor) {
      const isOld = isUpTo(cursor, lastOf.get(group) ?? '')
      if (!isOld) lastOf.set(group, cursor)
      return isOld
    },
    knows: (group) => lastOf.has(group),
    forget: (group) => lastOf.delete(group),
  }
}

function isUpTo(cursor: string, last: string): boolean {
  const [, epoch, sequence] = POSITION.exec(cursor) ?? []
  const [, lastEpoch, lastSequence] = POSITION.exec(last) ?? []
  return cursor === last || (epoch === lastEpoch && Number(sequence) <= Number(lastSequence))
}
