/** The scanners hop over bytes that reference decoders read: both must see the same, however the bytes are cut. */
import type { Writable } from 'node:stream'
import { createParser } from 'eventsource-parser'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import * as ws from 'ws'
import { ChunkScanner } from '../../src/load/chunk-scanner.ts'
import { EventScanner } from '../../src/load/event-scanner.ts'
import { NumberReader, numberedMessage } from '../../src/load/numbered.ts'
import { ResponseReader } from '../../src/load/response-reader.ts'
import { ScanError, type Scanner } from '../../src/load/scanner.ts'
import { WebSocketScanner } from '../../src/load/websocket-scanner.ts'

// Exported by ws, but not known to its types.
const { Receiver, Sender } = ws as unknown as {
  Receiver: new (options: object) => Writable
  Sender: { frame(data: Buffer, options: object): Buffer[] }
}

/** Feeds a scanner from one buffer that is overwritten each time, as sockets do. */
function feed(scanner: Scanner, bytes: Buffer, cuts: readonly number[]): void {
  const shared = Buffer.alloc(bytes.length + 16, 0xee)
  const ends = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b)
  let start = 0
  for (const end of [...ends, bytes.length]) {
    const offset = end % 7
    shared.fill(0xee)
    bytes.copy(shared, offset, start, end)
    scanner.scan(shared, offset, offset + end - start)
    start = end
  }
}

const cuts = fc.array(fc.nat(20_000), { maxLength: 12 })
const everyByte = Array.from({ length: 20_000 }, (_, i) => i)

/** Short texts, and some around the lengths at which framing changes. */
const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 60 }),
  fc.constantFrom(125, 126, 127, 511, 512, 513, 65_535, 65_536).map((length) => 'y'.repeat(length)),
  fc.nat(1e6).map((n) => numberedMessage(n, 128)),
)

/** Some longer than the window, which is 512 bytes, and some longer than what else is kept. */
const longTexts = fc.array(
  fc
    .tuple(fc.nat(1e6), fc.constantFrom(60, 511, 512, 513, 600, 3_000, 9_000))
    .map(([n, size]) => numberedMessage(n, size)),
  { maxLength: 8 },
)

/** Wants every second long message. */
function samplingSink() {
  const seen: string[] = []
  let asked = 0
  return {
    seen,
    wantsWhole: () => asked++ % 2 === 0,
    message: (bytes: Buffer, start: number, end: number, isWhole: boolean) =>
      void seen.push(`${isWhole} ${bytes.toString('latin1', start, end)}`),
  }
}

/** @param before what the transport puts before a text */
function expectedOf(texts: readonly string[], before = ''): string[] {
  let long = 0
  return texts.map((text) => {
    const all = before + text
    return all.length <= 512 || long++ % 2 === 0 ? `true ${all}` : `false ${all.slice(0, 512)}`
  })
}

