import { describe, expect, test } from 'vitest'
import { MisuseError } from '../src/errors.ts'
import { HISTORY_DEFAULTS, type HistoryOptions, resolveHistory } from '../src/history.ts'

const resolve = (given: unknown) => resolveHistory('groups["a"].history', given as HistoryOptions)

describe('history of groups', () => {
  test('has defaults', () => {
    expect(HISTORY_DEFAULTS).toEqual({ count: 100, ageSeconds: 300, bytes: 1024 * 1024 })
    expect(resolve({})).toEqual({ count: 100, ageMs: 300_000, bytes: 1024 * 1024 })
    expect(resolve({ count: undefined, ageSeconds: undefined, bytes: undefined })).toEqual(resolve({}))
    expect(Object.isFrozen(resolve({}))).toBe(true)
  })

  test('is none where it is false', () => {
    expect(resolve(false)).toBeNull()
  })

  test('takes each bound by itself', () => {
    expect(resolve({ count: 1, ageSeconds: 0.5, bytes: 2 })).toEqual({ count: 1, ageMs: 500, bytes: 2 })
    expect(resolve({ ageSeconds: 366 * 24 * 60 * 60 })?.ageMs).toBe(31_622_400_000)
    expect(resolve({ count: Number.MAX_SAFE_INTEGER })?.count).toBe(Number.MAX_SAFE_INTEGER)
  })

  const COUNT = 'it must be a whole number from 1.'
  const AGE = 'it must be a number of seconds above 0, at most a year.'
  const BYTES = 'it must be a whole number of bytes from 1.'

  test.each([
    [true, ' is true: use { count, ageSeconds, bytes } or false.'],
    [null, ' is null: use { count, ageSeconds, bytes } or false.'],
    [undefined, ' is undefined: use { count, ageSeconds, bytes } or false.'],
    [100, ' is 100: use { count, ageSeconds, bytes } or false.'],
    ['300s', ' is "300s": use { count, ageSeconds, bytes } or false.'],
    // An array has no bounds at all, so all would have been the defaults.
    [[], ' is []: use { count, ageSeconds, bytes } or false.'],
    [[100], ' is [100]: use { count, ageSeconds, bytes } or false.'],
    [{ counts: 5 }, ' has "counts": use count, ageSeconds and bytes.'],
    [{ ageMs: 5 }, ' has "ageMs": use count, ageSeconds and bytes.'],
    [{ toString: 5 }, ' has "toString": use count, ageSeconds and bytes.'],
    [JSON.parse('{"__proto__":5}'), ' has "__proto__": use count, ageSeconds and bytes.'],
    [{ count: 0 }, `.count is 0: ${COUNT}`],
    [{ count: -1 }, `.count is -1: ${COUNT}`],
    [{ count: 1.5 }, `.count is 1.5: ${COUNT}`],
    [{ count: '5' }, `.count is "5": ${COUNT}`],
    [{ count: null }, `.count is null: ${COUNT}`],
    [{ count: false }, `.count is false: ${COUNT}`],
    [{ count: 2 ** 53 }, `.count is 9007199254740992: ${COUNT}`],
    // As JSON they are null: the text named a value that was not given.
    [{ count: Infinity }, `.count is Infinity: ${COUNT}`],
    [{ count: Number.NaN }, `.count is NaN: ${COUNT}`],
    [{ ageSeconds: 0 }, `.ageSeconds is 0: ${AGE}`],
    [{ ageSeconds: -5 }, `.ageSeconds is -5: ${AGE}`],
    [{ ageSeconds: 31_622_401 }, `.ageSeconds is 31622401: ${AGE}`],
    [{ ageSeconds: Infinity }, `.ageSeconds is Infinity: ${AGE}`],
    [{ ageSeconds: Number.NaN }, `.ageSeconds is NaN: ${AGE}`],
    [{ ageSeconds: 5n }, `.ageSeconds is 5: ${AGE}`],
    [{ bytes: 0 }, `.bytes is 0: ${BYTES}`],
    [{ bytes: 0.5 }, `.bytes is 0.5: ${BYTES}`],
    [{ bytes: '1MB' }, `.bytes is "1MB": ${BYTES}`],
  ])('%o is refused', (given, text) => {
    const attempt = () => resolve(given)
    expect(attempt).toThrow(MisuseError)
    const message = `groups["a"].history${text}`
    expect(attempt).toThrow(expect.objectContaining({ code: 'invalid-option', message }))
  })
})
