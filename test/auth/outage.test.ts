/** Identity while the layer's broker is gone, or lives in another node that is. */
import { type AuthenticationRequest, memoryBroker, memoryLayer } from 'groupcast'
import { tokens } from 'groupcast/auth'
import { manualClock } from 'groupcast/testing'
import { afterEach, expect, test, vi } from 'vitest'
import { ERRORS } from '../../src/errors.ts'
import { encodeNodeMessage } from '../../src/hub/node-message.ts'
import { NODES_GROUP } from '../../src/names.ts'
import { startTestHub, type TestHub } from '../support/hub-server.ts'
import { severableLayer } from '../support/severable-layer.ts'
import { until, within } from '../support/until.ts'
import { now, SECRET, token } from './forge.ts'

afterEach(() => {
  vi.restoreAllMocks()
})

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

/** Whose credentials are as old as the path says, in seconds. */
const aged = (request: AuthenticationRequest) => ({
  id: request.query.get('id') ?? '',
  issuedAt: Date.now() - Number(request.query.get('age')) * 1_000,
})

async function statusOf({ open }: TestHub, id: string, age: number): Promise<number | null> {
  const { status } = await open('ndjson', `/events?id=${id}&age=${age}`)
  return status
}

test('a node that starts later lets nobody in whose revocation the layer keeps no more', async () => {
  // The layer keeps the newest 10,000 revocations, a node remembers ten times as many. One that started later knew those of the layer alone, and let
  // in whoever had been revoked before.
  const broker = memoryBroker()
  const layer = memoryLayer({ broker })
  const here = await startTestHub({ authenticate: aged, layer })
  await here.hub.ready()
  const began = Date.now() - 60_000
  const revoke = (identity: string, at: number) =>
    layer.groupSend(NODES_GROUP, encodeNodeMessage({ type: 'groupcast.revoke', identity, at }))
  await revoke('victim', began)
  for (let n = 1; n <= 10_000; n++) await revoke(`u${n}`, began + n)
  await until('all are heard of', () => here.hub.stats.revocations === 10_001)
  expect(await statusOf(here, 'victim', 70)).toBe(ERRORS.revoked.httpStatus)
  expect(await statusOf(here, 'bob', 70)).toBe(200)
  const late = await startTestHub({ authenticate: aged, layer: memoryLayer({ broker }) })
  expect(await statusOf(late, 'victim', 70)).toBe(ERRORS.revoked.httpStatus)
  // The price of it.
  expect(await statusOf(late, 'bob', 70)).toBe(ERRORS.revoked.httpStatus)
  expect(await statusOf(late, 'bob', 30)).toBe(200)
  expect(late.errors).toEqual([])
})

test('the same where the layer had no room for more of them', async () => {
  const broker = memoryBroker({ maxHistoryBytes: 4_096 })
  const here = await startTestHub({ authenticate: aged, layer: memoryLayer({ broker }) })
  await here.hub.revoke('victim')
  for (let n = 0; n < 100; n++) await here.hub.revoke(`u${n}`)
  const late = await startTestHub({ authenticate: aged, layer: memoryLayer({ broker }) })
  expect(await statusOf(late, 'victim', 10)).toBe(ERRORS.revoked.httpStatus)
  expect(await statusOf(late, 'bob', 10)).toBe(ERRORS.revoked.httpStatus)
  expect(await statusOf(late, 'bob', -1)).toBe(200)
})

test('the same where all were revoked within one millisecond', async () => {
  // By their times alone the first that the layer still had could not be told from the first of all, and the victim was let in.
  const time = Date.now()
  vi.spyOn(Date, 'now').mockReturnValue(time)
  const broker = memoryBroker({ maxHistoryBytes: 4_096 })
  const here = await startTestHub({ authenticate: aged, layer: memoryLayer({ broker }) })
  await Promise.all(
    ['victim', ...Array.from({ length: 100 }, (_, n) => `u${n}`)].map((id) => here.hub.revoke(id)),
  )
  const late = await startTestHub({ authenticate: aged, layer: memoryLayer({ broker }) })
  expect(await statusOf(late, 'victim', 10)).toBe(ERRORS.revoked.httpStatus)
  expect(await statusOf(late, 'bob', 10)).toBe(ERRORS.revoked.httpStatus)
  expect(await statusOf(late, 'bob', -1)).toBe(200)
})

test('a node that starts later and finds all revocations refuses nobody else', async () => {
  const broker = memoryBroker()
  const here = await startTestHub({ authenticate: aged, layer: memoryLayer({ broker }) })
  for (const id of ['victim', 'ann', 'victim']) await here.hub.revoke(id)
  const late = await startTestHub({ authenticate: aged, layer: memoryLayer({ broker }) })
  expect(await statusOf(late, 'victim', 10)).toBe(ERRORS.revoked.httpStatus)
  expect(await statusOf(late, 'bob', 10)).toBe(200)
  // Nor do those that it tells of a revocation.
  await late.hub.revoke('eve')
  const later = await startTestHub({ authenticate: aged, layer: memoryLayer({ broker }) })
  expect(await statusOf(later, 'bob', 10)).toBe(200)
})

test('a node that cannot be told what it missed reads what there is, and lets nobody in who is older', async () => {
  const broker = memoryBroker()
  const layer = severableLayer(broker)
  const here = await startTestHub({ authenticate: aged, layer: memoryLayer({ broker }) })
  const there = await startTestHub({ authenticate: aged, layer })
  expect(await statusOf(there, 'victim', 10)).toBe(200)
  layer.sever()
  await here.hub.revoke('victim')
  await layer.restore([NODES_GROUP])
  expect(await statusOf(there, 'victim', 10)).toBe(ERRORS.revoked.httpStatus)
  expect(await statusOf(there, 'bob', 10)).toBe(ERRORS.revoked.httpStatus)
  expect(await statusOf(there, 'bob', -1)).toBe(200)
  await until('whoever was in is out', () => there.hub.stats.revokedConnections === 1)
  expect(there.errors).toHaveLength(1)
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
