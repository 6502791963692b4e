import { PassThrough, type Writable } from 'node:stream'
import { createParser } from 'eventsource-parser'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import * as ws from 'ws'
import { Publication } from '../src/publication.ts'
import { encodeEvent, sealChunk, streamFormat } from '../src/wire/http-stream.ts'
import { encodeTextFrame, websocketEnvelope, websocketPlain } from '../src/wire/websocket.ts'
import { hostileStrings } from './hostile-strings.ts'

// Exported by ws for those who read frames themselves; its types leave it out.
const { Receiver } = ws as unknown as { Receiver: new (options: { isServer: boolean }) => Writable }

const anyText = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.constantFrom(...hostileStrings.filter((text) => text.isWellFormed())),
)
const message = fc.record({ type: fc.constant('x'), text: anyText, more: fc.jsonValue() })

/** What an independent WebSocket implementation reads from bytes that arrive in pieces. */
async function readFrames(bytes: Buffer, cuts: readonly number[]): Promise<string[]> {
  const receiver = new Receiver({ isServer: false })
  const texts: string[] = []
  receiver.on('message', (data: Buffer) => texts.push(String(data)))
  const source = new PassThrough()
  const done = new Promise((resolve, reject) => receiver.on('finish', resolve).on('error', reject))
  source.pipe(receiver)
  let from = 0
  for (const cut of [...cuts.map((at) => at % (bytes.length + 1)).toSorted((a, b) => a - b), bytes.length]) {
    if (cut > from) source.write(bytes.subarray(from, cut))
    from = Math.max(from, cut)
  }
  source.end()
  await done
  return texts
}

describe('a WebSocket frame', () => {
  test.each([0, 1, 125, 126, 127, 65_535, 65_536, 100_000])('of %i bytes is read back', async (length) => {
    const text = 'a'.repeat(length)
    expect(await readFrames(encodeTextFrame(text), [])).toEqual([text])
  })

  test('survives any text and any cut', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(anyText, { minLength: 1 }), fc.array(fc.nat()), async (texts, cuts) => {
        expect(await readFrames(Buffer.concat(texts.map(encodeTextFrame)), cuts)).toEqual(texts)
      }),
      { numRuns: 200 },
    )
  })
})

describe('an event of an event stream', () => {
  const parse = (text: string) => {
    const events: { data: string; id?: string | undefined; event?: string | undefined }[] = []
    const retries: number[] = []
    const parser = createParser({ onEvent: (event) => events.push(event), onRetry: (ms) => retries.push(ms) })
    parser.feed(text)
    return { events, retries }
  }

  test('carries any data: every line end becomes one LF, nothing else changes', () => {
    fc.assert(
      fc.property(anyText, (data) => {
        const { events } = parse(encodeEvent({ data }))
        expect(events).toMatchObject([{ data: data.replace(/\r\n|\r/g, '\n') }])
      }),
    )
  })

  test.each(['\r', '\n', '\0', 'a\r\nb'])('cannot carry %j in id or event', (text) => {
    expect(() => encodeEvent({ id: text })).toThrow(RangeError)
    expect(() => encodeEvent({ event: text })).toThrow(RangeError)
  })

  test('has its fields', () => {
    const text = encodeEvent({ data: '1', id: 'c', event: 'e', retryMs: 12.6 })
    expect(text).toBe('retry: 13\nevent: e\nid: c\ndata: 1\n\n')
    expect(parse(text)).toMatchObject({ events: [{ data: '1', id: 'c', event: 'e' }], retries: [13] })
  })
})

describe('a publication', () => {
  const formats = [
    websocketPlain,
    websocketEnvelope,
    streamFormat('sse', false, 'raw'),
    streamFormat('sse', true, 'raw'),
    streamFormat('ndjson', true, 'raw'),
  ]

  test('is framed once for each format', () => {
    const publication = new Publication('a', '{"type":"x"}', null)
    for (const format of formats) expect(publication.frame(format)).toBe(publication.frame(format))
    expect(new Set(formats.map((format) => publication.frame(format))).size).toBe(formats.length)
  })

  test('is the same JSON on every transport, whatever it holds', async () => {
    await fc.assert(
      fc.asyncProperty(message, async (value) => {
        const json = JSON.stringify(value)
        const expected = JSON.parse(json)
        const publication = new Publication('a', json, 'e.1')
        const [ws, wsEnvelope, sse, sseEnvelope, ndjson] = formats.map(
          (format) => publication.frame(format).bytes,
        )
        expect(JSON.parse((await readFrames(ws as Buffer, []))[0] ?? '')).toEqual(expected)
        const envelope = { group: 'a', cursor: 'e.1', message: expected }
        expect(JSON.parse((await readFrames(wsEnvelope as Buffer, []))[0] ?? '')).toEqual(envelope)
        const events: { data: string; id?: string | undefined }[] = []
        createParser({ onEvent: (event) => events.push(event) }).feed(String(sse) + String(sseEnvelope))
        expect(events.map(({ data }) => JSON.parse(data))).toEqual([expected, envelope])
        expect(events.map(({ id }) => id)).toEqual(['e.1', 'e.1'])
        const lines = String(ndjson).split('\n')
        expect(lines).toHaveLength(2)
        expect(JSON.parse(lines[0] ?? '')).toEqual(envelope)
      }),
      { numRuns: 200 },
    )
  })

  test('stays on one line although another program wrote its JSON on several', () => {
    const publication = new Publication('a', '{\r\n  "type": "x",\n  "text": "a\\nb"\r}', null)
    expect(JSON.parse(publication.json)).toEqual({ type: 'x', text: 'a\nb' })
    for (const format of formats.slice(2))
      expect(String(publication.frame(format).bytes).trimEnd()).not.toMatch(/[\r\n]/)
  })

  test('leaves out the cursor where the group keeps no history', () => {
    expect(new Publication('a', '{"type":"x"}', null).envelope).toBe('{"group":"a","message":{"type":"x"}}')
    expect(String(new Publication('a', '{"type":"x"}', null).frame(formats[2] as never).bytes)).toBe(
      'data: {"type":"x"}\n\n',
    )
  })

  test('gives each handler its own copy', () => {
    const publication = new Publication('a', '{"type":"x","list":[]}', null)
    expect(publication.message()).not.toBe(publication.message())
    expect(publication.type).toBe('x')
  })
})

test('a chunk has its size in hex before it and a line end after it (RFC 9112, section 7.1)', () => {
  expect(sealChunk(Buffer.from('a'.repeat(26))).toString()).toBe(`1a\r\n${'a'.repeat(26)}\r\n`)
})
