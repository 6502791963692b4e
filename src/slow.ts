import { MisuseError } from './errors.ts'
import type { Waiting } from './frame.ts'
import { quote } from './names.ts'

/**
 * What happens to a client that reads, or whose handlers work, more slowly than its groups write:
 *
 * - `close`: the connection ends with a code that means "come back" (4008; 4009 where it is the handlers).
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

/**
 * Dropping goes down to this part of what is too much. To drop, all that waits is walked through: that is paid for by the quarter that goes,
 * since as much must come before the next walk. So a message is walked past four times on average, however many wait.
 */
export const TARGET = 3 / 4
/**
 * More than this part of what is too much must not be left, however it was made less: by newer messages in place of older ones alone, which is enough
 * if it can be had, or by dropping. With less than a sixteenth gained from each walk, the next message would have the whole backlog walked through
 * again. Where what may not be dropped is more, the connection gives up.
 */
export const ENOUGH = 15 / 16

/** What waits for one client: a frame, or what its handlers have yet to see. */
export interface Sheddable {
  /** What it carries; `null` for control objects. */
  readonly publication: Waiting | null
  readonly size: number
}

/** The policy for a frame; `fallback` is for messages whose group has none. Control objects tell the client what happened to it: they stay. */
function policyOf({ publication }: Sheddable, fallback: SlowPolicy): SlowPolicy {
  return publication === null ? 'close' : (publication.slow ?? fallback)
}

/** Whether it may be lost to make room. The newest of a key may not: a client would show the older one until the next comes, if one does. */
function mayDrop(frame: Sheddable, fallback: SlowPolicy): boolean {
  const policy = policyOf(frame, fallback)
  return policy === 'drop' || (policy === 'latest' && keyOf(frame, fallback) === null)
}

/** What a newer message would replace it by; `null`: nothing. */
function keyOf(frame: Sheddable, fallback: SlowPolicy): string | null {
  return policyOf(frame, fallback) === 'latest' ? (frame.publication?.conflationKey ?? null) : null
}

/** A backlog made smaller. */
export interface Shed<T extends Sheddable> {
  /** In the order in which they were sent. */
  readonly kept: readonly T[]
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
export function shed<T extends Sheddable>(
  frames: readonly T[],
  policy: SlowPolicy,
  targetBytes: number,
): Shed<T> {
  const waiting = withoutReplaced(frames, policy)
  const kept: T[] = []
  let bytes = waiting.reduce((sum, { size }) => sum + size, 0)
  let dropped = 0
  let before = 0
  for (const frame of waiting) {
    if (bytes > targetBytes && mayDrop(frame, policy)) {
      bytes -= frame.size
      if (dropped++ === 0) before = kept.length
    } else {
      kept.push(frame)
    }
  }
  return { kept, bytes, dropped, before }
}

/**
 * Applies the policies where more than so many bytes wait: newer messages in the place of older ones alone, if that is enough, or dropping.
 *
 * @returns `null`: they leave too much
 */
export function makeRoom<T extends Sheddable>(
  waiting: readonly T[],
  policy: SlowPolicy,
  maxBytes: number,
): Shed<T> | null {
  const enough = maxBytes * ENOUGH
  const replaced = shed(waiting, policy, Number.POSITIVE_INFINITY)
  if (replaced.bytes <= enough) return replaced
  const left = shed(waiting, policy, maxBytes * TARGET)
  return left.bytes <= enough ? left : null
}

/** The frames without those that a newer message of their key replaces. */
function withoutReplaced<T extends Sheddable>(frames: readonly T[], policy: SlowPolicy): readonly T[] {
  const seen = new Set<string>()
  const kept: T[] = []
  for (let i = frames.length - 1; i >= 0; i--) {
    const frame = frames[i] as T
    const key = keyOf(frame, policy)
    if (key !== null && seen.has(key)) continue
    if (key !== null) seen.add(key)
    kept.push(frame)
  }
  return kept.reverse()
}
