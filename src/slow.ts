/** What happens to a client that reads more slowly than its groups write. */
import type { Batch } from './batch.ts'
import { MisuseError } from './errors.ts'
import type { Frame } from './frame.ts'
import { quote } from './names.ts'

/**
 * - `close`: the connection ends with a code that means "come back" (4008).
 * - `drop`: the oldest messages are dropped, and the client is told how many.
 * - `latest`: of messages with the same `key`, only the newest waits; then the oldest are dropped as with `drop`.
 */
export type SlowPolicy = 'close' | 'drop' | 'latest'

export const SLOW_POLICIES = ['close', 'drop', 'latest'] as const satisfies readonly SlowPolicy[]

/** @throws {MisuseError} `invalid-option` for anything but a policy, or nothing */
export function assertSlowPolicy(whose: string, slow: unknown): void {
  if (slow === undefined || (SLOW_POLICIES as readonly unknown[]).includes(slow)) return
  throw new MisuseError(
    'invalid-option',
    `${whose} has slow: ${quote(slow)}: use ${SLOW_POLICIES.map(quote).join(', ')}.`,
  )
}

/** A backlog made smaller. */
export interface Relief {
  /** `null`: nothing is left. */
  readonly batch: Batch | null
  /** How many messages were dropped; those that a newer one of their key replaced do not count. */
  readonly dropped: number
}

/** How small a backlog must become. */
export interface ReliefOptions {
  /** For messages whose group has no policy of its own. */
  readonly policy: SlowPolicy
  /** Messages are dropped until the backlog is at most this; `Infinity` only lets newer messages replace older ones. */
  readonly targetBytes: number
}

/**
 * Applies the policies to what waits. What is left keeps its order and is built from `root`, so that connections with equal
 * backlogs share the smaller one too. It may still be over the target: what falls under `close` is never dropped.
 */
export function relieve(batch: Batch, root: Batch, { policy, targetBytes }: ReliefOptions): Relief {
  const kept = withoutReplaced(batch.frames(), policy)
  let size = kept.reduce((sum, frame) => sum + frame.bytes.length, 0)
  let left: Batch | null = null
  let dropped = 0
  for (const frame of kept) {
    if (size > targetBytes && policyOf(frame, policy) !== 'close') {
      size -= frame.bytes.length
      dropped++
    } else {
      left = (left ?? root).append(frame)
    }
  }
  return { batch: left, dropped }
}

/** The first frames, of about `bytes` in all but at least one, and the rest. */
export function split(batch: Batch, root: Batch, bytes: number): { first: Batch; rest: Batch | null } {
  let first = root
  let rest: Batch | null = null
  for (const frame of batch.frames()) {
    if (rest === null && first.size < bytes) first = first.append(frame)
    else rest = (rest ?? root).append(frame)
  }
  return { first, rest }
}

/** The frames, oldest first, without those that a newer message of their key replaces. */
function withoutReplaced(frames: readonly Frame[], policy: SlowPolicy): readonly Frame[] {
  const seen = new Set<string>()
  const kept: Frame[] = []
  for (let i = frames.length - 1; i >= 0; i--) {
    const frame = frames[i] as Frame
    const key = policyOf(frame, policy) === 'latest' ? (frame.publication?.conflationKey ?? null) : null
    if (key !== null && seen.has(key)) continue
    if (key !== null) seen.add(key)
    kept.push(frame)
  }
  return kept.reverse()
}

/** Control objects tell the client what happened to it: they wait however long it takes. */
function policyOf({ publication }: Frame, fallback: SlowPolicy): SlowPolicy {
  return publication === null ? 'close' : (publication.slow ?? fallback)
}
