import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodeToken, encodeToken, Subjects } from '../../../src/layers/nats/subjects.ts'
import { MAX_NAME_LENGTH } from '../../../src/names.ts'
import { hostileStrings } from '../../hostile-strings.ts'

const ALLOWED = 'ABCxyz019._~:@#$/-!'
const names = fc
  .array(fc.constantFrom(...ALLOWED), { minLength: 1, maxLength: MAX_NAME_LENGTH })
  .map((characters) => characters.join(''))
const anything = fc.oneof(
  names,
  fc.string(),
  fc.string({ unit: 'grapheme' }),
  fc.constantFrom('*', '>', '.', '', '=', '=2E'),
)

describe('a name as a token', () => {
  test('is one token that is no wildcard, and becomes the name again', () => {
    fc.assert(
      fc.property(anything, (name) => {
        const token = encodeToken(name)
        expect(token).toMatch(/^[A-Za-z0-9_=-]+$/)
        // A lone surrogate has no bytes; no name has one.
        if (name.isWellFormed()) expect(decodeToken(token)).toBe(name)
      }),
    )
  })

  test('is never the token of another name', () => {
    fc.assert(
      fc.property(anything, anything, (one, other) => {
        fc.pre(one !== other && one.isWellFormed() && other.isWellFormed())
        expect(encodeToken(one)).not.toBe(encodeToken(other))
      }),
    )
  })

  test('of hostile strings is still one token', () => {
    for (const text of hostileStrings) expect(encodeToken(text)).toMatch(/^[A-Za-z0-9_=-]+$/)
  })

  test('is read only in the form in which it was written', () => {
    for (const text of ['=2e', '=41', 'a.b', '%2E', '=', '=ZZ', '=C3', 'a=']) {
      const name = decodeToken(text)
      if (name !== null) expect(encodeToken(name)).toBe(text)
    }
    expect(decodeToken('=2e')).toBeNull()
    expect(decodeToken('=41')).toBeNull()
  })

  test('of the longest name leaves room in a line of the protocol, 4096 bytes', () => {
    const subject = new Subjects('p'.repeat(64)).node('a'.repeat(12), '/'.repeat(MAX_NAME_LENGTH))
    expect(subject.length).toBeLessThan(1024)
  })
})

test('the epoch of a stream is found in its subjects, and in no others', () => {
  const subjects = new Subjects('chat')
  expect(subjects.epochIn([`${subjects.stored('ab12')}.>`, subjects.claim])).toBe('ab12')
  for (const strange of [
    [],
    ['>'],
    ['chat.>'],
    ['chat.h.>'],
    ['chat.h.A.>'],
    ['chat.h.a.b.>'],
    ['other.h.ab.>'],
  ]) {
    expect(subjects.epochIn(strange)).toBeNull()
  }
})
