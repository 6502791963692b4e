/** Publishing a stream of lines: what each becomes, however the bytes arrive. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { MisuseError } from '../../src/errors.ts'
import { hostileStrings } from '../hostile-strings.ts'
import { startTestApi } from './api-server.ts'
import { LIMIT, Lines, line, NDJSON, type Result, sentTexts } from './lines.ts'

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
