/** The client's parser of event streams against an independent one, cut at any byte. */
import { createParser } from 'eventsource-parser'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { eventStreamParser } from '../../src/client/event-stream.ts'
import { encodeEvent } from '../../src/wire/http-stream.ts'
import { hostileStrings } from '../hostile-strings.ts'

interface Parsed {
  readonly events: string[]
  readonly retries: number[]
}

/** Parses bytes as the client does: decoded as a stream, in pieces that end at `cuts`. */
function parse(bytes: Uint8Array, cuts: readonly number[] = []): Parsed {
  const parsed: Parsed = { events: [], retries: [] }
  const feed = eventStreamParser({
    text: (data) => parsed.events.push(data),
    retry: (ms) => parsed.retries.push(ms),
  })
  const decoder = new TextDecoder()
  let from = 0
  for (const to of [...cuts.map((cut) => cut % (bytes.length + 1)).toSorted((a, b) => a - b), bytes.length]) {
    feed(decoder.decode(bytes.subarray(from, to), { stream: true }))
    from = to
  }
  return parsed
}

const parseText = (text: string) => parse(new TextEncoder().encode(text))

/** What eventsource-parser makes of the same, uncut. */
function expected(text: string): Parsed {
  const parsed: Parsed = { events: [], retries: [] }
  const parser = createParser({
    onEvent: ({ data }) => parsed.events.push(data),
    onRetry: (ms) => parsed.retries.push(ms),
  })
  parser.feed(text.replace(/^\uFEFF/, ''))
  return parsed
}

const wellFormed = hostileStrings.filter((text) => text.isWellFormed())
const line = fc.oneof(
  fc.constantFrom(
    'data',
    'data:',
    'data: ',
    'data:  two',
    'id: 1',
    'event: x',
    'retry: 12',
    'retry: x',
    'retry:',
    ':',
    ': c',
    '',
    '',
  ),
  fc.string({ unit: 'binary' }).map((text) => `data: ${text}`),
  fc.string({ unit: fc.constantFrom('data', ':', ' ', 'é', '😀', '\u2028', 'x', '\uFEFF') }),
)
const stream = fc
  .array(fc.tuple(line, fc.constantFrom('\n', '\r', '\r\n')), { maxLength: 30 })
  .map((lines) => lines.flat().join(''))

describe('the parser of event streams', () => {
  test('reads whatever the hub writes, cut at any byte', () => {
    const event = fc.record({
      data: fc.oneof(
        fc.string({ unit: 'binary' }),
        fc.constantFrom(...wellFormed.filter(({ length }) => length < 1_000)),
      ),
      id: fc.constantFrom('e.1', null),
      retryMs: fc.option(fc.nat(), { nil: undefined }),
    })
    fc.assert(
      fc.property(fc.array(event), fc.array(fc.nat(), { maxLength: 50 }), (events, cuts) => {
        const text = events.map(encodeEvent).join('')
        const parsed = parse(new TextEncoder().encode(text), cuts)
        expect(parsed.events).toEqual(events.map(({ data }) => data.replace(/\r\n|\r/g, '\n')))
        expect(parsed.retries).toEqual(events.flatMap(({ retryMs }) => retryMs ?? []))
      }),
      { numRuns: 300 },
    )
  })

  test('understands any stream as eventsource-parser does, cut at any byte', () => {
    fc.assert(
      fc.property(stream, fc.array(fc.nat(), { maxLength: 50 }), (text, cuts) => {
        // That parser waits for what follows a CR at the very end, as if more were to come.
        const whole = `${text}\n\n`
        expect(parse(new TextEncoder().encode(whole), cuts)).toEqual(expected(whole))
      }),
      { numRuns: 1_000 },
    )
  })

  test('is right at every single cut of a stream with all kinds of ends and characters', () => {
    const text = '\uFEFFretry: 5\r\n: c\rdata: é😀\u2028\r\ndata:x\r\rdata\n\n:\n\ndata: {"a":1}\r\n\r\n'
    const bytes = new TextEncoder().encode(text)
    const whole = { events: ['é😀\u2028\nx', '', '{"a":1}'], retries: [5] }
    expect(parse(bytes)).toEqual(whole)
    for (let cut = 0; cut <= bytes.length; cut++) expect(parse(bytes, [cut])).toEqual(whole)
    expect(parse(bytes, [...bytes.keys()])).toEqual(whole)
  })

  test('discards an event that was not finished', () => {
    expect(parseText('data: 1\n\ndata: 2\n').events).toEqual(['1'])
    expect(parseText('data: 1').events).toEqual([])
  })

  test('takes time in proportion to what comes, however small the pieces', () => {
    const bytes = new TextEncoder().encode(`data: ${'x'.repeat(200_000)}\n\n`)
    const cuts = [...bytes.keys()]
    expect(parse(bytes, cuts).events).toEqual(['x'.repeat(200_000)])
  })
})
