/** Which groups keep history in conformance cases, and how much: their names say so. */
import type { HistoryBounds } from '../history.ts'

/** What `kept.few.…` groups keep. */
export const FEW = 5
/** What `kept.small.…` groups keep. */
const SMALL_BYTES = 1000

/** More than any case publishes without meaning to. */
const AMPLE: HistoryBounds = { count: 1000, ageMs: 3_600_000, bytes: 16 * 1024 * 1024 }

/**
 * `historyOf` of all nodes. Groups whose names start with `kept.` keep history, as do two whose names are special to
 * JavaScript objects; all others keep none.
 *
 * @param briefMs what `kept.brief.…` groups keep
 */
export function keptGroups(briefMs: number): (group: string) => HistoryBounds | null {
  const bounds: readonly (readonly [prefix: string, bounds: HistoryBounds])[] = [
    ['kept.few.', { ...AMPLE, count: FEW }],
    ['kept.small.', { ...AMPLE, bytes: SMALL_BYTES }],
    ['kept.brief.', { ...AMPLE, ageMs: briefMs }],
    ['kept.', AMPLE],
    ['__proto__', AMPLE],
    ['constructor', AMPLE],
  ]
  return (group) => bounds.find(([prefix]) => group.startsWith(prefix))?.[1] ?? null
}
