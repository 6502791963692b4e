import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { cursorBefore, decodeCursor, encodeCursor } from '../../src/layers/cursor.ts'
import { hostileStrings } from '../hostile-strings.ts'

const letters = [...'abcdefghijklmnopqrstuvwxyz0123456789']
const epochs = fc.string({ unit: fc.constantFrom(...letters), minLength: 1, maxLength: 32 })
const sequences = fc.maxSafeNat()

describe('cursors', () => {
  test('come back as they were written, in characters that any URL and header may have', () => {
    fc.assert(
      fc.property(epochs, sequences, (epoch, sequence) => {
        const cursor = encodeCursor(epoch, sequence)
        expect(cursor).toMatch(/^[A-Za-z0-9._~-]{1,128}$/)
        expect(decodeCursor(cursor)).toEqual({ epoch, sequence })
      }),
    )
  })

  test('have one text each: whatever is read is written the same, and all else is none', () => {
    const like = fc.stringMatching(/^[a-z0-9.A-Z -]{0,40}\.?[0-9.+e-]{0,20}\n?$/)
    fc.assert(
      fc.property(fc.oneof(fc.string(), like, fc.constantFrom(...hostileStrings)), (text) => {
        const position = decodeCursor(text)
        if (position !== null) expect(encodeCursor(position.epoch, position.sequence)).toBe(text)
      }),
      { numRuns: 2_000 },
    )
  })

  test.each([
    ...[
      '',
      '.',
      'a',
      'a.',
      '.1',
      'a.01',
      'a.00',
      'a.-1',
      'a.+1',
      'a.1e3',
      'a.1.0',
      'a.b.1',
      'A.1',
      'a_.1',
      'é.1',
    ],
    ...[
      'a.1\n',
      '\na.1',
      ' a.1',
      'a.1 ',
      'a .1',
      'a.١',
      'a.9007199254740992',
      'a.99999999999999999',
      'a.Infinity',
    ],
    ...[`${'a'.repeat(33)}.1`, `a.${'1'.repeat(17)}`, 'a.0x1', 'a\0.1', 'a.1\0'],
  ])('%j is none', (text) => {
    expect(decodeCursor(text)).toBeNull()
  })

  test('of hostile texts are none', () => {
    for (const text of hostileStrings) expect(decodeCursor(text)).toBeNull()
  })

  test('begin at 0 and go as far as numbers are exact', () => {
    expect(decodeCursor('a.0')).toEqual({ epoch: 'a', sequence: 0 })
    expect(decodeCursor('a.9007199254740991')).toEqual({ epoch: 'a', sequence: Number.MAX_SAFE_INTEGER })
  })

  test('just before a publication are those of the one before it', () => {
    expect(cursorBefore('a.10')).toBe('a.9')
    expect(cursorBefore('a.1')).toBe('a.0')
  })
})
