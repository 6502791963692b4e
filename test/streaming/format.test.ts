/** Pieces as bytes, read by parsers that are not ours. */
import { createParser, type EventSourceMessage } from 'eventsource-parser'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { bodyFormat } from '../../src/streaming/format.ts'
import type { StreamFormatName } from '../../src/streaming/options.ts'
import { hostileStrings } from '../hostile-strings.ts'

const ERROR = { code: 'stream-failed', message: 'It failed.' } as const

/** The whole body of pieces, with its end. */
function bodyOf(name: StreamFormatName, pieces: readonly unknown[]): Buffer {
  const format = bodyFormat(name)
  const parts = pieces.map((piece, index) => format.piece(piece, index))
  return Buffer.concat([...parts, format.end(pieces.length) ?? Buffer.alloc(0)])
}

function parseEvents(body: Buffer): EventSourceMessage[] {
  const events: EventSourceMessage[] = []
  const parser = createParser({ onEvent: (event) => events.push(event) })
  parser.feed(body.toString())
  return events
}

/** What an event stream can carry of a text: it knows one kind of line end, and UTF-8 has no halves of characters. */
const carried = (text: string) => text.replaceAll(/\r\n|\r/g, '\n').toWellFormed()

const anyText = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({ unit: fc.constantFrom('\r', '\n', ':', ' ', 'data', 'id: 1', '\0', '\ud83d', '\ude00', 'x') }),
)

function expectEvents(pieces: readonly string[]): void {
  const events = parseEvents(bodyOf('sse', pieces))
  expect(events.pop()).toEqual({ event: 'groupcast.end', id: undefined, data: `{"pieces":${pieces.length}}` })
  expect(events.map(({ data }) => data)).toEqual(pieces.map(carried))
  expect(events.map(({ id }) => id)).toEqual(pieces.map((_, index) => String(index)))
  expect(events.every(({ event }) => event === undefined)).toBe(true)
}

test('sse: any texts arrive as they were, each an event of its own', () => {
  fc.assert(fc.property(fc.array(anyText), expectEvents))
})

test.each(hostileStrings.map((text) => [text.slice(0, 40), text]))('sse: %j', (_name, text) => {
  expectEvents([text, 'and', text])
})

test('sse: what is no text is JSON', () => {
  const pieces = [{ a: 1 }, [1, 2], 42, true, null, { text: 'two\nlines' }]
  const data = parseEvents(bodyOf('sse', pieces)).map((event) => event.data)
  expect(data.slice(0, -1)).toEqual(pieces.map((piece) => JSON.stringify(piece)))
})

test('sse: an error is an event that onmessage does not see', () => {
  const bytes = bodyFormat('sse').error(ERROR)
  expect(parseEvents(Buffer.from(bytes ?? ''))).toEqual([
    { event: 'groupcast.error', id: undefined, data: JSON.stringify(ERROR) },
  ])
})

test('ndjson: any values arrive as they were, each on a line', () => {
  const value = fc.oneof(fc.jsonValue(), fc.constantFrom(...hostileStrings))
  fc.assert(
    fc.property(fc.array(value), (pieces) => {
      const text = bodyOf('ndjson', pieces).toString()
      const lines = text.split('\n')
      expect(lines.pop()).toBe('')
      expect(lines).toEqual(pieces.map((piece) => JSON.stringify(piece)))
    }),
  )
})

test('ndjson: an error is a line of its own', () => {
  const bytes = bodyFormat('ndjson').error(ERROR)
  expect(Buffer.from(bytes ?? '').toString()).toBe(`${JSON.stringify({ error: ERROR })}\n`)
})

test('text: texts arrive as if they had been one, wherever they were cut', () => {
  fc.assert(
    fc.property(fc.array(anyText), (pieces) => {
      expect(bodyOf('text', pieces).toString()).toBe(Buffer.from(pieces.join('')).toString())
    }),
  )
})

test('text: a character that was cut in two is whole again', () => {
  expect(bodyOf('text', ['a', ...'😀'.split(''), 'b']).toString()).toBe('a😀b')
})

test('text: bytes go out as they are, also between halves of characters', () => {
  const bytes = Uint8Array.of(0, 255, 128)
  expect(bodyOf('text', [bytes, 'é', bytes])).toEqual(Buffer.from([0, 255, 128, 0xc3, 0xa9, 0, 255, 128]))
  expect(bodyOf('text', ['\ud83d', bytes, '\ude00']).toString('latin1')).toBe(
    Buffer.concat([Buffer.from('\ufffd'), bytes, Buffer.from('\ufffd')]).toString('latin1'),
  )
})

const UNFIT: readonly (readonly [StreamFormatName, unknown])[] = [
  ['text', { a: 1 }],
  ['text', 42],
  ['text', undefined],
  ['ndjson', undefined],
  ['ndjson', () => {}],
  ['ndjson', Symbol('s')],
  ['ndjson', Buffer.from('x')],
  ['ndjson', 1n],
  ['sse', undefined],
  ['sse', new Uint8Array(2)],
]

test.each(UNFIT)('%s cannot carry %o', (name, piece) => {
  expect(() => bodyFormat(name).piece(piece, 0)).toThrow(TypeError)
})
