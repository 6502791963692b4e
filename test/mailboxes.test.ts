import { getEventListeners } from 'node:events'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Mailboxes } from '../src/mailboxes.ts'
import { type ManualClock, manualClock } from '../src/testing/index.ts'

function open(capacity: number | ((name: string) => number) = 3, expiryMs = 1000) {
  const clock = manualClock()
  return { clock, boxes: new Mailboxes({ capacity, expiryMs, clock }) }
}

/** What became of a promise, without waiting for it. */
function watch(promise: Promise<string>): { outcome: string } {
  const watched = { outcome: 'waiting' }
  promise.then(
    (value) => {
      watched.outcome = `got ${value}`
    },
    (reason) => {
      watched.outcome = `rejected ${reason instanceof Error ? reason.message : reason}`
    },
  )
  return watched
}

const settled = () => new Promise(setImmediate)

describe('push and pull', () => {
  test('keep the order', async () => {
    const { boxes } = open()
    for (const json of ['1', '2', '3']) expect(boxes.push('a', json)).toBe(true)
    for (const json of ['1', '2', '3']) expect(await boxes.pull('a')).toBe(json)
    expect(boxes.size).toBe(0)
  })

  test('refuse what is beyond the capacity, and change nothing', async () => {
    const { boxes } = open((name) => (name === 'small' ? 1 : 2))
    expect(['1', '2', '3'].map((json) => boxes.push('a', json))).toEqual([true, true, false])
    expect(['1', '2'].map((json) => boxes.push('small', json))).toEqual([true, false])
    expect(await boxes.pull('a')).toBe('1')
    expect(boxes.push('a', '4')).toBe(true)
    expect([await boxes.pull('a'), await boxes.pull('a')]).toEqual(['2', '4'])
  })

  test('serve readers in the order in which they came', async () => {
    const { boxes } = open(1)
    const readers = [watch(boxes.pull('a')), watch(boxes.pull('a')), watch(boxes.pull('a'))]
    // Straight to readers: more than the capacity.
    for (const json of ['1', '2', '3', '4']) expect(boxes.push('a', json)).toBe(true)
    expect(boxes.push('a', '5')).toBe(false)
    await settled()
    expect(readers.map(({ outcome }) => outcome)).toEqual(['got 1', 'got 2', 'got 3'])
  })

  test('take any string for a name', async () => {
    const { boxes } = open()
    const names = ['__proto__', 'constructor', 'toString', '', 'a'.repeat(1000)]
    for (const name of names) boxes.push(name, name)
    for (const name of names) expect(await boxes.pull(name)).toBe(name)
    expect(boxes.size).toBe(0)
  })
})

describe('expiry', () => {
  test('is after longer than expiryMs', async () => {
    const { clock, boxes } = open()
    boxes.push('a', '1')
    clock.advance(1000)
    expect(await boxes.pull('a')).toBe('1')
    boxes.push('a', '2')
    clock.advance(1001)
    const reader = watch(boxes.pull('a'))
    boxes.push('a', '3')
    await settled()
    expect(reader.outcome).toBe('got 3')
  })

  test('makes room', () => {
    const { clock, boxes } = open(2)
    boxes.push('a', '1')
    clock.advance(600)
    boxes.push('a', '2')
    clock.advance(600)
    expect(boxes.push('a', '3')).toBe(true)
    expect(boxes.push('a', '4')).toBe(false)
  })

  test.each(['push', 'pull'] as const)('sweeps abandoned mailboxes when %s uses another', (method) => {
    const { clock, boxes } = open()
    for (let n = 0; n < 1000; n++) boxes.push(`abandoned.${n}`, '1')
    clock.advance(500)
    boxes.push('later', '2')
    clock.advance(501)
    expect(boxes.size).toBe(1001)
    if (method === 'push') boxes.push('other', '3')
    else void boxes.pull('other')
    expect(boxes.size).toBe(2)
  })

  // A walk over the mailboxes at each call would take 10,000,000,000 steps here.
  test('does not cost each call a walk over all mailboxes', { timeout: 5000 }, async () => {
    const { clock, boxes } = open()
    for (let n = 0; n < 100_000; n++) boxes.push(`waiting.${n}`, '1')
    for (let n = 0; n < 100_000; n++) {
      boxes.push(`busy.${n % 1000}`, '2')
      await boxes.pull(`busy.${n % 1000}`)
    }
    // Nor does it where the oldest are read first.
    for (let n = 0; n < 50_000; n++) await boxes.pull(`waiting.${n}`)
    expect(boxes.size).toBe(50_000)
    clock.advance(1001)
    boxes.push('other', '3')
    expect(boxes.size).toBe(1)
  })
})

