/** Identity while the layer's broker is gone, or lives in another node that is. */
import { memoryBroker } from 'groupcast'
import { tokens } from 'groupcast/auth'
import { manualClock } from 'groupcast/testing'
import { expect, test } from 'vitest'
import { ERRORS } from '../../src/errors.ts'
import { startTestHub } from '../support/hub-server.ts'
import { severableLayer } from '../support/severable-layer.ts'
import { until, within } from '../support/until.ts'
import { now, SECRET, token } from './forge.ts'

const authenticate = tokens({ key: { algorithm: 'HS256', secret: SECRET } })
const headers = (text: string) => ({ Authorization: `Bearer ${text}` })

async function twoNodes() {
  const broker = memoryBroker()
  const layers = [severableLayer(broker), severableLayer(broker)] as const
  const clock = manualClock()
  const limits = { heartbeatMs: false } as const
  const here = await startTestHub({ authenticate, clock, limits, layer: layers[0] })
  const there = await startTestHub({ authenticate, clock, limits, layer: layers[1] })
  await Promise.all([here.hub.ready(), there.hub.ready()])
  return { here, there, clock, layer: layers[1] }
}

test('a node that was cut off hears of revocations when it is back, and keeps who came with newer credentials', async () => {
  const { here, there, layer } = await twoNodes()
  const old = token({ iat: now() - 10 })
  const ann = await there.open('ndjson', '/events', { headers: headers(old) })
  const identity = { id: 'ann', issuedAt: Date.now() + 3_000 }
  there.hub.consumer('/newer', { authenticate: () => identity })
  const newer = await there.open('ndjson', '/newer')
  layer.sever()
  await here.hub.revoke('ann')
  await layer.restore()
  expect((await within('its end', ann.ended)).code).toBe(ERRORS.revoked.closeCode)
  const refused = await there.open('ndjson', '/events', { headers: headers(old) })
  expect(refused.status).toBe(ERRORS.revoked.httpStatus)
  await until('one is left', () => there.hub.stats.connections.ndjson === 1)
  newer.close()
  expect(there.errors).toEqual([])
})

test('that revocations may be missing is reported, once', async () => {
  const { there, layer } = await twoNodes()
  layer.sever()
  await layer.restore(['groupcast.nodes'])
  expect(there.errors.map(({ error }) => (error as Error).message)).toEqual([
    expect.stringContaining('revocations of the last minutes may be missing'),
  ])
})

test('without its broker a node lets in who has a token, revokes nothing, and says so', async () => {
  const { there, layer } = await twoNodes()
  await there.open('ndjson', '/events', { headers: headers(token()) })
  layer.sever()
  expect((await there.open('ndjson', '/events', { headers: headers(token()) })).status).toBe(200)
  await expect(there.hub.revoke('bob')).rejects.toMatchObject({ code: 'layer-unavailable' })
})

test('a node that never heard of the others lets in nobody: it would not know who was revoked', async () => {
  const layer = severableLayer()
  const start = layer.start.bind(layer)
  layer.start = async (given) => {
    await start(given)
    layer.sever()
  }
  const { hub, open } = await startTestHub({ authenticate, layer })
  await hub.ready()
  const refused = await open('ndjson', '/events', { headers: headers(token()) })
  expect(refused.status).toBe(503)
  expect(JSON.parse(refused.body)).toMatchObject({ code: 'layer-unavailable' })
  await layer.restore()
  expect((await open('ndjson', '/events', { headers: headers(token()) })).status).toBe(200)
})

test('the ticket of a node that does not answer is refused, and asked about for five seconds at most', async () => {
  const { here, there, clock, layer } = await twoNodes()
  const request = {
    method: 'POST',
    url: '/',
    path: '/',
    query: new URLSearchParams(),
    remoteAddress: '',
    encrypted: false,
    header: (name: string) => (name.toLowerCase() === 'authorization' ? `Bearer ${token()}` : undefined),
  }
  const { ticket } = await there.hub.createTicket(request)
  await there.hub.close()
  const opening = here.open('ndjson', `/events?ticket=${ticket}`)
  const turning = setInterval(() => clock.advance(1_000), 5)
  const refused = await within('the answer', opening)
  clearInterval(turning)
  expect(JSON.parse(refused.body)).toMatchObject({ code: 'invalid-token' })
  expect(layer.position).not.toBeNull()
})
