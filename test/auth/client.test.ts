/** The client library against a hub that wants tokens. */

import { signToken, tokens } from 'groupcast/auth'
import { connect } from 'groupcast/client'
import { manualClock } from 'groupcast/testing'
import { expect, onTestFinished, test } from 'vitest'
import { WebSocket } from 'ws'
import { startTestHub } from '../support/hub-server.ts'
import { until } from '../support/until.ts'
import { SECRET } from './forge.ts'

const authenticate = tokens({ key: { algorithm: 'HS256', secret: SECRET } })

test.each(['websocket', 'sse'] as const)(
  'over %s it stays on one connection while its tokens expire, and leaves what a new one does not allow',
  async (transport) => {
    const clock = manualClock()
    const { hub, url } = await startTestHub({ authenticate, clock, limits: { heartbeatMs: false } })
    let groups = ['a', 'b']
    const getToken = () =>
      signToken(SECRET, { subject: 'ann', expiresInSeconds: 100, groups: { join: groups } })
    const client = connect(`${url}/events`, {
      groups,
      getToken,
      transports: [transport],
      WebSocket: WebSocket as never,
    })
    onTestFinished(() => client.close())
    const left: unknown[] = []
    client.onLeft((names) => left.push(names))
    await until('it is open', () => client.state === 'open')
    const id = client.connectionId
    groups = ['b']
    for (let round = 0; round < 3; round++) {
      const asked = hub.stats.received
      // It is told between 52 and 78 seconds; at 105 it would end.
      clock.advance(80_000)
      await until('it has sent a new token', () => hub.stats.received === asked + 1)
      // Its answer has come when a later command is answered.
      await client.leave('no-group')
    }
    expect([client.state, client.connectionId]).toEqual(['open', id])
    expect(left).toEqual([['a']])
    expect(client.groups).toEqual(['b'])
    expect(hub.stats.opened).toBe(1)
  },
)

test('a revoked client does not come back by itself', async () => {
  const { hub, url } = await startTestHub({ authenticate })
  const getToken = () => signToken(SECRET, { subject: 'ann' })
  const client = connect(`${url}/events`, { getToken, transports: ['sse'] })
  onTestFinished(() => client.close())
  await until('it is open', () => client.state === 'open')
  await hub.revoke('ann')
  await until('it is closed', () => client.state === 'closed')
})
