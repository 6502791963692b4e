/** One script over every transport: what is sent to a group reaches all its members, in order, as the same text. */
import { describe, expect, test } from 'vitest'
import { CLIENT_KINDS } from '../support/clients.ts'
import { startTestHub } from '../support/hub-server.ts'
import { until } from '../support/until.ts'

describe.each(CLIENT_KINDS)('%s', (kind) => {
  test('two clients of a group get its messages, in order, and no others', async () => {
    const { hub, open } = await startTestHub()
    const first = await open(kind, '/events?group=a&group=b')
    const second = await open(kind, '/events/?group=a')

    const sent: string[] = []
    for (let n = 0; n < 200; n++) {
      const message = { type: 'n', n, text: 'ü€𝄞\u2028' }
      sent.push(JSON.stringify(message))
      await hub.groupSend('a', message)
      if (n % 10 === 0) await hub.groupSend('b', { type: 'b', n })
      await hub.groupSend('other', { type: 'lost' })
    }
    await until('all have come', () => first.messages.length >= 220 && second.messages.length >= 200)

    expect(second.messages).toEqual(sent)
    expect(first.messages.filter((text) => text.includes('"n","n"'))).toEqual(sent)
    expect(first.messages.filter((text) => text.includes('"b"'))).toHaveLength(20)
  })

  test('a group is left with the connection, and the other client is not disturbed', async () => {
    const { hub, open } = await startTestHub()
    const leaving = await open(kind, '/events?group=a')
    const staying = await open(kind, '/events?group=a')
    expect(hub.group('a').connections[staying.kind.split('+')[0] as 'sse']).toBe(2)

    leaving.close()
    await until(
      'the hub has noticed',
      () => Object.values(hub.group('a').connections).reduce((a, b) => a + b) === 1,
    )
    await hub.groupSend('a', { type: 'after' })
    await until('it has come', () => staying.messages.length === 1)
    expect(leaving.messages).toEqual([])
  })

  test('messages of every size arrive whole', async () => {
    const { hub, open } = await startTestHub()
    const clients = [await open(kind, '/events?group=a'), await open(kind, '/events?group=a')]
    // Around each length form of a WebSocket frame (RFC 6455, section 5.2), and past the early flush.
    const lengths = [0, 1, 90, 125, 126, 127, 65_500, 65_535, 65_536, 70_000, 600_000]
    const sent = lengths.map((length) => ({ type: 'x', text: 'a'.repeat(length) }))
    for (const message of sent) await hub.groupSend('a', message)
    for (const client of clients) {
      await until('all have come', () => client.messages.length === lengths.length)
      expect(client.messages).toEqual(sent.map((message) => JSON.stringify(message)))
    }
  })
})

test('the same text reaches all transports in one group', async () => {
  const { hub, open } = await startTestHub()
  const clients = await Promise.all(CLIENT_KINDS.map((kind) => open(kind, '/events?group=mixed')))
  await hub.groupSend('mixed', { type: 'chat.message', text: 'hi' })
  for (const client of clients) {
    await until(`${client.kind} has it`, () => client.messages.length === 1)
    expect(client.messages).toEqual(['{"type":"chat.message","text":"hi"}'])
  }
  expect(hub.stats).toMatchObject({
    connections: { websocket: 2, sse: 2, ndjson: 1 },
    publications: 1,
    deliveries: 5,
  })
})
