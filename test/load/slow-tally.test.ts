/** The account of a slow client, whatever its transport tells it in. */
import { expect, test } from 'vitest'
import { ChunkScanner } from '../../src/load/chunk-scanner.ts'
import { EventScanner } from '../../src/load/event-scanner.ts'
import { MIN_MESSAGE_BYTES, NumberReader, numberedMessage } from '../../src/load/numbered.ts'
import { SlowTally } from '../../src/load/slow-tally.ts'
import { Publication } from '../../src/publication.ts'
import { streamFormat } from '../../src/wire/http-stream.ts'
import { websocketPlain } from '../../src/wire/websocket.ts'

const KEYS = 3

function message(n: number): string {
  return numberedMessage(n, 80, KEYS)
}

/** What a tally makes of texts of a plain WebSocket. */
function overWebSocket(texts: readonly string[]) {
  const tally = new SlowTally('websocket', new NumberReader(), 10, KEYS)
  for (const text of texts) {
    const bytes = Buffer.from(text)
    tally.add(bytes, 0, bytes.length)
  }
  return tally
}

test('a message has its key, is JSON, and as long as it should be', () => {
  for (const size of [MIN_MESSAGE_BYTES, 100, 1_000]) {
    const text = numberedMessage(7, size, 4)
    expect(JSON.parse(text)).toMatchObject({ type: 'bench', n: '000000007', key: 'k3' })
    if (size >= 100) expect(Buffer.byteLength(text)).toBe(size)
    expect(JSON.parse(numberedMessage(7, size))).not.toHaveProperty('key')
  }
})

test('what was dropped before, between and after is seen, and what was told of it', () => {
  const frame = websocketPlain.control({ dropped: { count: 4 } }) as Buffer
  const told = frame.subarray(2).toString()
  const tally = overWebSocket([message(12), message(13), told, message(16), message(17)])
  expect(tally.report).toEqual({
    transport: 'websocket',
    received: 4,
    told: 4,
    skipped: 4,
    // The first two were not told of; the others were told of four where there were two.
    mistold: 2,
    sinceGap: 2,
    isInOrder: true,
    next: 18,
    newest: [12, 16, 17],
    isOver: false,
    closeCode: null,
  })
})

test.each([
  ['out of order', [10, 12, 11]],
  ['doubled', [10, 11, 11]],
])('%s', (_what, numbers) => {
  expect(overWebSocket(numbers.map(message)).report.isInOrder).toBe(false)
})

test('a WebSocket ends with the code of its close frame', () => {
  const tally = overWebSocket([message(10)])
  tally.ended(4008)
  expect(tally.report).toMatchObject({ isOver: true, closeCode: 4008 })
})

test('an event stream says both by events of their own', () => {
  const tally = new SlowTally('sse', new NumberReader(), 10, KEYS)
  const events = new EventScanner({
    message: (bytes, start, end) => tally.add(bytes, start, end),
    event: (text) => tally.event(text),
  })
  const scanner = new ChunkScanner(events)
  const format = streamFormat('sse', false, 'chunked')
  const frames = [
    format.control({ open: { connection: 'c', node: 'n', groups: [], heartbeatMs: 0 } }, 1_000),
    format.frame(new Publication('g0', message(10), null)),
    format.control({ dropped: { count: 2 } }),
    format.frame(new Publication('g0', message(13), null)),
    format.control({ close: { code: 4008, reason: 'too slow' } }, 1_000),
  ]
  for (const frame of frames) {
    const bytes = format.seal?.(frame as Buffer) as Buffer
    scanner.scan(bytes, 0, bytes.length)
  }
  expect(tally.report).toMatchObject({
    received: 2,
    told: 2,
    skipped: 2,
    next: 14,
    isOver: true,
    closeCode: 4008,
  })
})
