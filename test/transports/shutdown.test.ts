/** The end: every client is told to come back and gets what was sent before, nobody waits for ever, and nothing is left behind. */
import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import { EventSource } from 'eventsource'
import { createHub, DEFAULT_LIMITS, groupsConsumer } from 'groupcast'
import { describe, expect, onTestFinished, test } from 'vitest'
import { CLIENT_KINDS } from '../support/clients.ts'
import { startTestHub } from '../support/hub-server.ts'
import { connectRaw, handshake, openRawWebSocket, parseResponse, requestHead } from '../support/raw.ts'
import { serverKind } from '../support/servers.ts'
import { trackingConsumer } from '../support/tracking-consumer.ts'
import { until, within } from '../support/until.ts'

const SSE = { Accept: 'text/event-stream' }
const NDJSON = { Accept: 'application/x-ndjson' }

const isRetry = (ms: number | undefined) =>
  ms !== undefined && ms >= 1_000 && ms <= 1_000 + DEFAULT_LIMITS.retrySpreadMs

describe.each(CLIENT_KINDS)('%s', (kind) => {
  test('is told that the server restarts, and when to come back', async () => {
    const { hub, open, errors } = await startTestHub()
    const clients = await Promise.all(Array.from({ length: 10 }, () => open(kind, '/events?group=a')))
    await until('all are in', () => hub.stats.opened === 10)
    await within('the end', hub.close())
    for (const client of clients) {
      expect(await within('its end', client.ended)).toEqual({
        code: 1012,
        reason: 'The server is restarting.',
      })
      if (kind.startsWith('websocket')) continue
      expect(client.controls.at(-1)).toEqual({ close: { code: 1012, reason: 'The server is restarting.' } })
    }
    if (kind.startsWith('sse')) {
      const retries = clients.map(({ retries }) => retries.at(-1))
      expect(retries.filter(isRetry)).toHaveLength(10)
      // Not all at once.
      expect(new Set(retries).size).toBeGreaterThan(1)
    }
    expect(hub.stats.connections).toEqual({ websocket: 0, sse: 0, ndjson: 0 })
    expect(errors).toEqual([])
  })

  test('what was sent before is delivered before the end, to slow readers too', async () => {
    const { hub, open } = await startTestHub({ limits: { maxBacklogBytes: 64 * 1024 * 1024 } })
    const [slow, quick] = [await open(kind, '/events?group=a'), await open(kind, '/events?group=a')]
    slow.pause()
    const text = 'x'.repeat(256 * 1024)
    // More than the kernel's buffers take.
    for (let n = 0; n < 60; n++) {
      await hub.groupSend('a', { type: 'm', n, text })
      if (n % 10 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    let isClosed = false
    const closing = hub.close().then(() => {
      isClosed = true
    })
    await within('the end of the quick one', quick.ended)
    expect(isClosed).toBe(false)
    slow.resume()
    expect((await within('the end of the slow one', slow.ended)).code).toBe(1012)
    await within('the end', closing)
    for (const { messages } of [quick, slow]) {
      const numbers = messages.map((message) => (JSON.parse(message) as { n: number }).n)
      expect(numbers).toEqual(Array.from({ length: 60 }, (_, n) => n))
    }
  })

  test('who does not read is cut at the deadline', async () => {
    const { hub, open } = await startTestHub({ limits: { maxBacklogBytes: 64 * 1024 * 1024 } })
    const consumer = trackingConsumer()
    hub.consumer('/track', consumer)
    const stuck = await open(kind, '/track?group=a')
    const quick = await open(kind, '/track?group=a')
    stuck.pause()
    const text = 'x'.repeat(1024 * 1024)
    for (let n = 0; n < 16; n++) await hub.groupSend('a', { type: 'm', n, text })
    await until('the quick one has all', () => quick.messages.length === 16)
    await within('the end', hub.close({ deadlineMs: 50 }), 2_000)
    expect(consumer.ended).toHaveLength(2)
    stuck.resume()
    await within('its end', stuck.ended)
  })

  test('a client at the door is told, too', async () => {
    const { hub, open } = await startTestHub()
    const consumer = trackingConsumer()
    let release = () => {}
    hub.consumer('/door', {
      async connect(connection) {
        await consumer.connect?.(connection as never)
        await new Promise<void>((resolve) => {
          release = resolve
        })
      },
      disconnect: consumer.disconnect as never,
    })
    const opening = open(kind, '/door?group=a')
    await until('it is at the door', () => consumer.began === 1)
    const closing = hub.close()
    const client = await opening
    const { code } = await within('its end', client.ended)
    if (kind === 'ndjson') expect(client.status).toBe(503)
    else expect(code).toBe(1012)
    release()
    await within('the end', closing)
    expect(consumer.ended).toMatchObject([{ code: 1012 }])
  })
})

test('streams end cleanly, byte for byte', async () => {
  const { hub, url } = await startTestHub()
  const [sse, lines] = [await connectRaw(url), await connectRaw(url)]
  sse.write(requestHead('GET', '/events?group=a', SSE))
  lines.write(requestHead('GET', '/events?group=a', NDJSON))
  await until('both are in', () => hub.stats.opened === 2)
  await hub.groupSend('a', { type: 'm' })
  await hub.close()
  await until('both have ended', () => [sse, lines].every(({ bytes }) => parseResponse(bytes)?.isComplete))
  for (const client of [sse, lines]) {
    expect(client.text.endsWith('\r\n0\r\n\r\n')).toBe(true)
    expect(parseResponse(client.bytes)?.rest).toHaveLength(0)
    // The connection is the client's to reuse.
    expect(client.isEnded).toBe(false)
  }
  const body = parseResponse(sse.bytes)?.body ?? ''
  expect(body).toMatch(
    /^retry: \d+\nevent: groupcast\.open\ndata: \{.*\}\n\ndata: \{"type":"m"\}\n\nretry: \d+\nevent: groupcast\.close\ndata: \{"code":1012,"reason":"The server is restarting\."\}\n\n$/,
  )
  expect(parseResponse(lines.bytes)?.body).toMatch(
    /^\{"open":.*\}\n\{"group":"a","message":\{"type":"m"\}\}\n\{"close":\{"code":1012,"reason":"The server is restarting\."\}\}\n$/,
  )
})

test('an EventSource comes back to the next hub on its own', { timeout: 20_000 }, async () => {
  const limits = { retrySpreadMs: 1 }
  const { hub, server, url } = await startTestHub({ limits })
  const source = new EventSource(`${url}/events?group=a`)
  onTestFinished(() => source.close())
  const got: string[] = []
  source.onmessage = ({ data }) => got.push(data)
  await until('it is in', () => hub.stats.opened === 1)
  await hub.groupSend('a', { type: 'first' })
  await until('it has it', () => got.length === 1)
  const next = createHub({ limits, backend: serverKind.backend() })
  next.consumer('/events', groupsConsumer())
  const closing = hub.close()
  server.attach(next as never)
  await closing
  await until('it has come back', () => next.stats.opened === 1)
  await next.groupSend('a', { type: 'second' })
  await until('it has it', () => got.length === 2)
  expect(got).toEqual(['{"type":"first"}', '{"type":"second"}'])
  source.close()
  await next.close()
})

describe('while the hub drains', () => {
  /** A hub that drains until `finish` is called. */
  async function startDraining() {
    const testHub = await startTestHub()
    const last = await openRawWebSocket(testHub.url, '/events?group=a')
    let finish = () => {}
    const pending = new Promise<void>((resolve) => {
      finish = resolve
    })
    const closing = testHub.hub.close({ pending })
    await until('the last one is told', () => last.closeFrame !== null)
    expect(testHub.hub.status).toMatchObject({ ready: false, draining: true })
    return {
      ...testHub,
      async finish() {
        finish()
        last.end()
        await within('the end', closing)
      },
    }
  }

  test('a new EventSource gets 200, when to come back, and a clean end', async () => {
    // Any other status would end it for good (WHATWG HTML, section 9.2.3).
    const { hub, url, finish } = await startDraining()
    for (let n = 0; n < 2; n++) {
      const client = await connectRaw(url)
      client.write(requestHead('GET', '/events?group=a', SSE))
      await until('it has ended', () => parseResponse(client.bytes)?.isComplete === true)
      const { status, headers, body } = parseResponse(client.bytes) ?? {}
      expect([status, headers?.get('content-type')]).toEqual([200, 'text/event-stream; charset=utf-8'])
      const [, ms] =
        /^retry: (\d+)\nevent: groupcast\.close\ndata: \{"code":1012,.*\}\n\n$/.exec(body ?? '') ?? []
      expect(isRetry(Number(ms))).toBe(true)
    }
    await finish()
    expect(hub.stats).toMatchObject({ opened: 1, groups: 0 })
  })

  test('a new WebSocket is let in and closed with 1012', async () => {
    const { url, open, finish } = await startDraining()
    for (const kind of ['websocket', 'websocket+envelope'] as const) {
      const client = await open(kind, '/events?group=a')
      expect(await client.ended).toMatchObject({ code: 1012 })
    }
    const raw = await openRawWebSocket(url, '/events?group=a')
    await until('it is closed', () => raw.closeFrame !== null)
    raw.end()
    await finish()
  })

  test('a new ndjson client gets 503 with Retry-After', async () => {
    const { url, finish } = await startDraining()
    for (let n = 0; n < 2; n++) {
      const response = await fetch(`${url}/events?group=a`, { headers: NDJSON })
      expect(response.status).toBe(503)
      expect(Number(response.headers.get('retry-after'))).toBeGreaterThanOrEqual(1)
      expect(await response.json()).toMatchObject({ code: 'restarting' })
    }
    await finish()
  })

  test('the application goes on', async () => {
    const { url, finish } = await startDraining()
    expect(await (await fetch(`${url}/app`)).text()).toBe('app')
    await finish()
    expect(await (await fetch(`${url}/events`)).text()).toBe('app')
  })
})

test('a message posted to a connection that is closing is refused, not taken and dropped', async () => {
  const { hub, url } = await startTestHub({ limits: { maxBacklogBytes: 64 * 1024 * 1024 } })
  const consumer = trackingConsumer()
  hub.consumer('/track', consumer)
  const client = await connectRaw(url)
  client.write(requestHead('GET', '/track?group=a', SSE))
  await until('it is open', () => client.text.includes('"connection"'))
  const id = /"connection":"([^"]+)"/.exec(client.text)?.[1] ?? ''
  const post = async () => {
    const headers = { 'Groupcast-Connection': id }
    return (await fetch(`${url}/track`, { method: 'POST', headers, body: '{"type":"m"}' })).status
  }
  expect(await post()).toBe(202)
  client.socket.pause()
  const text = 'x'.repeat(1024 * 1024)
  for (let n = 0; n < 16; n++) await hub.groupSend('a', { type: 'm', text })
  await new Promise((resolve) => setImmediate(resolve))
  await hub.closeConnection(id, 4000)
  expect(await post()).toBe(404)
  expect(consumer.received).toHaveLength(1)
  client.reset()
})

