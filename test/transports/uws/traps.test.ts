/** Traps of uWebSockets.js, each seen on a bare server, and what the back end does about it. */
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { createHub, groupsConsumer } from 'groupcast'
import { importUws, uwsBackend } from 'groupcast/transports/uws'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { DEFAULT_LIMITS } from '../../../src/options.ts'
import { endLast } from '../../../src/transports/uws/answer.ts'
import { addressOf } from '../../../src/transports/uws/request.ts'
import type { UwsModule, UwsResponse, UwsWebSocket } from '../../../src/transports/uws/uws.ts'
import { webSocketHandlers } from '../../../src/transports/uws/websocket.ts'
import { CLIENT_KINDS, type ClientKind, openClient } from '../../support/clients.ts'
import { startTestHub } from '../../support/hub-server.ts'
import { connectRaw, OPCODE, openRawWebSocket, parseResponse, requestHead } from '../../support/raw.ts'
import { uws } from '../../support/servers.ts'
import { until, within } from '../../support/until.ts'

const SSE = { Accept: 'text/event-stream' }

/** A bare app that ends with the test. @returns its URL */
async function listenBare(
  route: (app: ReturnType<Exclude<typeof uws, string>['App']>) => void,
): Promise<string> {
  if (typeof uws === 'string') throw new Error(uws)
  const { App, us_socket_local_port, LIBUS_LISTEN_EXCLUSIVE_PORT } = uws
  const app = App()
  route(app)
  onTestFinished(() => void app.close())
  const socket = await new Promise<object | false>((resolve) => {
    app.listen('127.0.0.1', 0, LIBUS_LISTEN_EXCLUSIVE_PORT, resolve)
  })
  if (socket === false) throw new Error('It could not listen.')
  return `http://127.0.0.1:${us_socket_local_port(socket)}`
}

