/** Publishing a stream of lines: what each becomes, however the bytes arrive. */

import { once } from 'node:events'
import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createApi } from '../../src/api/api.ts'
import type { ApiRequest } from '../../src/api/contract.ts'
import { MisuseError } from '../../src/errors.ts'
import { hostileStrings } from '../hostile-strings.ts'
import { until } from '../support/until.ts'
import { startTestApi } from './api-server.ts'
import { FakeHub } from './fake-hub.ts'

const NDJSON = { 'Content-Type': 'application/x-ndjson' }
const LIMIT = 200

interface Result {
  readonly line: number
  readonly group?: string
  readonly cursor?: string | null
  readonly error?: { readonly code: string; readonly message: string }
}

function line(text: string, ...groups: string[]): string {
  return JSON.stringify({ groups: groups.length === 0 ? ['a'] : groups, message: { type: 'x', text } })
}

/** The API without a server: what these chunks become, and the hub that got them. */
class Lines {
  readonly hub = new FakeHub()
  readonly #api = createApi(this.hub, { version: '1', maxBodyBytes: LIMIT, onError() {} })

  async publish(chunks: Iterable<Uint8Array>): Promise<readonly Result[]> {
    this.hub.sent.length = 0
    const request: ApiRequest = {
      method: 'POST',
      url: '/api/publish',
      path: '/api/publish',
      query: new URLSearchParams(),
      remoteAddress: '',
      encrypted: false,
      header: (name) => (name === 'content-type' ? 'application/x-ndjson' : undefined),
      body: (async function* () {
        yield* chunks
      })(),
    }
    const answer = await this.#api.handle(request)
    let text = ''
    for await (const piece of answer?.body ?? '') text += piece
    return (JSON.parse(text) as { results: readonly Result[] }).results
  }
}

const sentTexts = (hub: FakeHub) => hub.sent.map(({ message }) => (message as { text: string }).text)

describe('one stream', () => {
  test('each line is sent to its groups, and a bad one fails alone', async () => {
    const { send, hub } = await startTestApi({ maxBodyBytes: LIMIT, maxGroupsPerPublish: 3 })
    hub.cursor = 'e.1'
    const body = Buffer.concat([
      Buffer.from(`${line('1', 'a', 'no name', 'b')}\r\n\n \t\r\n{"groups":["a"]}\n${line('5')}\n`),
      Buffer.from([0x22, 0xff, 0x22, 0x0a]),
      Buffer.from(`{"groups":["a"],"message":\n${'['.repeat(65)}\n${line('x'.repeat(LIMIT))}\n`),
      Buffer.from(`${line('x', 'a', 'a', 'a', 'a')}\n{"groups":["a"],"message":{"type":"groupcast.x"}}\n`),
      Buffer.from(`null\n\ufeff{}\n${line('last')}`),
    ])
    const answer = await send('POST', '/api/publish', { headers: NDJSON, body })
    expect(answer.status).toBe(200)
    expect(answer.headers['content-type']).toBe('application/json')
    const error = (code: string) => ({ code, message: expect.any(String) })
    expect(answer.json()).toEqual({
      results: [
        { line: 1, group: 'a', cursor: 'e.1' },
        { line: 1, group: 'no name', error: error('invalid-name') },
        { line: 1, group: 'b', cursor: 'e.1' },
        { line: 4, error: error('bad-request') },
        { line: 5, group: 'a', cursor: 'e.1' },
        { line: 6, error: error('invalid-json') },
        { line: 7, error: error('invalid-json') },
        { line: 8, error: error('json-too-deep') },
        { line: 9, error: error('message-too-large') },
        { line: 10, error: error('bad-request') },
        { line: 11, group: 'a', error: error('invalid-message') },
        { line: 12, error: error('bad-request') },
        { line: 13, error: error('invalid-json') },
        { line: 14, group: 'a', cursor: 'e.1' },
      ],
    })
    expect(sentTexts(hub)).toEqual(['1', '1', '5', 'last'])
  })

  test.each(['', '\n', '\r\n\r\n', '  '])('without a line (%j) has no results', async (body) => {
    const { send } = await startTestApi()
    const answer = await send('POST', '/api/publish', { headers: NDJSON, body })
    expect(answer.json()).toEqual({ results: [] })
  })

  test('is larger than any limit of one body', async () => {
    const { send, hub } = await startTestApi({ maxBodyBytes: LIMIT })
    const count = 20_000
    const body = Array.from({ length: count }, (_, i) => `${line(String(i))}\n`).join('')
    const { results } = (await send('POST', '/api/publish', { headers: NDJSON, body })).json() as {
      results: readonly Result[]
    }
    expect(results.map((result) => result.line)).toEqual(Array.from({ length: count }, (_, i) => i + 1))
    expect(sentTexts(hub)).toEqual(Array.from({ length: count }, (_, i) => String(i)))
  })

  test('a failing layer fails each line, and the stream goes on', async () => {
    const { send, hub, errors } = await startTestApi()
    hub.failure = new Error('secret')
    const body = Array.from({ length: 3000 }, () => line('x')).join('\n')
    const answer = await send('POST', '/api/publish', { headers: NDJSON, body })
    const { results } = answer.json() as { results: readonly Result[] }
    expect(results).toHaveLength(3000)
    expect(new Set(results.map(({ error }) => error?.code))).toEqual(new Set(['internal-error']))
    expect(answer.text).not.toContain('secret')
    expect(errors).toHaveLength(3000)
  })

  test('a hub that throws rather than rejects is the same', async () => {
    const lines = new Lines()
    lines.hub.groupSend = () => {
      throw new MisuseError('invalid-name', 'bad')
    }
    const [result] = await lines.publish([Buffer.from(line('x'))])
    expect(result).toEqual({ line: 1, group: 'a', error: { code: 'invalid-name', message: 'bad' } })
  })
})

