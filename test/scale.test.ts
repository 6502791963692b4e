/** 2,000 WebSocket and 2,000 SSE clients in one group, 100 messages: every client gets all 100 in order, none twice. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { expect, onTestFinished, test } from 'vitest'
import { startTestHub } from './support/hub-server.ts'
import { until, within } from './support/until.ts'

const CLIENTS_A_TRANSPORT = 2_000
const MESSAGES = 100

test('every one of 4,000 clients gets all of 100 messages in order', { timeout: 90_000 }, async () => {
  const { hub, url } = await startTestHub()
  // The clients live in a process of their own: as many sockets again, and the hub is what is tested.
  const load = fork(new URL('./support/crowd.mjs', import.meta.url), [
    url,
    '/events?group=crowd',
    String(CLIENTS_A_TRANSPORT),
    String(MESSAGES),
  ])
  onTestFinished(() => void load.kill())
  await within('the clients to be in', once(load, 'message'), 60_000)
  expect(hub.group('crowd').connections).toEqual({
    websocket: CLIENTS_A_TRANSPORT,
    sse: CLIENTS_A_TRANSPORT,
    ndjson: 0,
  })

  const outcome = once(load, 'message')
  // One more, which tells the clients that all have come.
  for (let n = 0; n <= MESSAGES; n++) {
    await hub.groupSend('crowd', { type: 'n', n, text: 'x'.repeat(100) })
    // Some turns bring one message, some several.
    if (n % 3 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  const [report] = await within('the clients to have all', outcome, 60_000)
  expect(report).toEqual({ complete: CLIENTS_A_TRANSPORT * 2, lost: 0, doubled: 0, outOfOrder: 0 })
  expect(hub.stats).toMatchObject({
    deliveries: CLIENTS_A_TRANSPORT * 2 * (MESSAGES + 1),
    slowConsumers: 0,
    errors: 0,
  })
  load.send('leave')
  await until('all have left', () => hub.groups().length === 0, 30_000)
})
