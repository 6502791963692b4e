/** Heartbeats keep every transport awake from one timer, and find the dead without taking the slow for them. */
import { DEFAULT_LIMITS, type Limits } from 'groupcast'
import { type ManualClock, manualClock } from 'groupcast/testing'
import { describe, expect, test } from 'vitest'
import { CLIENT_KINDS } from '../support/clients.ts'
import { startTestHub, type TestHub } from '../support/hub-server.ts'
import {
  connectRaw,
  encodeFrame,
  handshake,
  OPCODE,
  openRawWebSocket,
  parseResponse,
  type RawClient,
  requestHead,
} from '../support/raw.ts'
import { nature } from '../support/servers.ts'
import { type TrackingConsumer, trackingConsumer } from '../support/tracking-consumer.ts'
import { until } from '../support/until.ts'

const { heartbeatMs, deadAfterMs } = DEFAULT_LIMITS as Limits & { heartbeatMs: number }

interface Ward extends TestHub {
  readonly clock: ManualClock
  /** Serves `/track`. */
  readonly consumer: TrackingConsumer
}

async function startWard(limits: Partial<Limits> = {}): Promise<Ward> {
  const clock = manualClock()
  const testHub = await startTestHub({ clock, limits })
  const consumer = trackingConsumer()
  testHub.hub.consumer('/track', consumer)
  return { ...testHub, clock, consumer }
}

const pings = (client: RawClient) => client.frames.filter(({ opcode }) => opcode === OPCODE.ping).length

/** Waits until the hub has read all that this client has sent: `ws` answers a ping when it comes to it. */
async function heard(client: RawClient): Promise<void> {
  const mark = `mark ${Math.random()}`
  client.send(OPCODE.ping, mark)
  await until('the hub has heard it', () => client.frames.some(({ payload }) => payload.toString() === mark))
}

test('one timer serves all connections', async () => {
  const { hub, clock, open, consumer } = await startWard()
  expect(clock.pending).toBe(1)
  const clients = await Promise.all(
    Array.from({ length: 4 }, () => CLIENT_KINDS)
      .flat()
      .map((kind) => open(kind, '/track')),
  )
  await until('all are in', () => hub.stats.opened === clients.length)
  expect(clock.pending).toBe(1)
  for (const client of clients) client.close()
  await until('all have left', () => consumer.ended.length === clients.length)
  expect(clock.pending).toBe(1)
  await hub.close()
  expect(clock.pending).toBe(0)
})

test('a client that leaves at the door takes its timer along', async () => {
  const { hub, clock, url } = await startWard()
  let waiting = 0
  let ended = 0
  const releases: (() => void)[] = []
  hub.consumer('/door', {
    connect() {
      waiting++
      return new Promise((resolve) => releases.push(resolve))
    },
    disconnect() {
      ended++
    },
  })
  const clients = [await connectRaw(url), await connectRaw(url), await connectRaw(url)]
  for (const [n, client] of clients.entries()) {
    const accept = n === 1 ? 'text/event-stream' : 'application/x-ndjson'
    client.write(n === 0 ? handshake('/door') : requestHead('GET', '/door', { Accept: accept }))
  }
  await until('all are at the door', () => waiting === 3)
  expect(clock.pending).toBe(4)
  for (const client of clients) client.reset()
  await until('their timers are gone', () => clock.pending === 1)
  for (const release of releases) release()
  await until('they have ended', () => ended === 3)
})

test('turned off, there is no timer, and clients are told', async () => {
  const { clock, url, open } = await startWard({ heartbeatMs: false })
  expect(clock.pending).toBe(0)
  const silent = await openRawWebSocket(url, '/events?group=a')
  const told = await open('websocket+envelope', '/events?group=a')
  clock.advance(10 * 60_000)
  await heard(silent)
  expect(pings(silent)).toBe(0)
  expect(told.controls).toMatchObject([{ open: { heartbeatMs: 0 } }])
})

test('clients are told how often to expect them', async () => {
  const { open } = await startWard({ heartbeatMs: 7_000 })
  for (const kind of CLIENT_KINDS) {
    const client = await open(kind, '/events')
    if (kind === 'websocket') continue
    await until('it has opened', () => client.controls.length > 0)
    expect(client.controls[0]).toMatchObject({ open: { heartbeatMs: 7_000 } })
  }
})

