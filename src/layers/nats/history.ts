import type { HistoryBounds } from '../../history.ts'

/** A kept publication, as the stream has it. */
export interface KeptMessage {
  readonly sequence: number
  /** When it was stored, by the server's clock. */
  readonly at: number
  readonly bytes: number
}

/**
 * Where the newest begin that a group may keep: the index of the oldest of them. Oldest first. The same as if each had pushed out, when it came, what
 * its group could keep no longer: bounds that are passed once are passed for good.
 */
function oldestKept(messages: readonly KeptMessage[], bounds: HistoryBounds, now: number): number {
  const { count, bytes: mostBytes, ageMs } = bounds
  let bytes = 0
  let index = messages.length
  while (index > 0 && messages.length - index < count) {
    const message = messages[index - 1] as KeptMessage
    bytes += message.bytes
    if (bytes > mostBytes || now - message.at >= ageMs) break
    index--
  }
  return index
}

/** What a group is asked for. */
export interface Selection {
  /** What came after this sequence, or the newest. */
  readonly after: number | null
  /** Up to this sequence. */
  readonly end: number
  readonly limit: number | null
  readonly bounds: HistoryBounds
  readonly now: number
}

/** What a group gives. */
export interface Selected<Message> {
  readonly messages: readonly Message[]
  readonly hasMore: boolean
}

/**
 * What a replay gives of a group. `null`: something after the cursor may not be kept any more.
 *
 * @param messages all that the stream has after the cursor (or all that it has), oldest first. The stream drops more only of groups that have more than
 *   their bounds allow, and what its first sequence tells of
 */
export function select<Message extends KeptMessage>(
  messages: readonly Message[],
  { after, end, limit, bounds, now }: Selection,
): Selected<Message> | null {
  const asked = after === null ? messages : messages.filter(({ sequence }) => sequence > after)
  const first = oldestKept(asked, bounds, now)
  if (after !== null && first > 0) return null
  // What came later is for later, but it has pushed out as much as it has.
  const whole = asked.slice(first).filter(({ sequence }) => sequence <= end)
  if (limit === null || whole.length <= limit) return { messages: whole, hasMore: false }
  const some = after === null ? whole.slice(whole.length - limit) : whole.slice(0, limit)
  return { messages: some, hasMore: true }
}
