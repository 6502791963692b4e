/** The client library against a hub that keeps history: what it missed comes, once, whatever it speaks. */
import { connect } from 'groupcast/client'
import { expect, onTestFinished, test } from 'vitest'
import { WebSocket } from 'ws'
import { startTestHub } from '../support/hub-server.ts'
import { until } from '../support/until.ts'

test.each(['websocket', 'sse'] as const)(
  '%s: resumes after a cut, and joins with history',
  async (transport) => {
    const { hub, url } = await startTestHub({ groups: [{ match: '*', history: {} }] })
    const client = connect<{ n: { n: number } }>(`${url}/events`, {
      groups: ['a'],
      transports: [transport],
      WebSocket,
      // No wait between connections.
      random: () => 0,
    })
    onTestFinished(() => client.close())
    const seen: [string | null, number][] = []
    client.on('n', ({ n }, { group }) => seen.push([group, n]))
    const resets: unknown[] = []
    client.onReset((reset) => resets.push(reset))
    await until('it is open', () => client.state === 'open')
    await hub.groupSend('a', { type: 'n', n: 0 })
    await until('the first came', () => seen.length === 1)
    for (let round = 0; round < 5; round++) {
      const { connectionId } = client
      await hub.closeConnection(String(connectionId), 4000)
      for (let i = 0; i < 4; i++) await hub.groupSend('a', { type: 'n', n: seen.length + i })
      await until('it is back', () => client.state === 'open' && client.connectionId !== connectionId)
      await until('it has what it missed', () => seen.length === 1 + (round + 1) * 4)
    }
    expect(seen).toEqual(Array.from({ length: 21 }, (_, n) => ['a', n]))
    for (let n = 0; n < 5; n++) await hub.groupSend('b', { type: 'n', n })
    const { cursor } = client
    await client.join('b', { history: 2 })
    expect(seen.slice(21)).toEqual([
      ['b', 3],
      ['b', 4],
    ])
    // The cursor that makes up for it: after another cut these two do not come again.
    await until('it has a newer cursor', () => client.cursor !== cursor)
    await hub.closeConnection(String(client.connectionId), 4000)
    await hub.groupSend('b', { type: 'n', n: 5 })
    await until('the last came', () => seen.length === 24)
    expect(seen.at(-1)).toEqual(['b', 5])
    expect(resets).toEqual([])
  },
)
