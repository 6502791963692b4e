import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { HistoryBounds } from '../../src/history.ts'
import type { Replay, ReplayRequest } from '../../src/layers/layer.ts'
import { memoryBroker, memoryLayer } from '../../src/layers/memory.ts'
import { MemoryHistory, MOST_EMPTY } from '../../src/layers/memory-history.ts'
import { type ManualClock, manualClock } from '../../src/testing/index.ts'
import { hostileStrings } from '../hostile-strings.ts'
import { type From, HistoryModel, type Known, type Memory } from './history-model.ts'

const AMPLE: HistoryBounds = { count: 1e6, ageMs: 1e9, bytes: 1e9 }

const BOUNDS: Readonly<Record<string, HistoryBounds>> = {
  few: { ...AMPLE, count: 3 },
  small: { ...AMPLE, bytes: 200 },
  brief: { ...AMPLE, ageMs: 1000 },
  ample: AMPLE,
  tight: { count: 4, bytes: 250, ageMs: 1500 },
  ['__proto__']: { ...AMPLE, count: 2, ageMs: 12_000 },
}
const GROUPS = [...Object.keys(BOUNDS), '__proto__', 'none', 'constructor']
const boundsOf = (group: string) => (Object.hasOwn(BOUNDS, group) ? (BOUNDS[group] ?? null) : null)

/** What the model is held against: a history, or layers around one. */
interface Subject {
  readonly history: MemoryHistory | null
  publish(group: string, json: string, turn: number): Promise<string | null>
  replay(request: ReplayRequest, turn: number): Promise<Replay>
  flush(): Promise<void>
}

function historySubject(clock: ManualClock, maxBytes: number): Subject {
  let epochs = 0
  const history = new MemoryHistory({ maxBytes, clock, newEpoch: () => `e${epochs++}` })
  return {
    history,
    async publish(group, json) {
      const bounds = boundsOf(group)
      return bounds === null ? null : history.append(group, json, bounds).cursor
    },
    replay: async (request) => history.replay(request, (group) => boundsOf(group) !== null),
    flush: async () => history.clear(),
  }
}

async function layerSubject(clock: ManualClock, maxHistoryBytes: number): Promise<Subject> {
  const broker = memoryBroker({ clock, maxHistoryBytes })
  const layers = [memoryLayer({ broker }), memoryLayer({ broker })] as const
  for (const [index, layer] of layers.entries()) {
    const sink = { deliver() {}, receive: () => true, status() {} }
    await layer.start({ nodeId: `node${index}`, sink, historyOf: boundsOf })
  }
  const node = (turn: number) => layers[(turn % 2) as 0 | 1]
  return {
    history: null,
    publish: (group, json, turn) => node(turn).groupSend(group, json),
    replay: (request, turn) => node(turn).replay(request),
    flush: () => layers[1].flush(),
  }
}

