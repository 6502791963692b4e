import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Batch } from '../src/batch.ts'
import { Frame } from '../src/frame.ts'
import { Publication } from '../src/publication.ts'
import type { WireFormat } from '../src/wire/wire-format.ts'

const plain: WireFormat = {
  name: 'test',
  transport: 'websocket',
  envelope: false,
  frame: () => Buffer.alloc(0),
  control: () => null,
}

const frameOf = (text: string) => new Frame(Buffer.from(text))

const sealed: WireFormat = {
  ...plain,
  seal: (bytes) => Buffer.concat([Buffer.from('<'), bytes, Buffer.from('>')]),
}

describe('a batch', () => {
  test('is its frames in the order in which they were appended', () => {
    const frames = ['a', 'bc', 'def'].map(frameOf)
    const batch = frames.reduce((run, frame) => run.append(frame), Batch.root(plain))
    expect(batch.bytes().toString()).toBe('abcdef')
    expect(batch.frames()).toEqual(frames)
    expect(batch).toMatchObject({ size: 6, length: 3 })
  })

  test('of one frame is that frame: nothing is copied', () => {
    const frame = frameOf('a')
    expect(Batch.root(plain).append(frame).bytes()).toBe(frame.bytes)
  })

  test('is shared by all whose frames are equal, and so are its bytes', () => {
    const root = Batch.root(plain)
    const [a, b] = [frameOf('a'), frameOf('b')]
    const first = root.append(a).append(b)
    // Another connection, in another group as well, came between.
    root.append(b).append(a)
    const second = root.append(a).append(b)
    expect(second).toBe(first)
    expect(second.bytes()).toBe(first.bytes())
  })

  test('tells frames apart by identity: equal bytes of two messages stay two frames', () => {
    const root = Batch.root(plain)
    expect(root.append(frameOf('a'))).not.toBe(root.append(frameOf('a')))
  })

  test('is sealed once, whole', () => {
    const batch = Batch.root(sealed).append(frameOf('a')).append(frameOf('b'))
    expect(batch.bytes().toString()).toBe('<ab>')
    expect(batch.bytes()).toBe(batch.bytes())
  })

  test('is given to all links as the same bytes, in whichever turn, while one has them', () => {
    const batch = Batch.root(sealed).append(frameOf('a')).append(frameOf('b'))
    const bytes = batch.bytes()
    const [first, second] = [batch.leaveInLink(), batch.leaveInLink()]
    expect(second).toBe(first)
    expect([first.size, first.frame]).toEqual([4, null])
    batch.release()
    first.letGo()
    batch.release()
    expect(batch.bytes()).toBe(bytes)
    second.letGo()
    batch.release()
    expect(first.bytes).toBe(null)
    expect(batch.bytes()).not.toBe(bytes)
    expect(batch.leaveInLink()).not.toBe(first)
  })

  test('of one frame leaves that frame in a link, unless it is sealed', () => {
    const frame = frameOf('a')
    expect(Batch.root(plain).append(frame).leaveInLink().frame).toBe(frame)
    expect(Batch.root(sealed).append(frame).leaveInLink().frame).toBe(null)
  })

  test('can be written again after its bytes were released', () => {
    const batch = Batch.root(plain).append(frameOf('a')).append(frameOf('b'))
    const before = batch.bytes()
    batch.release()
    expect(batch.bytes()).toEqual(before)
    expect(batch.bytes()).not.toBe(before)
  })
})

/**
 * The model: each connection's pending frames as a plain list. Random groups overlap at random; whatever is sent, flushed and
 * held back, a batch's bytes are the list's, and connections whose lists are equal since the same root hold one batch.
 */
test('batches of overlapping groups agree with plain lists', () => {
  const action = fc.oneof(
    { weight: 5, arbitrary: fc.record({ do: fc.constant('send' as const), group: fc.nat(3) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('flush' as const), connection: fc.nat(5) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('turn' as const) }) },
  )
  const membership = fc.array(fc.array(fc.nat(5), { maxLength: 6 }), { minLength: 4, maxLength: 4 })
  fc.assert(
    fc.property(membership, fc.array(action, { maxLength: 60 }), (groups, actions) => {
      let root = Batch.root(sealed)
      let turn = 0
      const pending = Array.from({ length: 6 }, () => ({
        batch: null as Batch | null,
        since: 0,
        model: [] as Frame[],
      }))
      for (const [n, step] of actions.entries()) {
        if (step.do === 'turn') {
          root = Batch.root(sealed)
          turn++
        } else if (step.do === 'flush') {
          const connection = pending[step.connection] as (typeof pending)[number]
          if (connection.batch !== null) {
            expect(connection.batch.bytes()).toEqual(
              Buffer.concat([
                Buffer.from('<'),
                ...connection.model.map(({ bytes }) => bytes),
                Buffer.from('>'),
              ]),
            )
            connection.batch.release()
          }
          connection.batch = null
          connection.model = []
        } else {
          const frame = frameOf(`frame ${n};`)
          for (const index of new Set(groups[step.group])) {
            const connection = pending[index] as (typeof pending)[number]
            if (connection.batch === null) connection.since = turn
            connection.batch = (connection.batch ?? root).append(frame)
            connection.model.push(frame)
          }
        }
        for (const a of pending) {
          for (const b of pending) {
            const isEqual =
              a.since === b.since &&
              a.model.length === b.model.length &&
              a.model.every((frame, i) => frame === b.model[i])
            if (a.batch !== null && b.batch !== null && isEqual) expect(a.batch).toBe(b.batch)
          }
        }
      }
    }),
    { numRuns: 300 },
  )
})

// Symptom: a backlog of 1 MiB in messages of 128 bytes took 8 MiB. Cause: each frame kept its publication with the text, and each run the
// one that led to it.
describe('what waits for slow readers', () => {
  test('keeps its frames in order, also where another connection goes on from it', () => {
    const frames = ['a', 'b', 'c', 'd'].map(frameOf)
    const [a, b, c, d] = frames as [Frame, Frame, Frame, Frame]
    const waiting = Batch.root(plain).append(a).append(b)
    waiting.settle()
    waiting.settle()
    expect(waiting.frames()).toEqual([a, b])
    expect(waiting.bytes().toString()).toBe('ab')
    const longer = waiting.append(c).append(d)
    expect(longer.frames()).toEqual(frames)
    longer.settle()
    expect(longer.frames()).toEqual(frames)
    const one = Batch.root(plain).append(a)
    one.settle()
    expect(one.bytes()).toBe(a.bytes)
  })

  test.each([
    ['latest', '{"type":"m","key":"k"}', '["g","k"]'],
    [null, '{"type":"m","key":"k"}', '["g","k"]'],
    [null, '{"type":"m","\\u006bey":"k"}', '["g","k"]'],
    [null, '{"type":"m"}', null],
    ['latest', '{"type":"m","text":"\\"key\\""}', null],
    // Nobody asks for it.
    ['drop', '{"type":"m","key":"k"}', null],
    ['close', '{"type":"m","key":"k"}', null],
  ] as const)('keeps of a publication what its policy asks for: %s, %s', (slow, json, conflationKey) => {
    const publication = new Publication('g', json, null, slow)
    const frame = new Frame(Buffer.from(json), publication)
    expect(frame.publication).toBe(publication)
    frame.settle()
    frame.settle()
    expect(frame.publication).toMatchObject({ slow, conflationKey })
  })

  test('a control object stays one', () => {
    const frame = frameOf('control')
    frame.settle()
    expect(frame.publication).toBeNull()
  })
})
