/** How sources are read: every kind, and every way to stop before the end. */
import { Readable } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { assertSource, type Source, SourceReader } from '../../src/source.ts'
import { within } from '../support/until.ts'
import { ManualSource } from './sources.ts'

function readerOf(source: Source<unknown>) {
  const failures: unknown[] = []
  return { reader: new SourceReader(source, (error) => failures.push(error)), failures }
}

async function readAll(source: Source<unknown>): Promise<unknown[]> {
  const { reader } = readerOf(source)
  const pieces: unknown[] = []
  for (let result = await reader.next(); result.done !== true; result = await reader.next()) {
    pieces.push(result.value)
  }
  return pieces
}

async function* abc() {
  yield 'a'
  yield 'b'
  yield 'c'
}

const KINDS: readonly (readonly [string, () => Source<unknown>])[] = [
  ['an array', () => ['a', 'b', 'c']],
  ['a set', () => new Set(['a', 'b', 'c'])],
  ['promises, as for await takes them', () => ['a', Promise.resolve('b'), 'c']],
  ['an iterator', () => 'a-b-c'.matchAll(/\w/g) as Iterable<unknown>],
  ['an async generator', abc],
  ['an async generator that has been called', () => abc()],
  ['a web stream', () => ReadableStream.from(['a', 'b', 'c'])],
  ['a Node stream', () => Readable.from(['a', 'b', 'c'])],
  ['a function', () => () => ['a', 'b', 'c']],
  ['an async function', () => async () => abc()],
]

describe.each(KINDS)('%s', (_name, make) => {
  test('yields its pieces in order, and then no more', async () => {
    const source = make()
    assertSource(source)
    expect((await readAll(source)).map((piece) => String(piece))).toEqual(['a', 'b', 'c'])
  })

  test('can be left after the first piece', async () => {
    const { reader, failures } = readerOf(make())
    await reader.next()
    reader.close()
    expect(await reader.next()).toEqual({ done: true, value: undefined })
    await turn()
    expect(failures).toEqual([])
  })
})

test.each([
  null,
  undefined,
  42,
  {},
  'text',
  Buffer.from('bytes'),
  new Uint8Array(3),
  new DataView(new ArrayBuffer(1)),
])('%o is no source', (value) => {
  expect(() => assertSource(value)).toThrow(/A source is an iterable or async iterable of pieces; this is /)
})

test('a function that returns no pieces fails at the first piece', async () => {
  await expect(readAll((() => 'text') as never)).rejects.toThrow(/this is "text"/)
})

test('an iterator that gives no result fails instead of going on', async () => {
  const source = { [Symbol.asyncIterator]: () => ({ next: async () => undefined }) }
  await expect(readAll(source as never)).rejects.toThrow(/no iterator result/)
})

