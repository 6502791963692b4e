/** The binding to node:http: bodies that do not end, clients that leave, connections that stay. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import { connect as connectHttp2, createServer as createHttp2Server } from 'node:http2'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createApi } from '../../src/api/api.ts'
import type { Api } from '../../src/api/contract.ts'
import { apiListener } from '../../src/api/node.ts'
import { until } from '../support/until.ts'
import { closeServer, exchange, startTestApi } from './api-server.ts'
import { FakeHub } from './fake-hub.ts'

const PATH = '/api/groups/a/messages'

/** A socket that ends with the test, and all that has come through it. */
class RawClient {
  text = ''
  isClosed = false
  readonly socket: Socket

  constructor(port: number) {
    this.socket = connect(port, '127.0.0.1')
    this.socket.setEncoding('utf8')
    this.socket.on('data', (text: string) => {
      this.text += text
    })
    this.socket.on('close', () => {
      this.isClosed = true
    })
    this.socket.on('error', () => {})
    onTestFinished(() => void this.socket.destroy())
  }

  write(text: string): void {
    this.socket.write(text)
  }

  post(headers: string, body = '', path = PATH): void {
    this.write(
      `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n${headers}\r\n\r\n${body}`,
    )
  }

  get statuses(): string[] {
    return [...this.text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status ?? '')
  }
}

function connections(server: ReturnType<typeof createServer>): Promise<number> {
  return new Promise((resolve) => {
    server.getConnections((_error, count) => resolve(count))
  })
}

describe('a client that leaves in the middle of its body', () => {
  test.each(['Content-Length: 1000', 'Transfer-Encoding: chunked'])(
    'with %s leaves nothing behind',
    async (header) => {
      const hub = new FakeHub()
      const errors: unknown[] = []
      const api = createApi(hub, { version: '1', onError: (error) => errors.push(error) })
      let begun = 0
      let settled = 0
      const listener = apiListener({
        handle(request) {
          begun++
          const answer = api.handle(request)
          answer?.finally(() => settled++)
          return answer
        },
      })
      const server = createServer(listener)
      onTestFinished(() => closeServer(server))
      const port = await listen(server)
      const part = header.startsWith('T') ? '5\r\n{"typ\r\n' : '{"typ'
      const clients = Array.from({ length: 50 }, () => new RawClient(port))
      for (const client of clients) client.post(header, part)
      await until('all are there', () => begun === 50)
      expect(settled).toBe(0)
      for (const client of clients) client.socket.destroy()
      await until('all work has ended', () => settled === 50)
      expect(hub.sent).toEqual([])
      expect(errors).toEqual([])
      expect((await exchange(port, 'GET', '/api/groups')).status).toBe(200)
      expect(await connections(server)).toBeLessThanOrEqual(1)
    },
  )

  test('half a body and an end is an answer', async () => {
    const { port, errors } = await startTestApi()
    const client = new RawClient(port)
    client.post('Content-Length: 1000', '{"typ')
    client.socket.end()
    await until('the server has closed', () => client.isClosed)
    expect(errors).toEqual([])
  })
})

