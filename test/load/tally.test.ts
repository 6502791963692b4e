/** The account of a client: which messages it must get, and what is wrong when it gets others. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { DeliveryClock, intendedMs, timesToLast } from '../../src/load/latency.ts'
import { Membership } from '../../src/load/membership.ts'
import { NumberReader, numberedMessage } from '../../src/load/numbered.ts'
import { Tally, Totals } from '../../src/load/tally.ts'

const place = fc.integer({ min: 1, max: 30 }).chain((groups) =>
  fc.record({
    groups: fc.constant(groups),
    each: fc.integer({ min: 1, max: groups }),
    start: fc.nat(groups - 1),
  }),
)

/** The numbers below 200 that a client gets, the plain way. */
function numbersOf({ groups, each, start }: { groups: number; each: number; start: number }): number[] {
  const joined = new Set(Array.from({ length: each }, (_, i) => (start + i) % groups))
  return Array.from({ length: 200 }, (_, n) => n).filter((n) => joined.has(n % groups))
}

test('a membership knows its numbers', () => {
  fc.assert(
    fc.property(place, fc.nat(199), fc.nat(199), (given, a, b) => {
      const membership = new Membership(given.groups, given.each, given.start)
      const numbers = numbersOf(given)
      const [first, end] = [Math.min(a, b), Math.max(a, b)]
      expect(membership.count(first, end)).toBe(numbers.filter((n) => n >= first && n < end).length)
      for (const [i, n] of numbers.slice(0, -1).entries()) expect(membership.after(n)).toBe(numbers[i + 1])
      const next = numbers.find((n) => n >= first)
      if (next !== undefined) expect(membership.from(first)).toBe(next)
    }),
  )
})

test('clients are spread evenly over the groups', () => {
  for (const [clients, groups, each] of [
    [1000, 10_000, 100],
    [1000, 100, 10],
    [30, 3, 1],
  ] as const) {
    const members = new Array<number>(groups).fill(0)
    for (let i = 0; i < clients; i++)
      for (const group of Membership.of(i, clients, groups, each).indexes())
        members[group] = (members[group] ?? 0) + 1
    expect(new Set(members)).toEqual(new Set([(clients * each) / groups]))
  }
})

function account(numbers: readonly number[], membership = new Membership(1, 1, 0)) {
  const totals = new Totals(new DeliveryClock())
  totals.messageBytes = 64
  const tally = new Tally(totals, new NumberReader(), membership)
  for (const n of numbers) {
    const bytes = Buffer.from(numberedMessage(n, 64))
    tally.add(bytes, 0, bytes.length, true)
  }
  const { doubled, outOfOrder, received } = totals
  return { lost: tally.lost(10), doubled, outOfOrder, received }
}

const ALL = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]

test.each([
  ['all is well', ALL, { lost: 0, doubled: 0, outOfOrder: 0 }],
  ['one is lost', ALL.filter((n) => n !== 4), { lost: 1, doubled: 0, outOfOrder: 0 }],
  ['the last are lost', ALL.slice(0, 7), { lost: 3, doubled: 0, outOfOrder: 0 }],
  ['all are lost', [], { lost: 10, doubled: 0, outOfOrder: 0 }],
  ['one is doubled', [...ALL, 9], { lost: 0, doubled: 1, outOfOrder: 0 }],
  ['one is doubled later', [...ALL, 3], { lost: 0, doubled: 1, outOfOrder: 0 }],
  ['two changed places', [0, 2, 1, 3, 4, 5, 6, 7, 8, 9], { lost: 0, doubled: 0, outOfOrder: 1 }],
  ['one is lost and one is doubled', [0, 1, 3, 3, 4, 5, 6, 7, 8, 9], { lost: 1, doubled: 1, outOfOrder: 0 }],
  ['late and doubled', [0, 2, 1, 1, 3, 4, 5, 6, 7, 8, 9], { lost: 0, doubled: 1, outOfOrder: 1 }],
])('%s', (_name, numbers, expected) => {
  expect(account(numbers)).toMatchObject(expected)
})

test('a message of a group that the client is not in is one too many', () => {
  expect(account([1, 2, 3, 5, 7, 9], new Membership(2, 1, 1))).toMatchObject({
    lost: 0,
    doubled: 1,
    outOfOrder: 0,
  })
})

test('losses, doubles and late ones are told apart, whatever comes', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(9), { maxLength: 30 }), (numbers) => {
      const { lost, doubled, outOfOrder } = account(numbers)
      const distinct = new Set(numbers)
      expect(lost).toBe(10 - distinct.size)
      expect(doubled).toBe(numbers.length - distinct.size)
      const firsts = [...distinct]
      const late = firsts.filter((n, i) => firsts.slice(0, i).some((before) => before > n))
      expect(outOfOrder).toBe(late.length)
    }),
  )
})

test('latency counts from the intended time, to each and to the last', () => {
  const schedule = { startMs: 1000, first: 10, intervalMs: 5, batch: 2, end: 16 }
  expect([10, 11, 12, 15].map((n) => intendedMs(schedule, n))).toEqual([1000, 1000, 1010, 1020])
  const times = timesToLast(schedule, [
    Float64Array.of(1001, 1003, 1011, 0, 1021, 1022),
    Float64Array.of(1002, 1001, 1012, 0, 1021, 1029),
  ])
  expect(times.totalCount).toBe(5)
  expect(times.maxValue).toBe(9000)
  expect(times.minNonZeroValue).toBe(1000)
})
