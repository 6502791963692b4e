/** Which publications the client takes for repeats. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createRepeats } from '../../src/client/repeats.ts'

test('a publication that is not after the last of its group is a repeat', () => {
  const repeats = createRepeats()
  expect(
    ['e.9', 'e.10', 'e.10', 'e.9', 'e.2', 'e.11'].map((cursor) => repeats.isRepeat('a', cursor)),
  ).toEqual([false, false, true, true, true, false])
})

test('a group that was joined late may begin with older messages', () => {
  const repeats = createRepeats()
  expect(repeats.isRepeat('a', 'e.100')).toBe(false)
  expect(repeats.isRepeat('b', 'e.40')).toBe(false)
  expect(repeats.isRepeat('b', 'e.60')).toBe(false)
  expect(repeats.isRepeat('a', 'e.100')).toBe(true)
})

test('another epoch is another history', () => {
  const repeats = createRepeats()
  expect(repeats.isRepeat('a', 'old.100')).toBe(false)
  expect(repeats.isRepeat('a', 'new.1')).toBe(false)
  expect(repeats.isRepeat('a', 'new.1')).toBe(true)
})

test('a group that was left begins anew', () => {
  const repeats = createRepeats()
  repeats.isRepeat('a', 'e.5')
  repeats.forget('a')
  expect(repeats.isRepeat('a', 'e.4')).toBe(false)
})

test('cursors of another form are repeats only where they are the same', () => {
  const repeats = createRepeats()
  const cursors = [
    'x',
    'x',
    'y',
    'x',
    'e.5.2',
    'e.5.1',
    'e.',
    'e.-1',
    '.5',
    '.4',
    'e.1~2',
    'e.0x1',
    'e.0x0',
    '.',
    '__proto__.1',
  ]
  expect(cursors.map((cursor) => repeats.isRepeat('a', cursor))).toEqual(
    cursors.map((_, n) => n === 1 || n === 9),
  )
})

test('of a history that is sent again from anywhere, each publication is handed out once and in order', () => {
  const history = fc
    .uniqueArray(fc.nat({ max: 1_000_000 }), { minLength: 1 })
    .map((all) => all.toSorted((a, b) => a - b))
  fc.assert(
    fc.property(history, fc.array(fc.tuple(fc.nat(), fc.nat())), (sequences, cuts) => {
      const repeats = createRepeats()
      const handed: number[] = []
      let known = 0
      for (const [back, forth] of [...cuts, [sequences.length, sequences.length] as const]) {
        // As after a reconnection: from somewhere before what is known, to somewhere after it.
        const from = Math.max(0, known - (back % (sequences.length + 1)))
        const to = Math.min(sequences.length, known + (forth % (sequences.length + 1)))
        for (const sequence of sequences.slice(from, to)) {
          if (!repeats.isRepeat('g', `epoch.${sequence}`)) handed.push(sequence)
        }
        known = Math.max(known, to)
      }
      expect(handed).toEqual(sequences.slice(0, handed.length))
      expect(handed.length).toBe(known)
    }),
  )
})
