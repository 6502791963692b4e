import { describe, expect, test } from 'vitest'
import {
  ChannelFullError,
  ERRORS,
  type ErrorCode,
  errorCodeOf,
  GroupcastError,
  isComeBackCode,
  MisuseError,
  Refusal,
} from '../src/errors.ts'

describe.each(Object.entries(ERRORS))('%s', (_code, entry) => {
  test('its close code tells clients the same as the table', () => {
    expect(isComeBackCode(entry.closeCode)).toBe(entry.closeCode === 1011 ? true : entry.comeBack)
  })

  test('its HTTP status fits: only those that pass with time ask to come back', () => {
    expect(entry.httpStatus).toBeGreaterThanOrEqual(400)
    // 401: with another token.
    if (entry.comeBack) expect([401, 408, 429, 500, 503, 504]).toContain(entry.httpStatus)
  })

  test('its message is a sentence, its remedy too', () => {
    expect(entry.message).toMatch(/^[A-Z].*\.$/)
    expect(entry.remedy).toMatch(/^[A-Z`].*\.$/)
    // It must fit the reason of a close frame (RFC 6455, section 5.5).
    expect(Buffer.byteLength(entry.message)).toBeLessThanOrEqual(123)
  })
})

test('close codes of 4000 and more belong to one error each', () => {
  const own = Object.values(ERRORS)
    .map(({ closeCode }) => closeCode)
    .filter((code) => code >= 4000)
  expect(new Set(own).size).toBe(own.length)
})

test('every class carries its code, and other errors have none', () => {
  const errors: [Error, ErrorCode][] = [
    [new GroupcastError('restarting'), 'restarting'],
    [new Refusal(), 'forbidden'],
    [new MisuseError('invalid-name', 'x'), 'invalid-name'],
    [new ChannelFullError('a'), 'channel-full'],
  ]
  for (const [error, code] of errors) {
    expect(errorCodeOf(error)).toBe(code)
    expect(error.name).toBe(error.constructor.name)
  }
  expect(new MisuseError('invalid-name', 'x')).toBeInstanceOf(TypeError)
  const foreign = [
    new Error('x'),
    Object.assign(new Error('x'), { code: 'ENOENT' }),
    Object.assign(new Error('x'), { code: 'toString' }),
    'x',
    null,
  ]
  for (const value of foreign) expect(errorCodeOf(value)).toBeNull()
})

test.each([
  [1000, false],
  [1001, true],
  [1006, true],
  [1008, false],
  [1012, true],
  [1013, true],
  [4000, true],
  [4499, true],
  [4500, false],
  [4999, false],
])('a client closed with %i should reconnect: %s', (code, comeBack) => {
  expect(isComeBackCode(code)).toBe(comeBack)
})
