/**
 * What is about `node:http` itself: its HTTP/1.0, its pipelining, its limits on heads, and the sockets under it. What becomes of such
 * requests on any server stands in the suite that all back ends run.
 */
import { createServer } from 'node:http'
import type { Socket } from 'node:net'
import { createHub } from 'groupcast'
import { describe, expect, onTestFinished, test } from 'vitest'
import { listen, startTestHub, stop } from '../../support/hub-server.ts'
import { connectRaw, handshake, openRawWebSocket, parseResponse, requestHead } from '../../support/raw.ts'
import { setStage } from '../../support/stage.ts'
import { trackingConsumer } from '../../support/tracking-consumer.ts'
import { until } from '../../support/until.ts'

const NDJSON = 'application/x-ndjson'

describe('HTTP/1.0', () => {
  test('over HTTP/1.0 the stream is raw: no chunks, and its end is the connection’s', async () => {
    const { hub, url } = await startTestHub()
    const clients = []
    // The last one's symptom was a head that announced chunks and a body without: node:http makes chunks for HTTP/1.0 when asked so.
    for (const headers of [{}, { Connection: 'keep-alive' }, { TE: 'chunked' }]) {
      const client = await connectRaw(url)
      client.write(requestHead('GET', '/events?group=a', { ...headers }, 'HTTP/1.0'))
      await until('it is open', () => client.text.includes('groupcast.open'))
      clients.push(client)
    }
    await hub.groupSend('a', { type: 'm', text: 'x'.repeat(100_000) })
    for (const client of clients) {
      await until('it has come', () => client.text.endsWith('"}\n\n'))
      const response = parseResponse(client.bytes)
      expect(response?.headers.get('transfer-encoding')).toBe(undefined)
      expect(response?.headers.get('connection')).toBe('close')
      expect(response?.body).toMatch(
        /^retry: \d+\nevent: groupcast\.open\ndata: \{.*\}\n\ndata: \{"type":"m","text":"x+"\}\n\n$/,
      )
    }
    await hub.close()
    for (const client of clients) {
      await until('it has ended', () => client.isEnded)
      expect(client.text).toMatch(/\nretry: \d+\nevent: groupcast\.close\ndata: \{.*\}\n\n$/)
    }
  })

  test('HTTP/1.0 and HTTP/1.1 clients of one group get the same message, each in its framing', async () => {
    const { hub, url } = await startTestHub()
    const [old, current] = [await connectRaw(url), await connectRaw(url)]
    old.write(requestHead('GET', '/events?group=a', { Accept: NDJSON }, 'HTTP/1.0'))
    current.write(requestHead('GET', '/events?group=a', { Accept: NDJSON }))
    await until('both are open', () => old.text.includes('"open"') && current.text.includes('"open"'))
    await hub.groupSend('a', { type: 'm' })
    await until('both have it', () => old.text.includes('"m"') && current.text.includes('"m"'))
    const lines = [old, current].map((client) => parseResponse(client.bytes)?.body.split('\n')[1])
    expect(lines).toEqual(Array(2).fill('{"group":"a","message":{"type":"m"}}'))
  })
})

test('half-sent handshakes cost the hub nothing, and the server cuts them in its time', async () => {
  const hub = createHub()
  const consumer = trackingConsumer()
  hub.consumer('/events', consumer)
  const server = createServer({ headersTimeout: 100, connectionsCheckingInterval: 20 })
  hub.attach(server)
  const url = await listen(server)
  onTestFinished(async () => {
    await hub.close({ deadlineMs: 100 })
    await stop(server)
  })
  const halves = await Promise.all(
    Array.from({ length: 50 }, async (_, n) => {
      const client = await connectRaw(url)
      const text = handshake('/events?group=a')
      client.write(text.slice(0, Math.ceil((text.length - 1) * ((n + 1) / 50))))
      return client
    }),
  )
  const whole = await openRawWebSocket(url, '/events?group=a')
  await until('all halves are cut', () => halves.every(({ isEnded, isClosed }) => isEnded || isClosed))
  expect(halves.filter(({ status }) => status === 408)).toHaveLength(50)
  expect(consumer.began).toBe(1)
  expect(whole.isClosed).toBe(false)
  expect(hub.stats).toMatchObject({ connections: { websocket: 1 }, groups: 1 })
})

describe('heads', () => {
  test('headers beyond those that node:http keeps are not mistaken for none', async () => {
    // Node 20 forgets all after the 1,000th, silently: here the ones that say what is upgraded, and how long the body is. Later
    // ones refuse the request themselves.
    const { url, consumer, undisturbed, onlyBystanders } = await setStage()
    const tail = handshake('/track?group=a').split('\r\n').slice(1).join('\r\n')
    const body = 'GET /track HTTP/1.1\r\nHost: a\r\n\r\n'
    const many = 'a:\r\n'.repeat(2_100)
    for (const last of [
      tail,
      `Content-Length: ${body.length}\r\n${tail.replace('websocket', 'h2c')}${body}`,
    ]) {
      const client = await connectRaw(url)
      client.write(`GET /track?group=a HTTP/1.1\r\nHost: a\r\n${many}${last}`)
      await until('it is closed', () => client.isEnded || client.isClosed)
      expect([400, 431]).toContain(client.status)
    }
    expect(consumer.began).toBe(0)
    await onlyBystanders()
    await undisturbed()
  })
})