test('each transport gets its own kind, once in an interval', async () => {
  const { clock, url, hub } = await startWard()
  const websockets = [await openRawWebSocket(url, '/events'), await openRawWebSocket(url, '/events')]
  const streams: [client: RawClient, heartbeat: string][] = []
  for (const [accept, heartbeat] of [
    ['text/event-stream', ':\n\n'],
    ['application/x-ndjson', '\n'],
  ] as const) {
    for (let n = 0; n < 2; n++) {
      const client = await connectRaw(url)
      client.write(requestHead('GET', '/events', { Accept: accept }))
      streams.push([client, heartbeat])
    }
  }
  await until('all are in', () => hub.stats.opened === 6)
  await until('the streams are open', () => streams.every(([{ text }]) => text.includes('"heartbeatMs"')))
  const bodies = streams.map(([client]) => parseResponse(client.bytes)?.body ?? '')

  for (let beats = 1; beats <= 3; beats++) {
    clock.advance(heartbeatMs - 1)
    for (const client of websockets) expect(pings(client)).toBe(beats - 1)
    clock.advance(1)
    for (const client of websockets) {
      await until('the ping has come', () => pings(client) === beats)
      expect(client.frames.filter(({ opcode }) => opcode === OPCODE.ping).at(-1)?.payload).toHaveLength(0)
      client.send(OPCODE.pong, '')
      await heard(client)
    }
    for (const [n, [client, heartbeat]] of streams.entries()) {
      const body = (bodies[n] ?? '') + heartbeat.repeat(beats)
      await until('the heartbeat has come', () => parseResponse(client.bytes)?.body === body)
    }
  }
  expect(hub.stats).toMatchObject({ dead: 0, connections: { websocket: 2, sse: 2, ndjson: 2 } })
})

test('a WebSocket with envelopes gets an empty one behind each ping, which its scripts can see; a plain one does not', async () => {
  const { clock, url } = await startWard()
  const texts = (client: RawClient) =>
    client.frames.filter(({ opcode }) => opcode === OPCODE.text).map(({ payload }) => payload.toString())
  const envelopes = await openRawWebSocket(url, '/events', { 'Sec-WebSocket-Protocol': 'groupcast.v1' })
  const plain = await openRawWebSocket(url, '/events')
  await until('it has opened', () => texts(envelopes).length === 1)
  clock.advance(heartbeatMs)
  await until('the heartbeat has come', () => texts(envelopes).length === 2)
  expect(envelopes.frames.slice(1).map(({ opcode }) => opcode)).toEqual([OPCODE.ping, OPCODE.text])
  expect(texts(envelopes)[1]).toBe('{}')
  await heard(plain)
  expect(pings(plain)).toBe(1)
  expect(texts(plain)).toEqual([])
})

test('connections that came at different times get them at different times', async () => {
  const { clock, url } = await startWard()
  const first = await openRawWebSocket(url, '/events')
  clock.advance(heartbeatMs / 5)
  const second = await openRawWebSocket(url, '/events')
  clock.advance((4 * heartbeatMs) / 5)
  await until('the first has its ping', () => pings(first) === 1)
  await heard(second)
  expect(pings(second)).toBe(0)
  first.send(OPCODE.pong, '')
  await heard(first)
  clock.advance(heartbeatMs / 5)
  await until('the second has its ping', () => pings(second) === 1)
})

