/** `streamResponse` over real sockets: HTTP/1.1, HTTP/2 and HTTP/1.0. */
import { createServer } from 'node:http'
import { setImmediate as turn } from 'node:timers/promises'
import { Refusal, type StreamResponseOptions, streamResponse } from 'groupcast'
import { manualClock } from 'groupcast/testing'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { listen, stop } from '../support/hub-server.ts'
import { connectRaw, parseResponse, type RawClient, requestHead } from '../support/raw.ts'
import { until, within } from '../support/until.ts'
import { openReader, startStreaming } from './server.ts'
import { EndlessSource, failingAfter, ManualSource } from './sources.ts'

const PROBLEM = {
  type: 'about:blank',
  title: 'The stream failed: what came before is not the whole.',
  status: 500,
  code: 'stream-failed',
}
const TOLD = JSON.stringify({ code: 'stream-failed', message: PROBLEM.title })
/** More than the kernel buffers for a connection on the loopback address. */
const LARGE = 1024 * 1024

describe.each([1, 2] as const)('HTTP/%i', (version) => {
  const start = (...[source, options]: Parameters<typeof startStreaming>) =>
    startStreaming(source, options, { version })
  const open = (url: string, method = 'GET') => openReader(url, { version, method })

  test('each piece arrives while the source still works on the next', async () => {
    const source = new ManualSource().give('one,')
    const { url, result } = await start(source)
    const reader = await open(url)
    await until('the first piece is there', () => reader.text === 'one,')
    source.give('two,')
    await until('the second piece is there', () => reader.text === 'one,two,')
    source.end()
    expect(await within('the end', reader.ended)).toBe('complete')
    expect(await result()).toEqual({ outcome: 'complete', pieces: 2 })
    expect(source).toMatchObject({ pulls: 3, returns: 0 })
  })

  test('a reader that stops reading stops the source, and one that goes on gets the rest', async () => {
    const source = new EndlessSource(LARGE)
    const controller = new AbortController()
    const { url, result } = await start(source, { signal: controller.signal })
    const reader = await open(url)
    reader.pause()
    const pulls = await settled(() => source.pulls)
    expect(pulls).toBeLessThan(20)
    reader.resume()
    await until('the source goes on', () => source.pulls > pulls + 20)
    controller.abort()
    expect(await within('the end', reader.ended)).toBe('cut off')
    expect(await result()).toMatchObject({ outcome: 'aborted' })
    expect(source.returns).toBe(1)
  })

  test('a reader that leaves while the source waits returns it at once', async () => {
    const source = new ManualSource().give('one')
    const { url, result, errors } = await start(source)
    const reader = await open(url)
    await until('the first piece is there', () => reader.text === 'one')
    reader.leave()
    expect(await result()).toEqual({ outcome: 'left', pieces: 1 })
    expect(source).toMatchObject({ pulls: 2, returns: 1 })
    expect(errors).toEqual([])
  })

  test('a reader that leaves while it takes nothing returns the source too', async () => {
    const source = new EndlessSource(LARGE)
    const { url, result } = await start(source)
    const reader = await open(url)
    reader.pause()
    await settled(() => source.pulls)
    reader.leave()
    expect(await result()).toMatchObject({ outcome: 'left' })
    expect(source.returns).toBe(1)
  })

  test('a reader that leaves before it has taken all did not get the whole', async () => {
    const { url, result } = await start(['x'.repeat(LARGE * 16)])
    const reader = await open(url)
    reader.pause()
    reader.leave()
    expect(await result()).toMatchObject({ outcome: 'left' })
  })

  test('a source that fails before its first piece is answered by an error status', async () => {
    const error = new Error('secret: the password is 1234')
    const headers = { 'Content-Disposition': 'attachment', 'Content-Length': '10' }
    const { url, result, errors } = await start(new ManualSource().fail(error), { headers })
    const reader = await open(url)
    expect(reader.status).toBe(500)
    expect(reader.headers['content-type']).toBe('application/problem+json')
    expect(reader.headers['content-disposition']).toBeUndefined()
    expect(await within('the end', reader.ended)).toBe('complete')
    expect(JSON.parse(reader.text)).toEqual(PROBLEM)
    expect(await result()).toEqual({ outcome: 'failed', pieces: 0 })
    expect(errors).toEqual([error])
  })

  test('a source that fails later is cut off, after the pieces that it yielded', async () => {
    const error = new Error('secret')
    const { url, result, errors } = await start(failingAfter(['one'], error))
    const reader = await open(url)
    expect(await within('the end', reader.ended)).toBe('cut off')
    expect(reader.text).toBe('one')
    expect(await result()).toEqual({ outcome: 'failed', pieces: 1 })
    expect(errors).toEqual([error])
  })

  test.each([
    ['ndjson', '"one"\n', `{"error":${TOLD}}\n`],
    ['sse', 'id: 0\ndata: one\n\n', `event: groupcast.error\ndata: ${TOLD}\n\n`],
  ] as const)('in %s a record says so before', async (format, piece, record) => {
    const { url, result, errors } = await start(failingAfter(['one']), { format })
    const reader = await open(url)
    expect(await within('the end', reader.ended)).toBe('cut off')
    expect(reader.text).toBe(piece + record)
    expect(await result()).toEqual({ outcome: 'failed', pieces: 1 })
    expect(errors).toHaveLength(1)
  })

  test('what a reader could not take yet arrives before the cut', async () => {
    const piece = 'x'.repeat(LARGE)
    const { url } = await start(failingAfter([piece, piece, piece, piece]))
    const reader = await open(url)
    expect(await within('the end', reader.ended)).toBe('cut off')
    expect(reader.text.length).toBe(4 * LARGE)
  })

  test('a HEAD request gets the head alone, and the source is left alone', async () => {
    const source = new ManualSource()
    const { url, result } = await start(source, { format: 'ndjson' })
    const reader = await open(url, 'HEAD')
    expect([reader.status, reader.headers['content-type']]).toEqual([200, 'application/x-ndjson'])
    expect(await within('the end', reader.ended)).toBe('complete')
    expect(await result()).toEqual({ outcome: 'complete', pieces: 0 })
    expect(source.opened).toBe(0)
  })

  test('an empty source is an empty body', async () => {
    const { url, result } = await start([])
    const reader = await open(url)
    expect(await within('the end', reader.ended)).toBe('complete')
    expect([reader.status, reader.text]).toEqual([200, ''])
    expect(await result()).toEqual({ outcome: 'complete', pieces: 0 })
  })
})

