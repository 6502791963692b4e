/** 10,000 joins and leaves over all transports leave no entry, listener or timer behind. */
import { readdirSync, readlinkSync } from 'node:fs'
import type { Socket } from 'node:net'
import { memoryBroker, memoryLayer } from 'groupcast'
import { expect, onTestFinished, test, vi } from 'vitest'
import { CLIENT_KINDS, type TestClient } from './support/clients.ts'
import { startTestHub } from './support/hub-server.ts'
import { watchTimers } from './support/timers.ts'
import { until } from './support/until.ts'

const CYCLES = 10_000
const CLIENTS_A_KIND = 20

test('10,000 joins and leaves over all transports leave nothing behind', { timeout: 60_000 }, async () => {
  const timers = watchTimers()
  onTestFinished(timers.stop)
  const broker = memoryBroker()
  // Longer than the test may take: a timer that nobody cancels must not pass by having run out.
  const limits = { handshakeTimeoutMs: 120_000, closeTimeoutMs: 120_000 }
  const { hub, server, open } = await startTestHub({ layer: memoryLayer({ broker }), limits })
  const disconnected: string[] = []
  let joins = 0
  hub.consumer('/cycle', {
    async receive(connection, message) {
      // Overlapping groups: some shared with everybody, some with nobody.
      const groups = ['all', `some.${Number(message.n) % 7}`, `own.${connection.id}`]
      for (const group of groups) {
        await connection.join(group)
        joins++
      }
      await hub.groupSend('all', { type: 'n', n: message.n })
      for (const group of groups) await connection.leave(group)
    },
    disconnect: (connection) => void disconnected.push(connection.id),
  })
  const openBefore = openSockets()
  const sockets = new Set<Socket>()
  server.node?.on('connection', (socket) => sockets.add(socket))
  const timersBefore = timers.live()
  // The hub's own, such as the one that sends heartbeats: there are timers to be seen.
  expect(timersBefore.length).toBeGreaterThan(0)
  const listeners = () => server.node?.eventNames().map((name) => server.node?.listenerCount(name))
  const listenersBefore = listeners()

  for (let round = 0; joins < CYCLES; round++) {
    const clients: TestClient[] = []
    for (const kind of CLIENT_KINDS) {
      clients.push(...(await Promise.all(Array.from({ length: CLIENTS_A_KIND }, () => open(kind, '/cycle')))))
    }
    const before = joins
    for (let n = 0; n < 8; n++) {
      await Promise.all(
        clients.map((client) =>
          client.send(client.kind === 'websocket+envelope' ? { send: { type: 'n', n } } : { type: 'n', n }),
        ),
      )
    }
    await until('all have joined and left', () => joins === before + clients.length * 8 * 3)
    for (const client of clients) client.close()
    await until('all are gone', () => disconnected.length === (round + 1) * clients.length)
  }

  expect(joins).toBeGreaterThanOrEqual(CYCLES)
  expect(hub.groups()).toEqual([])
  expect(hub.stats).toMatchObject({ connections: { websocket: 0, sse: 0, ndjson: 0 }, groups: 0, errors: 0 })
  await until('the broker holds nothing', () => broker.size === 0)
  await until('the sockets are closed', () =>
    [...sockets].every((socket) => socket.destroyed || socket.listenerCount('drain') <= 1),
  )
  // Of both ends; `fetch` keeps some for a few seconds.
  await until('the system has no more of them', () => openSockets() <= openBefore, 20_000)
  expect(listeners()).toEqual(listenersBefore)
  // The symptom of a forgotten one would be memory that grows with every client; the failure shows where it was set.
  await vi.waitFor(() => expect(timers.live()).toEqual(timersBefore), { timeout: 5_000 })
})

/** How many sockets this process has, where the system says so: not every server can be asked. */
function openSockets(): number {
  if (process.platform !== 'linux') return 0
  return readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith('socket:')
    } catch {
      // That of the folder itself.
      return false
    }
  }).length
}