describe('nothing is left behind', () => {
  /** Listeners of an object by event. */
  const listenersOf = (emitter: Socket | Server | null) =>
    emitter === null
      ? null
      : Object.fromEntries(emitter.eventNames().map((name) => [String(name), emitter.listenerCount(name)]))

  test('on a keep-alive socket that carries one stream after another', async () => {
    const { hub, server, url } = await startTestHub()
    const ids: string[] = []
    const groups = groupsConsumer()
    hub.consumer('/ids', {
      connect(connection) {
        ids.push(connection.id)
        if (connection.query.has('refuse')) connection.close(4000)
        return groups.connect?.(connection)
      },
    })
    let socket: Socket | null = null
    server.node?.once('connection', (got: Socket) => {
      socket = got
    })
    const client = await connectRaw(url)
    let answered = 0
    const rest = () => {
      let bytes = client.bytes
      for (let n = 0; n < answered; n++) bytes = parseResponse(bytes)?.rest ?? bytes
      return parseResponse(bytes)
    }
    const finished = async () => {
      await until('the response has ended', () => rest()?.isComplete === true)
      answered++
      // Node takes the response's own listeners off its socket a moment later.
      await new Promise((resolve) => setImmediate(resolve))
      return listenersOf(socket as Socket | null)
    }
    client.write(requestHead('GET', '/app'))
    const before = await finished()
    const serverBefore = listenersOf(server.node)
    for (const accept of [SSE, NDJSON, SSE, NDJSON]) {
      client.write(requestHead('GET', '/ids?group=a', accept))
      const count = ids.length
      await until('it is open', () => ids.length === count + 1 && rest()?.status === 200)
      await hub.groupSend('a', { type: 'm' })
      await hub.closeConnection(ids.at(-1) ?? '', 4000)
      expect(await finished()).toEqual(before)
    }
    client.write(requestHead('GET', '/ids?refuse', SSE))
    expect(await finished()).toEqual(before)
    client.write(requestHead('POST', '/ids', { 'Groupcast-Connection': 'x', 'Content-Length': '2' }))
    client.write('{}')
    expect(await finished()).toEqual(before)
    client.write(requestHead('GET', '/app'))
    expect(await finished()).toEqual(before)
    expect(listenersOf(server.node)).toEqual(serverBefore)
    expect(client.isEnded).toBe(false)
  })

  test('the server closes by itself once the hub has', async () => {
    const { hub, server, url } = await startTestHub()
    const sockets = new Set<Socket>()
    server.node?.on('connection', (socket) => sockets.add(socket))
    const heads = [
      handshake('/events?group=a'),
      requestHead('GET', '/events?group=a', SSE),
      requestHead('GET', '/events?group=a', NDJSON),
    ]
    const clients = []
    for (const head of [...heads, ...heads]) {
      const client = await connectRaw(url)
      // Each ends its side when the server does, and keeps the connection otherwise.
      client.socket.on('end', () => client.end())
      client.write(head)
      await until('it is answered', () => client.status !== null)
      if (client.status === 101) await client.upgraded()
      clients.push(client)
    }
    await until('all are in', () => hub.stats.opened === 6)
    const closing = hub.close({ deadlineMs: 5_000 })
    // A WebSocket answers the close frame.
    for (const client of clients.filter(({ status }) => status === 101)) {
      await until('it is told', () => client.closeFrame !== null)
      client.send(8, Buffer.from([0x03, 0xf4]))
    }
    await within('the end of the hub', closing)
    expect(hub.stats).toMatchObject({ groups: 0, connections: { websocket: 0, sse: 0, ndjson: 0 } })
    await within('the end of the server', server.close(), 2_000)
    await until('no socket is left', () => [...sockets].every(({ destroyed }) => destroyed))
    if (server.node !== null) {
      // The application's own.
      expect([server.node.listenerCount('upgrade'), server.node.listenerCount('request')]).toEqual([0, 1])
    }
  })

  test('newcomers that were refused and never answer are cut in their time', async () => {
    const { hub, server, url } = await startTestHub({ limits: { closeTimeoutMs: 100 } })
    hub.consumer('/no', { connect: (connection) => connection.close(4503, 'no') })
    const clients = [await openRawWebSocket(url, '/no'), await openRawWebSocket(url, '/no')]
    for (const client of clients) await until('it is told', () => client.closeFrame !== null)
    await hub.close()
    await within('the end of the server', server.close(), 2_000)
    for (const client of clients) await until('it is cut', () => client.isEnded || client.isClosed)
  })

  test('closing twice is closing once', async () => {
    const { hub, open } = await startTestHub()
    await open('sse', '/events')
    const first = hub.close()
    expect(hub.close()).toBe(first)
    await first
  })
})