describe('leaving', () => {
  test('returns the source once, however often it is closed', async () => {
    const source = new ManualSource().give('a', 'b')
    const { reader } = readerOf(source)
    await reader.next()
    reader.close()
    reader.close()
    await reader.next()
    expect(source).toMatchObject({ pulls: 1, returns: 1 })
  })

  test('is answered at once while the source waits, and what comes late is dropped', async () => {
    const source = new ManualSource()
    const { reader, failures } = readerOf(source)
    const waiting = reader.next()
    await turn()
    reader.close()
    expect(await within('the end', waiting)).toEqual({ done: true, value: undefined })
    expect(source.returns).toBe(1)
    source.give('late')
    await turn()
    expect(failures).toEqual([])
  })

  test('does not return a source that has ended or failed by itself', async () => {
    const ended = new ManualSource().end()
    const first = readerOf(ended)
    await first.reader.next()
    first.reader.close()
    const failing = new ManualSource().fail(new Error('broken'))
    const second = readerOf(failing)
    await expect(second.reader.next()).rejects.toThrow('broken')
    second.reader.close()
    expect(await second.reader.next()).toMatchObject({ done: true })
    expect([ended.returns, failing.returns]).toEqual([0, 0])
  })

  test('does not begin a source that nobody has read', async () => {
    const source = new ManualSource()
    let isCalled = false
    readerOf(source).reader.close()
    readerOf(() => {
      isCalled = true
      return []
    }).reader.close()
    await turn()
    expect([source.opened, isCalled]).toEqual([0, false])
  })

  test('lets go of streams that nobody has read: they are open already', async () => {
    let isCancelled = false
    const web = new ReadableStream({
      cancel() {
        isCancelled = true
      },
    })
    const node = new Readable({ read() {} })
    readerOf(web).reader.close()
    readerOf(node).reader.close()
    await turn()
    expect([isCancelled, node.destroyed]).toEqual([true, true])
  })

  test('lets go of streams that wait for something', async () => {
    let isCancelled = false
    const web = new ReadableStream({
      cancel() {
        isCancelled = true
      },
    })
    const node = new Readable({ read() {} })
    for (const source of [web, node]) {
      const { reader, failures } = readerOf(source)
      const waiting = reader.next()
      await turn()
      reader.close()
      expect(await within('the end', waiting)).toMatchObject({ done: true })
      await turn()
      expect(failures).toEqual([])
    }
    expect([isCancelled, node.destroyed]).toEqual([true, true])
  })

  test('tells a function by its signal, whose abort is no failure', async () => {
    let ended = 'not yet'
    const { reader, failures } = readerOf(async function* (signal) {
      try {
        yield 'a'
        await new Promise((_, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason))
        })
      } finally {
        ended = String(signal.aborted)
      }
    })
    await reader.next()
    const waiting = reader.next()
    await turn()
    reader.close()
    expect(await waiting).toMatchObject({ done: true })
    await turn()
    expect(ended).toBe('true')
    expect(failures).toEqual([])
  })

  test('while a function still opens its source returns what it opens, unread', async () => {
    const source = new ManualSource()
    let open: (source: ManualSource) => void = () => {}
    const { reader } = readerOf(
      () =>
        new Promise<ManualSource>((resolve) => {
          open = resolve
        }),
    )
    const waiting = reader.next()
    await turn()
    reader.close()
    expect(await waiting).toMatchObject({ done: true })
    open(source)
    await turn()
    expect(source).toMatchObject({ pulls: 0, returns: 1 })
  })

  test.each(['rejects', 'throws'])('reports once that return() %s', async (how) => {
    const broken = new Error('cannot return')
    const source = {
      [Symbol.asyncIterator]: () => ({
        next: async () => ({ done: false, value: 'a' }),
        return: () => {
          if (how === 'throws') throw broken
          return Promise.reject(broken)
        },
      }),
    }
    const { reader, failures } = readerOf(source as never)
    await reader.next()
    reader.close()
    await turn()
    expect(failures).toEqual([broken])
  })

  test('with an error makes next() throw it, also the call that waits', async () => {
    const source = new ManualSource()
    const { reader } = readerOf(source)
    const waiting = reader.next()
    await turn()
    reader.close(new Error('stopped'))
    await expect(waiting).rejects.toThrow('stopped')
    await expect(reader.next()).rejects.toThrow('stopped')
    expect(source.returns).toBe(1)
  })
})

test('a promise among the pieces that rejects fails the stream, and the iterator is returned', async () => {
  let isReturned = false
  function* source() {
    try {
      yield 'a'
      yield Promise.reject(new Error('broken'))
    } finally {
      isReturned = true
    }
  }
  await expect(readAll(source())).rejects.toThrow('broken')
  expect(isReturned).toBe(true)
})

test('a source that never waits lets timers run', async () => {
  // The symptom was a process that did nothing else: each piece came within the microtasks of the one before.
  function* endless() {
    for (;;) yield 'x'
  }
  const { reader } = readerOf(endless())
  let isOver = false
  setTimeout(() => {
    isOver = true
  }, 1)
  for (let pulled = 0; !isOver; pulled++) {
    await reader.next()
    if (pulled > 10_000_000) throw new Error('The timer never ran.')
  }
  reader.close()
})