/** A number that has stopped growing: no piece is pulled for many turns. */
async function settled(count: () => number): Promise<number> {
  let last = -1
  for (let same = 0; same < 50; ) {
    await new Promise((resolve) => setTimeout(resolve, 2))
    same = count() === last ? same + 1 : 0
    last = count()
  }
  return last
}

test('a reader that leaves when all was said, but not yet taken, did not get the whole', async () => {
  const source = new ManualSource()
  let waitingBytes = () => 0
  const { url, result } = await startStreaming(
    source,
    { head: 'at-once' },
    {
      prepare: (_request, response) => {
        waitingBytes = () => response.socket?.writableLength ?? 0
      },
    },
  )
  const reader = await openReader(url)
  reader.pause()
  // Small ones: what waits in the end does not count as congestion, so that the source is still pulled.
  while (waitingBytes() === 0) {
    source.give('x'.repeat(4096))
    await turn()
  }
  source.end()
  await turn()
  reader.leave()
  expect(await result()).toMatchObject({ outcome: 'left' })
})

describe('the head', () => {
  test('says what lets pieces through one by one', async () => {
    const { url } = await startStreaming(['x'])
    const { status, headers } = await openReader(url)
    expect(status).toBe(200)
    expect(headers).toMatchObject({
      'content-type': 'text/plain; charset=utf-8',
      'cache-control': 'no-cache, no-store, no-transform, private',
      'x-accel-buffering': 'no',
      'x-content-type-options': 'nosniff',
      'transfer-encoding': 'chunked',
    })
  })

  test('keeps what the application said, and puts the options above all', async () => {
    const { url } = await startStreaming(
      ['x'],
      { headers: { 'CACHE-CONTROL': 'max-age=60', 'X-Mine': '1' }, contentType: 'text/csv', status: 203 },
      {
        prepare: (_request, response) => {
          response.setHeader('X-Accel-Buffering', 'yes')
          response.setHeader('X-Theirs', '2')
        },
      },
    )
    const { status, headers } = await openReader(url)
    expect(status).toBe(203)
    expect(headers).toMatchObject({
      'content-type': 'text/csv',
      'cache-control': 'max-age=60',
      'x-accel-buffering': 'yes',
      'x-mine': '1',
      'x-theirs': '2',
    })
  })

  test.each([
    ['sse', undefined],
    ['text', 'at-once'],
  ] as const)('goes out at once: %s, head %s', async (format, head) => {
    const source = new ManualSource()
    const { url, result } = await startStreaming(source, { format, ...(head !== undefined && { head }) })
    const reader = await openReader(url)
    expect(reader.status).toBe(200)
    source.fail(new Error('secret'))
    expect(await within('the end', reader.ended)).toBe('cut off')
    expect(await result()).toEqual({ outcome: 'failed', pieces: 0 })
  })

  test('that the application has sent already is left as it is', async () => {
    const { url } = await startStreaming(
      ['x'],
      { headers: { 'x-late': '1' } },
      { prepare: (_request, response) => response.writeHead(201, { 'X-Own': '1' }) },
    )
    const { status, headers } = await openReader(url)
    expect(status).toBe(201)
    expect(headers).toMatchObject({ 'x-own': '1' })
    expect(headers).not.toHaveProperty('x-late')
  })
})

