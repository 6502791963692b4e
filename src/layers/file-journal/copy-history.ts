/** Copies what history keeps into the records of a base, a piece at a time. */
import type { JournaledHistory, KeptGroup } from '../journal.ts'
import { type About, Encoder, HEAD_BYTES, PUBLICATION_BYTES } from './format.ts'

/** How much is written, or of the size reckoned, before others get their turn. */
const CHUNK_BYTES = 256 * 1024
const CHUNK_GROUPS = 1000

/** What {@link copyHistory} needs. */
export interface CopyParts {
  readonly history: JournaledHistory
  readonly about: About
  /** As `Date.now()`. */
  readonly timeOfDay: () => number
  /** Takes the next records; the bytes are only lent. */
  readonly write: (records: Uint8Array) => void
  /** Groups that do not fit are left out, the quietest first. */
  readonly maxBytes: number
}

/**
 * Writes what history keeps while it goes on: what was there when this began (at the first `next`), less what is gone when a group's turn comes.
 * Yields where others may have their turn.
 *
 * @returns how many bytes were written
 */
export function* copyHistory(parts: CopyParts): Generator<null, number> {
  const { history, about, timeOfDay, write, maxBytes } = parts
  const encoder = new Encoder()
  const { sequence: begin, forgottenTo } = history
  const groups = history.groups()
  let bytes = 0
  const flush = () => {
    bytes += encoder.length
    write(encoder.take())
  }
  encoder.about(about)
  yield null
  const skipped = yield* countSkipped(history, groups, maxBytes)
  for (const group of groups.slice(skipped)) {
    const kept = history.kept(group)
    if (kept === null) {
      // Forgotten since it was listed.
      encoder.group(group, history.forgottenTo)
      continue
    }
    encoder.group(group, kept.goneTo)
    for (const { sequence, json, ageMs } of kept.publications()) {
      // The rest is in the log; a base that grew while it is written would know no bound.
      if (sequence > begin) break
      encoder.publication(group, sequence, timeOfDay() - ageMs, json)
      if (encoder.length < CHUNK_BYTES) continue
      flush()
      yield null
    }
  }
  // Groups without a record may have lost what they had then; what came since is in the log.
  encoder.position(history.sequence, skipped === 0 ? forgottenTo : begin)
  flush()
  return bytes
}

/** How many of the groups, the quietest first, do not fit. */
function* countSkipped(
  history: JournaledHistory,
  groups: readonly string[],
  maxBytes: number,
): Generator<null, number> {
  let bytes = 0
  for (let index = groups.length - 1; index >= 0; index--) {
    const group = groups[index] ?? ''
    const kept = history.kept(group)
    bytes += kept === null ? 0 : bytesOf(group, kept)
    if (bytes > maxBytes) return index + 1
    if (index % CHUNK_GROUPS === 0) yield null
  }
  return 0
}

/** A JSON text that has no UTF-8 takes more; there is hardly one. */
function bytesOf(group: string, { count, bytes }: KeptGroup): number {
  const name = Buffer.byteLength(group)
  return bytes + count * (PUBLICATION_BYTES + name) + HEAD_BYTES + 9 + name
}
