/** The options of the memory layer and its broker. */
import { type Clock, systemClock } from '../clock.ts'
import { MisuseError } from '../errors.ts'
import type { MailboxesOptions } from '../mailboxes.ts'
import { quote } from '../names.ts'

/** How much a memory layer keeps, and how long. */
export interface MemoryBrokerOptions {
  /** Most messages that wait in one channel: 100 unless given. */
  readonly capacity?: number
  /**
   * Other capacities by channel name, as pairs of a pattern and a capacity (a list, a `Map`) or an object. In a pattern `*` stands
   * for any run of characters; the first that matches the whole name wins. Objects keep the order in which they
   * were written, except that names like `7` come first: where that matters, use pairs.
   */
  readonly channelCapacity?: Readonly<Record<string, number>> | Iterable<readonly [string, number]>
  /** A message that waited longer in a channel is forgotten: 60 000 ms unless given. */
  readonly expiryMs?: number
  /** Time; tests turn it by hand. */
  readonly clock?: Clock
}

const DEFAULTS = Object.freeze({ capacity: 100, expiryMs: 60_000 })
const KNOWN = ['capacity', 'channelCapacity', 'expiryMs', 'clock']
const PATTERN = /^[A-Za-z0-9._~:@#$/!*-]{1,255}$/
const COUNT = 'a whole number from 1'

/**
 * Fills in the defaults and checks each option.
 *
 * @throws {MisuseError} (code `invalid-option`) naming the option, its value and what is allowed
 */
export function resolveBrokerOptions(options: MemoryBrokerOptions): MailboxesOptions {
  const unknown = Object.keys(options).find((name) => !KNOWN.includes(name))
  if (unknown !== undefined) {
    throw new MisuseError(
      'invalid-option',
      `There is no option ${quote(unknown)}. The options are ${KNOWN.join(', ')}.`,
    )
  }
  const { capacity = DEFAULTS.capacity, channelCapacity, expiryMs = DEFAULTS.expiryMs } = options
  const { clock = systemClock } = options
  if (!isCount(capacity)) throw invalidOption('capacity', capacity, COUNT)
  if (!Number.isFinite(expiryMs) || expiryMs <= 0) {
    throw invalidOption('expiryMs', expiryMs, 'a number of milliseconds above 0')
  }
  if (typeof clock?.now !== 'function') throw invalidOption('clock', clock, 'a Clock')
  if (channelCapacity === undefined) return { capacity, expiryMs, clock }
  const others = resolveChannelCapacity(channelCapacity)
  const capacityOf = (name: string) => others.find(({ parts }) => matches(parts, name))?.capacity ?? capacity
  return { capacity: capacityOf, expiryMs, clock }
}

interface PatternCapacity {
  /** The pattern, cut at its asterisks. */
  readonly parts: readonly string[]
  readonly capacity: number
}

function resolveChannelCapacity(
  given: NonNullable<MemoryBrokerOptions['channelCapacity']>,
): PatternCapacity[] {
  if (typeof given !== 'object' || given === null) {
    throw invalidOption('channelCapacity', given, 'pairs of a pattern and a capacity')
  }
  const pairs: unknown[] = Symbol.iterator in given ? [...given] : Object.entries(given)
  return pairs.map((pair) => {
    if (!Array.isArray(pair)) {
      throw invalidOption('channelCapacity', pair, 'made of pairs: a pattern, a capacity')
    }
    const [pattern, capacity] = pair as unknown[]
    if (typeof pattern !== 'string' || !PATTERN.test(pattern)) {
      const allowed = 'a pattern of 1–255 characters of channel names, and * for any run of them'
      throw invalidOption('channelCapacity', pattern, allowed)
    }
    if (!isCount(capacity)) throw invalidOption(`channelCapacity[${quote(pattern)}]`, capacity, COUNT)
    return { parts: pattern.split('*'), capacity }
  })
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 1
}

/** Whether a name is the parts in order with anything between them. Never goes back in the name: linear. */
function matches(parts: readonly string[], name: string): boolean {
  const first = parts[0] as string
  const last = parts[parts.length - 1] as string
  if (parts.length === 1) return name === first
  const end = name.length - last.length
  if (first.length > end || !name.startsWith(first) || !name.endsWith(last)) return false
  let from = first.length
  for (const part of parts.slice(1, -1)) {
    const at = name.indexOf(part, from)
    if (at === -1 || at + part.length > end) return false
    from = at + part.length
  }
  return true
}

/** The error for an option with a value that is not allowed. */
export function invalidOption(option: string, value: unknown, allowed: string): MisuseError {
  // JSON has no Infinity and no NaN: `quote` would show them as null.
  const shown = typeof value === 'number' ? String(value) : quote(value)
  return new MisuseError('invalid-option', `${option} is ${shown}: it must be ${allowed}.`)
}