describe('pipelined requests', () => {
  test('a stream behind an unfinished response starts when its turn comes', async () => {
    // The symptom was an event before the head of its response: the socket is announced before what the response has buffered is
    // written to it.
    let finish = () => {}
    const { url, consumer, undisturbed } = await setStage({}, (_request, response) => {
      response.write('slow ')
      finish = () => response.end('done')
    })
    const client = await connectRaw(url)
    client.write(
      requestHead('GET', '/slow') + requestHead('GET', '/track?group=a', { Accept: 'text/event-stream' }),
    )
    await until('the first is under way', () => client.text.includes('slow'))
    await undisturbed()
    expect(consumer.began).toBe(0)
    finish()
    await until('the stream is open', () => client.text.includes('groupcast.open'))
    await undisturbed()
    await until('it is in the group', () => client.text.includes('"check"'))
    const first = parseResponse(client.bytes)
    expect(first).toMatchObject({ status: 200, body: 'slow done', isComplete: true })
    const second = parseResponse(first?.rest ?? Buffer.alloc(0))
    expect(second).toMatchObject({ status: 200, isComplete: false })
    expect(second?.headers.get('content-type')).toContain('text/event-stream')
    expect(second?.body).toMatch(/^retry: \d+\nevent: groupcast\.open\n/)
  })

  test('requests behind a stream wait for its end', async () => {
    const { hub, url, undisturbed } = await setStage()
    const ids: string[] = []
    hub.consumer('/ids', {
      connect(connection) {
        ids.push(connection.id)
      },
    })
    const client = await connectRaw(url)
    const stream = requestHead('GET', '/ids', { Accept: 'text/event-stream' })
    client.write(stream + requestHead('GET', '/app') + stream)
    await until('the first is open', () => ids.length === 1)
    await undisturbed()
    expect(client.text).not.toContain('404')
    await hub.closeConnection(ids[0] ?? '', 4000)
    await until('the third is open', () => ids.length === 2)
    await until('its first event has come', () => client.text.split('groupcast.open').length === 3)
    const first = parseResponse(client.bytes)
    const second = parseResponse(first?.rest ?? Buffer.alloc(0))
    const third = parseResponse(second?.rest ?? Buffer.alloc(0))
    expect(first).toMatchObject({ status: 200, isComplete: true })
    expect(second).toMatchObject({ status: 404, body: 'app', isComplete: true })
    expect(third).toMatchObject({ status: 200, isComplete: false })
  })

  test('streams that never had their turn leave nothing when the client goes', async () => {
    // The symptom was connections that stayed in their groups for ever: node:http tells nobody that a client is gone whose response
    // has no socket yet. One socket could leave thousands behind.
    const { url, consumer, undisturbed, onlyBystanders } = await setStage()
    const client = await connectRaw(url)
    client.write(requestHead('GET', '/track?group=a').repeat(17))
    await until('the first is open', () => client.text.includes('groupcast.open'))
    await undisturbed()
    expect(consumer.began).toBe(1)
    client.reset()
    await onlyBystanders()
    await undisturbed()
  })

  test('a thousand streams behind a stream end the connection', async () => {
    // The symptom was a process out of memory: node:http reads on while nothing is written, and every request behind an open stream
    // waited for a turn that never came.
    const { server, url, consumer, undisturbed, onlyBystanders } = await setStage()
    const sockets: Socket[] = []
    server.node?.on('connection', (socket: Socket) => sockets.push(socket))
    const [client, other] = [await connectRaw(url), await connectRaw(url)]
    const stream = requestHead('GET', '/track?group=a', { Accept: 'text/event-stream' })
    for (const raw of [client, other]) raw.write(stream)
    await until('both are open', () => [client, other].every(({ text }) => text.includes('groupcast.open')))
    client.write(stream.repeat(1_000))
    await until('it is closed', () => client.isClosed || client.isEnded)
    await until('its socket is gone', () => sockets.filter(({ destroyed }) => destroyed).length === 1)
    await undisturbed()
    await until('the other stream goes on', () => other.text.includes('"check"'))
    expect(consumer.began).toBe(2)
    other.write(stream.repeat(16))
    await undisturbed()
    expect(other.isEnded).toBe(false)
    other.end()
    await onlyBystanders()
  })

  test('a handshake behind an unfinished response does no harm', async () => {
    let finish = () => {}
    const { url, undisturbed, onlyBystanders } = await setStage({}, (_request, response) => {
      response.write('slow ')
      finish = () => response.end('done')
    })
    const client = await connectRaw(url)
    client.write(requestHead('GET', '/slow') + handshake('/track?group=a'))
    await until('the first is under way', () => client.text.includes('slow'))
    await undisturbed()
    finish()
    await undisturbed()
    client.reset()
    await onlyBystanders()
    await undisturbed()
  })
})
