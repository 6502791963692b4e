import { MisuseError } from './errors.ts'
import type { Frame } from './frame.ts'
import { quote } from './names.ts'

/**
 * What happens to a client that reads more slowly than its groups write:
 *
 * - `close`: the connection ends with a code that means "come back" (4008).
 * - `drop`: the oldest messages are dropped, and the client is told how many.
 * - `latest`: of messages with the same `key`, only the newest waits. Where that is not enough, messages without a `key` are dropped as with
 *   `drop`, and where that is not enough, the connection ends as with `close`: the newest message of a `key` is never dropped.
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

/** The policy for a frame; `fallback` is for messages whose group has none. Control objects tell the client what happened to it: they stay. */
function policyOf({ publication }: Frame, fallback: SlowPolicy): SlowPolicy {
  return publication === null ? 'close' : (publication.slow ?? fallback)
}

/** Whether it may be lost to make room. The newest of a key may not: a client would show the older one until the next comes, if one does. */
function mayDrop(frame: Frame, fallback: SlowPolicy): boolean {
  const policy = policyOf(frame, fallback)
  return policy === 'drop' || (policy === 'latest' && keyOf(frame, fallback) === null)
}

/** What a newer message would replace it by; `null`: nothing. */
function keyOf(frame: Frame, fallback: SlowPolicy): string | null {
  return policyOf(frame, fallback) === 'latest' ? (frame.publication?.conflationKey ?? null) : null
}

/** A backlog made smaller. */
export interface Shed {
  /** In the order in which they were sent. */
  readonly kept: readonly Frame[]
  /** The bytes of `kept`. */
  readonly bytes: number
  /** How many messages were dropped; those that a newer one of their key replaced do not count. */
  readonly dropped: number
  /** How many of `kept` are older than the first that was dropped. */
  readonly before: number
}

/**
 * Applies the policies to what waits, oldest first. What is left may still be larger than the target: what falls under `close`, and the
 * newest of each key under `latest`, is never dropped.
 *
 * @param targetBytes messages are dropped until no more waits; `Infinity` only lets newer messages replace older ones
 */
export function shed(frames: readonly Frame[], policy: SlowPolicy, targetBytes: number): Shed {
  const waiting = withoutReplaced(frames, policy)
  const kept: Frame[] = []
  let bytes = waiting.reduce((sum, frame) => sum + frame.bytes.length, 0)
  let dropped = 0
  let before = 0
  for (const frame of waiting) {
    if (bytes > targetBytes && mayDrop(frame, policy)) {
      bytes -= frame.bytes.length
      if (dropped++ === 0) before = kept.length
    } else {
      kept.push(frame)
    }
  }
  return { kept, bytes, dropped, before }
}

/** The frames without those that a newer message of their key replaces. */
function withoutReplaced(frames: readonly Frame[], policy: SlowPolicy): readonly Frame[] {
  const seen = new Set<string>()
  const kept: Frame[] = []
  for (let i = frames.length - 1; i >= 0; i--) {
    const frame = frames[i] as Frame
    const key = keyOf(frame, policy)
    if (key !== null && seen.has(key)) continue
    if (key !== null) seen.add(key)
    kept.push(frame)
  }
  return kept.reverse()
}
