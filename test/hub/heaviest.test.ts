/** Who has most waiting is found among thousands, held against a list that looks at all. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Heaviest } from '../../src/hub/heaviest.ts'

class Item {
  looks = 0
  #share = 0

  get share(): number {
    this.looks++
    return this.#share
  }

  set share(bytes: number) {
    this.#share = bytes
  }

  /** Without being seen to look. */
  get actual(): number {
    return this.#share
  }
}

const items = (count: number) => Array.from({ length: count }, () => new Item())

test('nothing is found among none, nor when all have been taken out', () => {
  const heaviest = new Heaviest<Item>()
  expect(heaviest.pick()).toBeNull()
  const [item] = items(1) as [Item]
  heaviest.file(item, 0)
  expect(heaviest.pick()).toBeNull()
  item.share = 5
  heaviest.file(item, 5)
  expect(heaviest.pick()).toBe(item)
  heaviest.file(item, 0)
  expect(heaviest.pick()).toBeNull()
})

test.each([2, 3, 2 ** 31, 2 ** 32, 2 ** 40, Number.MAX_SAFE_INTEGER])(
  'weights of %d are told apart',
  (bytes) => {
    const heaviest = new Heaviest<Item>()
    const [light, heavy] = items(2) as [Item, Item]
    light.share = bytes / 2
    heavy.share = bytes
    for (const item of [light, heavy]) heaviest.file(item, item.actual)
    expect(heaviest.pick()).toBe(heavy)
  },
)

test('the found one is among the heaviest, as long as none has grown without a word', () => {
  const step = fc.record({
    who: fc.nat(9),
    most: fc.nat(1_000_000),
    part: fc.double({ min: 0, max: 1, noNaN: true }),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
      const heaviest = new Heaviest<Item>()
      const all = items(10)
      const filed = new Set<Item>()
      for (const { who, most, part } of steps) {
        const item = all[who] as Item
        item.share = most * part
        heaviest.file(item, most)
        if (most > 0) filed.add(item)
        else filed.delete(item)
        const found = heaviest.pick()
        const most84 = 0.84 * Math.max(0, ...[...filed].map(({ actual }) => actual))
        if (filed.size === 0) expect(found).toBeNull()
        else expect(Math.max(1, found?.actual ?? 0)).toBeGreaterThanOrEqual(most84)
        expect(found === null || filed.has(found)).toBe(true)
      }
    }),
  )
})

describe('the work', () => {
  test('a thousand that turn out to be light are looked at once, not at each search', () => {
    const heaviest = new Heaviest<Item>()
    const crowd = items(1_000)
    const heavy = items(10)
    for (const item of crowd) {
      item.share = 1_000
      heaviest.file(item, 1_000_000)
    }
    for (const item of heavy) {
      item.share = 400_000
      heaviest.file(item, 400_000)
    }
    for (const expected of heavy) {
      expect(heaviest.pick()).toBe(expected)
      heaviest.file(expected, 0)
    }
    expect(crowd.reduce((sum, { looks }) => sum + looks, 0)).toBe(1_000)
    expect(heavy.reduce((sum, { looks }) => sum + looks, 0)).toBe(10)
  })

  test('those that weigh the same are found in turns', () => {
    const heaviest = new Heaviest<Item>()
    const all = items(3)
    for (const item of all) {
      item.share = 1_000
      heaviest.file(item, 1_000)
    }
    const found = all.map(() => {
      const item = heaviest.pick() as Item
      item.share = 500
      heaviest.file(item, 500)
      return item
    })
    expect(found).toEqual(all)
  })
})