test('a Refusal of the source speaks for itself, and nobody is alarmed', async () => {
  const { url, errors } = await startStreaming(
    new ManualSource().fail(new Refusal('forbidden', 'Members only')),
  )
  const reader = await openReader(url)
  await reader.ended
  expect(reader.status).toBe(403)
  expect(JSON.parse(reader.text)).toMatchObject({ code: 'forbidden', detail: 'Members only' })
  expect(errors).toEqual([])
})

test('a stream that is stopped before its first piece asks the client to come back', async () => {
  const source = new ManualSource()
  const controller = new AbortController()
  const { url, result, errors } = await startStreaming(source, { signal: controller.signal })
  const opening = openReader(url)
  await until('the source was asked', () => source.pulls === 1)
  controller.abort()
  const reader = await opening
  await reader.ended
  expect([reader.status, reader.headers['retry-after']]).toEqual([503, '1'])
  expect(JSON.parse(reader.text)).toMatchObject({ code: 'stream-aborted' })
  expect(await result()).toEqual({ outcome: 'aborted', pieces: 0 })
  expect(source.returns).toBe(1)
  expect(errors).toEqual([])
})

test('a stopped event stream says so in its last event', async () => {
  const source = new ManualSource().give('one')
  const controller = new AbortController()
  const { url } = await startStreaming(source, { format: 'sse', signal: controller.signal })
  const reader = await openReader(url)
  await until('the first piece is there', () => reader.text.includes('one'))
  controller.abort()
  expect(await within('the end', reader.ended)).toBe('cut off')
  expect(reader.text).toMatch(/event: groupcast\.error\ndata: \{"code":"stream-aborted",.*\}\n\n$/)
})

test.each([
  [
    'throws at once',
    () => ({
      next: () => {
        throw new Error('broken')
      },
    }),
  ],
  [
    'cannot be opened',
    () => {
      throw new Error('broken')
    },
  ],
])('a source that %s fails like any other', async (_how, asyncIterator) => {
  const { url, errors } = await startStreaming({ [Symbol.asyncIterator]: asyncIterator } as never)
  const reader = await openReader(url)
  expect(reader.status).toBe(500)
  expect(errors).toMatchObject([{ message: 'broken' }])
})

test('a piece that the format cannot carry fails the stream, and the source is returned', async () => {
  const source = new ManualSource().give('fine', { not: 'text' })
  const { url, result, errors } = await startStreaming(source)
  const reader = await openReader(url)
  expect(await within('the end', reader.ended)).toBe('cut off')
  expect(await result()).toEqual({ outcome: 'failed', pieces: 1 })
  expect(source.returns).toBe(1)
  expect(errors).toMatchObject([{ code: 'invalid-option' }])
  expect(String(errors[0])).toMatch(/a string or a Uint8Array/)
})

test('what return() fails with is reported once', async () => {
  const source = new ManualSource().give('one')
  source.returnError = new Error('cannot return')
  const { url, result, errors } = await startStreaming(source)
  const reader = await openReader(url)
  reader.leave()
  expect(await result()).toMatchObject({ outcome: 'left' })
  await until('it was reported', () => errors.length > 0)
  await turn()
  expect(errors).toEqual([source.returnError])
})

