/** Which cursors are good after the server was started again. */
import { expect, test } from 'vitest'
import { Eras } from '../../../src/layers/nats/eras.ts'

const eras = new Eras('ab12').and('zonez1', 10).and('two', 20)

test('a cursor is good where its sequence is from before the next era, and not of the future', () => {
  const good = ['ab12.0', 'ab12.9', 'ab12zzonez1.9', 'ab12zzonez1.19', 'ab12ztwo.20', 'ab12ztwo.30']
  for (const cursor of good) expect(eras.sequenceIn(cursor, 30), cursor).toBe(Number(cursor.split('.')[1]))
  const bad = [
    'ab12.10',
    'ab12zzonez1.20',
    'ab12ztwo.31',
    'ab12zthree.5',
    'cd34.5',
    'cd34zzonez1.5',
    'ab12z.10',
    'z.1',
    '',
  ]
  for (const cursor of bad) expect(eras.sequenceIn(cursor, 30), cursor).toBeUndefined()
})

test('a sequence has the same cursor, whenever it is asked for', () => {
  expect([0, 9, 10, 19, 20, 99].map((sequence) => eras.cursor(sequence))).toEqual([
    'ab12.0',
    'ab12.9',
    'ab12zzonez1.10',
    'ab12zzonez1.19',
    'ab12ztwo.20',
    'ab12ztwo.99',
  ])
})

test('who knows more of an era than the stream has, or an era that it has not, contradicts it', () => {
  const contradicts = (epoch: string, sequence: number) => eras.contradicts({ epoch, sequence })
  expect(contradicts('ab12zzonez1', 19)).toBe(false)
  expect(contradicts('ab12zzonez1', 20)).toBe(true)
  expect(contradicts('ab12zthree', 5)).toBe(true)
  expect(contradicts('cd34zzonez1', 20)).toBe(false)
})

test('what the stream keeps is the last sixteen, and the newest begins where it is stored', () => {
  let many = new Eras('ab12')
  for (let n = 1; n <= 20; n++) {
    const data = Buffer.from(many.toJson(`e${n}`))
    many = Eras.parse('ab12', { sequence: n * 10, subject: '', at: 0, data })
  }
  expect(JSON.parse(many.toJson())).toHaveLength(16)
  expect(many.cursor(200)).toBe('ab12ze20.200')
  expect(many.sequenceIn('ab12ze5.59', 300)).toBe(59)
  expect(many.sequenceIn('ab12ze4.49', 300)).toBeUndefined()
  // Its era is too long ago to know.
  expect(many.contradicts({ epoch: 'ab12ze4', sequence: 49 })).toBe(false)
})

test('without the start of a server there is nothing to remember', () => {
  expect(new Eras('ab12').isEmpty).toBe(true)
  expect(eras.isEmpty).toBe(false)
})