describe('a body that is too large', () => {
  test('is refused by its length, unread', async () => {
    const { port, hub } = await startTestApi({ maxBodyBytes: 100 })
    const client = new RawClient(port)
    client.post('Content-Length: 101')
    await until('it is refused', () => client.text.includes('message-too-large'))
    expect(client.text).toMatch(/^HTTP\/1\.1 413 .*\r\nConnection: close\r\n/s)
    await until('the connection ends, though nothing more is sent', () => client.isClosed)
    expect(hub.sent).toEqual([])
  })

  test('is refused where it passes the limit, when no length was given', async () => {
    const { port } = await startTestApi({ maxBodyBytes: 100 })
    const client = new RawClient(port)
    client.post('Transfer-Encoding: chunked', `64\r\n${' '.repeat(100)}\r\n`)
    client.write('1\r\n \r\n')
    await until('it is refused and closed', () => client.isClosed)
    expect(client.statuses).toEqual(['413'])
    expect(client.text).toContain('\r\nConnection: close\r\n')
  })

  test('does not cost a client that goes on sending its answer', async () => {
    const { port } = await startTestApi({ maxBodyBytes: 100 })
    const client = new RawClient(port)
    const body = 'x'.repeat(8 * 1024 * 1024)
    // It looks for an answer only when it has sent everything: a reset before that would be all that it hears.
    client.socket.pause()
    client.post(`Content-Length: ${body.length}`, body)
    await until('all is sent, or cannot be', () => client.socket.writableLength === 0 || client.isClosed)
    client.socket.resume()
    await until('it is refused and closed', () => client.isClosed)
    expect(client.statuses).toEqual(['413'])
    expect(client.text).toContain('"code":"message-too-large"')
    expect(client.socket.bytesWritten).toBeGreaterThan(body.length)
  })

  test('is not read for ever', async () => {
    const { port } = await startTestApi({ maxBodyBytes: 100 })
    const client = new RawClient(port)
    client.post('Transfer-Encoding: chunked')
    const chunk = `400\r\n${'x'.repeat(1024)}\r\n`
    const timer = setInterval(() => client.socket.writable && client.write(chunk), 5)
    onTestFinished(() => clearInterval(timer))
    await until('it is cut', () => client.isClosed)
    expect(client.statuses).toEqual(['413'])
  })
})

test('a client that asks many times at once, and leaves, harms nobody', async () => {
  // The symptom was a process that ended (ERR_INTERNAL_ASSERTION): bodies that nobody reads are let pass before their answer ends, and an answer that
  // ended when its connection was gone was out of order to node:http, which had read further requests by then.
  const { port } = await startTestApi({ apiKeys: ['key'] })
  const body = JSON.stringify({ type: 'm', text: 'x'.repeat(200) })
  const head = `POST ${PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n`
  const bytes = (head + body).repeat(20)
  for (let round = 0; round < 20; round++) {
    const clients = Array.from({ length: 10 }, () => new RawClient(port))
    for (const [n, client] of clients.entries()) {
      client.socket.write(bytes, () => {
        if (n % 2 === 0) client.socket.resetAndDestroy()
        else client.socket.destroy()
      })
    }
    await until('they have left', () => clients.every(({ isClosed }) => isClosed))
    expect((await exchange(port, 'GET', '/health')).status).toBe(200)
  }
})

test('a body that nobody reads ends the connection', async () => {
  const { port } = await startTestApi({ apiKeys: ['key'] })
  for (const [path, status] of [
    [PATH, '401'],
    ['/api/nothing', '404'],
  ]) {
    const client = new RawClient(port)
    client.post('Content-Length: 100000', '{', path)
    await until('it is closed', () => client.isClosed)
    expect(client.statuses).toEqual([status])
    expect(client.text).toContain('\r\nConnection: close\r\n')
  }
})

describe('a connection', () => {
  test('stays for the next request', async () => {
    const { port, hub } = await startTestApi()
    const client = new RawClient(port)
    for (const status of ['200', '400', '200']) {
      const body = status === '200' ? '{"type":"x"}' : 'x'
      client.text = ''
      client.post(`Content-Length: ${body.length}`, body)
      await until('it is answered', () => /}$/.test(client.text))
      expect(client.statuses).toEqual([status])
    }
    expect(client.text).not.toContain('Connection: close')
    expect(hub.sent).toHaveLength(2)
  })

  test('may bring several requests at once, which are answered in order', async () => {
    const { port, hub } = await startTestApi()
    const client = new RawClient(port)
    const post = (body: string) =>
      `POST ${PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`
    client.write(
      post('{"type":"1"}') + post('{') + post('{"type":"3"}') + post('{"type":""}') + post('{"type":"5"}'),
    )
    await until('all are answered', () => client.statuses.length === 5)
    expect(client.statuses).toEqual(['200', '400', '200', '422', '200'])
    expect(hub.sent).toMatchObject([
      { message: { type: '1' } },
      { message: { type: '3' } },
      { message: { type: '5' } },
    ])
  })

  test('without an answer to HEAD in its way', async () => {
    const { port } = await startTestApi()
    const client = new RawClient(port)
    client.write('HEAD /health HTTP/1.1\r\nHost: x\r\n\r\nGET /health HTTP/1.1\r\nHost: x\r\n\r\n')
    await until('both are answered', () => client.text.endsWith('{"status":"ok"}'))
    expect(client.text.match(/\{"status":"ok"\}/g)).toHaveLength(1)
    expect(client.text.match(/Content-Length: 15\r\n/g)).toHaveLength(2)
  })
})