test('an onError that fails does not end the process', async () => {
  const logged = vi.spyOn(console, 'error').mockImplementation(() => {})
  onTestFinished(() => logged.mockRestore())
  const hooks: NonNullable<StreamResponseOptions['onError']>[] = [
    () => {
      throw new Error('hook')
    },
    (() => Promise.reject(new Error('hook'))) as never,
  ]
  for (const onError of hooks) {
    const { url } = await startStreaming(new ManualSource().fail(new Error('first')), { onError })
    expect((await openReader(url)).status).toBe(500)
  }
  expect(logged).toHaveBeenCalledTimes(2)
})

describe('on a connection that is lost', () => {
  /** Streams the source to each request of `/stream`, when the test says so. */
  async function startLate(source: ManualSource) {
    const results: unknown[] = []
    const waiting: (() => void)[] = []
    const server = createServer((request, response) => {
      if (request.url !== '/stream') return
      waiting.push(() => void streamResponse(response, source).then((result) => results.push(result)))
    })
    const url = await listen(server)
    onTestFinished(() => stop(server))
    return { results, waiting, server, client: await connectRaw(url) }
  }

  test('before the source was asked, it is left alone', async () => {
    const source = new ManualSource()
    const { results, waiting, server, client } = await startLate(source)
    const lost = new Promise((resolve) => {
      server.once('request', (_request, response) => response.once('close', resolve))
    })
    client.write(requestHead('GET', '/stream'))
    await until('the request is there', () => waiting.length === 1)
    client.socket.destroy()
    await within('the loss', lost)
    waiting[0]?.()
    await until('it is over', () => results.length === 1)
    expect(results).toEqual([{ outcome: 'left', pieces: 0 }])
    expect(source.opened).toBe(0)
  })

  test('a response that waits behind another is told too', async () => {
    const source = new ManualSource().give('one')
    const { results, waiting, client } = await startLate(source)
    client.write(requestHead('GET', '/never') + requestHead('GET', '/stream'))
    await until('the request is there', () => waiting.length === 1)
    waiting[0]?.()
    await until('the source was asked for more', () => source.pulls === 2)
    client.socket.destroy()
    await until('it is over', () => results.length === 1)
    expect(results).toEqual([{ outcome: 'left', pieces: 1 }])
    expect(source.returns).toBe(1)
  })
})

test('a reader that takes nothing for too long is cut off', async () => {
  const clock = manualClock()
  const source = new EndlessSource(LARGE)
  const { url, result } = await startStreaming(source, { clock, maxStallMs: 1_000 })
  const reader = await openReader(url)
  reader.pause()
  await settled(() => source.pulls)
  clock.advance(999)
  await turn()
  expect(source.returns).toBe(0)
  clock.advance(1)
  expect(await result()).toMatchObject({ outcome: 'left' })
  expect(source.returns).toBe(1)
  expect(clock.pending).toBe(0)
})

test('a silent event stream is kept awake by comments', async () => {
  const clock = manualClock()
  const source = new ManualSource()
  const { url, result } = await startStreaming(source, { format: 'sse', clock, heartbeatMs: 1_000 })
  const reader = await openReader(url)
  await until('it waits for the source', () => source.pulls === 1)
  clock.advance(2_000)
  await until('the heartbeats are there', () => reader.text === ':\n\n:\n\n')
  source.give('one').end()
  expect(await within('the end', reader.ended)).toBe('complete')
  expect(reader.text).toBe(':\n\n:\n\nid: 0\ndata: one\n\nevent: groupcast.end\ndata: {"pieces":1}\n\n')
  await result()
  expect(clock.pending).toBe(0)
})

test('a client that comes back goes on with the next number', async () => {
  const { url } = await startStreaming(['d', 'e'], { format: 'sse', firstIndex: 3 })
  const reader = await openReader(url)
  await reader.ended
  expect(reader.text).toBe('id: 3\ndata: d\n\nid: 4\ndata: e\n\nevent: groupcast.end\ndata: {"pieces":2}\n\n')
})

test('bytes arrive as they are', async () => {
  const bytes = [Uint8Array.of(0, 255), Buffer.from([128, 10, 13])]
  const { url } = await startStreaming(bytes, { contentType: 'application/octet-stream' })
  const response = await fetch(url)
  expect(Buffer.from(await response.arrayBuffer())).toEqual(Buffer.concat(bytes))
})

