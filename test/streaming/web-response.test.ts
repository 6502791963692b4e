/** `streamedResponse`: read as frameworks read it, piece by piece. */
import { setImmediate as turn } from 'node:timers/promises'
import { streamedResponse } from 'groupcast'
import { manualClock } from 'groupcast/testing'
import { describe, expect, test } from 'vitest'
import { within } from '../support/until.ts'
import { failingAfter, ManualSource } from './sources.ts'

type Options = Parameters<typeof streamedResponse>[1]

/** A response and its pieces as texts. */
function respond(source: Parameters<typeof streamedResponse>[0], options: Options = {}) {
  const errors: unknown[] = []
  const response = streamedResponse(source, { onError: (error) => void errors.push(error), ...options })
  const reader = (response.body as ReadableStream<Uint8Array>).getReader()
  return {
    response,
    errors,
    cancel: () => reader.cancel(),
    /** The next piece; `null` at the end. */
    async read(): Promise<string | null> {
      const { done, value } = await reader.read()
      return done ? null : Buffer.from(value).toString()
    },
  }
}

test('pulls one piece for each that is read, and none before', async () => {
  const source = new ManualSource().give('one', 'two').end()
  const { response, read } = respond(source)
  await turn()
  expect([response.status, source.opened]).toEqual([200, 0])
  expect(await read()).toBe('one')
  await turn()
  expect(source.pulls).toBe(1)
  expect([await read(), await read()]).toEqual(['two', null])
  expect(source).toMatchObject({ pulls: 3, returns: 0 })
})

test('each piece arrives while the source still works on the next', async () => {
  const source = new ManualSource().give('one')
  const { read } = respond(source)
  expect(await read()).toBe('one')
  const next = read()
  source.give('two')
  expect(await next).toBe('two')
})

test('has the headers of its format and of its options', () => {
  const { headers, status } = streamedResponse([], {
    format: 'ndjson',
    status: 201,
    headers: { 'Cache-Control': 'max-age=1', 'X-Mine': '1' },
  })
  expect(status).toBe(201)
  expect(Object.fromEntries(headers)).toEqual({
    'content-type': 'application/x-ndjson',
    'cache-control': 'max-age=1',
    'x-accel-buffering': 'no',
    'x-content-type-options': 'nosniff',
    'x-mine': '1',
  })
})

test.each([
  ['text', 'abc'],
  ['ndjson', '"a"\n"b"\n"c"\n'],
  [
    'sse',
    'id: 0\ndata: a\n\nid: 1\ndata: b\n\nid: 2\ndata: c\n\nevent: groupcast.end\ndata: {"pieces":3}\n\n',
  ],
] as const)('%s is the same as over node:http', async (format, body) => {
  expect(await streamedResponse(['a', 'b', 'c'], { format }).text()).toBe(body)
})

test('pieces without bytes do not stop it', async () => {
  expect(await streamedResponse(['', 'a', '', '\ud83d', '\ude00', '']).text()).toBe('a😀')
  expect(await streamedResponse([]).text()).toBe('')
})

describe('a reader that cancels', () => {
  test('returns the source, also while that waits', async () => {
    const source = new ManualSource().give('one')
    const { read, cancel, errors } = respond(source)
    await read()
    const next = read()
    await turn()
    await cancel()
    expect(await within('the end', next)).toBeNull()
    expect(source).toMatchObject({ pulls: 2, returns: 1 })
    source.give('late')
    await turn()
    expect(errors).toEqual([])
  })

  test('before it has read leaves the source alone', async () => {
    const source = new ManualSource()
    await streamedResponse(source).body?.cancel()
    expect(source.opened).toBe(0)
  })

  test('hears nothing of a return() that fails: onError does, once', async () => {
    const source = new ManualSource().give('one')
    source.returnError = new Error('cannot return')
    const { read, cancel, errors } = respond(source)
    await read()
    await cancel()
    await turn()
    expect(errors).toEqual([source.returnError])
  })
})

test.each([
  ['text', []],
  [
    'ndjson',
    [
      '{"error":{"code":"stream-failed","message":"The stream failed: what came before is not the whole."}}\n',
    ],
  ],
  [
    'sse',
    [
      'event: groupcast.error\ndata: {"code":"stream-failed","message":"The stream failed: what came before is not the whole."}\n\n',
    ],
  ],
] as const)('%s: an error fails the body, and says so before where it can', async (format, records) => {
  const error = new Error('secret')
  const { read, errors } = respond(failingAfter(['one'], error), { format })
  await read()
  for (const record of records) expect(await read()).toBe(record)
  await expect(read()).rejects.toMatchObject({ code: 'stream-failed' })
  await expect(read()).rejects.not.toThrow('secret')
  expect(errors).toEqual([error])
})

test('a signal stops it, and returns the source', async () => {
  const source = new ManualSource().give('one')
  const controller = new AbortController()
  const { read, errors } = respond(source, { signal: controller.signal })
  await read()
  const next = read()
  await turn()
  controller.abort()
  await expect(next).rejects.toMatchObject({ code: 'stream-aborted' })
  expect(source.returns).toBe(1)
  expect(errors).toEqual([])
})

test('a signal that has aborted already leaves the source alone', async () => {
  const source = new ManualSource()
  const { read } = respond(source, { signal: AbortSignal.abort() })
  await expect(read()).rejects.toMatchObject({ code: 'stream-aborted' })
  expect(source.opened).toBe(0)
})

test('a silent event stream is kept awake while somebody waits, and not beyond', async () => {
  const clock = manualClock()
  const source = new ManualSource()
  const { read } = respond(source, { format: 'sse', clock, heartbeatMs: 1_000 })
  expect(clock.pending).toBe(0)
  const first = read()
  await turn()
  clock.advance(1_000)
  expect(await first).toBe(':\n\n')
  // Nobody reads: one may wait, more would pile up.
  clock.advance(5_000)
  expect(await read()).toBe(':\n\n')
  const piece = read()
  source.give('one')
  expect(await piece).toBe('id: 0\ndata: one\n\n')
  await turn()
  expect(clock.pending).toBe(0)
})

test('misuse is thrown at the call', () => {
  expect(() => streamedResponse('text' as never)).toThrow(/A source is an iterable/)
  expect(() => streamedResponse([], { head: 'at-once' } as never)).toThrow(
    'streamedResponse has no option "head"',
  )
  expect(() => streamedResponse([], { headers: { 'x-split': 'a\nb' } })).toThrow(TypeError)
})
