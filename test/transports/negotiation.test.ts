/** What a request at a consumer's URL becomes: which transport, which headers, or which refusal. */
import { describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { startTestHub, type TestHub } from '../support/hub-server.ts'
import {
  connectRaw,
  handshake,
  openRawWebSocket,
  parseResponse,
  type RawResponse,
  requestHead,
} from '../support/raw.ts'
import { nature } from '../support/servers.ts'
import { until } from '../support/until.ts'

const SSE = 'text/event-stream; charset=utf-8'
const NDJSON = 'application/x-ndjson'
const PROBLEM = 'application/problem+json'

/** Sends a request over a socket of its own. @returns the head of the answer and what of its body has come */
async function ask(url: string, head: string): Promise<RawResponse> {
  const client = await connectRaw(url)
  client.write(head)
  await until('the answer has begun', () => parseResponse(client.bytes) !== null)
  const response = parseResponse(client.bytes)
  if (response === null) throw new Error('no answer')
  return response
}

/** The same request twice at once: answers must not depend on each other. */
async function askTwice(url: string, head: string): Promise<RawResponse> {
  const [first, second] = await Promise.all([ask(url, head), ask(url, head)])
  expect(second.status).toBe(first.status)
  expect(second.headers.get('content-type')).toBe(first.headers.get('content-type'))
  return first
}

describe('Accept', () => {
  test.each<[accept: string | null, type: string]>([
    [null, SSE],
    ['', SSE],
    ['*/*', SSE],
    ['text/event-stream', SSE],
    ['TEXT/Event-Stream', SSE],
    ['text/event-stream; charset=utf-8', SSE],
    ['text/event-stream, application/json', SSE],
    ['text/*', SSE],
    ['text/html, application/xhtml+xml, application/xml;q=0.9, */*;q=0.8', SSE],
    ['application/x-ndjson', NDJSON],
    ['application/x-ndjson, */*;q=0.1', NDJSON],
    ['application/*', NDJSON],
    ['application/*, */*;q=0.1', NDJSON],
    ['text/event-stream, application/x-ndjson', SSE],
    ['application/x-ndjson, text/event-stream', SSE],
    ['text/event-stream;q=0.5, application/x-ndjson;q=0.6', NDJSON],
    ['text/event-stream;q=0.6, application/x-ndjson;q=0.5', SSE],
    ['text/event-stream;q=0.001', SSE],
    ['text/event-stream;q=0, application/x-ndjson', NDJSON],
    ['text/event-stream;q=0, */*', NDJSON],
    ['text/event-stream;q=0.0, text/*', PROBLEM],
    ['text/event-stream;q=0', PROBLEM],
    ['*/*;q=0', PROBLEM],
    ['text/event-stream;q=2', PROBLEM],
    ['text/event-stream;q=-1', PROBLEM],
    ['text/event-stream;q=NaN', PROBLEM],
    ['application/json', PROBLEM],
    ['text/html', PROBLEM],
    ['text/event-streams', PROBLEM],
    ['garbage', PROBLEM],
    [',;=/,,', PROBLEM],
    ['*', PROBLEM],
  ])('%j is answered with %s', async (accept, type) => {
    const { url, hub } = await startTestHub()
    const headers = accept === null ? {} : { Accept: accept }
    const { status, headers: got, body } = await askTwice(url, requestHead('GET', '/events?group=a', headers))
    expect(got.get('content-type')).toBe(type)
    expect(status).toBe(type === PROBLEM ? 406 : 200)
    if (type === PROBLEM) {
      expect(JSON.parse(body)).toMatchObject({ status: 406, code: 'not-acceptable' })
      expect(hub.stats).toMatchObject({ opened: 0, denied: 0, groups: 0 })
    }
  })

  test('several Accept headers count as one', async () => {
    const { url } = await startTestHub()
    const head = requestHead('GET', '/events', { Accept: 'application/json' })
    const { headers } = await askTwice(url, head.replace('\r\n\r\n', `\r\nAccept: ${NDJSON}\r\n\r\n`))
    expect(headers.get('content-type')).toBe(NDJSON)
  })

  test('an upgrade to a WebSocket wins over whatever is accepted', async () => {
    const { url } = await startTestHub()
    for (const accept of ['text/event-stream', 'application/json', '*/*;q=0']) {
      expect((await openRawWebSocket(url, '/events', { Accept: accept })).status).toBe(101)
    }
  })

  test.each([
    { Connection: 'keep-alive, Upgrade' },
    { Connection: 'UPGRADE', Upgrade: 'WebSocket' },
    { Connection: 'upgrade,keep-alive' },
  ])('a handshake may say it as Firefox and proxies do: %j', async (headers) => {
    const { url } = await startTestHub()
    expect((await openRawWebSocket(url, '/events', headers)).status).toBe(101)
  })

  test('an upgrade that its connection does not ask for is a plain request', async () => {
    const { url } = await startTestHub()
    const { status, headers } = await askTwice(url, handshake('/events', { Connection: 'keep-alive' }))
    expect([status, headers.get('content-type')]).toEqual([200, SSE])
  })

  test('the envelope is asked for in the query', async () => {
    const { hub, url } = await startTestHub()
    const bodyOf = async (target: string, marker: string) => {
      const client = await connectRaw(url)
      client.write(requestHead('GET', target))
      await until('it is open', () => client.text.includes('"heartbeatMs"'))
      await hub.groupSend('a', { type: marker })
      await until('the message has come', () => client.text.includes(marker))
      return parseResponse(client.bytes)?.body ?? ''
    }
    expect(await bodyOf('/events?group=a', 'one')).toMatch(
      /^retry: \d+\nevent: groupcast\.open\ndata: \{"connection":.*\}\n\ndata: \{"type":"one"\}\n\n$/,
    )
    expect(await bodyOf('/events?group=a&envelope=1', 'two')).toMatch(
      /^retry: \d+\ndata: \{"open":\{.*\}\}\n\ndata: \{"group":"a","message":\{"type":"two"\}\}\n\n$/,
    )
    expect(await bodyOf('/events?group=a&envelope=0', 'three')).toContain('event: groupcast.open')
  })
})

describe('paths', () => {
  test.each(['/events', '/events/', '/events?', '/events/?group=a'])(
    '%s is served on every transport',
    async (path) => {
      const { url } = await startTestHub()
      expect((await ask(url, requestHead('GET', path))).headers.get('content-type')).toBe(SSE)
      expect((await ask(url, requestHead('GET', path, { Accept: NDJSON }))).headers.get('content-type')).toBe(
        NDJSON,
      )
      expect((await openRawWebSocket(url, path)).status).toBe(101)
    },
  )

  test.each([
    '/',
    '/event',
    '/eventss',
    '/Events',
    '/events/a',
    '//events',
    '/events//',
    '/events;a=b',
    '/%65vents/..',
  ])('%s is the application’s', async (path) => {
    const { url } = await startTestHub()
    expect(await askTwice(url, requestHead('GET', path))).toMatchObject({ status: 404, body: 'app' })
  })

  test('a pattern’s parameters are decoded once, and what cannot be decoded is nobody’s', async () => {
    const { hub, url } = await startTestHub()
    const rooms: string[] = []
    hub.consumer('/chat/:room', {
      connect(connection) {
        rooms.push(connection.params.room)
      },
    })
    for (const room of ['a%20b', '%2525', '%C3%BC', 'a%2Fb', '__proto__']) {
      expect((await ask(url, requestHead('GET', `/chat/${room}`))).status).toBe(200)
    }
    expect(rooms).toEqual(['a b', '%25', 'ü', 'a/b', '__proto__'])
    for (const room of ['%', '%zz', '%ff', '', 'a/b']) {
      expect(await ask(url, requestHead('GET', `/chat/${room}`))).toMatchObject({ status: 404, body: 'app' })
    }
    expect(rooms).toHaveLength(5)
  })
})

describe('methods', () => {
  test.each(['PROPFIND', 'QUERY', 'FOO'])('%s is answered 405, or closed', async (method) => {
    const { hub, url } = await startTestHub()
    const client = await connectRaw(url)
    client.write(requestHead(method, '/events', { 'Content-Length': '0' }))
    await until('it is answered or closed', () => client.status !== null || client.isEnded)
    if (!nature.answersStrangers) expect(client.status).toBe(null)
    // What node:http takes for no method at all, it answers itself.
    else expect([405, 400]).toContain(client.status)
    expect(hub.stats.opened).toBe(0)
  })

  test.each(['PUT', 'DELETE', 'PATCH', 'HEAD'])('%s is answered 405 with Allow', async (method) => {
    const { url } = await startTestHub()
    const { status, headers, body } = await askTwice(
      url,
      requestHead(method, '/events', { 'Content-Length': '0' }),
    )
    expect(status).toBe(405)
    expect(headers.get('allow')).toBe('GET, POST, OPTIONS')
    expect(headers.get('content-type')).toBe(PROBLEM)
    if (method === 'HEAD') expect(body).toBe('')
    else expect(JSON.parse(body)).toMatchObject({ status: 405, code: 'method-not-allowed' })
  })

  test('a refused request with a body does not spoil the connection', async () => {
    const { url } = await startTestHub()
    const client = await connectRaw(url)
    const size = 300_000
    client.write(requestHead('PUT', '/events', { 'Content-Length': String(size) }))
    client.write(Buffer.alloc(size, 'x'))
    client.write(requestHead('GET', '/app'))
    await until('both are answered', () => {
      const first = parseResponse(client.bytes)
      return parseResponse(first?.rest ?? Buffer.alloc(0))?.isComplete === true
    })
    expect(client.text).toContain('HTTP/1.1 405')
    expect(client.text).toContain('app')
    expect(client.isEnded).toBe(false)
  })

  test('OPTIONS is answered without a body', async () => {
    const { url } = await startTestHub()
    const { status, headers, body, rest } = await askTwice(url, requestHead('OPTIONS', '/events'))
    expect([status, body, rest.length]).toEqual([204, '', 0])
    expect(headers.get('allow')).toBe('GET, POST, OPTIONS')
    expect(headers.has('content-length')).toBe(false)
  })

  test('a POST without the connection’s header is told about it', async () => {
    const { url } = await startTestHub()
    for (const id of [null, '']) {
      const headers = { 'Content-Length': '2', ...(id !== null && { 'Groupcast-Connection': id }) }
      const { status, body } = await askTwice(url, `${requestHead('POST', '/events', headers)}{}`)
      expect(status).toBe(400)
      expect(JSON.parse(body)).toMatchObject({
        code: 'bad-request',
        detail: expect.stringContaining('Groupcast-Connection'),
      })
    }
  })

  test('a POST for a connection that is not there is answered 404', async () => {
    const { hub, url } = await startTestHub()
    for (const id of ['x', `${hub.nodeId}.nobody`, '__proto__', '..', `${hub.nodeId}.`, 'ü'.repeat(100)]) {
      const headers = { 'Content-Length': '12', 'Groupcast-Connection': id }
      const { status, body } = await askTwice(url, `${requestHead('POST', '/events', headers)}{"type":"m"}`)
      // A header whose value is lost counts as none.
      const isLost = !nature.keepsOtherBytes && /[^ -~]/.test(id)
      expect([id, status]).toEqual([id, isLost ? 400 : 404])
      expect(JSON.parse(body)).toMatchObject({ code: isLost ? 'bad-request' : 'unknown-connection' })
    }
  })
})

describe('subprotocols', () => {
  async function protocolOf({ url }: TestHub, offered: string): Promise<string | undefined> {
    const client = await openRawWebSocket(
      url,
      '/events',
      offered === '' ? {} : { 'Sec-WebSocket-Protocol': offered },
    )
    return parseResponse(client.bytes)?.headers.get('sec-websocket-protocol')
  }

  test.each<[offered: string, chosen: string | undefined]>([
    ['', undefined],
    ['groupcast.v1', 'groupcast.v1'],
    ['chat, groupcast.v1', 'groupcast.v1'],
    ['groupcast.v1,chat', 'groupcast.v1'],
    ['groupcast.v2', undefined],
    ['Groupcast.V1', undefined],
    ['groupcast.v1x', undefined],
    ['graphql-ws, mqtt', undefined],
  ])('offered %j, the server chooses %s', async (offered, chosen) => {
    const testHub = await startTestHub()
    expect(await Promise.all([protocolOf(testHub, offered), protocolOf(testHub, offered)])).toEqual([
      chosen,
      chosen,
    ])
  })

  test('what is chosen decides about envelopes', async () => {
    const { hub, url } = await startTestHub()
    const texts = new Map<string, string>()
    for (const protocols of [[], ['groupcast.v1'], ['other', 'groupcast.v1']]) {
      const client = new WebSocket(`${url}/events?group=a`, protocols)
      client.on('message', (data) => texts.set(protocols.join(), String(data)))
      await new Promise((resolve) => client.once('open', resolve))
    }
    await hub.groupSend('a', { type: 'm' })
    const all = () => [...texts.values()].filter((text) => text.includes('"m"')).length === 3
    await until('all have it', all)
    expect(Object.fromEntries(texts)).toEqual({
      '': '{"type":"m"}',
      'groupcast.v1': '{"group":"a","message":{"type":"m"}}',
      'other,groupcast.v1': '{"group":"a","message":{"type":"m"}}',
    })
    await hub.close()
  })
})

describe('the head of a stream', () => {
  test.each([
    ['text/event-stream', SSE],
    [NDJSON, NDJSON],
  ])('%s has the headers that keep proxies from holding it back, and no others', async (accept, type) => {
    const { url } = await startTestHub()
    const { status, headers } = await askTwice(url, requestHead('GET', '/events', { Accept: accept }))
    const { date, ...rest } = Object.fromEntries(headers)
    expect(status).toBe(200)
    expect(Number.isNaN(Date.parse(date ?? ''))).toBe(false)
    expect(rest).toEqual({
      'content-type': type,
      'cache-control': 'no-cache, no-store, no-transform, private',
      'x-accel-buffering': 'no',
      'transfer-encoding': 'chunked',
      ...nature.streamHeaders,
    })
  })

  test('HTTP/1.0 is answered by a raw stream, or not at all', async () => {
    const { hub, url } = await startTestHub()
    const [old, current] = [await connectRaw(url), await connectRaw(url)]
    old.write(requestHead('GET', '/events?group=a', { Accept: NDJSON }, 'HTTP/1.0'))
    current.write(requestHead('GET', '/events?group=a', { Accept: NDJSON }))
    await until('one is open', () => current.text.includes('"open"'))
    await hub.groupSend('a', { type: 'm' })
    await until('it has it', () => current.text.includes('"m"'))
    expect(parseResponse(old.bytes)?.headers.has('transfer-encoding') ?? false).toBe(false)
    if (!nature.answersStrangers) expect(hub.stats.opened).toBe(1)
  })

  test('the head goes out at once, before any message', async () => {
    const { url } = await startTestHub()
    const { status, body } = await ask(url, requestHead('GET', '/events', { Accept: NDJSON }))
    expect(status).toBe(200)
    expect(body === '' || body.startsWith('{"open"')).toBe(true)
  })

  test('the WebSocket head is the handshake’s and no more', async () => {
    const { url } = await startTestHub()
    const client = await connectRaw(url)
    client.write(handshake('/events'))
    await client.upgraded()
    // The accept value is the one of RFC 6455, section 1.3.
    const added = nature.handshakeHeaders.map((name) => `${name}: .*\r\n`).join('')
    const head = `HTTP/1\\.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n`
    const accept = `Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK\\+xOo=\r\n`
    expect(client.text).toMatch(new RegExp(`^${head}${accept}${added}\r\n$`))
  })
})
