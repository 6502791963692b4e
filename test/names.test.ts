import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Glob } from '../src/glob.ts'
import { assertChannelName, assertGroupName, isChannelName, isGroupName, quote } from '../src/names.ts'
import { hostileStrings } from './hostile-strings.ts'

describe('group names', () => {
  test.each(['a', '__proto__', 'constructor', 'chat.lobby', 'a/b:c@d#e$f~g-h_i', 'x'.repeat(255)])(
    '%s is one',
    (name) => {
      expect(isGroupName(name)).toBe(true)
    },
  )

  test.each([
    '',
    ' ',
    'a b',
    'a!',
    'é',
    '*',
    'a\n',
    'a\0',
    'x'.repeat(256),
    '¯\\_(ツ)_/¯',
    1,
    null,
    undefined,
    {},
    ['a'],
  ])('%j is none', (name) => {
    expect(isGroupName(name)).toBe(false)
    expect(() => assertGroupName(name)).toThrow(TypeError)
    expect(() => assertGroupName(name)).toThrow(expect.objectContaining({ code: 'invalid-name' }))
  })

  test('say in their error what was given and what is allowed', () => {
    expect(() => assertGroupName('a b')).toThrow(
      '"a b" is not a group name: use 1–255 characters of A-Z a-z 0-9 . _ ~ : @ # $ / -.',
    )
  })
})

test('channel names may have one ! between a node and what lives there', () => {
  expect(isChannelName('specific.node!id')).toBe(true)
  expect(isChannelName('a!')).toBe(true)
  for (const name of ['!a', 'a!b!c', '', `${'x'.repeat(250)}!${'y'.repeat(10)}`])
    expect(isChannelName(name)).toBe(false)
  expect(() => assertChannelName('!')).toThrow(TypeError)
})

test('quote shows any value on one short line', () => {
  for (const text of hostileStrings) {
    expect(quote(text).length).toBeLessThanOrEqual(80)
    expect(quote(text)).not.toMatch(/[\r\n\0]/)
  }
  const cycle: { self?: unknown } = {}
  cycle.self = cycle
  expect(quote(cycle)).toBe('[object Object]')
  expect(quote(1n)).toBe('1')
  let deep: unknown[] = []
  for (let depth = 0; depth < 100_000; depth++) deep = [deep]
  expect(quote(deep)).toBe('[object Array]')
  expect(quote(undefined)).toBe('undefined')
})

describe('globs', () => {
  test('agree with a regular expression', () => {
    const part = fc.constantFrom('a', 'b', '.', '*', 'ab', '**')
    const pattern = fc.array(part, { minLength: 1, maxLength: 6 }).map((parts) => parts.join(''))
    const name = fc
      .array(fc.constantFrom('a', 'b', '.'), { minLength: 1, maxLength: 12 })
      .map((chars) => chars.join(''))
    fc.assert(
      fc.property(pattern, name, (glob, text) => {
        const expected = new RegExp(`^${glob.replaceAll('.', '\\.').replaceAll('*', '.*')}$`).test(text)
        expect(new Glob(glob).matches(text)).toBe(expected)
      }),
      { numRuns: 2_000 },
    )
  })

  test.each(['', 'a b', 'é', 'x'.repeat(256), '[a]'])('refuse the pattern %j', (pattern) => {
    expect(() => new Glob(pattern)).toThrow(expect.objectContaining({ code: 'invalid-option' }))
  })
})