describe('WebSocket', () => {
  const frame = fc.record({
    opcode: fc.constantFrom(1, 1, 1, 2, 9, 10),
    payload: text,
    pieces: fc.constantFrom(1, 1, 1, 2, 3),
  })

  function encode({ opcode, payload, pieces }: { opcode: number; payload: string; pieces: number }): Buffer {
    const isControl = opcode > 8
    const data = Buffer.from(payload).subarray(0, isControl ? 125 : undefined)
    const count = isControl ? 1 : pieces
    const size = Math.ceil(data.length / count)
    const frames = Array.from({ length: count }, (_, i) =>
      Sender.frame(data.subarray(i * size, (i + 1) * size), {
        fin: i === count - 1,
        opcode: i === 0 ? opcode : 0,
        mask: false,
        readOnly: false,
        rsv1: false,
      }),
    )
    return Buffer.concat(frames.flat())
  }

  /** What `ws` makes of it. */
  async function reference(bytes: Buffer): Promise<{ messages: string[]; pings: string[] }> {
    const receiver = new Receiver({ isServer: false, skipUTF8Validation: true })
    const seen = { messages: [] as string[], pings: [] as string[] }
    receiver.on('message', (data: Buffer) => seen.messages.push(data.toString('latin1')))
    receiver.on('ping', (data: Buffer) => seen.pings.push(data.toString('latin1')))
    await new Promise((resolve, reject) => {
      receiver.on('error', reject)
      receiver.end(bytes, () => setImmediate(resolve))
    })
    return seen
  }

  function scanned(bytes: Buffer, at: readonly number[]) {
    const seen = { messages: [] as string[], pings: [] as string[], wholes: [] as boolean[] }
    const scanner = new WebSocketScanner({
      message: (shown, start, end, isWhole) => {
        seen.messages.push(shown.toString('latin1', start, end))
        seen.wholes.push(isWhole)
      },
      ping: (payload) => seen.pings.push(payload.toString('latin1')),
      close: () => {},
    })
    feed(scanner, bytes, at)
    return seen
  }

  test('sees the messages and pings that ws sees, however the bytes are cut', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(frame, { maxLength: 20 }), cuts, async (frames, at) => {
        const bytes = Buffer.concat(frames.map(encode))
        const expected = await reference(bytes)
        const seen = scanned(bytes, at)
        expect(seen.pings).toEqual(expected.pings)
        expect(seen.messages).toHaveLength(expected.messages.length)
        for (const [i, message] of seen.messages.entries()) {
          // The start of the first frame, or all of it.
          expect(expected.messages[i]?.startsWith(message)).toBe(true)
          if (seen.wholes[i] === true) expect(message).toBe(expected.messages[i])
        }
      }),
      { numRuns: 150 },
    )
  })

  test('a byte at a time', () => {
    const texts = Array.from({ length: 50 }, (_, n) => numberedMessage(n, 40 + n * 5))
    const bytes = Buffer.concat(texts.map((payload) => encode({ opcode: 1, payload, pieces: 1 })))
    expect(scanned(bytes, everyByte).messages).toEqual(texts)
  })

  test('long messages are shown whole where the sink wants it, however the bytes are cut', () => {
    fc.assert(
      fc.property(longTexts, cuts, (texts, at) => {
        const bytes = Buffer.concat(texts.map((payload) => encode({ opcode: 1, payload, pieces: 1 })))
        const sink = samplingSink()
        feed(new WebSocketScanner({ ...sink, ping: () => {}, close: () => {} }), bytes, at)
        expect(sink.seen).toEqual(expectedOf(texts))
      }),
    )
  })

  test('tells the code of a close frame', () => {
    const codes: number[] = []
    const sink = { message: () => {}, ping: () => {}, close: (code: number) => codes.push(code) }
    feed(new WebSocketScanner(sink), Buffer.from([0x88, 2, 0x0f, 0xa1]), [3])
    feed(new WebSocketScanner(sink), Buffer.from([0x88, 0]), [])
    expect(codes).toEqual([4001, 1005])
  })

  test.each([
    ['a masked frame', [0x81, 0x81, 0, 0, 0, 0, 65]],
    ['reserved bits', [0xc1, 1, 65]],
    ['an unknown opcode', [0x83, 1, 65]],
  ])('refuses %s', (_name, bytes) => {
    const sink = { message: () => {}, ping: () => {}, close: () => {} }
    expect(() => feed(new WebSocketScanner(sink), Buffer.from(bytes), [])).toThrow(ScanError)
  })
})

