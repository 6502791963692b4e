/** Who the client is: the socket's other end, or whom a trusted proxy names; and TLS that the server ends by itself. */
import { describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { startTestHub } from '../support/hub-server.ts'
import { connectRaw, handshake, requestHead } from '../support/raw.ts'
import { serverKind } from '../support/servers.ts'
import { until } from '../support/until.ts'

const KNOCKS: [what: string, head: (headers: Record<string, string>) => string][] = [
  ['websocket', (headers) => handshake('/who', headers)],
  ['sse', (headers) => requestHead('GET', '/who', headers)],
  ['ndjson', (headers) => requestHead('GET', '/who', { Accept: 'application/x-ndjson', ...headers })],
]

describe.each(KNOCKS)('%s', (_transport, head) => {
  test.each<[what: string, trusted: string[], forwarded: string | null, expected: string]>([
    ['nobody is trusted', [], '203.0.113.9', '127.0.0.1'],
    ['another is trusted', ['10.0.0.1'], '203.0.113.9', '127.0.0.1'],
    ['it is trusted', ['127.0.0.1'], '203.0.113.9', '203.0.113.9'],
    ['its network is trusted', ['127.0.0.0/8'], '203.0.113.9', '203.0.113.9'],
    ['it says nothing', ['127.0.0.1'], null, '127.0.0.1'],
    ['the client had written one before', ['127.0.0.1'], '10.9.9.9, 203.0.113.9', '203.0.113.9'],
    ['two are in a row', ['127.0.0.1', '10.0.0.0/8'], '203.0.113.9, 10.0.0.7', '203.0.113.9'],
    ['all that are named are trusted', ['127.0.0.1', '10.0.0.0/8'], '10.0.0.9, 10.0.0.7', '10.0.0.9'],
    ['a port is added', ['127.0.0.1'], '203.0.113.9:4711', '203.0.113.9'],
    ['IPv6', ['127.0.0.1'], '[2001:db8::1]:4711', '2001:db8::1'],
    ['what it says is no address', ['127.0.0.1'], 'unknown', '127.0.0.1'],
    ['a proxy before it says no address', ['127.0.0.1', '10.0.0.1'], '_hidden, 10.0.0.1', '10.0.0.1'],
    [
      'it says it in the mapped form',
      ['127.0.0.1', '10.0.0.1'],
      '203.0.113.9, ::ffff:10.0.0.1',
      '203.0.113.9',
    ],
  ])('%s', async (_what, trustedProxies, forwarded, expected) => {
    const { hub, url } = await startTestHub({ trustedProxies })
    const seen: string[] = []
    hub.consumer('/who', { connect: ({ request }) => void seen.push(request.remoteAddress) })
    const client = await connectRaw(url)
    client.write(head(forwarded === null ? {} : { 'X-Forwarded-For': forwarded }))
    await until('it is in', () => hub.stats.opened === 1)
    expect(seen).toEqual([expected])
  })
})

test.each(['10.0.0.1/33', '10.0.0/8', 'proxy.example', '::1/129', '', 7])('%j is no proxy', (proxy) => {
  expect(() => serverKind.backend({ trustedProxies: [proxy as string] })).toThrow('trustedProxies has')
})

test('over TLS that the server ends, all transports work, and requests say so', async () => {
  const { hub, url } = await startTestHub({ tls: true })
  const secure = url.replace('http:', 'https:')
  const seen: boolean[] = []
  hub.consumer('/who', {
    async connect(connection) {
      seen.push(connection.request.encrypted)
      await connection.join('a')
    },
  })
  const got: string[] = []
  const client = new WebSocket(`${secure.replace('https', 'wss')}/who`, { rejectUnauthorized: false })
  client.on('message', (data) => got.push(String(data)))
  const { request } = await import('node:https')
  const texts = ['', '']
  for (const [n, accept] of ['text/event-stream', 'application/x-ndjson'].entries()) {
    const stream = request(`${secure}/who`, { rejectUnauthorized: false, headers: { Accept: accept } })
    stream.on('response', (response) =>
      response.setEncoding('utf8').on('data', (text) => {
        texts[n] += text
      }),
    )
    stream.on('error', () => {})
    stream.end()
  }
  await until('all are in', () => hub.stats.opened === 3)
  const text = 'x'.repeat(200_000)
  await hub.groupSend('a', { type: 'm', text })
  await until('all have it', () => got.length === 1 && texts.every((each) => each.includes(text)))
  expect(seen).toEqual([true, true, true])
  await hub.close()
})
