/** A hub with bystanders: whatever a test does to it, they lose nothing. */
import { expect } from 'vitest'
import { startTestHub, type TestHub } from './hub-server.ts'
import { type TrackingConsumer, trackingConsumer } from './tracking-consumer.ts'
import { until } from './until.ts'

export interface Stage extends TestHub {
  /** Serves `/track`. */
  readonly consumer: TrackingConsumer
  /** Sends to the group of all and waits until the bystanders have it. @throws unless they have lost nothing */
  undisturbed(): Promise<void>
  /** Waits until no connection but the bystanders' is left, nor any trace. */
  onlyBystanders(): Promise<void>
}

/** A hub with a bystander on a WebSocket and one on SSE, both in group `a`. */
export async function setStage(
  options?: Parameters<typeof startTestHub>[0],
  app?: Parameters<typeof startTestHub>[1],
): Promise<Stage> {
  const testHub = await startTestHub(options, app)
  const consumer = trackingConsumer()
  testHub.hub.consumer('/track', consumer)
  const bystanders = [
    await testHub.open('websocket', '/events?group=a'),
    await testHub.open('sse', '/events?group=a'),
  ]
  const sent: string[] = []
  return {
    ...testHub,
    consumer,
    async undisturbed() {
      const message = { type: 'check', n: sent.length }
      sent.push(JSON.stringify(message))
      await testHub.hub.groupSend('a', message)
      for (const { messages } of bystanders) {
        await until('the bystanders have it', () => messages.length >= sent.length)
        expect(messages).toEqual(sent)
      }
    },
    async onlyBystanders() {
      const { hub } = testHub
      await until('every connect has its disconnect', () => consumer.ended.length === consumer.began)
      await until('no other connection is left', () => {
        const { websocket, sse, ndjson } = hub.stats.connections
        return websocket === 1 && sse === 1 && ndjson === 0
      })
      await until('no other group is left', () => hub.stats.groups === 1)
      expect(hub.group('a').connections).toEqual({ websocket: 1, sse: 1, ndjson: 0 })
      expect(testHub.errors).toEqual([])
    },
  }
}