describe('event stream', () => {
  test('long messages are shown whole where the sink wants it, however the bytes are cut', () => {
    fc.assert(
      fc.property(longTexts, cuts, (texts, at) => {
        const sink = samplingSink()
        const bytes = Buffer.from(texts.map((payload) => `data: ${payload}\n\n`).join(''))
        feed(new EventScanner(sink), bytes, at)
        expect(sink.seen).toEqual(expectedOf(texts, 'data: '))
      }),
    )
  })

  const line = fc.oneof(
    fc.nat(1e6).map((n) => `data: ${numberedMessage(n, 64)}`),
    fc.constantFrom('data', 'data:', 'data:x', 'id: 7', 'retry: 10', ': comment', 'unknown: field'),
  )
  // Names come first, as servers write them.
  const event = fc.record({
    name: fc.constantFrom<string[]>(
      [],
      [],
      [],
      ['event: groupcast.open'],
      ['event: message'],
      ['event:'],
      ['id: 3.4'],
    ),
    lines: fc.array(line, { maxLength: 4 }),
    lineEnd: fc.constantFrom('\n', '\n', '\r\n', '\r'),
    blanks: fc.integer({ min: 1, max: 3 }),
  })

  const encode = ({
    name,
    lines,
    lineEnd,
    blanks,
  }: {
    name: string[]
    lines: string[]
    lineEnd: string
    blanks: number
  }) => [...name, ...lines].map((each) => each + lineEnd).join('') + lineEnd.repeat(blanks)

  // A CR at the very end may be half of a CRLF: what follows it decides when the reference makes up its mind.
  const streamOf = (events: readonly Parameters<typeof encode>[0][]) => `${events.map(encode).join('')}:\n\n`

  function reference(stream: string): number {
    let messages = 0
    const parser = createParser({
      onEvent: ({ event: name }) => {
        if (name === undefined || name === '' || name === 'message') messages++
      },
    })
    parser.feed(stream)
    return messages
  }

  function scanned(bytes: Buffer, at: readonly number[], wrap = (scanner: Scanner) => scanner): string[] {
    const seen: string[] = []
    const sink = {
      message: (shown: Buffer, start: number, end: number) =>
        void seen.push(shown.toString('utf8', start, end)),
    }
    feed(wrap(new EventScanner(sink)), bytes, at)
    return seen
  }

  /** A chunked body with chunks of any size. */
  function chunked(bytes: Buffer, sizes: readonly number[]): Buffer {
    const parts: Buffer[] = []
    for (let start = 0, i = 0; start < bytes.length; i++) {
      const data = bytes.subarray(start, start + ((sizes[i % Math.max(1, sizes.length)] ?? 50) % 300) + 1)
      start += data.length
      const size = i % 2 === 0 ? data.length.toString(16) : data.length.toString(16).toUpperCase()
      parts.push(Buffer.from(`${size}${i % 3 === 0 ? ';name=value' : ''}\r\n`), data, Buffer.from('\r\n'))
    }
    return Buffer.concat([...parts, Buffer.from('0\r\nTrailer: x\r\n\r\n')])
  }

  test('counts the events that eventsource-parser does, however the bytes are cut', () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 15 }), cuts, (events, at) => {
        const stream = streamOf(events)
        expect(scanned(Buffer.from(stream), at)).toHaveLength(reference(stream))
      }),
      { numRuns: 500 },
    )
  })

  test('the same through chunks', () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 10 }), cuts, fc.array(fc.nat(300)), (events, at, sizes) => {
        const stream = streamOf(events)
        const seen = scanned(chunked(Buffer.from(stream), sizes), at, (scanner) => new ChunkScanner(scanner))
        expect(seen).toHaveLength(reference(stream))
      }),
      { numRuns: 300 },
    )
  })

  test('shows the data, a byte at a time', () => {
    const texts = Array.from({ length: 30 }, (_, n) => `id: e.${n}\ndata: ${numberedMessage(n, 100)}`)
    const seen = scanned(Buffer.from(texts.map((each) => `${each}\n\n`).join('')), everyByte)
    expect(seen.map((each) => each.trimEnd())).toEqual(texts)
  })

  test('shows the start of an event that is longer than the window', () => {
    const long = `data: ${numberedMessage(7, 5000)}`
    const [seen = ''] = scanned(Buffer.from(`${long}\n\n`), [100, 900, 901])
    expect(seen).toBe(long.slice(0, 512))
  })

  test.each(['', 'x\r\n', '2\r\nabc\r\n'])('refuses chunks that are none: %j', (body) => {
    const scanner = new ChunkScanner(new EventScanner({ message: () => {} }))
    const read = () => feed(scanner, Buffer.from(body), [])
    if (body === '') expect(read).not.toThrow()
    else expect(read).toThrow(ScanError)
  })
})