describe('an imitation in JavaScript that takes the place of the binary', () => {
  test('is refused', async () => {
    const require = createRequire(import.meta.url)
    const imitation: unknown = require(
      require.resolve('uWebSockets.js').replace(/src\/uws\.js$/, 'dist/index.js'),
    )
    expect(imitation).toHaveProperty('App')
    expect(() => uwsBackend({ uws: imitation })).toThrow(
      /no native binary.*install it from its own repository/,
    )
  })

  // Not by `import`: what vitest makes of a namespace cannot be spread.
  const binary = () => createRequire(import.meta.url)('uWebSockets.js') as UwsModule
  const bound = { us_listen_socket_close() {}, App: (() => ({})).bind(null) }

  test.each([
    ['bound functions', () => ({ ...bound, SSLApp: bound.App })],
    ['proxies', () => ({ ...bound, App: new Proxy(class {}, {}), SSLApp: new Proxy(class {}, {}) })],
    ['a proxy of the binary', () => ({ ...binary(), App: new Proxy(binary().App, {}) })],
    ['a wrapper of one function', () => ({ ...binary(), SSLApp: () => binary().SSLApp({}) })],
  ])('so are %s', (_what, given) => {
    // The symptom was a module of bound functions, whose source is as hidden as that of native ones.
    expect(() => uwsBackend({ uws: given() })).toThrow(/no native binary/)
  })

  test.each([null, undefined, {}, { App: 1 }, 'uWebSockets.js'])('so is %j', (given) => {
    expect(() => uwsBackend({ uws: given })).toThrow(/uwsBackend takes \{ uws:/)
  })

  test('a package that is not there is named, with how to install it', async () => {
    await expect(importUws('no-such-package-as-this')).rejects.toThrow(
      /could not be loaded.*install it from its own repository/,
    )
  })

  test('the namespace of an import will do, and so will its default export', async () => {
    const namespace = (await import('uWebSockets.js' as string)) as { default: unknown }
    for (const given of [namespace, namespace.default]) expect(uwsBackend({ uws: given }).name).toBe('uws')
  })
})

describe('options that end the process', () => {
  test('an idle timeout of 1 to 7 seconds does, and none comes from a limit', () => {
    const script = `
      const uws = require('uWebSockets.js')
      uws.App().ws('/*', { idleTimeout: 4 }).listen('127.0.0.1', 0, 1, () => {})
      setTimeout(() => process.exit(0), 100)`
    const { status } = spawnSync(process.execPath, ['-e', script], { cwd: process.cwd() })
    expect(status).not.toBe(0)
    for (const heartbeatMs of [1, 4_000, 1_000_000] as const) {
      const limits = { ...DEFAULT_LIMITS, heartbeatMs, deadAfterMs: 1, closeTimeoutMs: 1 }
      expect(webSocketHandlers(limits)).toMatchObject({ idleTimeout: 0, sendPingsAutomatically: false })
    }
  })

  test('two routes with one pattern do, and hubs share theirs', async () => {
    const { hub, server, url } = await startTestHub()
    const other = createHub({ backend: uwsBackend({ uws }) })
    onTestFinished(() => other.close({ deadlineMs: 100 }))
    other.consumer('/other', groupsConsumer())
    server.attach(other as never)
    const clients = [
      await openClient('websocket', `${url}/events?group=a`),
      await openClient('websocket', `${url}/other?group=a`),
    ]
    await hub.groupSend('a', { type: 'one' })
    await other.groupSend('a', { type: 'two' })
    await until('each has its own', () => clients.every(({ messages }) => messages.length === 1))
    expect(clients.map(({ messages }) => messages)).toEqual([['{"type":"one"}'], ['{"type":"two"}']])
    for (const client of clients) client.close()
  })
})

test('requests die after their handler: all of them can be read when the consumer gets to it', async () => {
  const { hub, url, open } = await startTestHub()
  const seen: unknown[] = []
  hub.consumer('/late/:id', {
    async connect({ request, params, query }) {
      await new Promise((resolve) => setImmediate(resolve))
      const { method, path, remoteAddress, encrypted } = request
      seen.push([method, path, params.id, query.get('q'), request.header('X-Mark'), remoteAddress, encrypted])
    },
  })
  for (const kind of ['websocket', 'sse', 'ndjson'] as const) {
    await open(kind, '/late/7?q=a%20b', { headers: { 'X-Mark': `m ${kind}` } })
  }
  expect(seen).toEqual(
    ['websocket', 'sse', 'ndjson'].map((kind) => [
      'GET',
      '/late/7',
      '7',
      'a b',
      `m ${kind}`,
      '127.0.0.1',
      false,
    ]),
  )
  expect((await fetch(`${url}/late/`)).status).toBe(404)
})

// One of some 1,500 was, by the `cork` that it was upgraded in.
test('a socket that was upgraded late is not closed right after it opened', async () => {
  const { hub, open } = await startTestHub()
  hub.consumer('/late', {
    async connect(connection) {
      await new Promise((resolve) => setImmediate(resolve))
      await connection.join('a')
    },
  })
  for (let round = 0; round < 20; round++) {
    await Promise.all(Array.from({ length: 100 }, () => open('websocket+envelope', '/late')))
  }
  await hub.groupSend('a', { type: 'm' })
  expect(hub.group('a').connections.websocket).toBe(2000)
})

// Symptom: the process ended with "Cork buffer must not be held across event loop iterations!". The WebSocket was let in by what the hook of another
// client did, at the end of uWebSockets.js's handler for that one, and was taken for it.
test.each(['websocket', 'sse', 'ndjson'] as const)(
  'an upgrade inside the request of another client: both are whole (%s)',
  async (kind) => {
    const { hub, open, url, errors } = await startTestHub()
    const doors: (() => void)[] = []
    hub.consumer('/wait', {
      async connect(connection) {
        await new Promise<void>((resolve) => doors.push(resolve))
        await connection.join('a')
      },
    })
    hub.consumer('/go', {
      async connect(connection) {
        for (const letIn of doors.splice(0)) letIn()
        await connection.join('a')
      },
    })
    for (let round = 0; round < 3; round++) {
      const waiting = [open('websocket', '/wait'), open('websocket+envelope', '/wait'), open('sse', '/wait')]
      await until('they wait', () => doors.length === 3)
      const clients = await Promise.all([open(kind, '/go'), ...waiting])
      expect((await fetch(`${url}/app`)).status).toBe(404)
      await hub.groupSend('a', { type: 'm', round })
      const isThere = (text: string) => text.includes(`"round":${round}}`)
      await until('all have it', () => clients.every(({ messages }) => messages.some(isThere)))
    }
    expect(errors).toEqual([])
  },
)

describe('publishes that are dropped without a trace', () => {
  test('with a bound of its own uWebSockets.js drops; the back end sets none', async () => {
    expect(webSocketHandlers(DEFAULT_LIMITS)).toMatchObject({ maxBackpressure: 0 })
  })

  test.each(CLIENT_KINDS)('%s: a reader that stops loses nothing, or is told', async (kind: ClientKind) => {
    const { hub, open } = await startTestHub({ limits: { maxBacklogBytes: 256 * 1024 } })
    const client = await open(kind, '/events?group=a')
    client.pause()
    const text = 'x'.repeat(8_000)
    for (let n = 0; n < 3_000 && hub.stats.slowConsumers === 0; n++) {
      await hub.groupSend('a', { type: 'm', n, text })
      if (n % 20 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    client.resume()
    expect((await within('the end', client.ended)).code).toBe(4008)
    const numbers = client.messages.map((message) => (JSON.parse(message) as { n: number }).n)
    expect(numbers).toEqual(numbers.map((_, n) => n))
  })
})

test('messages lost on unsubscribe: what was sent before a connection left its group arrives', async () => {
  const { hub, open } = await startTestHub()
  hub.consumer('/leave', {
    async connect(connection) {
      await connection.join('a')
    },
    async receive(connection) {
      await hub.groupSend('a', { type: 'last' })
      await connection.leave('a')
      await hub.groupSend('a', { type: 'late' })
      connection.send({ type: 'left' })
    },
  })
  const client = await open('websocket', '/leave')
  await client.send({ type: 'go' })
  await until('it has left', () => client.messages.includes('{"type":"left"}'))
  expect(client.messages).toEqual(['{"type":"last"}', '{"type":"left"}'])
})

test('calls on a socket that has closed throw: nothing is called on it', async () => {
  const { hub, open, errors } = await startTestHub()
  const client = await open('websocket', '/events?group=a')
  const ids: string[] = []
  hub.consumer('/ids', {
    async connect(connection) {
      ids.push(connection.id)
      await connection.join('a')
    },
  })
  const other = await open('websocket', '/ids')
  // The close handler runs inside `end`.
  void hub.closeConnection(ids[0] ?? '', 4000, 'bye')
  for (let n = 0; n < 100; n++) await hub.groupSend('a', { type: 'm', n })
  expect((await within('the end', other.ended)).code).toBe(4000)
  await until('the other has all', () => client.messages.length === 100)
  expect(errors).toEqual([])
})

describe('SSE streams', () => {
  test('that stick: what a congested one holds arrives without another write', async () => {
    const { hub, url, links } = await startTestHub({ limits: { maxBacklogBytes: 64 * 1024 * 1024 } })
    const client = await connectRaw(url)
    client.write(requestHead('GET', '/events?group=a', SSE))
    await until('it is open', () => client.text.includes('groupcast.open'))
    client.socket.pause()
    const text = 'x'.repeat(100_000)
    let sent = 0
    while (links[0]?.link.writable !== false) {
      await hub.groupSend('a', { type: 'm', n: sent++, text })
      await new Promise((resolve) => setImmediate(resolve))
    }
    client.socket.resume()
    await until(
      'all has come',
      () => client.text.includes(`"n":${sent - 1},`) && client.text.endsWith('\n\n'),
    )
    const body = parseResponse(client.bytes)?.body ?? ''
    // Byte for byte: a chunk that was lost after its header would have swallowed what follows.
    const numbers = [...body.matchAll(/data: \{"type":"m","n":(\d+),"text":"x{100000}"\}\n\n/g)].map(
      ([, n]) => Number(n),
    )
    expect(numbers).toEqual(Array.from({ length: sent }, (_, n) => n))
  })

  test('that lose a chunk and keep its header: a long past arrives whole, however slowly it is read', async () => {
    // Inside a handler of the same response there is one cork for all that is
    // written, and what does not fit into it is lost when the system takes no more.
    const groups = [{ match: 'a', history: { count: 1_000, bytes: 64 * 1024 * 1024 } }]
    const { hub, url } = await startTestHub({ groups })
    hub.consumer('/past', { connect: (connection) => connection.join('a', { history: 1_000 }) })
    const text = 'x'.repeat(9_000)
    for (let n = 0; n < 1_000; n++) await hub.groupSend('a', { type: 'm', n, text })
    for (let round = 0; round < 3; round++) {
      const client = await connectRaw(url)
      client.write(requestHead('GET', '/past', SSE))
      client.socket.pause()
      await until('it is in', () => hub.stats.opened === round + 1)
      client.socket.resume()
      await until('all has come', () => client.size > 1_000 * 9_000 && client.text.endsWith('"}\n\n'))
      const body = parseResponse(client.bytes)?.body ?? ''
      const numbers = [...body.matchAll(/data: \{"type":"m","n":(\d+),"text":"x{9000}"\}\n\n/g)]
      expect(numbers.map(([, n]) => Number(n))).toEqual(Array.from({ length: 1_000 }, (_, n) => n))
    }
  })

  test('that close after congestion: a reader that is slow for longer than ten seconds stays', {
    timeout: 40_000,
  }, async () => {
    // The control has neither a handler for `onWritable` nor anything else, and is closed after its first congestion.
    let bare: UwsResponse | null = null
    let isBareGone = false
    const bareUrl = await listenBare((app) =>
      app.get('/*', (response) => {
        bare = response
        response.onAborted(() => {
          isBareGone = true
        })
        response.cork(() => response.write(':\n\n'))
      }),
    )
    const { hub, url, links } = await startTestHub({ limits: { maxBacklogBytes: 64 * 1024 * 1024 } })
    const [control, client] = [await connectRaw(bareUrl), await connectRaw(url)]
    for (const each of [control, client]) each.write(requestHead('GET', '/events?group=a', SSE))
    await until(
      'both are open',
      () => client.text.includes('groupcast.open') && control.text.includes(':\n\n'),
    )
    for (const { socket } of [control, client]) socket.pause()
    const text = 'x'.repeat(100_000)
    let sent = 0
    while (links[0]?.link.writable !== false) {
      await hub.groupSend('a', { type: 'm', n: sent++, text })
      await new Promise((resolve) => setImmediate(resolve))
    }
    const response = bare as UwsResponse | null
    for (let isTaken = true; isTaken; ) response?.cork(() => (isTaken = response.write(text)))
    await until('uWebSockets.js has closed the control', () => isBareGone, 30_000)
    expect(hub.stats.connections.sse).toBe(1)
    client.socket.resume()
    await until('all has come', () => client.text.includes(`"n":${sent - 1},`))
    await hub.groupSend('a', { type: 'after' })
    await until('it lives on', () => client.text.includes('"after"'))
  })
})

test('a large message that is written in the drain handler sticks: the hub writes it later', async () => {
  const { hub, open } = await startTestHub({ limits: { maxBacklogBytes: 64 * 1024 * 1024 } })
  const client = await open('websocket', '/events?group=a')
  const text = 'x'.repeat(1024 * 1024)
  for (let n = 0; n < 24; n++) await hub.groupSend('a', { type: 'm', n, text })
  await until('all have come', () => client.messages.length === 24)
})

test('a congested client that leaves while its messages wait is no slow reader: they are handled', async () => {
  const { hub, url, links } = await startTestHub({
    rates: false,
    limits: { maxBacklogBytes: 256 * 1024 },
  })
  let release = () => {}
  const gate = new Promise<void>((resolve) => {
    release = resolve
  })
  let handled = 0
  const ended: unknown[] = []
  hub.consumer('/slow', {
    connect: (connection) => connection.join('a'),
    async receive() {
      await gate
      handled++
    },
    disconnect: (_connection, info) => void ended.push([info.code, handled]),
  })
  const client = await openRawWebSocket(url, '/slow')
  client.socket.pause()
  const text = 'x'.repeat(64 * 1024)
  const send = async () => {
    await hub.groupSend('a', { type: 'm', text })
    await new Promise((resolve) => setImmediate(resolve))
  }
  while (links[0]?.link.writable) await send()
  for (let n = 0; n < 200; n++) client.send(OPCODE.text, '{"type":"m"}')
  await until('too many wait', () => hub.stats.received >= DEFAULT_LIMITS.maxPendingMessages)
  client.reset()
  await until('the server has noticed', () => links[0]?.link.writable === true)
  // More than may wait for a slow reader.
  for (let n = 0; n < 10; n++) await send()
  release()
  await until('the hub has noticed', () => ended.length === 1)
  expect(ended).toEqual([[1006, 200]])
  expect(hub.stats.slowConsumers).toBe(0)
})

test('uncorked writes: a batch of many messages arrives in few pieces', async () => {
  const { hub, url } = await startTestHub()
  const [socket, stream] = [await openRawWebSocket(url, '/events?group=a'), await connectRaw(url)]
  stream.write(requestHead('GET', '/events?group=a', SSE))
  await until('it is open', () => stream.text.includes('groupcast.open'))
  let pieces = 0
  for (const each of [socket, stream]) each.socket.on('data', () => pieces++)
  for (let n = 0; n < 40; n++) void hub.groupSend('a', { type: 'm', n })
  await until('all have come', () => [socket, stream].every(({ text }) => text.includes('"n":39')))
  // A batch is one write, and one piece on loopback.
  expect(pieces).toBe(2)
})

test('the shared port: a second server on it is refused', async () => {
  const { url } = await startTestHub()
  if (typeof uws === 'string') throw new Error(uws)
  const { App, LIBUS_LISTEN_EXCLUSIVE_PORT } = uws
  const second = await new Promise((resolve) => {
    App().listen('127.0.0.1', Number(new URL(url).port), LIBUS_LISTEN_EXCLUSIVE_PORT, resolve)
  })
  expect(second).toBe(false)
})

test('4 KB of headers: a head that comes in parts and is longer is closed, and nobody is asked', async () => {
  const { hub, url } = await startTestHub()
  const client = await connectRaw(url)
  const head = requestHead('GET', '/events?group=a', { ...SSE, 'X-Long': 'a'.repeat(20_000) })
  client.write(head.slice(0, 6_000))
  await new Promise((resolve) => setImmediate(resolve))
  client.write(head.slice(6_000, -2))
  client.end()
  await until('it is closed', () => client.isEnded || client.isClosed)
  expect(client.status).toBe(null)
  expect(hub.stats).toMatchObject({ opened: 0, groups: 0 })
})

test('a route that nobody takes closes the connection: it is answered', async () => {
  if (typeof uws === 'string') throw new Error(uws)
  const hub = createHub({ backend: uwsBackend({ uws }) })
  onTestFinished(() => hub.close({ deadlineMs: 100 }))
  const url = await listenBare((app) => {
    hub.attach(app)
    app.get('/own', (response) => void response.end('own'))
  })
  expect(await (await fetch(`${url}/own`)).text()).toBe('own')
  const response = await fetch(`${url}/nowhere`, { method: 'PUT', body: 'x' })
  expect([response.status, await response.json()]).toMatchObject([404, { code: 'not-found' }])
})

test('the length that `endWithoutBody` is told is waited for: an answer to HEAD is whole', async () => {
  const { url } = await startTestHub()
  const client = await connectRaw(url)
  client.write(requestHead('HEAD', '/events') + requestHead('GET', '/app'))
  await until('both are answered', () => client.text.split('HTTP/1.1 ').length === 3)
  expect(client.text).toMatch(/^HTTP\/1.1 405 [\s\S]*\r\nContent-Length: [1-9]\d*\r\n/)
})

describe('a streamed answer that is the last of its connection', () => {
  /** So much, and the end. @returns a client whose answer has begun */
  const begin = async (whenEnded: () => void, chunk: string, most = 1) => {
    const url = await listenBare((app) => {
      app.get('/*', (response) => {
        response.onAborted(() => {})
        setImmediate(() => {
          for (let n = 0, isTaken = true; n < most && isTaken; n++) {
            response.cork(() => {
              isTaken = response.write(chunk)
            })
          }
          endLast(response)
          whenEnded()
        })
      })
    })
    const client = await connectRaw(url)
    return client
  }

  test('is whole, and no other request is answered behind it', async () => {
    const client = await begin(() => {}, 'hello')
    client.write(requestHead('GET', '/'))
    await until('it is whole', () => parseResponse(client.bytes)?.isComplete === true)
    expect(client.isEnded).toBe(false)
    client.write(requestHead('GET', '/'))
    await until('it is closed', () => client.isEnded || client.isClosed)
    expect(client.text.split('HTTP/1.1')).toHaveLength(2)
    expect(parseResponse(client.bytes)?.body).toBe('hello')
  })

  test('is closed behind when the client does not', async () => {
    const wait = () => {
      vi.advanceTimersByTime(10_000)
      vi.useRealTimers()
    }
    onTestFinished(() => void vi.useRealTimers())
    const client = await begin(() => void setImmediate(wait), 'hello')
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    client.write(requestHead('GET', '/'))
    await once(client.socket, 'end')
    expect(parseResponse(client.bytes)).toMatchObject({ body: 'hello', isComplete: true })
  })

  test('comes whole to a client that reads late', async () => {
    let isEnded = false
    const chunk = 'x'.repeat(14 * 1024)
    const client = await begin(
      () => {
        isEnded = true
      },
      chunk,
      10_000,
    )
    client.socket.pause()
    client.write(requestHead('GET', '/'))
    await until('it is written', () => isEnded)
    client.socket.resume()
    await until('it has come', () => client.text.endsWith('0\r\nGroupcast-End: true\r\n\r\n'))
    expect((parseResponse(client.bytes)?.body.length ?? 0) % chunk.length).toBe(0)
  })
})

test('the bytes of a message are gone after its handler: the consumer has copies', async () => {
  let kept: ArrayBuffer | null = null
  const url = await listenBare((app) =>
    app.ws('/*', {
      ...webSocketHandlers(DEFAULT_LIMITS),
      open: () => {},
      upgrade: (response, request, context) =>
        response.upgrade({}, request.getHeader('sec-websocket-key'), '', '', context),
      message(_socket: UwsWebSocket, message) {
        kept = message
      },
      close: () => {},
    }),
  )
  const bare = await openClient('websocket', `${url}/`)
  await bare.send({ type: 'bare' })
  await until('it has come', () => kept !== null)
  await new Promise((resolve) => setImmediate(resolve))
  expect((kept as ArrayBuffer | null)?.byteLength).toBe(0)
  bare.close()

  const { hub, open } = await startTestHub()
  const seen: unknown[] = []
  hub.consumer('/late', {
    async receive(_connection, message) {
      await new Promise((resolve) => setImmediate(resolve))
      seen.push(message)
    },
  })
  const client = await open('websocket', '/late')
  for (let n = 0; n < 20; n++) await client.send({ type: 'm', n })
  await until('all have come', () => seen.length === 20)
  expect(seen).toEqual(Array.from({ length: 20 }, (_, n) => ({ type: 'm', n })))
})

test.each([
  ['127.0.0.1', [127, 0, 0, 1]],
  ['::ffff:10.0.0.7', [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 0, 0, 7]],
  ['::1', [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]],
  ['2001:db8::1:0', [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0]],
  ['', []],
])('addresses are bytes: %s', (text, bytes) => {
  expect(addressOf(new Uint8Array(bytes).buffer)).toBe(text)
})
