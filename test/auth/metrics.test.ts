/** What the hub counts of authentication: each number once for each event, on the node where it happened. */
import { type AuthenticationRequest, memoryBroker, memoryLayer } from 'groupcast'
import { tokens } from 'groupcast/auth'
import { manualClock } from 'groupcast/testing'
import { expect, test } from 'vitest'
import { startTestHub } from '../support/hub-server.ts'
import { until, within } from '../support/until.ts'
import { requestOf } from './asking.ts'
import { now, SECRET, token } from './forge.ts'

const authenticate = tokens({ key: { algorithm: 'HS256', secret: SECRET } })
const bearer = (text = token()) => ({ headers: { Authorization: `Bearer ${text}` } })
const asking = (text: string): AuthenticationRequest => ({
  ...requestOf({}),
  header: (name) => (name.toLowerCase() === 'authorization' ? `Bearer ${text}` : undefined),
})

test('failures are those of what clients give, not those of hooks', async () => {
  const { hub, open } = await startTestHub({ authenticate, limits: { authenticateTimeoutMs: 20 } })
  hub.consumer('/broken', {
    authenticate: () => {
      throw new Error('database')
    },
  })
  hub.consumer('/hangs', { authenticate: () => new Promise(() => {}) })
  for (const path of ['/broken', '/hangs']) await within('its end', (await open('sse', path)).ended)
  expect(hub.stats).toMatchObject({ failedAuthentications: 0, authenticationSeconds: { count: 2 } })
  await within('its end', (await open('sse', '/events', bearer('nonsense'))).ended)
  await within('its end', (await open('ndjson', '/events')).ended)
  await expect(hub.createTicket(asking('nonsense'))).rejects.toThrow()
  expect(hub.stats).toMatchObject({ failedAuthentications: 3, authenticationSeconds: { count: 5 } })
  await open('websocket+envelope', '/events', bearer())
  expect(hub.stats.failedAuthentications).toBe(3)
})

test('how long it takes goes into buckets that add up', async () => {
  const clock = manualClock()
  const asked: (() => void)[] = []
  const { hub, open } = await startTestHub({
    clock,
    authenticate: () => new Promise((resolve) => asked.push(() => resolve({ id: 'ann' }))),
  })
  for (const ms of [0, 5, 40, 6_000]) {
    const opening = open('sse', '/events')
    await until('it is asked', () => asked.length === 1)
    clock.advance(ms)
    asked.pop()?.()
    await opening
  }
  const { buckets, count, sum } = hub.stats.authenticationSeconds
  expect(buckets.map(([, below]) => below)).toEqual([2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 4])
  expect([count, sum]).toEqual([4, 6.045])
})

test('refreshes, and connections that end with their token', async () => {
  const clock = manualClock()
  const { hub, open } = await startTestHub({ authenticate, clock, limits: { heartbeatMs: false } })
  const client = await open('websocket+envelope', '/events', bearer(token({ exp: now() + 60 })))
  await client.send({ token: token({ exp: now() + 120 }), reply: 1 })
  await client.send({ token: 'nonsense', reply: 2 })
  await client.send({ token: token({ sub: 'bob' }), reply: 3 })
  await until('all are answered', () => client.controls.filter((control) => 'reply' in control).length === 3)
  expect(hub.stats).toMatchObject({ refreshedTokens: 1, failedAuthentications: 2, expiredTokens: 0 })
  // Told that it expires, and then expired.
  clock.advance(90_000)
  clock.advance(40_000)
  expect((await within('its end', client.ended)).code).toBe(4014)
  expect(hub.stats.expiredTokens).toBe(1)
})

test('revocations on every node, connections and tickets where they were', async () => {
  const broker = memoryBroker()
  const here = await startTestHub({ authenticate, layer: memoryLayer({ broker }) })
  const there = await startTestHub({ authenticate, layer: memoryLayer({ broker }) })
  const { ticket } = await here.hub.createTicket(asking(token()))
  const clients = [
    await there.open('sse', `/events?ticket=${ticket}`),
    await there.open('sse', '/events', bearer()),
    await here.open('sse', '/events', bearer()),
  ]
  await within('its end', (await here.open('sse', `/events?ticket=${ticket}`)).ended)
  expect(here.hub.stats).toMatchObject({ issuedTickets: 1, usedTickets: 0, failedAuthentications: 1 })
  expect(there.hub.stats).toMatchObject({ issuedTickets: 0, usedTickets: 1, failedAuthentications: 0 })
  await here.hub.revoke('ann')
  for (const client of clients) await within('its end', client.ended)
  expect(here.hub.stats).toMatchObject({ revocations: 1, revokedConnections: 1 })
  expect(there.hub.stats).toMatchObject({ revocations: 1, revokedConnections: 2 })
  // A node that starts later has not heard of it as it was made.
  const late = await startTestHub({ authenticate, layer: memoryLayer({ broker }) })
  await within('its end', (await late.open('sse', '/events', bearer(token({ iat: now() - 10 })))).ended)
  expect(late.hub.stats).toMatchObject({ revocations: 0, failedAuthentications: 1 })
})