const group = fc.constantFrom(...GROUPS)
const limit = fc.option(fc.nat({ max: 5 }), { freq: 2 })
const step = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({ kind: fc.constant('publish' as const), group, size: fc.nat({ max: 120 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('publish' as const), group, size: fc.constant(400) }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('advance' as const), ms: fc.nat({ max: 900 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('advance' as const), ms: fc.constant(15_000) }) },
  {
    weight: 10,
    arbitrary: fc.record({
      kind: fc.constant('replay' as const),
      /** Which of the publications so far, from the newest; `null`: the newest of each group. */
      back: fc.option(fc.nat({ max: 25 }), { freq: 6 }),
      groups: fc.uniqueArray(fc.tuple(group, limit), { selector: ([name]) => name, maxLength: 8 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('text' as const),
      text: fc.oneof(fc.string(), fc.constantFrom(...hostileStrings.filter(({ length }) => length < 1000))),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('flush' as const) }) },
)
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

async function follow(
  subject: Subject,
  clock: ManualClock,
  memory: Memory,
  steps: readonly Step[],
): Promise<void> {
  const model = new HistoryModel(boundsOf, memory)
  for (const [turn, one] of steps.entries()) {
    switch (one.kind) {
      case 'publish': {
        const json = JSON.stringify({ type: 'model', turn, text: 'é'.repeat(one.size) })
        const cursor = await subject.publish(one.group, json, turn)
        expect(cursor === null).toBe(boundsOf(one.group) === null)
        if (cursor !== null) model.publish(one.group, json, cursor, clock.now())
        break
      }
      case 'advance':
        clock.advance(one.ms)
        break
      case 'replay': {
        const groups = new Map(one.groups)
        const known: Known | null = one.back === null ? null : (model.all.at(-1 - one.back) ?? null)
        const from: From = one.back === null || known === null ? 'newest' : { known }
        const replay = await subject.replay({ after: known?.cursor ?? null, groups }, turn)
        model.check(replay, from, groups, clock.now())
        break
      }
      case 'text': {
        const groups = new Map(GROUPS.map((name) => [name, null]))
        const replay = await subject.replay({ after: one.text, groups }, turn)
        if (!model.all.some(({ cursor }) => cursor === one.text)) {
          model.check(replay, { text: one.text }, groups, clock.now())
        }
        break
      }
      case 'flush':
        await subject.flush()
        model.flush()
        break
      default:
        one satisfies never
    }
    if (subject.history !== null) checkSums(subject.history, clock, model, memory)
  }
  clock.advance(1e10)
  expect(clock.pending).toBe(0)
}

function checkSums(history: MemoryHistory, clock: ManualClock, model: HistoryModel, memory: Memory): void {
  expect(clock.pending).toBe(history.isEmpty ? 0 : 1)
  expect(history.bytes === 0).toBe(history.isEmpty)
  expect(history.cost === 0).toBe(history.isEmpty)
  expect(history.cost).toBeGreaterThanOrEqual(history.bytes)
  if (memory === 'short') expect(history.cost).toBeLessThanOrEqual(SHORT)
  // What is too old may still be there, until somebody looks or the timer comes.
  else expect(history.bytes).toBeGreaterThanOrEqual(model.bytesAt(clock.now()))
}

/** A few messages. */
const SHORT = 2500

describe('history agrees with a plain model', () => {
  const steps = fc.array(step, { minLength: 1, maxLength: 90 })

  test.each([
    ['exact', 1e12],
    ['short', SHORT],
  ] as const)('of memory: %s', async (memory, maxBytes) => {
    await fc.assert(
      fc.asyncProperty(steps, async (sequence) => {
        const clock = manualClock()
        await follow(historySubject(clock, maxBytes), clock, memory, sequence)
      }),
      { numRuns: 400 },
    )
  })

  test.each([
    ['exact', 256 * 1024 * 1024],
    ['short', SHORT],
  ] as const)('through layers, of memory: %s', async (memory, maxBytes) => {
    await fc.assert(
      fc.asyncProperty(steps, async (sequence) => {
        const clock = manualClock()
        await follow(await layerSubject(clock, maxBytes), clock, memory, sequence)
      }),
      { numRuns: 150 },
    )
  })
})

const keepsAll = () => true
const newest = (history: MemoryHistory, ...groups: string[]) =>
  history.replay({ after: null, groups: new Map(groups.map((name) => [name, null])) }, keepsAll)
const since = (history: MemoryHistory, cursor: string | null, ...groups: string[]) =>
  history.replay({ after: cursor, groups: new Map(groups.map((name) => [name, null])) }, keepsAll)
const textsOf = ({ publications }: Replay) => publications.map(({ publication }) => publication.json)

function historyOf(maxBytes: number, clock = manualClock()): { history: MemoryHistory; clock: ManualClock } {
  let epochs = 0
  return { history: new MemoryHistory({ maxBytes, clock, newEpoch: () => `e${epochs++}` }), clock }
}

describe('history', () => {
  test('lets go of what it drops', async () => {
    // Dropped entries stayed in the array until half of it was dropped: a group could hold twice the bytes that it was allowed,
    // and a large message stayed for as long as smaller ones came after it.
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    const { history } = historyOf(1e9)
    // In a function of its own, whose stack is gone.
    const append = () => new WeakRef(history.append('g', `"${'x'.repeat(1000)}"`, { ...AMPLE, count: 10 }))
    const large = append()
    for (let n = 0; n < 10; n++) history.append('g', `${n}`, { ...AMPLE, count: 10 })
    // A WeakRef holds what it was asked for until the end of the turn.
    await new Promise(setImmediate)
    collect()
    expect(large.deref()).toBeUndefined()
    expect(textsOf(newest(history, 'g'))).toHaveLength(10)
  })

  test('keeps what other groups have when a message is larger than all may keep', () => {
    // The quietest groups were dropped first, one after another, for a message that could not be kept at all.
    const { history } = historyOf(5000)
    history.append('quiet', '"a"', AMPLE)
    const { cursor } = history.append('large', '"b"', AMPLE)
    history.append('large', `"${'x'.repeat(6000)}"`, AMPLE)
    expect(textsOf(newest(history, 'quiet', 'large'))).toEqual(['"a"'])
    expect(since(history, cursor, 'quiet', 'large').lost).toEqual(['large'])
  })

  test('forgets the groups first that were quiet longest, and says so', () => {
    const { history } = historyOf(3000)
    const start = history.position
    const text = JSON.stringify('x'.repeat(298))
    // Each takes 300 and 200 bytes, and 400 more the first of its group: room for three groups, or for a second of one.
    const cursors = ['a', 'b', 'c', 'a', 'd'].map((name) => history.append(name, text, AMPLE).cursor)
    expect(history.bytes).toBe(900)
    const kept = newest(history, 'a', 'b', 'c', 'd').publications.map(({ group: name }) => name)
    expect(kept).toEqual(['a', 'a', 'd'])
    expect(since(history, start, 'b').lost).toEqual(['b'])
    expect(since(history, cursors[1] ?? null, 'b').lost).toEqual([])
  })

  test.each([
    ['small messages', 30, 100_000],
    ['messages that are too large for their groups', 500, 100_000],
  ])('stays within its bounds with one of 100,000 groups each: %s', (_, size, count) => {
    // What publications and groups take besides their JSON was not counted; groups that keep nothing were not bounded
    // between two sweeps.
    const maxBytes = 4 * 1024 * 1024
    const { history, clock } = historyOf(maxBytes)
    const start = history.position
    const bounds = { ...AMPLE, bytes: 400, ageMs: 50_000 }
    const cursors: (string | null)[] = []
    for (let n = 0; n < count; n++) {
      cursors.push(history.append(`group.${n}`, JSON.stringify('x'.repeat(size - 2)), bounds).cursor)
    }
    expect(history.cost).toBeLessThanOrEqual(maxBytes)
    expect(history.size).toBeLessThanOrEqual(MOST_EMPTY + maxBytes / 600)
    expect(clock.pending).toBe(size > 400 ? 0 : 1)
    const last = `group.${count - 1}`
    expect(textsOf(newest(history, last))).toHaveLength(size > 400 ? 0 : 1)
    expect(since(history, start, 'group.0', last, 'never').lost).toContain('group.0')
    expect(since(history, cursors.at(-2) ?? null, last).lost).toEqual(size > 400 ? [last] : [])
    // Of groups that are not known any more only cursors of before they were forgotten are lost.
    expect(since(history, cursors.at(-1) ?? null, 'group.0', last, 'never').lost).toEqual([])
    clock.advance(60_000)
    expect({ bytes: history.bytes, cost: history.cost, pending: clock.pending }).toEqual({
      bytes: 0,
      cost: 0,
      pending: 0,
    })
    expect(history.size).toBeLessThanOrEqual(MOST_EMPTY)
  })

  test('remembers for many quiet groups that they lost nothing', () => {
    const { history, clock } = historyOf(1e9)
    const cursors: (string | null)[] = []
    for (let n = 0; n < 1000; n++)
      cursors.push(history.append(`g.${n}`, '"x"', { ...AMPLE, ageMs: 1000 }).cursor)
    clock.advance(60_000)
    expect(clock.pending).toBe(0)
    history.append('other', '"x"', AMPLE)
    for (let n = 0; n < 1000; n++) expect(since(history, cursors[n] ?? null, `g.${n}`).lost).toEqual([])
    expect(since(history, cursors[7] ?? null, 'g.8').lost).toEqual(['g.8'])
  })

  test('has a timer exactly while something is kept', () => {
    const { history, clock } = historyOf(1e9)
    expect(clock.pending).toBe(0)
    history.append('g', '"x"', { ...AMPLE, bytes: 1 })
    expect(clock.pending).toBe(0)
    history.append('g', '"x"', { ...AMPLE, ageMs: 1000 })
    expect(clock.pending).toBe(1)
    clock.advance(1500)
    // Nobody need wait for the timer: whoever looks finds that it is too old.
    expect(textsOf(newest(history, 'g'))).toEqual([])
    expect(clock.pending).toBe(0)
    history.append('g', '"x"', AMPLE)
    history.clear()
    expect(clock.pending).toBe(0)
  })

  test('drops what is too old from groups in which nothing happens', () => {
    const { history, clock } = historyOf(1e9)
    for (let n = 0; n < 100; n++) history.append(`g.${n}`, '"x"', { ...AMPLE, ageMs: 500 + n })
    history.append('long', '"x"', AMPLE)
    clock.advance(10_000)
    expect(history.bytes).toBe(3)
  })

  test('applies the bounds of the newest publication', () => {
    const { history } = historyOf(1e9)
    for (let n = 0; n < 10; n++) history.append('g', `${n}`, AMPLE)
    history.append('g', '10', { ...AMPLE, count: 2 })
    expect(textsOf(newest(history, 'g'))).toEqual(['9', '10'])
  })
})