test('fetch does not take a stream that was cut off for the whole', async () => {
  const { url } = await startStreaming(failingAfter(['one']))
  const response = await fetch(url)
  await expect(response.text()).rejects.toThrow()
})

describe('HTTP/1.0, where the end of the connection ends the body', () => {
  const ask = async (url: string) => {
    const client = await connectRaw(url)
    client.write(requestHead('GET', '/', {}, 'HTTP/1.0'))
    return client
  }
  const over = (client: RawClient) =>
    until('the connection has ended', () => client.isEnded || client.isClosed)

  test('a whole body ends in peace, without chunks', async () => {
    const { url } = await startStreaming(['one', 'two'])
    const client = await ask(url)
    await over(client)
    expect(client.error).toBeNull()
    expect(parseResponse(client.bytes)).toMatchObject({ status: 200, body: 'onetwo' })
    expect(client.text).not.toContain('chunked')
  })

  test('a text that fails ends with a reset', async () => {
    const source = new ManualSource().give('one')
    const { url } = await startStreaming(source)
    const client = await ask(url)
    // Before the reset: libuv takes one that comes together with bytes for a peaceful end.
    await until('the first piece is there', () => client.text.endsWith('one'))
    source.fail(new Error('secret'))
    await over(client)
    expect(client.isEnded).toBe(false)
    expect(client.error).toMatchObject({ code: 'ECONNRESET' })
  })

  test('lines that fail end with their record, which a reset could swallow', async () => {
    const { url } = await startStreaming(failingAfter([1]), { format: 'ndjson' })
    const client = await ask(url)
    await over(client)
    expect(client.error).toBeNull()
    expect(parseResponse(client.bytes)?.body).toBe(`1\n{"error":${TOLD}}\n`)
  })
})

test('a connection serves other requests afterwards, and no listener stays on it', async () => {
  const counts: number[] = []
  const { url, results } = await startStreaming(
    () => ['x'],
    {},
    {
      prepare: ({ socket }) => {
        const names = ['close', 'drain', 'error', 'finish'] as const
        counts.push(names.reduce((sum, name) => sum + socket.listenerCount(name), 0))
      },
    },
  )
  const client = await connectRaw(url)
  for (let n = 1; n <= 20; n++) {
    client.write(requestHead('GET', `/${n}`))
    await until('it is answered', () => results.length === n)
  }
  expect(client.isEnded).toBe(false)
  expect(counts.at(-1)).toBe(counts[0])
})

describe('misuse is thrown at the call', () => {
  const bad: readonly (readonly [string, unknown])[] = [
    ['format', 'xml'],
    ['format', '__proto__'],
    ['status', 204],
    ['status', '200'],
    ['headers', 'x'],
    ['signal', {}],
    ['firstIndex', -1],
    ['heartbeatMs', 1_000],
    ['maxStallMs', 0],
    ['onError', 'log'],
    ['head', 'late'],
    ['formta', 'sse'],
  ]
  test.each(bad)('%s: %o', async (name, value) => {
    const thrown = await throwing((response) => streamResponse(response, [], { [name]: value } as never))
    expect(thrown).toMatchObject({ code: 'invalid-option', message: expect.stringContaining(name) })
  })

  test('a response that is none', () => {
    expect(() => streamResponse({} as never, [])).toThrow(/takes a response of node:http/)
    expect(() => streamResponse(undefined as never, [])).toThrow(/takes a response of node:http/)
  })

  test('a source that is none', async () => {
    expect(await throwing((response) => streamResponse(response, 'text' as never))).toMatchObject({
      code: 'invalid-option',
    })
  })

  test('a header that HTTP does not allow', async () => {
    const headers = { 'x-split': 'a\r\nSet-Cookie: b=c' }
    expect(await throwing((response) => streamResponse(response, [], { headers }))).toBeInstanceOf(TypeError)
  })

  /** What a handler's call threw; the client was not answered by it. */
  async function throwing(call: (response: import('node:http').ServerResponse) => unknown): Promise<unknown> {
    let thrown: unknown = null
    const server = createServer((_request, response) => {
      try {
        call(response)
      } catch (error) {
        thrown = error
      }
      response.writeHead(418).end()
    })
    const url = await listen(server)
    onTestFinished(() => stop(server))
    expect((await fetch(url)).status).toBe(418)
    return thrown
  }
})
