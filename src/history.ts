/** How much history a group keeps. */
import { MisuseError } from './errors.ts'
import { quote } from './names.ts'

/** What a group shall keep for clients that come back: whichever bound is reached first. Each has a default. */
export interface HistoryOptions {
  /** Most messages: 100 unless given. */
  readonly count?: number
  /** Seconds that a message is kept: 300 unless given. */
  readonly ageSeconds?: number
  /** Most bytes of JSON: 1 MiB unless given. */
  readonly bytes?: number
}

/** The same, resolved. */
export interface HistoryBounds {
  readonly count: number
  readonly ageMs: number
  /** Of JSON in UTF-8. */
  readonly bytes: number
}

/** What is kept where `history` says no more than that there is one. */
export const HISTORY_DEFAULTS = Object.freeze({ count: 100, ageSeconds: 300, bytes: 1024 * 1024 })

/** The longest that `ageSeconds` may be. */
export const MAX_AGE_SECONDS = 366 * 24 * 60 * 60

const CHECKS: Readonly<Record<keyof HistoryOptions, readonly [(value: number) => boolean, string]>> = {
  count: [isCount, 'a whole number from 1'],
  ageSeconds: [
    (value) => value > 0 && value <= MAX_AGE_SECONDS,
    'a number of seconds above 0, at most a year',
  ],
  bytes: [isCount, 'a whole number of bytes from 1'],
}

/**
 * Fills in the defaults. `false`: no history.
 *
 * @param where names the option in error texts
 * @throws {MisuseError} `invalid-option`
 */
export function resolveHistory(where: string, given: HistoryOptions | false): HistoryBounds | null {
  if (given === false) return null
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw new MisuseError(
      'invalid-option',
      `${where} is ${quote(given)}: use { count, ageSeconds, bytes } or false.`,
    )
  }
  for (const [name, value] of Object.entries(given)) {
    const check = Object.hasOwn(CHECKS, name) ? CHECKS[name as keyof HistoryOptions] : undefined
    if (check === undefined) {
      throw new MisuseError('invalid-option', `${where} has ${quote(name)}: use count, ageSeconds and bytes.`)
    }
    const [isValid, allowed] = check
    if (value === undefined || (typeof value === 'number' && isValid(value))) continue
    // JSON has no word for Infinity and NaN.
    const shown = typeof value === 'number' ? String(value) : quote(value)
    throw new MisuseError('invalid-option', `${where}.${name} is ${shown}: it must be ${allowed}.`)
  }
  const {
    count = HISTORY_DEFAULTS.count,
    ageSeconds = HISTORY_DEFAULTS.ageSeconds,
    bytes = HISTORY_DEFAULTS.bytes,
  } = given
  return Object.freeze({ count, ageMs: ageSeconds * 1000, bytes })
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 1
}