describe('death', () => {
  test('who answers stays, who is silent is closed after deadAfterMs, and both hear the right thing', async () => {
    const { clock, url, hub, open, consumer } = await startWard()
    const silent = await openRawWebSocket(url, '/track?group=a')
    const answering = await openRawWebSocket(url, '/track?group=a')
    // A client of the ws package answers by itself; streams have nothing to answer with.
    const others = [
      await open('websocket', '/track?group=a'),
      await open('sse', '/track?group=a'),
      await open('ndjson', '/track?group=a'),
    ]
    clock.advance(heartbeatMs)
    await until('all have been asked', () => pings(silent) === 1 && pings(answering) === 1)
    answering.send(OPCODE.pong, '')
    await heard(answering)
    await others[0]?.send({ type: 'heard' })
    await until('the pong before it was heard', () => others[0]?.messages.length === 1)

    clock.advance(deadAfterMs - 1)
    expect(hub.stats.dead).toBe(0)
    // The timer that looks for the dead ticks 25 times in an interval.
    clock.advance(heartbeatMs / 25)
    expect(hub.stats).toMatchObject({ dead: 1, connections: { websocket: 2, sse: 1, ndjson: 1 } })
    await until('disconnect has run', () => consumer.ended.length === 1)
    expect(consumer.ended).toEqual([{ code: 4010, reason: expect.any(String) }])
    await until('the socket is closed', () => silent.isEnded || silent.isClosed)

    await hub.groupSend('a', { type: 'm' })
    await until('the others live on', () => answering.frames.some(({ payload }) => payload.includes('"m"')))
    for (const { messages } of others)
      await until('the others live on', () => messages.includes('{"type":"m"}'))
    expect(hub.stats.dead).toBe(1)
  })

  test.each<[sign: string, bytes: Buffer, isWhole: boolean]>([
    ['a message', encodeFrame(OPCODE.text, '{"type":"m"}'), true],
    ['a ping', encodeFrame(OPCODE.ping, 'x'), true],
    ['a pong that was not asked for', encodeFrame(OPCODE.pong, 'unasked'), true],
    ['the first fragment of a message', encodeFrame(OPCODE.text, '{"type":', { fin: false }), false],
    // A pong has to wait for the end of the frame before it, which a slow uplink may take long to send.
    ['a part of a long message', encodeFrame(OPCODE.text, 'x'.repeat(60_000)).subarray(0, 1_000), false],
    ['the head of a frame', encodeFrame(OPCODE.text, '{}').subarray(0, 1), false],
  ])('%s is a sign of life, where the server tells of it', async (_sign, bytes, isWhole) => {
    const { clock, url, hub, server, open } = await startWard()
    let bytesRead = () => 0
    server.node?.once('connection', (socket) => {
      bytesRead = () => socket.bytesRead
    })
    const client = await openRawWebSocket(url, '/track')
    const silent = await openRawWebSocket(url, '/track')
    const other = await open('sse', '/track')
    clock.advance(heartbeatMs)
    await until('it has been asked', () => pings(client) === 1 && pings(silent) === 1)
    const before = bytesRead()
    client.write(bytes)
    if (server.node !== null) {
      await until('the server has read it', () => bytesRead() === before + bytes.length)
    }
    // What is sent later on another connection is read later.
    await other.send({ type: 'm' })
    await until('it has come back', () => other.messages.length === 1)
    clock.advance(deadAfterMs + heartbeatMs / 25)
    if (!isWhole && !nature.hearsParts) {
      expect(hub.stats).toMatchObject({ dead: 2, connections: { websocket: 0 } })
      return
    }
    expect(hub.stats).toMatchObject({ dead: 1, connections: { websocket: 1 } })
    expect(silent.isClosed).toBe(false)
    await until('the silent one is cut', () => silent.isEnded || silent.isClosed)
    expect(client.isEnded).toBe(false)
  })

  test('a sign of life is good for one heartbeat', async () => {
    const { clock, url, hub } = await startWard()
    const client = await openRawWebSocket(url, '/track')
    clock.advance(heartbeatMs)
    for (let beats = 1; beats <= 3; beats++) {
      await until('it has been asked', () => pings(client) === beats)
      client.send(OPCODE.pong, '')
      await heard(client)
      clock.advance(deadAfterMs)
      expect(hub.stats.dead).toBe(0)
      clock.advance(heartbeatMs - deadAfterMs)
    }
    await until('it has been asked', () => pings(client) === 4)
    clock.advance(deadAfterMs)
    expect(hub.stats.dead).toBe(1)
  })

  test('where heartbeats come faster than deaths, an answer to an older one does not shorten the time for a newer', async () => {
    // The symptom was death after 5 s of silence where 10 s were allowed: each heartbeat cleared the answer to the one before, whose
    // question was still open.
    const { clock, url, hub } = await startWard({ heartbeatMs: 5_000, deadAfterMs: 10_000 })
    const client = await openRawWebSocket(url, '/track')
    clock.advance(5_000)
    await until('it has been asked', () => pings(client) === 1)
    client.send(OPCODE.pong, '')
    await heard(client)
    clock.advance(5_000)
    await until('it has been asked again', () => pings(client) === 2)
    clock.advance(9_999)
    expect(hub.stats.dead).toBe(0)
    clock.advance(1)
    expect(hub.stats.dead).toBe(1)
    // It was asked all the while: the pings keep proxies awake.
    await until('the pings have come', () => pings(client) === 3)
  })

  test('a client that ended is not found dead later', async () => {
    const { clock, url, hub, consumer } = await startWard()
    const client = await openRawWebSocket(url, '/track')
    clock.advance(heartbeatMs)
    await until('it has been asked', () => pings(client) === 1)
    client.reset()
    await until('it has ended', () => consumer.ended.length === 1)
    clock.advance(deadAfterMs + heartbeatMs)
    expect(hub.stats.dead).toBe(0)
    expect(consumer.ended).toHaveLength(1)
  })
})

