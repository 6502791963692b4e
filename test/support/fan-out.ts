import type { Hub } from 'groupcast'
import { expect } from 'vitest'
import { CLIENT_KINDS, openClient } from './clients.ts'
import { until } from './until.ts'

/** All transports at `/events`, two clients each, get a message of their own group. */
export async function expectFanOut(hub: Hub, url: string, group = 'g'): Promise<void> {
  const clients = await Promise.all(
    [...CLIENT_KINDS, ...CLIENT_KINDS].map((kind) => openClient(kind, `${url}/events?group=${group}`)),
  )
  await hub.groupSend(group, { type: 'm' })
  for (const client of clients) {
    await until(`${client.kind} has it`, () => client.messages.length === 1)
    expect(client.messages).toEqual(['{"type":"m"}'])
    client.close()
  }
  await until(
    'all have left',
    () => hub.group(group).connections.websocket === 0 && hub.group(group).connections.sse === 0,
  )
}
