/** The standalone server as a whole: hub, API and page on one port. */
import { once } from 'node:events'
import { request } from 'node:http'
import { connect } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { loadConfig } from '../../src/server/config/load.ts'
import { startServer } from '../../src/server/server.ts'
import { certificateFiles } from '../support/certificate.ts'
import { openClient } from '../support/clients.ts'
import {
  connectRaw,
  OPCODE,
  openRawWebSocket,
  parseResponse,
  type RawClient,
  requestHead,
} from '../support/raw.ts'
import { nature, serverKind } from '../support/servers.ts'
import { until, within } from '../support/until.ts'

async function start(
  flags: Readonly<Record<string, unknown>> = {},
  env: Readonly<Record<string, string>> = {},
) {
  const loaded = loadConfig({ flags: { port: 0, backend: serverKind.name, ...flags }, env, cwd: '/nowhere' })
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems))
  const server = await startServer(loaded.config)
  // One test lets it fail.
  onTestFinished(() => server.close().catch(() => {}))
  return server
}

const post = (url: string, body: unknown, headers: Readonly<Record<string, string>> = {}) =>
  fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  })

test('a message published over HTTP reaches an event stream and a WebSocket as the same text', async () => {
  const { url } = await start()
  const clients = [
    await openClient('sse', `${url}/events?group=a`),
    await openClient('websocket', `${url}/events?group=a`),
  ]
  const response = await post(`${url}/api/groups/a/messages`, { type: 'chat.message', text: 'hi' })
  expect([response.status, await response.json()]).toEqual([200, { cursor: null }])
  for (const client of clients) {
    await until('it has come', () => client.messages.length === 1)
    expect(client.messages).toEqual(['{"type":"chat.message","text":"hi"}'])
    client.close()
  }
})

test('a bulk of ndjson lines reaches all members in order', async () => {
  const { url } = await start()
  const clients = [
    await openClient('ndjson', `${url}/events?group=a`),
    await openClient('websocket+envelope', `${url}/events?group=a`),
  ]
  const lines = Array.from({ length: 5_000 }, (_, n) =>
    JSON.stringify({ groups: ['a'], message: { type: 'n', n } }),
  )
  const response = await fetch(`${url}/api/publish`, {
    method: 'POST',
    headers: { 'content-type': 'application/x-ndjson' },
    body: lines.join('\n'),
  })
  const { results } = (await response.json()) as { results: unknown[] }
  expect(results).toHaveLength(5_000)
  for (const client of clients) {
    await until('all have come', () => client.messages.length === 5_000)
    expect(client.messages.map((text) => JSON.parse(text).n)).toEqual(lines.map((_, n) => n))
    client.close()
  }
})

test('a connection is listed, counted and closed over the API', async () => {
  const { url } = await start()
  const client = await openClient('sse', `${url}/events?group=a`)
  expect(await (await fetch(`${url}/api/groups/a`)).json()).toEqual({
    name: 'a',
    connections: { websocket: 0, sse: 1, ndjson: 0 },
  })
  const response = await fetch(`${url}/api/connections/${client.id}?code=4001&reason=moved`, {
    method: 'DELETE',
  })
  expect([response.status, await response.json()]).toEqual([200, { result: 'closed' }])
  expect(await within('the end', client.ended)).toEqual({ code: 4001, reason: 'moved' })
})

describe('pages', () => {
  test('the playground is at /, told where the events are, and can be turned off', async () => {
    const { url } = await start({ path: '/live' })
    const page = await fetch(`${url}/`)
    expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8')
    expect(page.headers.get('content-security-policy')).toContain("default-src 'self'")
    expect(await page.text()).toMatch(/<meta name="groupcast-events-path" content="\/live"/)
    expect((await fetch(`${url}/`, { method: 'POST' })).status).toBe(405)
    const bare = await start({ playground: false })
    expect((await fetch(`${bare.url}/`)).status).toBe(404)
  })

  test('unknown URLs are problem documents', async () => {
    const { url } = await start()
    for (const path of ['/nowhere', '/api/nowhere', '/playground/../server.js']) {
      const response = await fetch(url + path)
      expect(response.status).toBe(404)
      expect(await response.json()).toMatchObject({ code: 'not-found', status: 404 })
    }
  })
})