describe('the slow are not the dead', () => {
  const text = 'x'.repeat(256 * 1024)

  test('a congested link is not asked, and lives on when it drains', async () => {
    const { clock, url, hub, links } = await startWard({ maxBacklogBytes: 64 * 1024 * 1024 })
    const slow = await openRawWebSocket(url, '/events?group=a')
    const stream = await connectRaw(url)
    stream.write(requestHead('GET', '/events?group=a'))
    await until('the stream is open', () => stream.text.includes('groupcast.open'))
    slow.socket.pause()
    stream.socket.pause()
    let sent = 0
    while (links.some(({ link }) => link.writable)) {
      await hub.groupSend('a', { type: 'm', text })
      sent++
      await new Promise((resolve) => setImmediate(resolve))
    }
    clock.advance(heartbeatMs + deadAfterMs + heartbeatMs)
    expect(hub.stats).toMatchObject({ dead: 0, connections: { websocket: 1, sse: 1 } })

    slow.socket.resume()
    stream.socket.resume()
    await until('all has come', () => slow.size > sent * text.length && stream.size > sent * text.length)
    expect(slow.frames.filter(({ opcode }) => opcode === OPCODE.text)).toHaveLength(sent)
    expect(pings(slow)).toBe(0)
    clock.advance(heartbeatMs)
    await until('now it is asked', () => pings(slow) === 1)
    await until('the stream too', () => parseResponse(stream.bytes)?.body.endsWith('}\n\n:\n\n') === true)
  })

  test('a link that drains after it was asked is alive', async () => {
    const { clock, url, hub, links } = await startWard({ maxBacklogBytes: 64 * 1024 * 1024 })
    const slow = await openRawWebSocket(url, '/events?group=a')
    slow.socket.pause()
    clock.advance(heartbeatMs)
    // The ping is on its way; now the link fills up behind it.
    let sent = 0
    while (links[0]?.link.writable !== false) {
      await hub.groupSend('a', { type: 'm', text })
      sent++
      await new Promise((resolve) => setImmediate(resolve))
    }
    slow.socket.resume()
    await until('it reads again', () => slow.size > sent * text.length)
    // It has not come to answer.
    clock.advance(deadAfterMs + heartbeatMs / 25)
    expect(hub.stats.dead).toBe(0)
  })

  test('a client whose consumer is busy is not heard, and not taken for dead', async () => {
    // The symptom was 4010 for clients that had answered: with too many pending messages the socket is paused, and the pong behind
    // them was not read before the deadline.
    const { clock, url, hub } = await startWard({ maxPendingMessages: 2 })
    let release = () => {}
    const gate = new Promise<void>((resolve) => {
      release = resolve
    })
    const seen: string[] = []
    hub.consumer('/slow', {
      async receive(_connection, message) {
        await gate
        seen.push(message.type)
      },
    })
    const client = await openRawWebSocket(url, '/slow')
    for (let n = 0; n < 10; n++) client.send(OPCODE.text, `{"type":"m${n}"}`)
    await until('the socket is paused', () => hub.stats.received >= 3)
    clock.advance(heartbeatMs)
    await until('it has been asked', () => pings(client) === 1)
    client.send(OPCODE.pong, '')
    client.send(OPCODE.text, '{"type":"last"}')
    clock.advance(deadAfterMs + 3 * heartbeatMs)
    expect(hub.stats.dead).toBe(0)

    release()
    await until('all is heard', () => seen.at(-1) === 'last')
    expect(seen).toHaveLength(11)
    await heard(client)
    // From now on its silence counts again.
    clock.advance(heartbeatMs + deadAfterMs)
    expect(hub.stats.dead).toBe(1)
  })
})
