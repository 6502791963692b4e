/** The HTTP API and real clients while the layer's broker is gone. */
import { expect, onTestFinished, test } from 'vitest'
import { createApi } from '../../src/api/api.ts'
import { createHub } from '../../src/create-hub.ts'
import { GroupcastError } from '../../src/errors.ts'
import { groupsConsumer } from '../../src/groups-consumer.ts'
import { memoryBroker } from '../../src/layers/memory.ts'
import { openClient } from '../support/clients.ts'
import { serverKind } from '../support/servers.ts'
import { severableLayer } from '../support/severable-layer.ts'
import { until } from '../support/until.ts'

async function start() {
  const broker = memoryBroker()
  const layer = severableLayer(broker)
  const errors: unknown[] = []
  const onError = (error: unknown) => errors.push(error)
  const backend = serverKind.backend()
  const hub = createHub({ layer, backend, groups: [{ match: 'kept.*', history: {} }], onError })
  hub.consumer('/events', groupsConsumer())
  const server = serverKind.createApi(createApi(hub as never, { version: '0', onError }))
  server.attach(hub as never)
  const url = await server.listen()
  onTestFinished(async () => {
    await hub.close({ deadlineMs: 1_000 })
    await server.stop()
  })
  const post = async (path: string, body: string, type = 'application/json') => {
    const response = await fetch(url + path, { method: 'POST', headers: { 'Content-Type': type }, body })
    const json = (await response.json()) as Record<string, unknown>
    return { status: response.status, retryAfter: response.headers.get('retry-after'), json }
  }
  return { layer, broker, hub, url, errors, post }
}

const MESSAGE = JSON.stringify({ type: 'x' })

test('the API says that nothing was sent, or that nobody knows, and /ready says why', async () => {
  const { layer, url, post, errors } = await start()
  layer.sever('redis://10.0.0.1:6379 does not answer')
  const unsent = { status: 503, retryAfter: '1', json: { code: 'layer-unavailable' } }
  expect(await post('/api/groups/a/messages', MESSAGE)).toMatchObject(unsent)
  expect(await post('/api/channels/jobs/messages', MESSAGE)).toMatchObject(unsent)
  const line = JSON.stringify({ groups: ['a'], message: { type: 'x' } })
  const bulk = await post('/api/publish', `${line}\n${line}\n`, 'application/x-ndjson')
  expect(bulk).toMatchObject({ status: 200 })
  expect(bulk.json).toMatchObject({
    results: [{ error: { code: 'layer-unavailable' } }, { error: { code: 'layer-unavailable' } }],
  })
  const ready = await fetch(`${url}/ready`)
  expect([ready.status, await ready.json()]).toEqual([
    503,
    { status: 'not-ready', reason: 'redis://10.0.0.1:6379 does not answer' },
  ])
  expect((await fetch(`${url}/health`)).status).toBe(200)
  await layer.restore()
  expect(await post('/api/groups/a/messages', MESSAGE)).toMatchObject({ status: 200 })
  Object.assign(layer, {
    groupSend: () => Promise.reject(new GroupcastError('layer-timeout', 'internal words')),
  })
  const unknown = await post('/api/groups/a/messages', MESSAGE)
  expect(unknown).toMatchObject({ status: 504, json: { code: 'layer-timeout' } })
  expect(JSON.stringify(unknown.json)).not.toContain('internal words')
  expect(errors).toEqual([])
})

test('clients of every transport stay, and get what they missed; an EventSource that comes meanwhile is sent to come back', async () => {
  const { layer, broker, url, hub } = await start()
  const clients = await Promise.all(
    (['websocket', 'sse', 'ndjson'] as const).map((kind) => openClient(kind, `${url}/events?group=kept.a`)),
  )
  onTestFinished(() => {
    for (const client of clients) client.close()
  })
  layer.sever()
  const response = await fetch(`${url}/events?group=kept.a`, { headers: { Accept: 'text/event-stream' } })
  const text = await response.text()
  expect(response.status).toBe(200)
  expect(text).toMatch(/^retry: \d+$/m)
  expect(text).toMatch(/layer-unavailable|4012/)
  const other = createHub({ layer: severableLayer(broker), groups: [{ match: 'kept.*', history: {} }] })
  await other.groupSend('kept.a', { type: 'missed' })
  await layer.restore()
  await hub.groupSend('kept.a', { type: 'live' })
  for (const client of clients) {
    await until('both messages', () => client.messages.length === 2)
    expect(client.messages.map((message) => message.match(/missed|live/)?.[0])).toEqual(['missed', 'live'])
  }
  await other.close()
})