test('a body that somebody else has read already is not waited for', async () => {
  const listener = apiListener(createApi(new FakeHub(), { version: '1', onError() {} }))
  const server = createServer(async (request, response) => {
    for await (const _chunk of request);
    listener(request, response)
  })
  onTestFinished(() => closeServer(server))
  const port = await listen(server)
  expect((await exchange(port, 'POST', PATH, { body: { type: 'x' } })).status).toBe(400)
})

describe('an API that fails where it must not', () => {
  async function serve(api: Api): Promise<number> {
    const server = createServer(apiListener(api))
    onTestFinished(() => closeServer(server))
    return listen(server)
  }

  test('in its answer', async () => {
    const port = await serve({ handle: () => Promise.reject(new Error('no')) })
    await expect(exchange(port, 'GET', '/')).rejects.toThrow()
  })

  test('in a body: it is cut off, not ended', async () => {
    async function* body() {
      yield 'half'
      throw new Error('no')
    }
    const port = await serve({ handle: async () => ({ status: 200, headers: {}, body: body() }) })
    await expect(exchange(port, 'GET', '/')).rejects.toThrow()
  })

  test('in a body that its client has left', async () => {
    let isReturned = false
    async function* body() {
      try {
        for (;;) {
          yield 'x'.repeat(100_000)
          await new Promise((resolve) => setImmediate(resolve))
        }
      } finally {
        isReturned = true
      }
    }
    const port = await serve({ handle: async () => ({ status: 200, headers: {}, body: body() }) })
    const client = new RawClient(port)
    client.socket.pause()
    client.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    await once(client.socket, 'connect')
    setTimeout(() => client.socket.destroy(), 50)
    await until('the making has ended', () => isReturned)
  })
})

test('HTTP/2 is served by the same listener', async () => {
  const hub = new FakeHub()
  const listener = apiListener(
    createApi(hub, { version: '1', onError() {}, allowedHosts: ['127.0.0.1'], maxBodyBytes: 100 }),
  )
  const server = createHttp2Server((request, response) => {
    listener(request as never, response as never)
  })
  const port = await listen(server)
  const session = connectHttp2(`http://127.0.0.1:${port}`)
  onTestFinished(async () => {
    session.destroy()
    await new Promise((resolve) => server.close(resolve))
  })
  const post = async (body: string) => {
    const headers = { ':method': 'POST', ':path': PATH, 'content-type': 'application/json' }
    const stream = session.request({ ...headers, origin: `http://127.0.0.1:${port}` })
    stream.end(body)
    const [answer] = (await once(stream, 'response')) as [Record<string, unknown>]
    let text = ''
    for await (const chunk of stream.setEncoding('utf8')) text += chunk
    return [answer[':status'], text]
  }
  expect(await post('{"type":"x"}')).toEqual([200, '{"cursor":null}'])
  expect(await post('x'.repeat(101))).toEqual([413, expect.stringContaining('message-too-large')])
  expect(hub.sent).toHaveLength(1)
})

async function listen(server: {
  listen(port: number, host: string): unknown
  address(): unknown
}): Promise<number> {
  server.listen(0, '127.0.0.1')
  await until('the server listens', () => server.address() !== null)
  return (server.address() as AddressInfo).port
}
