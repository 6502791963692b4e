/** Options of channels that all layers have, and their checks. */
import { MisuseError } from '../errors.ts'
import { Glob } from '../glob.ts'
import { quote } from '../names.ts'

/** Capacities by channel name: pairs of a pattern and a capacity, or an object of them. */
export type ChannelCapacity = Readonly<Record<string, number>> | Iterable<readonly [string, number]>

/** What counts may be, for texts. */
export const COUNT = 'a whole number from 1'

interface CapacityRule {
  readonly glob: Glob
  readonly capacity: number
}

/**
 * The capacity that the first fitting pattern gives a channel; `null` where none fits.
 *
 * @throws {MisuseError} (code `invalid-option`)
 */
export function capacityRule(given: ChannelCapacity): (channel: string) => number | null {
  const rules = resolveRules(given)
  return (channel) => rules.find(({ glob }) => glob.matches(channel))?.capacity ?? null
}

function resolveRules(given: ChannelCapacity): CapacityRule[] {
  if (typeof given !== 'object' || given === null) {
    throw invalidOption('channelCapacity', given, 'pairs of a pattern and a capacity')
  }
  const pairs: unknown[] = Symbol.iterator in given ? [...given] : Object.entries(given)
  return pairs.map((pair) => {
    if (!Array.isArray(pair) || typeof pair[0] !== 'string') {
      throw invalidOption('channelCapacity', pair, 'a pair of a pattern and a capacity')
    }
    const [pattern, capacity] = pair as [string, unknown]
    if (!isCount(capacity)) throw invalidOption(`channelCapacity[${quote(pattern)}]`, capacity, COUNT)
    return { glob: globOf(pattern), capacity }
  })
}

function globOf(pattern: string): Glob {
  try {
    return new Glob(pattern)
  } catch (error) {
    throw new MisuseError('invalid-option', `channelCapacity: ${(error as Error).message}`)
  }
}

/** Whether a value is a whole number from 1. */
export function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 1
}

/** The error for an option with a value that is not allowed. */
export function invalidOption(option: string, value: unknown, allowed: string): MisuseError {
  // JSON has no Infinity and no NaN: `quote` would show them as null.
  const shown = typeof value === 'number' ? String(value) : quote(value)
  return new MisuseError('invalid-option', `${option} is ${shown}: it must be ${allowed}.`)
}
