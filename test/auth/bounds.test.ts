/** Parts that must stay small, fast and right whatever they are given: revocations, patterns, cookies. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { cookieOf } from '../../src/cookies.ts'
import { Glob } from '../../src/glob.ts'
import { Revocations } from '../../src/hub/revocations.ts'
import { GroupPermissions } from '../../src/permission.ts'

test('revocations: never more than the bound, and never a revoked token let in for it', () => {
  const id = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', '__proto__')
  const time = fc.integer({ min: 1, max: 1000 })
  fc.assert(
    fc.property(
      fc.array(fc.tuple(id, time), { maxLength: 50 }),
      fc.integer({ min: 1, max: 4 }),
      (events, most) => {
        const revocations = new Revocations(most)
        const latest = new Map<string, number>()
        for (const [who, at] of events) {
          revocations.add(who, at, 0)
          latest.set(who, Math.max(at, latest.get(who) ?? 0))
          expect(revocations.size).toBeLessThanOrEqual(most)
          for (const [known, until] of latest) {
            expect(revocations.refuses(known, until)).toBe(true)
            expect(revocations.refuses(known, 1)).toBe(true)
          }
        }
        // Newer than all: whoever it is, also one of whom nothing was ever heard.
        for (const who of [...latest.keys(), 'g']) expect(revocations.refuses(who, 1001)).toBe(false)
      },
    ),
  )
})

test('revocations of which no token can be left are forgotten', () => {
  const revocations = new Revocations(100)
  for (let n = 1; n <= 50; n++) revocations.add(`u${n}`, n, 0)
  revocations.add('last', 1000, 51)
  expect(revocations.size).toBe(1)
  expect(revocations.refuses('u1', 1)).toBe(false)
  expect(revocations.refuses('other', 1)).toBe(false)
})

test('where some are missing, all that is as old is refused, until nothing of that age can be good', () => {
  const revocations = new Revocations(100)
  expect(revocations.oldest).toBeNull()
  revocations.missing(40)
  expect(revocations.oldest).toBe(40)
  revocations.add('ann', 50, 0)
  expect(revocations.oldest).toBe(40)
  expect([40, 41].map((since) => revocations.refuses('bob', since))).toEqual([true, false])
  revocations.forget(45)
  expect(revocations.oldest).toBe(50)
  expect(revocations.refuses('bob', 0)).toBe(false)
  expect(revocations.refuses('ann', 50)).toBe(true)
})

test('where nobody was revoked, a token that does not say when it was made is good', () => {
  // The symptom was `revoked` for every token without `iat`, from the start: it counts as made at 0, and so did the age below which all are refused.
  expect(new Revocations(100).refuses('ann', 0)).toBe(false)
})

const CHARS = [...'ab.*']
const names = fc.string({ unit: fc.constantFrom('a', 'b', '.'), maxLength: 12 })
const patterns = fc.string({ unit: fc.constantFrom(...CHARS), minLength: 1, maxLength: 8 })

test('a pattern matches what the regular expression of the same meaning does', () => {
  fc.assert(
    fc.property(patterns, names, (pattern, name) => {
      const meaning = new RegExp(`^${pattern.replaceAll('.', '\\.').replaceAll('*', '.*')}$`, 's')
      expect(new Glob(pattern).matches(name)).toBe(meaning.test(name))
    }),
    { numRuns: 2_000 },
  )
})

test('a pattern looks at each part of a name once', () => {
  // 127 stars against 255 letters: whoever went back would not come back.
  const glob = new Glob(`${'*a'.repeat(127)}b`)
  const looked: number[] = []
  const name = 'a'.repeat(255)
  const counting = Object.assign(Object(name), {
    indexOf: function (this: string, part: string, from: number) {
      looked.push(from)
      return String(this).indexOf(part, from)
    },
  })
  expect(glob.matches(counting as string)).toBe(false)
  expect(looked.length).toBeLessThanOrEqual(255)
})

test('claims allow what one of their patterns matches, for that action alone', () => {
  fc.assert(
    fc.property(fc.array(patterns), fc.array(patterns), names, (join, send, name) => {
      const permissions = GroupPermissions.read({ groupcast: { join, send } })
      const matches = (list: readonly string[]) => list.some((pattern) => new Glob(pattern).matches(name))
      expect(permissions?.allows('join', name)).toBe(matches(join))
      expect(permissions?.allows('history', name)).toBe(matches(join))
      expect(permissions?.allows('send', name)).toBe(matches(send))
    }),
  )
})

test('claims are of their own, not of what they inherit', () => {
  expect(GroupPermissions.read(Object.create({ groupcast: { join: ['*'] } }))).toBeNull()
  expect(GroupPermissions.read({ groupcast: Object.create({ join: ['*'] }) })?.allows('join', 'a')).toBe(
    false,
  )
})

test.each<[header: string | undefined, name: string, value: string | undefined]>([
  [undefined, 'a', undefined],
  ['', 'a', undefined],
  ['a=1', 'a', '1'],
  ['a=1; b=2', 'b', '2'],
  ['b=2;a=1', 'a', '1'],
  ['  a = 1  ; b=2', 'a', '1'],
  ['a=1; a=2', 'a', '1'],
  ['ba=1', 'a', undefined],
  ['a', 'a', undefined],
  ['a; b=2', 'a', undefined],
  ['x; a=1', 'a', '1'],
  ['a=', 'a', ''],
  ['a=b=c', 'a', 'b=c'],
  ['a="1"', 'a', '"1"'],
  ['a=%20', 'a', '%20'],
  ['A=1', 'a', undefined],
  ['=1', '', undefined],
  ['__proto__=1', '__proto__', '1'],
  ['a=1', 'toString', undefined],
])('of the cookies %j, %s is %j', (header, name, value) => {
  expect(cookieOf(header, name)).toBe(value)
})

test('any cookie among others is found', () => {
  const word = fc.stringMatching(/^[a-z0-9_-]{1,10}$/)
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.tuple(word, word), { selector: ([name]) => name, minLength: 1 }),
      (pairs) => {
        const header = pairs.map(([name, value]) => `${name}=${value}`).join('; ')
        for (const [name, value] of pairs) expect(cookieOf(header, name)).toBe(value)
      },
    ),
  )
})
