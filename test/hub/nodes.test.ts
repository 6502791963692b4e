/** Several hubs on one broker behave as one: groups, channels, connections. */
import {
  type AnyMessages,
  ChannelFullError,
  type Hub,
  memoryBroker,
  memoryLayer,
  type NodeServer,
} from 'groupcast'
import { describe, expect, test } from 'vitest'
import { startTestHub } from '../support/hub-server.ts'
import { until, within } from '../support/until.ts'

async function twoHubs() {
  const broker = memoryBroker()
  const here = await startTestHub({ layer: memoryLayer({ broker }) })
  const there = await startTestHub({ layer: memoryLayer({ broker }) })
  return { broker, here, there }
}

describe('two hubs on one broker', () => {
  test('a message sent on one reaches the members on both', async () => {
    const { here, there } = await twoHubs()
    const clients = [
      await here.open('websocket', '/events?group=a'),
      await there.open('sse', '/events?group=a'),
    ]
    await here.hub.groupSend('a', { type: 'n', n: 1 })
    await there.hub.groupSend('a', { type: 'n', n: 2 })
    for (const client of clients) {
      await until('both have come', () => client.messages.length === 2)
      expect(client.messages).toEqual(['{"type":"n","n":1}', '{"type":"n","n":2}'])
    }
    expect(here.hub.group('a').connections).toEqual({ websocket: 1, sse: 0, ndjson: 0 })
  })

  test('a message posted to the other node reaches the connection and its consumer', async () => {
    const { here, there } = await twoHubs()
    const received: unknown[] = []
    const consumer = { receive: (_: unknown, message: unknown) => void received.push(message) }
    here.hub.consumer('/talk', consumer)
    there.hub.consumer('/talk', consumer)
    const client = await here.open('sse', '/talk')
    const response = await fetch(`${there.url}/talk`, {
      method: 'POST',
      headers: { 'Groupcast-Connection': client.id ?? '' },
      body: '{"type":"hi"}',
    })
    expect(response.status).toBe(202)
    await until('it was received', () => received.length === 1)
    expect(received).toEqual([{ type: 'hi' }])
  })

  test('a connection is closed, and put into groups, from the other node', async () => {
    const { here, there } = await twoHubs()
    const channels: string[] = []
    here.hub.consumer('/c', { connect: (connection) => void channels.push(connection.channel) })
    const client = await here.open('websocket+envelope', '/c')
    const [channel = ''] = channels
    await there.hub.groupAdd('late', channel)
    await until('it is in the group', () => here.hub.group('late').connections.websocket === 1)
    await there.hub.send(channel, { type: 'direct' })
    await until('it has come', () => client.messages.length === 1)
    await there.hub.groupDiscard('late', channel)
    await until('it has left the group', () => here.hub.groups().length === 0)
    expect(await there.hub.closeConnection(client.id ?? '', 4001, 'moved')).toBe('forwarded')
    expect(await within('the end', client.ended)).toEqual({ code: 4001, reason: 'moved' })
  })

  test('each message of a channel goes to one reader, whichever hub reads', async () => {
    const { here, there } = await twoHubs()
    const stop = new AbortController()
    const got: number[] = []
    const read = async (hub: Hub<AnyMessages, NodeServer>) => {
      for await (const message of hub.receive('jobs', { signal: stop.signal })) got.push(message.n as number)
    }
    const readers = [read(here.hub), read(there.hub), read(there.hub)]
    for (let n = 0; n < 50; n++) await here.hub.send('jobs', { type: 'job', n })
    await until('all were read', () => got.length === 50)
    stop.abort()
    await within('the readers to end', Promise.all(readers))
    expect(got.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, n) => n))
  })

  test('a worker answers to a channel of its own', async () => {
    const { here, there } = await twoHubs()
    const worker = there.hub.receive('thumbnails')
    const work = (async () => {
      for await (const job of worker) {
        await there.hub.send(job.reply as string, { type: 'done', id: job.id })
      }
    })()
    const reply = here.hub.newChannel()
    await here.hub.send('thumbnails', { type: 'make', id: 7, reply })
    const answers = here.hub.receive(reply)
    expect((await answers.next()).value).toEqual({ type: 'done', id: 7 })
    await answers.return?.()
    await worker.return?.()
    await within('the worker to end', work)
  })
})