test('a client that never finishes its headers is cut', async () => {
  const { url } = await start({}, { GROUPCAST_LIMITS_HANDSHAKE_TIMEOUT_MS: '200' })
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  onTestFinished(() => void socket.destroy())
  socket.write('GET /events?group=a HTTP/1.1\r\nHost: localhost\r\n')
  let answer = ''
  socket.setEncoding('utf8').on('data', (text) => {
    answer += text
  })
  // uWebSockets.js has a time of its own, of about ten seconds.
  await within('the end', once(socket, 'close'), 20_000)
  expect(answer).toMatch(nature.answersStrangers ? /^HTTP\/1.1 408 / : /^$/)
})

test('a body that trickles is answered 408 and its connection closed, in the API as for a stream', async () => {
  const { url } = await start({}, { GROUPCAST_LIMITS_BODY_TIMEOUT_MS: '200' })
  const bystander = await openClient('sse', `${url}/events?group=a`)
  for (const path of ['/api/groups/a/messages', '/api/publish', '/api/channels/c/messages', '/events']) {
    const client = await connectRaw(url)
    const headers = {
      'Content-Type': 'application/json',
      'Groupcast-Connection': 'x',
      'Content-Length': '100000',
    }
    client.write(requestHead('POST', path, { Host: new URL(url).host, ...headers }))
    while (client.status === null && !client.isClosed) {
      client.write(' ')
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect([path, client.status]).toEqual([path, 408])
    await until('it is closed', () => client.isEnded || client.isClosed, 20_000)
  }
  expect((await post(`${url}/api/groups/a/messages`, { type: 'x' })).status).toBe(200)
  await until('the bystander has it', () => bystander.messages.length === 1)
  bystander.close()
})

test('wrong keys are counted by the address that a named proxy gives', async () => {
  const key = 'k'.repeat(32)
  const { url } = await start(
    { apiKeys: [key], trustedProxies: ['127.0.0.1'] },
    {
      GROUPCAST_RATES_FAILED_AUTHENTICATIONS_PER_ADDRESS: '1',
      GROUPCAST_RATES_FAILED_AUTHENTICATIONS_PER_ADDRESS_BURST: '3',
    },
  )
  const publish = (given: string, address: string) =>
    post(
      `${url}/api/groups/a/messages`,
      { type: 'x' },
      { authorization: `Bearer ${given}`, 'x-forwarded-for': address },
    )
  const statuses: number[] = []
  // More than can be earned back while they are sent.
  for (let n = 0; n < 40; n++) statuses.push((await publish('wrong', '203.0.113.1')).status)
  expect(statuses.slice(0, 3)).toEqual([401, 401, 401])
  const refused = await publish('wrong', '203.0.113.1')
  expect([refused.status, Number(refused.headers.get('retry-after'))]).toEqual([429, 1])
  expect(await refused.json()).toMatchObject({ code: 'rate-exceeded', retryAfterMs: expect.any(Number) })
  expect((await publish(key, '203.0.113.2')).status).toBe(200)
})

test('with API keys the API needs one, the streams do not', async () => {
  const key = 'k'.repeat(32)
  const { url } = await start({ apiKeys: [key] })
  expect((await post(`${url}/api/groups/a/messages`, { type: 'x' })).status).toBe(401)
  expect(
    (await post(`${url}/api/groups/a/messages`, { type: 'x' }, { authorization: `Bearer ${key}` })).status,
  ).toBe(200)
  const client = await openClient('sse', `${url}/events?group=a`)
  expect(client.status).toBe(200)
  client.close()
})

test('on loopback without keys, a name that was pointed at this machine is refused everywhere', async () => {
  const { url } = await start()
  const statusOf = (path: string, host: string) =>
    new Promise((resolve, reject) => {
      request(url + path, { headers: { host } }, (response) => {
        resolve(response.statusCode)
        response.destroy()
      })
        .on('error', reject)
        .end()
    })
  for (const path of ['/events?group=a', '/api/groups']) {
    expect(await statusOf(path, 'evil.example:8000')).toBe(403)
    expect(await statusOf(path, 'localhost:8000')).toBe(200)
  }
  const socket = await openClient('websocket', `${url}/events`, { headers: { host: 'evil.example' } })
  expect(socket.status).toBe(403)
})

describe('over TLS', () => {
  const startTls = () => {
    const { cert, key } = certificateFiles()
    return start({}, { GROUPCAST_TLS_CERT: cert, GROUPCAST_TLS_KEY: key })
  }

  test('the API, the page and the streams all work', async () => {
    // The symptom was a server that answered streams alone: of every other request the connection was cut, because what node:https tells of as
    // `connection` is not the socket that its requests have.
    const { url } = await startTls()
    expect(url).toMatch(/^https:/)
    const ask = async (head: string, body = '') => {
      const client = await connectRaw(url)
      client.write(head + body)
      await until('it is answered', () => parseResponse(client.bytes)?.isComplete === true || client.isClosed)
      return parseResponse(client.bytes)
    }
    expect(await ask(requestHead('GET', '/health'))).toMatchObject({ status: 200, body: '{"status":"ok"}' })
    expect((await ask(requestHead('GET', '/')))?.headers.get('content-type')).toMatch(/^text\/html/)
    expect(await ask(requestHead('GET', '/nowhere'))).toMatchObject({ status: 404 })

    const websocket = await openRawWebSocket(url, '/events?group=a')
    const stream = await connectRaw(url)
    stream.write(requestHead('GET', '/events?group=a'))
    await until('the stream is open', () => stream.text.includes('groupcast.open'))
    const body = JSON.stringify({ type: 'm' })
    const headers = { 'Content-Type': 'application/json', 'Content-Length': String(body.length) }
    const sent = await ask(requestHead('POST', '/api/groups/a/messages', headers), body)
    expect(sent).toMatchObject({ status: 200, body: '{"cursor":null}' })
    await until('the stream has it', () => stream.text.includes(body))
    await until('the WebSocket has it', () => websocket.frames.length > 0)
    expect(websocket.frames[0]).toEqual({ opcode: OPCODE.text, payload: Buffer.from(body) })
  })

  test('requests follow each other on one connection', async () => {
    const { url } = await startTls()
    const client = await connectRaw(url)
    for (let n = 1; n <= 3; n++) {
      client.write(requestHead('GET', '/health'))
      await until('it is answered', () => client.text.split('"ok"').length === n + 1 || client.isClosed)
    }
    expect(client.isClosed).toBe(false)
  })

  test('neither idle connections nor those that have not shaken hands hold its end', async () => {
    const server = await startTls()
    const idle = await connectRaw(server.url)
    idle.write(requestHead('GET', '/health'))
    await until('it is answered', () => idle.text.includes('"ok"'))
    const silent = await connectRaw(server.url.replace('https:', 'http:'))
    await within('the end', server.close(), 3_000)
    for (const client of [idle, silent]) await until('it is cut', () => client.isEnded || client.isClosed)
  })
})

test('close tells the clients to come back, delivers what was sent, and frees the port', async () => {
  const server = await start()
  const clients = await Promise.all(
    (['websocket', 'sse', 'ndjson'] as const).map((kind) => openClient(kind, `${server.url}/events?group=a`)),
  )
  for (let n = 0; n < 1_000; n++) void server.hub.groupSend('a', { type: 'n', n, text: 'x'.repeat(500) })
  await within('the server to close', server.close())
  for (const client of clients) {
    expect(await within('the end', client.ended)).toMatchObject({ code: 1012 })
    expect(client.messages).toHaveLength(1_000)
  }
  expect(clients[1]?.retries.at(-1)).toBeGreaterThan(1_000)
  expect(clients[1]?.retries.at(-1)).toBeLessThanOrEqual(6_000)
  await expect(fetch(server.url)).rejects.toThrow()
})

describe('close', () => {
  const CONTINUE = 'HTTP/1.1 100 Continue\r\n\r\n'
  const BODY = JSON.stringify({ type: 'm' })
  /** Sends the head of a request, and resolves when the server has it: it asks for the body then. */
  const beginPost = async (url: string, path: string, type: string, length: number) => {
    const client = await connectRaw(url)
    const headers = { 'Content-Type': type, 'Content-Length': String(length), Expect: '100-continue' }
    client.write(requestHead('POST', path, headers))
    await until('the body is asked for', () => client.text.includes(CONTINUE))
    return client
  }
  // The symptom of routes that pass a request on was a `100 Continue` for each of them.
  const answerTo = (client: RawClient) => {
    expect(client.text.split(CONTINUE)).toHaveLength(2)
    return parseResponse(client.bytes.subarray(CONTINUE.length))
  }

  test('requests that have begun are answered', async () => {
    // The symptom was a publisher whose connection broke in the middle of its request: closing cut all sockets once the hub's
    // clients were gone.
    const server = await start()
    const reader = await openClient('sse', `${server.url}/events?group=a`)
    const clients: RawClient[] = []
    for (let n = 0; n < 2; n++) {
      const client = await beginPost(server.url, '/api/groups/a/messages', 'application/json', BODY.length)
      client.write(BODY.slice(0, 5))
      clients.push(client)
    }
    const closing = server.close()
    for (const client of clients) client.write(BODY.slice(5))
    for (const client of clients) {
      await until('it is answered', () => client.isEnded || client.isClosed)
      expect(answerTo(client)).toMatchObject({ status: 200, isComplete: true })
    }
    await within('the end', closing)
    // Told at once to come back, so what is published while the server waits for the requests is for those who came back elsewhere.
    expect(await within('its end', reader.ended)).toMatchObject({ code: 1012 })
  })

  test('a bulk that is running ends with all its results', async () => {
    // The symptom was an answer cut in the middle, so that nobody could know which lines were published.
    const server = await start()
    const line = `${JSON.stringify({ groups: ['a'], message: { type: 'm' } })}\n`
    const client = await beginPost(server.url, '/api/publish', 'application/x-ndjson', 100 * line.length)
    client.write(line.repeat(50))
    const closing = server.close()
    client.write(line.repeat(50))
    await until('it is answered', () => client.isEnded || client.isClosed)
    const response = answerTo(client)
    expect(response).toMatchObject({ status: 200, isComplete: true })
    const { results } = JSON.parse(response?.body ?? '') as { results: { error?: unknown }[] }
    expect(results).toHaveLength(100)
    expect(results.filter((result) => 'error' in result)).toEqual([])
    await within('the end', closing)
  })

  test('a request that never ends holds it until the deadline, no longer', async () => {
    const server = await start({ drainMs: 200 })
    const client = await beginPost(server.url, '/api/groups/a/messages', 'application/json', BODY.length)
    const began = performance.now()
    await within('the end', server.close(), 3_000)
    expect(performance.now() - began).toBeGreaterThan(150)
    await until('it is cut', () => client.isEnded || client.isClosed)
  })

  test('with drainMs 0 it waits for nobody', async () => {
    // What would fail: a hub takes no deadline of 0.
    const server = await start({ drainMs: 0 })
    const clients = [
      await openClient('websocket', `${server.url}/events?group=a`),
      await openClient('sse', `${server.url}/events?group=a`),
    ]
    for (const client of clients) client.pause()
    await within('the end', server.close(), 3_000)
  })

  test('connections without a request do not hold it', async () => {
    const server = await start()
    const client = await connectRaw(server.url)
    client.write(requestHead('GET', '/health'))
    await until('it is answered', () => client.text.includes('200 OK'))
    await within('the end', server.close(), 3_000)
    await until('it is cut', () => client.isEnded || client.isClosed)
  })

  test('refused WebSockets that answer no close frame do not hold it', async () => {
    // The symptom was a server that went on for the close timeout after its deadline: node:http forgets sockets that were upgraded.
    const env = { GROUPCAST_LIMITS_CLOSE_TIMEOUT_MS: '60000' }
    const server = await start({ drainMs: 300 }, env)
    const refused = [
      await openRawWebSocket(server.url, '/events?group=%00'),
      await openRawWebSocket(server.url, '/events?group=%00'),
    ]
    for (const client of refused) await until('it is told', () => client.closeFrame !== null)
    await within('the end', server.close(), 3_000)
    for (const client of refused) await until('it is cut', () => client.isEnded || client.isClosed)
  })

  test('a hub that fails to close closes the server all the same', async () => {
    // The symptom was a port that stayed open, and a process that stayed alive, when the layer failed to close.
    const server = await start()
    const client = await openClient('sse', `${server.url}/events?group=a`)
    const close = server.hub.close.bind(server.hub)
    onTestFinished(() => close())
    server.hub.close = () => Promise.reject(new Error('the layer is stuck'))
    await expect(within('the end', server.close())).rejects.toThrow('the layer is stuck')
    await expect(fetch(server.url)).rejects.toThrow()
    await within('its end', client.ended)
  })
})

test('a port that is taken rejects with EADDRINUSE and leaves nothing running', async () => {
  const { url } = await start()
  await expect(start({ port: Number(new URL(url).port) })).rejects.toMatchObject({ code: 'EADDRINUSE' })
})

test('bulks follow each other on one connection', async () => {
  // The symptom was a connection that was closed ten seconds after the first bulk: it had been left paused when the last part of the body
  // had come.
  const { url } = await start()
  const client = await connectRaw(url)
  const body = `${JSON.stringify({ groups: ['a'], message: { type: 'm', text: 'x'.repeat(100) } })}\n`.repeat(
    200,
  )
  const headers = { 'Content-Type': 'application/x-ndjson', 'Content-Length': String(body.length) }
  for (let n = 1; n <= 5; n++) {
    client.write(requestHead('POST', '/api/publish', headers) + body)
    await until('it is answered', () => client.text.split('HTTP/1.1 200').length === n + 1)
    await until('its answer has ended', () => client.text.split('\r\n0\r\n\r\n').length === n + 1)
  }
})
