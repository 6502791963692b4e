/** What the policies for slow readers leave of a backlog, held against a model that looks at each message by itself. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Frame } from '../src/frame.ts'
import { Publication } from '../src/publication.ts'
import { SLOW_POLICIES, type SlowPolicy, shed } from '../src/slow.ts'
import { streamFormat } from '../src/wire/http-stream.ts'
import { hostileStrings } from './hostile-strings.ts'

const format = streamFormat('ndjson', false, 'raw')

/** One message that waits; `null` for a control object. */
interface Told {
  readonly group: string
  readonly slow: SlowPolicy | null
  readonly key: string | null
  readonly size: number
}

function frameOf(told: Told | null): Frame {
  if (told === null) return new Frame(Buffer.from('{"reply":1}\n'))
  const { group, slow, key, size } = told
  const json = JSON.stringify({ type: 'n', ...(key !== null && { key }), text: 'x'.repeat(size) })
  return new Publication(group, json, null, slow).frame(format)
}

const policy = fc.constantFrom(...SLOW_POLICIES)
const message = fc.record({
  group: fc.constantFrom('a', 'b'),
  slow: fc.option(policy),
  key: fc.option(fc.constantFrom('k', 'l', '__proto__')),
  size: fc.nat(100),
})
const backlog = fc.array(fc.oneof({ weight: 9, arbitrary: message }, fc.constant(null)), { maxLength: 40 })
const target = fc.oneof(fc.nat(4_000), fc.constantFrom(0, Number.POSITIVE_INFINITY))

/** What may become of a message, by the words of the documentation. */
function fateOf(waiting: readonly (Told | null)[], index: number, fallback: SlowPolicy) {
  const told = waiting[index] ?? null
  if (told === null) return 'stays'
  const policyOf = (other: Told) => other.slow ?? fallback
  if (policyOf(told) === 'close') return 'stays'
  if (policyOf(told) === 'drop' || told.key === null) return 'may go'
  const isNewer = (other: Told | null) =>
    other !== null && policyOf(other) === 'latest' && other.group === told.group && other.key === told.key
  return waiting.slice(index + 1).some(isNewer) ? 'replaced' : 'stays'
}

test('what stays, what goes, and what is told of it', () => {
  fc.assert(
    fc.property(backlog, policy, target, (waiting, fallback, targetBytes) => {
      const frames = waiting.map(frameOf)
      const fates = waiting.map((_, index) => fateOf(waiting, index, fallback))
      const { kept, bytes, dropped, before } = shed(frames, fallback, targetBytes)

      // In order, each once, and none from elsewhere.
      expect(kept).toEqual(frames.filter((frame) => kept.includes(frame)))
      const isKept = frames.map((frame) => kept.includes(frame))
      for (const [index, fate] of fates.entries()) {
        // The newest of each key is among these, however little room there is.
        if (fate === 'stays') expect(isKept[index]).toBe(true)
        if (fate === 'replaced') expect(isKept[index]).toBe(false)
      }
      // Of the others the oldest go, no more than must, and all that go are told.
      const others = fates.flatMap((fate, index) => (fate === 'may go' ? [index] : []))
      const gone = others.filter((index) => isKept[index] === false)
      expect(gone).toEqual(others.slice(0, gone.length))
      expect(dropped).toBe(gone.length)
      expect(dropped).toBe(frames.length - kept.length - fates.filter((fate) => fate === 'replaced').length)
      expect(bytes).toBe(kept.reduce((sum, frame) => sum + frame.bytes.length, 0))
      expect(bytes <= targetBytes || gone.length === others.length).toBe(true)
      const last = gone.at(-1)
      if (last !== undefined) expect(bytes + (frames[last]?.bytes.length ?? 0)).toBeGreaterThan(targetBytes)
      // Where the client is told: after what is older than the first that went.
      const first = gone[0]
      const older = isKept.slice(0, first ?? 0).filter(Boolean).length
      expect(before).toBe(first === undefined ? 0 : older)
    }),
    { numRuns: 1_000 },
  )
})

test('waiting alone, as settled frames, changes nothing', () => {
  fc.assert(
    fc.property(backlog, policy, target, (waiting, fallback, targetBytes) => {
      const frames = waiting.map(frameOf)
      const live = shed(frames, fallback, targetBytes)
      for (const frame of frames) frame.settle()
      expect(shed(frames, fallback, targetBytes)).toEqual(live)
    }),
  )
})

describe('latest', () => {
  const frames = (...keys: (string | null)[]) =>
    keys.map((key) => frameOf({ group: 'a', slow: 'latest', key, size: 50 }))

  // Symptom: a price that had come before ten thousand chat messages was gone for a reader that had stopped, and it showed the one before. Cause: what
  // had to go went by its age alone.
  test('drops what has no key first, also where it is newer', () => {
    const waiting = frames('price', ...Array<null>(100).fill(null), 'rate')
    const { kept, dropped, before } = shed(waiting, 'close', 0)
    expect(kept).toEqual([waiting[0], waiting[101]])
    expect([dropped, before]).toEqual([100, 1])
  })

  test('drops no newest of a key, not even where there is no room at all', () => {
    const waiting = frames('k', 'l', 'k', 'm')
    expect(shed(waiting, 'close', 0)).toMatchObject({ kept: waiting.slice(1), dropped: 0 })
  })

  test('keys are compared as they are', () => {
    for (const key of hostileStrings) {
      const waiting = frames(key, `${key} `, key)
      expect(shed(waiting, 'close', 0).kept).toEqual(waiting.slice(1))
    }
  })

  test('a key of another group, or under another policy, replaces nothing', () => {
    const waiting = [
      frameOf({ group: 'a', slow: 'latest', key: 'k', size: 1 }),
      frameOf({ group: 'b', slow: 'latest', key: 'k', size: 1 }),
      frameOf({ group: 'a', slow: 'close', key: 'k', size: 1 }),
    ]
    expect(shed(waiting, 'drop', 0).kept).toEqual(waiting)
  })
})

test('nothing is dropped under `close`, nor a control object under any policy', () => {
  const waiting = [...Array(10)].map(() => frameOf({ group: 'a', slow: null, key: 'k', size: 10 }))
  expect(shed(waiting, 'close', 0)).toMatchObject({ kept: waiting, dropped: 0 })
  const controls = [frameOf(null), frameOf(null)]
  for (const fallback of SLOW_POLICIES) expect(shed(controls, fallback, 0).kept).toEqual(controls)
})