describe('channels', () => {
  test('a full channel refuses, and says which', async () => {
    const { hub } = await startTestHub()
    for (let n = 0; n < 100; n++) await hub.send('jobs', { type: 'job', n })
    const refused = hub.send('jobs', { type: 'job', n: 100 })
    await expect(refused).rejects.toBeInstanceOf(ChannelFullError)
    await expect(refused).rejects.toMatchObject({ code: 'channel-full', channel: 'jobs' })
  })

  test('a connection whose handler is busy refuses beyond its limit', async () => {
    const { hub, open } = await startTestHub({ limits: { maxPendingMessages: 3 } })
    let channel = ''
    let release = () => {}
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    const handled: unknown[] = []
    hub.consumer('/busy', {
      connect(connection) {
        channel = connection.channel
      },
      handlers: {
        async job(_connection, message) {
          handled.push(message.n)
          await held
        },
      },
    })
    await open('sse', '/busy')
    await hub.send(channel, { type: 'job', n: 0 })
    await until('the first is being handled', () => handled.length === 1)
    for (let n = 1; n <= 3; n++) await hub.send(channel, { type: 'job', n })
    await expect(hub.send(channel, { type: 'job', n: 4 })).rejects.toBeInstanceOf(ChannelFullError)
    release()
    await until('all were handled', () => handled.length === 4)
    expect(handled).toEqual([0, 1, 2, 3])
  })

  test('a reader that leaves while it waits takes no message with it', async () => {
    const { hub } = await startTestHub()
    const first = hub.receive('jobs')
    const waiting = first.next()
    await first.return?.()
    expect(await waiting).toEqual({ done: true, value: undefined })
    await hub.send('jobs', { type: 'job' })
    expect((await hub.receive('jobs').next()).value).toEqual({ type: 'job' })
  })

  test('a worker’s channel in a group gets the group’s messages; when it is full, the others still do', async () => {
    const { hub, open } = await startTestHub()
    const client = await open('websocket', '/events?group=a')
    await hub.groupAdd('a', 'archive')
    for (let n = 0; n < 120; n++) await hub.groupSend('a', { type: 'n', n })
    await until('the client has all', () => client.messages.length === 120)
    const archive = hub.receive('archive')
    for (let n = 0; n < 100; n++) expect((await archive.next()).value).toEqual({ type: 'n', n })
    await hub.groupDiscard('a', 'archive')
    await hub.groupSend('a', { type: 'n', n: 120 })
    await hub.send('archive', { type: 'last' })
    expect((await archive.next()).value).toEqual({ type: 'last' })
    expect(hub.stats.errors).toBe(0)
  })

  test('types with the reserved prefix cannot be sent by anyone', async () => {
    const { hub, open } = await startTestHub()
    let channel = ''
    hub.consumer('/c', {
      connect(connection) {
        channel = connection.channel
      },
      receive() {},
    })
    const client = await open('websocket', '/c')
    const forged = { type: 'groupcast.close', code: 4000, reason: '' }
    await expect(hub.send(channel, forged)).rejects.toMatchObject({
      code: 'invalid-message',
      name: 'MisuseError',
    })
    await expect(hub.groupSend('a', forged)).rejects.toBeInstanceOf(TypeError)
    await client.send(forged)
    expect(await within('the end', client.ended)).toMatchObject({ code: 4522 })
  })
})

describe('a closing hub', () => {
  // Symptom: at every shutdown `onError` got a "hub is closed" for each connection whose disconnect says goodbye. Cause: what
  // close() waits for was refused from its first moment on.
  test('still sends what the disconnect hooks say', async () => {
    const { here, there } = await twoHubs()
    here.hub.consumer('/room', {
      connect: (connection) => connection.join('room'),
      async disconnect(connection) {
        await here.hub.groupSend('room', { type: 'left', name: connection.query.get('name') })
      },
    })
    const reader = await there.open('websocket', '/events?group=room')
    await here.open('websocket', '/room?name=ann')
    await here.hub.close()
    await until('the goodbye has come', () => reader.messages.length === 1)
    expect(reader.messages).toEqual(['{"type":"left","name":"ann"}'])
    expect(here.errors).toEqual([])
    await expect(here.hub.groupSend('room', { type: 'x' })).rejects.toMatchObject({ code: 'hub-closed' })
  })
})

describe('a closed hub', () => {
  test('refuses what is asked of it, ends its readers, and can be closed again', async () => {
    const { hub } = await startTestHub()
    const waiting = hub.receive('jobs').next()
    await hub.close()
    expect(await waiting).toEqual({ done: true, value: undefined })
    await expect(hub.groupSend('a', { type: 'x' })).rejects.toMatchObject({ code: 'hub-closed' })
    await expect(hub.send('a', { type: 'x' })).rejects.toMatchObject({ code: 'hub-closed' })
    expect(() => hub.receive('a')).toThrow('closed')
    expect(hub.status).toMatchObject({ ready: false, draining: true, layer: { state: 'closed' } })
    await hub.close()
  })
})
