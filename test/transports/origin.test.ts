/** Pages of other origins: refused on every transport, unless they are listed; and names that were pointed here by others. */
import { describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { startTestHub } from '../support/hub-server.ts'
import { connectRaw, handshake, type RawClient, requestHead } from '../support/raw.ts'
import { until } from '../support/until.ts'

const BODY = '{"type":"m"}'

type Headers = Readonly<Record<string, string>>

/** How each transport, and the way back of the streams, knocks at the door. */
const KNOCKS: [what: string, head: (headers: Headers) => string, welcome: number][] = [
  ['websocket', (headers) => handshake('/events?group=a', headers), 101],
  [
    'sse',
    (headers) => requestHead('GET', '/events?group=a', { Accept: 'text/event-stream', ...headers }),
    200,
  ],
  [
    'ndjson',
    (headers) => requestHead('GET', '/events?group=a', { Accept: 'application/x-ndjson', ...headers }),
    200,
  ],
  // 404: it went through the door, where nobody has that id.
  [
    'post',
    (headers) =>
      requestHead('POST', '/events', { 'Groupcast-Connection': 'x', 'Content-Length': '12', ...headers }) +
      BODY,
    404,
  ],
]

async function knock(url: string, head: string): Promise<RawClient> {
  const client = await connectRaw(url)
  client.write(head)
  await until('it is answered', () => client.status !== null)
  return client
}

const HOST = 'hub.example:8080'

describe.each(KNOCKS)('%s', (transport, head, welcome) => {
  const refusal = 403

  test.each([
    ['none', {}],
    ['the same', { Origin: `http://${HOST}` }],
    ['the same behind a proxy that ends TLS', { Origin: `https://${HOST}` }],
    ['the same in capitals', { Origin: `HTTP://HUB.example:8080` }],
    ['one that is listed', { Origin: 'https://app.example' }],
    ['one that is listed, with its scheme’s port', { Origin: 'https://app.example:443' }],
    ['one of an app that is listed', { Origin: 'capacitor://localhost' }],
  ])('%s: comes in', async (_what, headers: Headers) => {
    const { hub, url } = await startTestHub({
      allowedOrigins: ['https://app.example', 'capacitor://localhost'],
    })
    const clients = await Promise.all([1, 2].map(() => knock(url, head({ Host: HOST, ...headers }))))
    expect(clients.map(({ status }) => status)).toEqual([welcome, welcome])
    await until('those who can are members', () => transport === 'post' || hub.stats.opened === 2)
  })

  test.each([
    'null',
    'http://evil.example',
    'http://hub.example',
    'http://hub.example:8081',
    'http://hub.example:80808',
    'http://hub.example.evil.example:8080',
    'http://evilhub.example:8080',
    'http://hub.example:8080.evil.example',
    'http://hub.example:8080@evil.example',
    'http://evil.example#hub.example:8080',
    'http://hub.example:8080/',
    'http://hub.example:8080, http://evil.example',
    'http://hub.exampl\u0435:8080'.normalize(),
    'ws://hub.example:8080',
    'ftp://hub.example:8080',
    'file://',
    '//hub.example:8080',
    'hub.example:8080',
    'http://',
    'https://app.example.evil.example',
    'https://evil.example/?https://app.example',
    'http://app.example',
    'https://app.example:8443',
    'https://*.example',
    '*',
    '',
    'capacitor://evil',
    'chrome-extension://abcdef',
  ])('%j is refused, and no consumer hears of it', async (origin) => {
    const { hub, url } = await startTestHub({
      allowedOrigins: ['https://app.example', 'capacitor://localhost'],
    })
    // As bytes: what node:http reads, it reads as latin1.
    const bytes = Buffer.from(origin, 'utf8').toString('latin1')
    const client = await connectRaw(url)
    client.write(Buffer.from(head({ Host: HOST, Origin: bytes }), 'latin1'))
    await until('it is answered', () => client.status !== null)
    expect(client.status).toBe(refusal)
    expect(client.text).toContain('"code":"origin-not-allowed"')
    expect(client.text).toMatch(/\r\nVary: Origin\r\n/i)
    expect(client.text).not.toMatch(/access-control-allow/i)
    expect(hub.stats).toMatchObject({ opened: 0, denied: 0, groups: 0 })
  })

  test('two Origin headers are none of the allowed', async () => {
    const { url } = await startTestHub()
    const twice = head({ Host: HOST, Origin: `http://${HOST}` }).replace(
      '\r\n\r\n',
      '\r\nOrigin: http://evil.example\r\n\r\n',
    )
    const evilFirst = head({ Host: HOST, Origin: 'http://evil.example' }).replace(
      '\r\n\r\n',
      `\r\nOrigin: http://${HOST}\r\n\r\n`,
    )
    // node:http keeps the first of them: a browser sends one, and a client that is no browser can say what it likes.
    expect((await knock(url, evilFirst)).status).toBe(refusal)
    expect([welcome, refusal]).toContain((await knock(url, twice)).status)
  })

  test('with `*` on the list any page comes in, without credentials', async () => {
    const { url } = await startTestHub({ allowedOrigins: ['*'] })
    for (const origin of ['http://any.example']) {
      const client = await knock(url, head({ Host: HOST, Origin: origin }))
      expect(client.status).toBe(welcome)
      if (transport === 'websocket') continue
      expect(client.text).toMatch(/\r\nAccess-Control-Allow-Origin: \*\r\n/)
      expect(client.text).not.toContain('Access-Control-Allow-Credentials')
    }
  })

  test('only a name on the list of hosts comes in, whatever the origin says', async () => {
    const { hub, url } = await startTestHub({
      allowedHosts: ['127.0.0.1', 'localhost', '::1'],
      allowedOrigins: ['*'],
    })
    for (const host of ['127.0.0.1:8000', 'localhost', 'LOCALHOST:1', '[::1]:8000']) {
      expect((await knock(url, head({ Host: host }))).status).toBe(welcome)
      expect((await knock(url, head({ Host: host, Origin: `http://${host}` }))).status).toBe(welcome)
    }
    const { opened } = hub.stats
    for (const host of [
      'evil.example',
      'evil.example:8000',
      '127.0.0.1.evil.example',
      'localhost.',
      '0x7f.1',
      '',
    ]) {
      // A page of a name that was pointed at this machine is of the same origin as what it calls.
      const client = await knock(url, head({ Host: host, Origin: `http://${host}` }))
      expect([host, client.status]).toEqual([host, 403])
      expect(client.text).toContain('"code":"forbidden"')
      expect((await knock(url, head({ Host: host }))).status).toBe(403)
    }
    // What is no host at all is a bad request (RFC 9112, section 3.2).
    const odd = await knock(url, head({ Host: 'localhost@evil.example' }))
    expect(odd.status).toBe(400)
    expect(odd.text).toContain('"code":"bad-request"')
    expect(hub.stats.opened).toBe(opened)
  })
})

describe('CORS', () => {
  const LISTED = 'https://app.example'
  const corsOf = (text: string) =>
    Object.fromEntries(
      [...text.matchAll(/^(access-control-[a-z-]+|vary): (.*)\r$/gim)].map(([, name = '', value = '']) => [
        name.toLowerCase(),
        value,
      ]),
    )

  test.each(KNOCKS.filter(([what]) => what !== 'websocket'))(
    '%s: a listed page may read the answer, with credentials',
    async (_what, head) => {
      const { url } = await startTestHub({ allowedOrigins: [LISTED] })
      const client = await knock(url, head({ Origin: LISTED }))
      expect(corsOf(client.text)).toEqual({
        'access-control-allow-origin': LISTED,
        'access-control-allow-credentials': 'true',
        'access-control-expose-headers': 'Allow, Retry-After',
        vary: 'Origin',
      })
      // What one origin is told must not be served to another from a cache.
      expect(corsOf((await knock(url, head({}))).text)).toEqual({ vary: 'Origin' })
    },
  )

  test.each(KNOCKS.slice(1))('%s: without a list there are no such headers', async (_what, head) => {
    const { url } = await startTestHub()
    expect(corsOf((await knock(url, head({ Host: HOST, Origin: `http://${HOST}` }))).text)).toEqual({})
  })

  const preflight = (origin: string, method: string, headers: string) =>
    requestHead('OPTIONS', '/events', {
      Origin: origin,
      'Access-Control-Request-Method': method,
      'Access-Control-Request-Headers': headers,
    })

  test('a preflight of a listed page is told what it may send', async () => {
    const { url } = await startTestHub({ allowedOrigins: [LISTED] })
    const client = await knock(url, preflight(LISTED, 'POST', 'content-type,groupcast-connection'))
    expect(client.status).toBe(204)
    expect(corsOf(client.text)).toEqual({
      'access-control-allow-origin': LISTED,
      'access-control-allow-credentials': 'true',
      'access-control-expose-headers': 'Allow, Retry-After',
      'access-control-allow-methods': 'GET, POST, OPTIONS',
      'access-control-allow-headers': 'Authorization, Content-Type, Last-Event-ID, Groupcast-Connection',
      'access-control-max-age': '600',
      vary: 'Origin',
    })
  })

  test.each(['http://evil.example', 'null', 'https://app.example.evil.example'])(
    'a preflight of %s is refused',
    async (origin) => {
      const { url } = await startTestHub({ allowedOrigins: [LISTED] })
      const client = await knock(url, preflight(origin, 'POST', 'groupcast-connection'))
      expect(client.status).toBe(403)
      expect(corsOf(client.text)).toEqual({ vary: 'Origin' })
    },
  )

  test('refusals that a listed page gets can be read by it too', async () => {
    const { url } = await startTestHub({ allowedOrigins: [LISTED], limits: { maxMessageBytes: 20 } })
    const heads = [
      requestHead('PUT', '/events', { Origin: LISTED }),
      requestHead('GET', '/events', { Origin: LISTED, Accept: 'text/html' }),
      requestHead('GET', '/events?group=%20', { Origin: LISTED }),
      requestHead('POST', '/events', { Origin: LISTED, 'Content-Length': '0' }),
      `${requestHead('POST', '/events', { Origin: LISTED, 'Groupcast-Connection': 'x', 'Content-Length': '1' })}{`,
      `${requestHead('POST', '/events', { Origin: LISTED, 'Groupcast-Connection': 'x', 'Content-Length': '30' })}${'x'.repeat(30)}`,
    ]
    const statuses: (number | null)[] = []
    for (const head of heads) {
      const client = await knock(url, head)
      statuses.push(client.status)
      expect(corsOf(client.text)).toMatchObject({ 'access-control-allow-origin': LISTED, vary: 'Origin' })
    }
    expect(statuses).toEqual([405, 406, 400, 400, 400, 413])
  })
})

test('behind TLS that this process ends, a page without it is another origin', async () => {
  const { url } = await startTestHub({ tls: true })
  const { host } = new URL(url)
  const statusFor = (origin: string) =>
    new Promise<number>((resolve) => {
      const client = new WebSocket(`wss://${host}/events`, {
        headers: { Origin: origin },
        rejectUnauthorized: false,
      })
      client.on('open', () => {
        resolve(101)
        client.close()
      })
      client.on('unexpected-response', (_request, response) => resolve(response.statusCode ?? 0))
      client.on('error', () => {})
    })
  expect(await statusFor(`https://${host}`)).toBe(101)
  expect(await statusFor(`http://${host}`)).toBe(403)
})
