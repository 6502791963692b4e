/** A hub beside other people's applications on every kind of server: it takes what is its consumers', and nothing else. */

import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type RequestListener, type Server } from 'node:http'
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect as connectHttp2,
  createSecureServer,
  type Http2SecureServer,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  sensitiveHeaders,
} from 'node:http2'
import { createServer as createHttpsServer } from 'node:https'
import { connect as connectNet } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import express from 'express'
import fastify from 'fastify'
import {
  createHub,
  DEFAULT_LIMITS,
  groupsConsumer,
  type Hub,
  type HubOptions,
  MisuseError,
  type NodeServer,
} from 'groupcast'
import { describe, expect, onTestFinished, test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { CERTIFICATE } from '../../support/certificate.ts'
import { expectFanOut } from '../../support/fan-out.ts'
import { listen, stop } from '../../support/hub-server.ts'
import { connectRaw, handshake, openRawWebSocket, RawClient, requestHead } from '../../support/raw.ts'
import { trackingConsumer } from '../../support/tracking-consumer.ts'
import { until, within } from '../../support/until.ts'

/** A hub that ends with the test and fails it when something was reported. */
function testHub(options: HubOptions = {}): Hub {
  const errors: unknown[] = []
  const hub = createHub({ onError: (error) => errors.push(error), ...options })
  hub.consumer('/events', groupsConsumer())
  onTestFinished(async () => {
    await hub.close({ deadlineMs: 500 })
    expect(errors).toEqual([])
  })
  return hub
}

async function start(server: Server | Http2SecureServer): Promise<string> {
  const url = await listen(server)
  onTestFinished(() => stop(server))
  return url
}

const BODY = JSON.stringify({ text: 'ü'.repeat(100_000) })

/** The application's own answers, by GET and POST, with its bodies whole. */
async function expectApp(url: string): Promise<void> {
  const got = await fetch(`${url}/app`)
  expect([got.status, await got.text()]).toEqual([200, 'hello'])
  const posted = await fetch(`${url}/app`, {
    method: 'POST',
    body: BODY,
    headers: { 'Content-Type': 'application/json' },
  })
  expect([posted.status, await posted.text()]).toEqual([200, BODY])
}

const plainApp: RequestListener = (request, response) => {
  if (request.url !== '/app') response.writeHead(404).end('app')
  else if (request.method === 'GET') response.end('hello')
  else request.pipe(response)
}

describe('beside', () => {
  test.each(['before', 'after'])('Express, attached %s its routes', async (order) => {
    const hub = testHub()
    const app = express()
    const server = createServer(app)
    if (order === 'before') hub.attach(server)
    app.use(express.json({ limit: '1mb' }))
    app.get('/app', (_request, response) => void response.send('hello'))
    app.post('/app', (request, response) => void response.type('text').send(JSON.stringify(request.body)))
    // Answers every URL, those of the hub too.
    app.use((_request, response) => void response.status(418).send('teapot'))
    if (order === 'after') hub.attach(server)
    const url = await start(server)
    await expectFanOut(hub, url)
    await expectApp(url)
    expect((await fetch(`${url}/other`)).status).toBe(418)
  })

  test.each(['before', 'after'])('Fastify, attached %s it listens', async (order) => {
    const hub = testHub()
    const app = fastify({ forceCloseConnections: true, bodyLimit: 1024 * 1024 })
    app.get('/app', () => 'hello')
    app.post('/app', (request, reply) => reply.type('text/plain').send(JSON.stringify(request.body)))
    if (order === 'before') hub.attach(app.server)
    const url = await app.listen({ port: 0, host: '127.0.0.1' })
    if (order === 'after') hub.attach(app.server)
    onTestFinished(async () => {
      await hub.close({ deadlineMs: 500 })
      await app.close()
    })
    await expectFanOut(hub, url)
    await expectApp(url)
    expect((await fetch(`${url}/other`)).status).toBe(404)
  })

  test.each(['before', 'after', 'not at all'])('a plain listener, attached %s the hub', async (order) => {
    const hub = testHub()
    const server = createServer()
    if (order === 'before') server.on('request', plainApp)
    hub.attach(server)
    if (order === 'after') server.on('request', plainApp)
    const url = await start(server)
    await expectFanOut(hub, url)
    if (order !== 'not at all') {
      await expectApp(url)
      return
    }
    // Nobody else is there to answer: the client must not wait for ever.
    const response = await fetch(`${url}/other`, { method: 'POST', body: BODY })
    expect(response.status).toBe(404)
    expect(await response.json()).toMatchObject({ code: 'not-found' })
  })

  test('requests that wait for 100 Continue reach the application', async () => {
    const hub = testHub()
    const server = createServer(plainApp)
    hub.attach(server)
    const url = await start(server)
    const client = await connectRaw(url)
    client.write(requestHead('POST', '/app', { Expect: '100-continue', 'Content-Length': '4' }))
    await until('it may go on', () => client.status === 100)
    client.write('body')
    await until(
      'it is answered',
      () => client.text.includes('HTTP/1.1 200') && client.text.endsWith('0\r\n\r\n'),
    )
    expect(client.text).toContain('body')
  })

  test.each(['http', 'https', 'http2'])(
    'another WebSocket server on the same %s server, in both orders',
    async (kind) => {
      for (const order of ['before', 'after']) {
        // Short: after it, an upgrade that nobody answered is closed. The symptom was a 404 in the middle of the frames of a
        // WebSocket that had been quiet since its handshake: the other server had answered before the hub first looked.
        const hub = testHub({ limits: { handshakeTimeoutMs: 50 } })
        const server = secured(kind)
        const attachOther = () => {
          const other = new WebSocketServer({ server: server as Server, path: '/other' })
          other.on('connection', (socket) => {
            socket.on('message', (data) => socket.send(`other: ${data}`))
          })
        }
        if (order === 'before') attachOther()
        hub.attach(server)
        if (order === 'after') attachOther()
        const { host } = new URL(await start(server))
        const base = `${kind === 'http' ? 'ws' : 'wss'}://${host}`

        const answers: string[] = []
        const open = async (path: string) => {
          const client = new WebSocket(base + path, { rejectUnauthorized: false })
          client.on('message', (data) => answers.push(String(data)))
          client.on('error', () => {})
          await new Promise((resolve) => client.once('open', resolve).once('close', resolve))
          return client
        }
        const [others, ours] = [await open('/other'), await open('/events?group=a')]
        const openedAt = performance.now()
        // The other server closes what is not its path, as it would do alone.
        expect((await open('/nobody')).readyState).not.toBe(WebSocket.OPEN)
        await until('the time of a handshake is over', () => performance.now() - openedAt > 100)
        others.send('hi')
        await hub.groupSend('a', { type: 'm' })
        await until('both answer', () => answers.length === 2)
        expect(answers.sort()).toEqual(['other: hi', '{"type":"m"}'])
        others.terminate()
        ours.terminate()
      }
    },
  )
})

function secured(kind: string): NodeServer {
  if (kind === 'http') return createServer(plainApp)
  if (kind === 'https') return createHttpsServer(CERTIFICATE, plainApp)
  return createSecureServer({ ...CERTIFICATE, allowHTTP1: true }, plainApp as never)
}

describe('upgrades that nobody answers', () => {
  test('are refused at once when nobody else listens', async () => {
    const hub = testHub()
    const server = createServer(plainApp)
    hub.attach(server)
    const url = await start(server)
    for (const path of ['/other', '/app']) {
      const client = await connectRaw(url)
      client.write(handshake(path))
      await until('it is closed', () => client.isEnded)
      expect(client.status).toBe(404)
      expect(client.text).toContain('"code":"not-found"')
    }
  })

  test('are closed after the time of a handshake when others listen and say nothing', async () => {
    const hub = testHub({ limits: { handshakeTimeoutMs: 100 } })
    const server = createServer(plainApp)
    hub.attach(server)
    const heard: string[] = []
    server.on('upgrade', (request, socket) => {
      heard.push(request.url ?? '')
      if (request.url === '/slow') {
        setTimeout(
          () =>
            socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nhi'),
          50,
        )
      }
    })
    const url = await start(server)
    const silent = await connectRaw(url)
    const slow = await connectRaw(url)
    silent.write(handshake('/silent'))
    slow.write(handshake('/slow', { Upgrade: 'x' }))
    const ours = await openRawWebSocket(url, '/events')
    await until('it is closed', () => silent.isEnded)
    expect(silent.status).toBe(404)
    expect(heard).toEqual(['/silent', '/slow'])
    await until('the slow one is answered', () => slow.text.endsWith('hi'))
    expect([slow.isEnded, ours.isEnded]).toEqual([false, false])
    slow.reset()
  })

  test('a client that resets while others make up their mind ends nothing but itself', async () => {
    const hub = testHub()
    const server = createServer(plainApp)
    hub.attach(server)
    let heard = 0
    // Without a listener for errors of the socket: the application has only looked at the request.
    server.on('upgrade', () => heard++)
    const url = await start(server)
    for (let n = 0; n < 10; n++) {
      const client = await connectRaw(url)
      client.write(handshake('/other'))
      await until('it is heard', () => heard === n + 1)
      client.reset()
    }
    await expectApp(url)
  })
})

describe('detach', () => {
  test('gives the server back as it was', async () => {
    const hub = testHub()
    const server = createServer(plainApp)
    const names = () => server.eventNames().map((name) => [name, server.listeners(name)])
    const before = names()
    const { emit } = server
    const attachments = [hub.attach(server), testHub().attach(server)]
    expect(server.emit).not.toBe(emit)
    for (const attachment of attachments) attachment.detach()
    expect(server.emit).toBe(emit)
    expect(Object.hasOwn(server, 'emit')).toBe(false)
    expect(names()).toEqual(before)
  })

  test('somebody who wrapped the server’s `emit` after the hub keeps working', async () => {
    const hub = testHub()
    const server = createServer(plainApp)
    const attachment = hub.attach(server)
    const { emit } = server
    const seen: unknown[] = []
    server.emit = function (this: Server, ...args: Parameters<typeof emit>) {
      seen.push(args[0])
      return emit.apply(this, args)
    } as typeof emit
    attachment.detach()
    const url = await start(server)
    await expectApp(url)
    expect(seen).toContain('request')
    expect(await (await fetch(`${url}/events`)).text()).toBe('app')
  })
})

test('a server on a local socket has no addresses, and serves all the same', async () => {
  const hub = testHub()
  const addresses: string[] = []
  hub.consumer('/local', {
    connect(connection) {
      addresses.push(connection.request.remoteAddress)
    },
  })
  const server = createServer(plainApp)
  hub.attach(server)
  const path = join(mkdtempSync(join(tmpdir(), 'groupcast-')), 'socket')
  await new Promise<void>((resolve) => server.listen(path, resolve))
  onTestFinished(async () => {
    await stop(server)
    rmSync(dirname(path), { recursive: true })
  })
  for (const head of [handshake('/local'), requestHead('GET', '/local')]) {
    const client = new RawClient(connectNet(path))
    onTestFinished(() => void client.socket.destroy())
    client.write(head)
    await until('it is open', () => client.status !== null)
    expect(client.status).toBe(head.includes('Upgrade') ? 101 : 200)
    client.end()
  }
  expect(addresses).toEqual(['', ''])
})

test('what is no server is refused at the call', async () => {
  const hub = testHub()
  for (const wrong of [undefined, null, {}, 8000, () => {}]) {
    expect(() => hub.attach(wrong as never)).toThrow(MisuseError)
  }
  await hub.close()
  expect(() => hub.attach(createServer())).toThrow(expect.objectContaining({ code: 'hub-closed' }))
})

/** A stream of HTTP/2, and everything that came over it. */
class Http2Client {
  readonly stream: ClientHttp2Stream
  headers: IncomingHttpHeaders | null = null
  text = ''
  isEnded = false
  isClosed = false

  constructor(session: ClientHttp2Session, headers: OutgoingHttpHeaders, body?: string | Buffer) {
    this.stream = session.request(headers, { endStream: body === undefined })
    this.stream.setEncoding('utf8')
    this.stream.on('response', (got) => {
      this.headers = got
    })
    this.stream.on('data', (chunk) => {
      this.text += chunk
    })
    this.stream.on('end', () => {
      this.isEnded = true
    })
    this.stream.on('close', () => {
      this.isClosed = true
    })
    this.stream.on('error', () => {})
    if (body !== undefined) this.stream.end(body)
  }

  get status(): number | null {
    return this.headers === null ? null : Number(this.headers[':status'])
  }
}

describe('http2', () => {
  async function startHttp2(options?: HubOptions, app: RequestListener | null = plainApp) {
    const hub = testHub(options)
    const consumer = trackingConsumer()
    hub.consumer('/track', consumer)
    const secure = { ...CERTIFICATE, allowHTTP1: true }
    const server = app === null ? createSecureServer(secure) : createSecureServer(secure, app as never)
    hub.attach(server)
    const { host } = new URL(await start(server))
    const connect = async () => {
      const session = connectHttp2(`https://${host}`, { rejectUnauthorized: false })
      session.on('error', () => {})
      onTestFinished(() => session.destroy())
      await new Promise((resolve) => session.once('connect', resolve))
      return session
    }
    const open = async (session: ClientHttp2Session, path: string, headers: OutgoingHttpHeaders = {}) => {
      const client = new Http2Client(session, { ':path': path, ...headers })
      await until('it is answered', () => client.headers !== null)
      return client
    }
    return { hub, consumer, host, connect, open }
  }

  test('several streams of one session are connections of their own', async () => {
    const { hub, consumer, connect, open } = await startHttp2()
    const session = await connect()
    const clients = await Promise.all(
      ['text/event-stream', 'text/event-stream', 'application/x-ndjson'].map((accept) =>
        open(session, '/track?group=a', { accept }),
      ),
    )
    const [first, second, lines] = clients as [Http2Client, Http2Client, Http2Client]
    const { date, ...headers } = first.headers ?? {}
    expect(typeof date).toBe('string')
    Reflect.deleteProperty(headers, sensitiveHeaders)
    // No `Connection`, no `Transfer-Encoding`: both are forbidden (RFC 9113, section 8.2.2).
    expect(headers).toEqual({
      ':status': 200,
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache, no-store, no-transform, private',
      'x-accel-buffering': 'no',
    })
    await until(
      'all are members',
      () => hub.group('a').connections.sse === 2 && hub.group('a').connections.ndjson === 1,
    )
    await hub.groupSend('a', { type: 'm' })
    await until('all have it', () => clients.every(({ text }) => text.includes('"m"')))
    expect(first.text).toMatch(
      /^retry: \d+\nevent: groupcast\.open\ndata: \{.*\}\n\ndata: \{"type":"m"\}\n\n$/,
    )
    expect(lines.text).toMatch(/^\{"open":\{.*\}\}\n\{"group":"a","message":\{"type":"m"\}\}\n$/)

    // One is cancelled: the others do not notice.
    first.stream.close(8)
    await until('the hub has noticed', () => consumer.ended.length === 1)
    expect(hub.group('a').connections.sse).toBe(1)
    await hub.groupSend('a', { type: 'n' })
    await until('the others have it', () => second.text.includes('"n"') && lines.text.includes('"n"'))

    // The session goes, and all with it.
    session.destroy()
    await until('the hub has noticed', () => consumer.ended.length === 3)
    await until('nothing is left', () => hub.stats.groups === 0)
    expect(hub.stats.connections).toEqual({ websocket: 0, sse: 0, ndjson: 0 })
  })

  test('WebSockets come over HTTP/1.1 on the same port, and share the groups', async () => {
    const { hub, host, connect, open } = await startHttp2()
    const stream = await open(await connect(), '/events?group=a')
    const websocket = new WebSocket(`wss://${host}/events?group=a`, { rejectUnauthorized: false })
    const messages: string[] = []
    websocket.on('message', (data) => messages.push(String(data)))
    await new Promise((resolve) => websocket.once('open', resolve))
    await until('both are members', () => hub.group('a').connections.sse === 1)
    await hub.groupSend('a', { type: 'm' })
    await until('both have it', () => messages.length === 1 && stream.text.includes('"m"'))
    websocket.terminate()
  })

  test('messages are posted over the same session', async () => {
    const { consumer, connect, open } = await startHttp2({
      limits: { maxMessageBytes: 1_000, closeTimeoutMs: 100 },
    })
    const session = await connect()
    const stream = await open(session, '/track')
    await until('its id has come', () => stream.text.includes('"connection"'))
    const id = /"connection":"([^"]+)"/.exec(stream.text)?.[1] ?? ''
    const post = async (body: string | Buffer) => {
      const client = new Http2Client(
        session,
        { ':method': 'POST', ':path': '/track', 'groupcast-connection': id },
        body,
      )
      await until('it is answered', () => client.headers !== null)
      return client.status
    }
    expect(await post('{"type":"m"}')).toBe(202)
    await until('it is echoed', () => stream.text.includes('data: {"type":"m"}'))
    expect(await post('x'.repeat(1_001))).toBe(413)
    expect(await post(Buffer.alloc(5_000_000))).toBe(413)
    expect(await post('{"type":"n"}')).toBe(202)
    await until('the stream lives on', () => stream.text.includes('data: {"type":"n"}'))
    expect(consumer.received).toEqual(['{"type":"m"}', '{"type":"n"}'])
  })

  test('other requests are the application’s, with their bodies', async () => {
    const { connect } = await startHttp2()
    const session = await connect()
    const posted = new Http2Client(session, { ':method': 'POST', ':path': '/app' }, BODY)
    const missing = new Http2Client(session, { ':path': '/other' })
    await until('both are answered', () => posted.isEnded && missing.isEnded)
    expect([posted.text === BODY, missing.text]).toEqual([true, 'app'])
  })

  test.each(['PUT', 'HEAD', 'OPTIONS', 'GET'])('refusals of %s end their stream', async (method) => {
    const { connect } = await startHttp2()
    const client = new Http2Client(await connect(), {
      ':method': method,
      ':path': '/events',
      accept: 'text/html',
    })
    await until('it has ended', () => client.isEnded)
    expect(client.status).toBe({ PUT: 405, HEAD: 405, OPTIONS: 204, GET: 406 }[method])
  })

  test('a server without any application serves the hub, and answers the rest with 404', async () => {
    // The symptom was a stream that never got an answer: node:http2 hands out requests only while somebody listens for them.
    const { hub, connect, open } = await startHttp2({}, null)
    const session = await connect()
    const stream = await open(session, '/events?group=a')
    await hub.groupSend('a', { type: 'm' })
    await until('it has come', () => stream.text.includes('"m"'))
    expect((await open(session, '/other')).status).toBe(404)
  })

  test('an application on the streams below requests keeps what is its own', async () => {
    const hub = testHub()
    const server = createSecureServer({ ...CERTIFICATE, allowHTTP1: true })
    server.on('stream', (stream, headers) => {
      if (headers[':path'] === '/app') {
        stream.respond({ ':status': 200 })
        stream.end('streams')
      }
    })
    hub.attach(server)
    const { host } = new URL(await start(server))
    const session = connectHttp2(`https://${host}`, { rejectUnauthorized: false })
    onTestFinished(() => session.destroy())
    const app = new Http2Client(session, { ':path': '/app' })
    const events = new Http2Client(session, { ':path': '/events' })
    await until('both are answered', () => app.isEnded && events.text.includes('groupcast.open'))
    expect([app.status, app.text, events.status]).toEqual([200, 'streams', 200])
  })

  test('a client that leaves while connect decides leaves nothing', async () => {
    const { hub, connect } = await startHttp2()
    let release = () => {}
    let ended = 0
    let signal: AbortSignal | null = null
    hub.consumer('/wait', {
      async connect(connection) {
        signal = connection.signal
        await connection.join('a')
        await new Promise<void>((resolve) => {
          release = resolve
        })
      },
      disconnect() {
        ended++
      },
    })
    const session = await connect()
    for (const leave of [(client: Http2Client) => client.stream.close(8), () => session.destroy()]) {
      const before = ended
      const client = new Http2Client(session, { ':path': '/wait' })
      await until('connect has begun', () => hub.group('a').connections.sse === 1)
      leave(client)
      // The client knows before the server does.
      await until('the server has noticed', () => signal?.aborted === true)
      release()
      await until('it has ended', () => ended === before + 1)
    }
    expect(hub.stats).toMatchObject({ groups: 0, opened: 0 })
  })

  test('streams that are opened and cancelled as fast as can be leave nothing', async () => {
    const { hub, consumer, connect, open } = await startHttp2()
    const bystander = await open(await connect(), '/events?group=a')
    const session = await connect()
    for (let round = 0; round < 10; round++) {
      const clients = Array.from(
        { length: 50 },
        (_, n) => new Http2Client(session, { ':path': `/track?group=${n % 5}` }),
      )
      for (const [n, { stream }] of clients.entries()) {
        // Some before the request has left, some after.
        if (n % 2 === 0) stream.close(8)
        else setImmediate(() => stream.close(8))
      }
      await until('all are gone', () => clients.every(({ isClosed }) => isClosed))
    }
    await until('every connect has its disconnect', () => consumer.ended.length === consumer.began)
    await until('nothing is left', () => hub.stats.groups === 1 && hub.stats.connections.sse === 1)
    await hub.groupSend('a', { type: 'm' })
    await until('the bystander has it', () => bystander.text.includes('"m"'))
  })

  test('a stream that does not read is closed, its neighbour in the session is not', async () => {
    const { hub, connect, open } = await startHttp2()
    const session = await connect()
    const [slow, quick] = [await open(session, '/events?group=a'), await open(session, '/events?group=a')]
    // Flow control is each stream's own.
    slow.stream.pause()
    const text = 'x'.repeat(64 * 1024)
    let sent = 0
    while (hub.stats.slowConsumers === 0) {
      expect(sent).toBeLessThan(1_000)
      await hub.groupSend('a', { type: 'm', text })
      const n = ++sent
      await until('the quick one has it', () => quick.text.split('"m"').length - 1 === n)
    }
    // No kernel's buffer hides the backlog here, so it is the hub's limit, or little more.
    expect(sent * text.length).toBeLessThan(2 * DEFAULT_LIMITS.maxBacklogBytes)
    slow.stream.resume()
    await until('it is told', () => slow.isEnded)
    expect(slow.text).toContain('"code":4008')
    await hub.groupSend('a', { type: 'after' })
    await until('the other lives on', () => quick.text.includes('"after"'))
  })

  test('the end is clean, and newcomers are told to come back', async () => {
    const { hub, connect, open } = await startHttp2()
    const session = await connect()
    const clients = [await open(session, '/events?group=a'), await open(session, '/events?group=a')]
    await until('both are members', () => hub.group('a').connections.sse === 2)
    const closing = hub.close()
    for (const client of clients) {
      await until('it has ended', () => client.isEnded)
      expect(client.text).toMatch(/\n\nretry: \d+\nevent: groupcast\.close\ndata: \{"code":1012,.*\}\n\n$/)
      expect(client.stream.rstCode).toBe(0)
    }
    await within('the end', closing)
    expect(session.destroyed).toBe(false)
  })
})
