/** Hubs and servers: attached, detached, several of each, and over TLS. */
import { createHub, groupsConsumer, type Hub } from 'groupcast'
import { describe, expect, onTestFinished, test } from 'vitest'
import { WebSocket } from 'ws'
import { CLIENT_KINDS, openClient } from '../support/clients.ts'
import { expectFanOut } from '../support/fan-out.ts'
import { connectRaw, handshake, openRawWebSocket, parseResponse, requestHead } from '../support/raw.ts'
import { serverKind, type TestApp, type TestServer } from '../support/servers.ts'
import { until, within } from '../support/until.ts'

/** A hub that ends with the test and fails it when something was reported. */
function testHub(): Hub {
  const errors: unknown[] = []
  const hub = createHub({ backend: serverKind.backend(), onError: (error) => errors.push(error) })
  hub.consumer('/events', groupsConsumer())
  onTestFinished(async () => {
    await hub.close({ deadlineMs: 500 })
    expect(errors).toEqual([])
  })
  return hub as never
}

const plainApp: TestApp = ({ url }, response) => {
  if (url === '/app') response.end('hello')
  else response.end('app', 404)
}

async function start(server: TestServer): Promise<string> {
  const url = await server.listen()
  onTestFinished(() => server.stop())
  return url
}

describe('detach', () => {
  test('gives everything back; live connections stay', async () => {
    const hub = testHub()
    const server = serverKind.create(plainApp)
    const attachment = server.attach(hub)
    const url = await start(server)
    const websocket = await openRawWebSocket(url, '/events?group=a')
    const stream = await connectRaw(url)
    stream.write(requestHead('GET', '/events?group=a'))
    await until('the stream is open', () => stream.text.includes('groupcast.open'))

    attachment.detach()
    attachment.detach()
    expect(await (await fetch(`${url}/events`)).text()).toBe('app')
    // Upgrades are what they are to a server that knows none: plain requests.
    const client = await connectRaw(url)
    client.write(handshake('/app'))
    await until('it is answered', () => client.text.includes('hello'))
    expect(client.status).toBe(200)

    await hub.groupSend('a', { type: 'm' })
    await until('both have it', () => stream.text.includes('"m"') && websocket.frames.length === 1)
    server.attach(hub)
    await expectFanOut(hub, url)
  })

  test('in any order: two hubs on one server', async () => {
    for (const first of [0, 1]) {
      const hubs = [testHub(), testHub()] as const
      hubs[0].consumer('/zero', groupsConsumer())
      hubs[1].consumer('/one', groupsConsumer())
      const server = serverKind.create(plainApp)
      const attachments = hubs.map((hub) => server.attach(hub))
      const url = await start(server)
      const status = async (path: string) => {
        const client = await connectRaw(url)
        client.write(handshake(path))
        await until('it is answered', () => client.status !== null)
        client.reset()
        return client.status
      }
      expect([await status('/zero'), await status('/one'), await status('/nobody')]).toEqual([101, 101, 404])
      // At a path of both, the one that came last answers.
      await expectFanOut(hubs[1], url)

      attachments[first]?.detach()
      expect([await status('/zero'), await status('/one')]).toEqual(first === 0 ? [404, 101] : [101, 404])
      attachments[1 - first]?.detach()
      expect(await status('/zero')).toBe(404)
      expect(await (await fetch(`${url}/zero`)).text()).toBe('app')
    }
  })
})

test('one hub on two servers has one set of groups', async () => {
  const hub = testHub()
  const servers = [serverKind.create(plainApp), serverKind.create(plainApp, { tls: true })]
  for (const server of servers) server.attach(hub)
  const urls = await Promise.all(servers.map((server) => start(server)))
  const plain = await openClient('sse', `${urls[0]}/events?group=a`)
  const secure = new WebSocket(`${urls[1]?.replace('http:', 'wss:')}/events?group=a`, {
    rejectUnauthorized: false,
  })
  const messages: string[] = []
  secure.on('message', (data) => messages.push(String(data)))
  await new Promise((resolve) => secure.once('open', resolve))
  await hub.groupSend('a', { type: 'm' })
  await until('both have it', () => plain.messages.length === 1 && messages.length === 1)
  expect(hub.group('a').connections).toEqual({ websocket: 1, sse: 1, ndjson: 0 })
  plain.close()
  secure.terminate()
})

test('one hub attached twice to one server answers once', async () => {
  const hub = testHub()
  const server = serverKind.create(plainApp)
  const attachments = [server.attach(hub), server.attach(hub)]
  const url = await start(server)
  await expectFanOut(hub, url)
  attachments[0]?.detach()
  await expectFanOut(hub, url)
  expect(hub.stats.opened).toBe(4 * CLIENT_KINDS.length)
})

test('over TLS: all transports, with backpressure and a clean end', async () => {
  const hub = testHub()
  const server = serverKind.create(plainApp, { tls: true })
  server.attach(hub)
  const url = (await start(server)).replace('http:', 'https:')
  const open = async (head: string) => {
    const client = await connectRaw(url)
    client.write(head)
    await until('it is open', () => client.status !== null)
    return client
  }
  const websocket = await openRawWebSocket(url, '/events?group=a')
  const sse = await open(requestHead('GET', '/events?group=a'))
  const slow = await open(requestHead('GET', '/events?group=a'))
  slow.socket.pause()
  const text = 'x'.repeat(64 * 1024)
  let sent = 0
  while (hub.stats.slowConsumers === 0) {
    expect(sent).toBeLessThan(1_000)
    await hub.groupSend('a', { type: 'm', text })
    const n = ++sent
    await until(
      'the quick ones have it',
      () => websocket.size > n * text.length && sse.size > n * text.length,
    )
  }
  slow.socket.resume()
  await until('it is told', () => slow.text.includes('groupcast.close'))
  expect(slow.text).toContain('"code":4008')
  const closing = hub.close()
  await until('the stream has ended', () => parseResponse(sse.bytes)?.isComplete === true)
  await until('the WebSocket is told', () => websocket.closeFrame !== null)
  expect(websocket.closeFrame?.code).toBe(1012)
  websocket.end()
  await within('the end', closing)
})