describe('cut anywhere', () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 20 }),
    fc.constantFrom(...hostileStrings.map((hostile) => hostile.slice(0, 70))),
  )
  const bytes = fc.oneof(
    { weight: 6, arbitrary: text.map((one) => Buffer.from(line(one))) },
    { weight: 1, arbitrary: text.map((one) => Buffer.from(one)) },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 20 }).map((array) => Buffer.from(array)) },
    {
      weight: 1,
      arbitrary: fc.integer({ min: LIMIT - 50, max: LIMIT + 50 }).map((n) => Buffer.alloc(n, 'é')),
    },
    { weight: 1, arbitrary: fc.constant(Buffer.from(line('fits').padEnd(LIMIT))) },
    { weight: 1, arbitrary: fc.constant(Buffer.from(line('does not').padEnd(LIMIT + 1))) },
  )
  const ending = fc.constantFrom('\n', '\r\n', '\n\n', '\n \r\n')
  const stream = fc
    .tuple(fc.array(fc.tuple(bytes, ending)), bytes)
    .map(([lines, last]) => Buffer.concat([...lines.flatMap(([one, end]) => [one, Buffer.from(end)]), last]))
  const cuts = fc.array(fc.nat(), { maxLength: 30 })

  function cut(whole: Buffer, at: readonly number[]): Buffer[] {
    const edges = [0, ...at.map((one) => one % (whole.length + 1)).sort((a, b) => a - b), whole.length]
    return edges.slice(1).map((edge, i) => whole.subarray(edges[i], edge))
  }

  const inOne = new Lines()
  const inPieces = new Lines()
  const alone = new Lines()

  test('the results are those of the whole, and those of each line by itself', async () => {
    await fc.assert(
      fc.asyncProperty(stream, cuts, async (whole, at) => {
        const expected = await inOne.publish([whole])
        expect(await inPieces.publish(cut(whole, at))).toEqual(expected)
        expect(sentTexts(inPieces.hub)).toEqual(sentTexts(inOne.hub))
        expect(await lineByLine(whole)).toEqual(expected)
      }),
      { numRuns: 300 },
    )
  })

  /** The plain meaning of the format: what each line becomes when it is sent alone. */
  async function lineByLine(whole: Buffer): Promise<Result[]> {
    const results: Result[] = []
    let from = 0
    for (let number = 1; from <= whole.length; number++) {
      const newline = whole.indexOf('\n', from)
      const to = newline === -1 ? whole.length : newline
      const some = await alone.publish([whole.subarray(from, to)])
      results.push(...some.map((result) => ({ ...result, line: number })))
      from = to + 1
    }
    return results
  }

  test('at every byte', async () => {
    const whole = Buffer.from(`${line('é😀\u2028')}\r\n\r\n{"x\n${line('ü')}`)
    const expected = await inOne.publish([whole])
    expect(expected).toHaveLength(3)
    for (let at = 0; at <= whole.length; at++)
      expect(await inPieces.publish(cut(whole, [at]))).toEqual(expected)
    const bytewise = cut(whole, [...whole.keys()])
    expect(await inPieces.publish(bytewise)).toEqual(expected)
  })
})