describe('abort', () => {
  test('rejects with the reason and leaves the message to the next reader', async () => {
    const { boxes } = open()
    const stop = new AbortController()
    const [first, second] = [watch(boxes.pull('a', stop.signal)), watch(boxes.pull('a'))]
    stop.abort('enough')
    boxes.push('a', '1')
    await settled()
    expect([first.outcome, second.outcome]).toEqual(['rejected enough', 'got 1'])
  })

  test('before the call takes nothing', async () => {
    const { boxes } = open()
    boxes.push('a', '1')
    await expect(boxes.pull('a', AbortSignal.abort('enough'))).rejects.toBe('enough')
    expect(await boxes.pull('a')).toBe('1')
  })

  test('after a message was handed over changes nothing', async () => {
    const { boxes } = open()
    const stop = new AbortController()
    const reader = watch(boxes.pull('a', stop.signal))
    boxes.push('a', '1')
    stop.abort()
    await settled()
    expect(reader.outcome).toBe('got 1')
  })

  test('leaves no reader, and whatever ends a pull leaves no listener', async () => {
    const { boxes } = open()
    const [aborted, served, closed] = [new AbortController(), new AbortController(), new AbortController()]
    const pulls = [aborted, served, closed].map(({ signal }, n) => watch(boxes.pull(`a.${n}`, signal)))
    expect(boxes.size).toBe(3)
    aborted.abort('enough')
    expect(boxes.size).toBe(2)
    boxes.push('a.1', '1')
    expect(boxes.size).toBe(1)
    boxes.close(new Error('closed'))
    expect(boxes.size).toBe(0)
    await settled()
    expect(pulls.map(({ outcome }) => outcome)).toEqual(['rejected enough', 'got 1', 'rejected closed'])
    for (const { signal } of [aborted, served, closed]) {
      expect(getEventListeners(signal, 'abort')).toHaveLength(0)
    }
  })
})

describe('the end', () => {
  test('clear forgets messages and leaves readers', async () => {
    const { boxes } = open(1)
    boxes.push('a', '1')
    const reader = watch(boxes.pull('b'))
    boxes.clear()
    expect(boxes.size).toBe(1)
    expect(boxes.push('a', '2')).toBe(true)
    expect(boxes.push('b', '3')).toBe(true)
    await settled()
    expect([await boxes.pull('a'), reader.outcome]).toEqual(['2', 'got 3'])
  })

  test('clear forgets when the messages would have expired', async () => {
    // A cleared message that still counted as waiting would, when swept, remove the mailbox opened since
    // under its name.
    const { clock, boxes } = open()
    boxes.push('a', '1')
    boxes.clear()
    clock.advance(600)
    boxes.push('a', '2')
    clock.advance(600)
    expect(await boxes.pull('a')).toBe('2')
  })

  test('close rejects readers, those who come later, and pushes', async () => {
    const { boxes } = open()
    boxes.push('full', '1')
    const reader = watch(boxes.pull('a'))
    boxes.close(new Error('closed'))
    boxes.close(new Error('another reason'))
    await settled()
    expect(reader.outcome).toBe('rejected closed')
    expect(boxes.size).toBe(0)
    await expect(boxes.pull('full')).rejects.toThrow(/^closed$/)
    expect(() => boxes.push('a', '2')).toThrow(/^closed$/)
  })
})

// The model: what mailboxes should do, in the plainest way.

const CAPACITY = 3
const EXPIRY_MS = 100
const NAMES = ['a', 'b', '__proto__']

interface ModelReader {
  readonly id: number
  expected: string
}