describe('numbers', () => {
  test('are found wherever they stand', () => {
    fc.assert(
      fc.property(
        fc.nat(999_999_999),
        fc.integer({ min: 41, max: 300 }),
        fc.array(fc.constantFrom('', 'data: ', '42["message",', '{"group":"a","message":'), { minLength: 1 }),
        (n, size, prefixes) => {
          const reader = new NumberReader()
          for (const prefix of prefixes) {
            const bytes = Buffer.from(`#${prefix}${numberedMessage(n, size)}`)
            expect(reader.read(bytes, 1, bytes.length)).toBe(n)
          }
        },
      ),
    )
  })

  test('are not found in other texts', () => {
    const reader = new NumberReader()
    for (const other of [
      '',
      '{}',
      '{"type":"x","n":"12"}',
      '{"type":"bench","n":123456789,"pad":"long enough"}',
    ]) {
      expect(reader.read(Buffer.from(other), 0, other.length)).toBe(-1)
    }
  })

  // Recorded from Centrifugo 6.9 and Mercure 0.24, with messages of a load for data. What they say of their own is none: a greeting, a
  // heartbeat, a comment.
  const pushes = {
    'centrifugo, WebSocket': [
      '{"connect":{"client":"e969f331-858b-4678-9e48-53855743d431","version":"0.0.0 OSS","subs":{"g0":{}},"ping":25}}',
      `{"channel":"g0","pub":{"data":${numberedMessage(0, 64)}}}`,
      '{}',
      `{"channel":"g0","pub":{"data":${numberedMessage(1, 64)}}}`,
    ],
    'centrifugo, SSE': [
      '\r\ndata: {"connect":{"client":"aac05ac0-c9b2-46cb-a98d-d8e9808aef68","version":"0.0.0 OSS","subs":{"g0":{}},"ping":25}}\n\n',
      `data: {"channel":"g0","pub":{"data":${numberedMessage(0, 64)}}}\n\n`,
      'data: {}\n\n',
      `data: {"channel":"g0","pub":{"data":${numberedMessage(1, 64)}}}\n\n`,
    ],
    'mercure, SSE': [
      ':\n',
      `id: urn:uuid:01a204fb-575f-79c7-9596-65312e0158fa\ndata: ${numberedMessage(0, 64)}\n\n`,
      ':\n:\n',
      `id: urn:uuid:01a204fb-5c95-79c7-8877-5f07742501fa\ndata: ${numberedMessage(1, 64)}\n\n`,
    ],
  }

  test.each(Object.entries(pushes))('are found in the pushes of %s', (name, texts) => {
    const numbers: number[] = []
    const reader = new NumberReader()
    const sink = {
      message(bytes: Buffer, start: number, end: number) {
        const n = reader.read(bytes, start, end)
        if (n >= 0) numbers.push(n)
      },
      ping: () => {},
      close: () => {},
    }
    const isSse = name.endsWith('SSE')
    const frame = (text: string) => {
      const options = { fin: true, opcode: 1, mask: false, readOnly: false, rsv1: false }
      return isSse ? [Buffer.from(text)] : Sender.frame(Buffer.from(text), options)
    }
    const bytes = Buffer.concat(texts.flatMap(frame))
    feed(isSse ? new EventScanner(sink) : new WebSocketScanner(sink), bytes, everyByte)
    feed(isSse ? new EventScanner(sink) : new WebSocketScanner(sink), bytes, [])
    expect(numbers).toEqual([0, 1, 0, 1])
  })

  test('a message has the bytes asked for', () => {
    for (const size of [41, 42, 128, 1000]) expect(Buffer.byteLength(numberedMessage(5, size))).toBe(size)
    expect(JSON.parse(numberedMessage(5, 128))).toMatchObject({ type: 'bench', n: '000000005' })
  })
})

test('answers to pipelined requests are told apart, however the bytes are cut', () => {
  const answer = fc.record({
    status: fc.constantFrom(200, 404, 503),
    body: fc.string({ maxLength: 80 }),
    isChunked: fc.boolean(),
  })
  const encode = ({ status, body, isChunked }: { status: number; body: string; isChunked: boolean }) => {
    const bytes = Buffer.from(body)
    const framing = isChunked ? 'Transfer-Encoding: chunked' : `Content-Length: ${bytes.length}`
    const size = bytes.length.toString(16)
    const chunks = [
      Buffer.from(bytes.length === 0 ? '' : `${size}\r\n`),
      bytes,
      Buffer.from(`${bytes.length === 0 ? '' : '\r\n'}0\r\n\r\n`),
    ]
    return Buffer.concat([
      Buffer.from(`HTTP/1.1 ${status} X\r\n${framing}\r\n\r\n`),
      ...(isChunked ? chunks : [bytes]),
    ])
  }
  fc.assert(
    fc.property(fc.array(answer, { maxLength: 8 }), cuts, (answers, at) => {
      const seen: { status: number; body: string }[] = []
      const reader = new ResponseReader(({ status, body }) => seen.push({ status, body }))
      feed(
        { scan: (bytes, start, end) => reader.read(bytes.subarray(start, end)) },
        Buffer.concat(answers.map(encode)),
        at,
      )
      expect(seen).toEqual(
        answers.map(({ status, body }) => ({ status, body: Buffer.from(body).toString('latin1') })),
      )
    }),
  )
})