describe('the pace', () => {
  test('all lines of a chunk reach the hub in one turn', async () => {
    const lines = new Lines()
    const { hub } = lines
    const chunk = Buffer.from(Array.from({ length: 3000 }, (_, i) => line(String(i))).join('\n'))
    await lines.publish([chunk])
    expect(hub.sent).toHaveLength(3000)
    expect(new Set(hub.sent.map(({ turn }) => turn)).size).toBe(1)
  })

  test('no more than a bounded number of sends wait for the layer', async () => {
    const lines = new Lines()
    const { hub } = lines
    let open = () => {}
    hub.gate = new Promise((resolve) => {
      open = resolve
    })
    const chunk = Buffer.from(Array.from({ length: 5000 }, () => line('x')).join('\n'))
    const results = lines.publish([chunk])
    await until('the window is full', () => hub.inFlight === 1024)
    open()
    expect(await results).toHaveLength(5000)
    expect(hub.mostInFlight).toBe(1024)
  })

  test('results come while the body is still being sent', async () => {
    const { port, hub } = await startTestApi()
    const { request, response } = await startStream(port, `${line('1')}\n${line('2')}\n`)
    expect(String((await once(response, 'data'))[0])).toBe(
      '{"results":[{"line":1,"group":"a","cursor":null},{"line":2,"group":"a","cursor":null}',
    )
    expect(hub.sent).toHaveLength(2)
    request.end(line('3'))
    expect(await restOf(response)).toBe(',{"line":3,"group":"a","cursor":null}]}')
  })

  test('who does not read the results is not read from', async () => {
    const { port, hub } = await startTestApi()
    const { request, response } = await startStream(port, `${line('first')}\n`)
    // The answer to a bad line is many times its size, so that the buffers in between fill soon.
    const block = Buffer.from(line('x').concat('\n').repeat(1000) + '1\n'.repeat(20_000))
    for (let i = 0; i < 10; i++) request.write(block)
    await until(
      'nothing moves',
      stands(() => hub.sent.length),
    )
    expect(hub.sent.length).toBeLessThan(10_000)
    request.end()
    const { results } = JSON.parse(await restOf(response)) as { results: readonly Result[] }
    expect(results).toHaveLength(1 + 10 * 21_000)
    expect(hub.sent).toHaveLength(1 + 10_000)
  })

  test('a client that leaves ends the work, and is nobody’s failure', async () => {
    const { port, hub, errors, server } = await startTestApi()
    const { request, response } = await startStream(port, `${line('1')}\n{"groups":["a"],`)
    response.on('error', () => {})
    request.on('error', () => {})
    request.destroy()
    await until('the connection is gone', noConnections(server))
    expect(sentTexts(hub)).toEqual(['1'])
    expect(errors).toEqual([])
  })

  test('a client that leaves while the layer is slow', async () => {
    const { port, hub, errors, server } = await startTestApi()
    let open = () => {}
    hub.gate = new Promise((resolve) => {
      open = resolve
    })
    const request = openStream(port)
    request.on('error', () => {})
    request.write(`${line('1')}\n`)
    await until('the line is there', () => hub.inFlight === 1)
    request.destroy()
    await until('the connection is gone', noConnections(server))
    open()
    await until('the send is over', () => hub.inFlight === 0)
    expect(errors).toEqual([])
  })
})

function openStream(port: number): ClientRequest {
  return httpRequest({
    host: '127.0.0.1',
    port,
    method: 'POST',
    path: '/api/publish',
    headers: NDJSON,
    agent: false,
  })
}

/** A stream whose first lines are sent, and the response to it, not yet read. */
async function startStream(
  port: number,
  first: string,
): Promise<{ readonly request: ClientRequest; readonly response: IncomingMessage }> {
  const request = openStream(port)
  request.write(first)
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  return { request, response }
}

async function restOf(response: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of response.setEncoding('utf8')) text += chunk
  return text
}

function noConnections(server: {
  getConnections(callback: (error: unknown, count: number) => void): unknown
}) {
  let count = -1
  return (): boolean => {
    server.getConnections((_error, open) => {
      count = open
    })
    return count === 0
  }
}

/** Whether a number has stayed the same for a while. */
function stands(read: () => number): () => boolean {
  let last = Number.NaN
  let times = 0
  return () => {
    times = read() === last ? times + 1 : 0
    last = read()
    return times > 50
  }
}