interface Model {
  now: number
  readonly messages: Map<string, { json: string; at: number }[]>
  readonly readers: Map<string, ModelReader[]>
  readonly all: ModelReader[]
}

interface Real {
  readonly clock: ManualClock
  readonly boxes: Mailboxes
  readonly pulls: { readonly stop: AbortController; readonly watched: { outcome: string } }[]
}

function forgetExpired(model: Model): void {
  for (const [name, queue] of model.messages) {
    const left = queue.filter(({ at }) => model.now - at <= EXPIRY_MS)
    model.messages.set(name, left)
  }
}

async function expectAlike(model: Model, { boxes, pulls }: Real): Promise<void> {
  await settled()
  expect(pulls.map(({ watched }) => watched.outcome)).toEqual(model.all.map(({ expected }) => expected))
  const held = NAMES.flatMap((name) => [model.messages.get(name), model.readers.get(name)])
  expect(boxes.size).toBe(held.filter((list) => list !== undefined && list.length > 0).length)
  const listening = pulls.filter(({ stop }) => getEventListeners(stop.signal, 'abort').length > 0)
  expect(listening).toHaveLength(model.all.filter(({ expected }) => expected === 'waiting').length)
}

type Step = fc.AsyncCommand<Model, Real>

function step(text: string, run: (model: Model, real: Real) => void): Step {
  return {
    check: () => true,
    async run(model, real) {
      run(model, real)
      await expectAlike(model, real)
    },
    toString: () => text,
  }
}

const push = (name: string, json: string) =>
  step(`push(${name}, ${json})`, (model, { boxes }) => {
    forgetExpired(model)
    const queue = model.messages.get(name) ?? []
    const reader = model.readers.get(name)?.shift()
    const fits = reader !== undefined || queue.length < CAPACITY
    if (reader !== undefined) reader.expected = `got ${json}`
    else if (fits) model.messages.set(name, [...queue, { json, at: model.now }])
    expect(boxes.push(name, json)).toBe(fits)
  })

const pull = (name: string) =>
  step(`pull(${name})`, (model, { boxes, pulls }) => {
    forgetExpired(model)
    const reader: ModelReader = { id: model.all.length, expected: 'waiting' }
    model.all.push(reader)
    const taken = model.messages.get(name)?.shift()
    if (taken !== undefined) reader.expected = `got ${taken.json}`
    else model.readers.set(name, [...(model.readers.get(name) ?? []), reader])
    const stop = new AbortController()
    pulls.push({ stop, watched: watch(boxes.pull(name, stop.signal)) })
  })

const abort = (turn: number) =>
  step(`abort(${turn})`, (model, { pulls }) => {
    const id = turn % Math.max(pulls.length, 1)
    pulls[id]?.stop.abort('stop')
    for (const [name, readers] of model.readers) {
      const left = readers.filter((reader) => reader.id !== id)
      const reader = model.all[id]
      if (left.length < readers.length && reader !== undefined) reader.expected = 'rejected stop'
      model.readers.set(name, left)
    }
  })

const advance = (ms: number) =>
  step(`advance(${ms})`, (model, { clock }) => {
    model.now += ms
    clock.advance(ms)
  })

const clear = () =>
  step('clear()', (model, { boxes }) => {
    model.messages.clear()
    boxes.clear()
  })

test('mailboxes do what a plain list of messages and readers would', async () => {
  const name = fc.constantFrom(...NAMES)
  const steps = fc.commands(
    [
      fc.tuple(name, fc.nat(99).map(String)).map(([to, json]) => push(to, json)),
      name.map(pull),
      fc.nat(20).map(abort),
      fc.constantFrom(1, 40, EXPIRY_MS, EXPIRY_MS + 1).map(advance),
      fc.constant(clear()),
    ],
    { maxCommands: 40 },
  )
  await fc.assert(
    fc.asyncProperty(steps, async (commands) => {
      const { clock, boxes } = open(CAPACITY, EXPIRY_MS)
      const model: Model = { now: 0, messages: new Map(), readers: new Map(), all: [] }
      await fc.asyncModelRun(() => ({ model, real: { clock, boxes, pulls: [] } }), commands)
      expect(clock.pending).toBe(0)
    }),
    { numRuns: 300 },
  )
})
