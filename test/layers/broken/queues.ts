/** Broken layers that keep count, or queues, of their own. */
import { setTimeout as delay } from 'node:timers/promises'
import { ChannelFullError } from '../../../src/errors.ts'
import type { ChannelLayer } from '../../../src/layers/layer.ts'
import type { LayerConformanceOptions } from '../../../src/testing/index.ts'
import { all, entryOf, isNodeChannel } from './broken-layer.ts'

interface Counting {
  /** What has a capacity of its own. */
  key(channel: string): string
  /** What reading adds to the count. */
  readonly onReceive: 0 | -1
  /** Time between looking and appending. */
  readonly delayMs?: number
}

/** Layers whose channels hold any number, and that count for themselves. */
export function counting(begin: (node: number) => Counting): LayerConformanceOptions['create'] {
  return (count, setup) => {
    const capacity = setup.capacity ?? 100
    const counts = new Map<string, number>()
    let nodes = 0
    const make = all(() => (inner) => {
      const { key, onReceive, delayMs } = begin(nodes++)
      const add = (channel: string, by: number) =>
        counts.set(key(channel), (counts.get(key(channel)) ?? 0) + by)
      return {
        async send(channel, json) {
          if (!isNodeChannel(channel)) {
            if ((counts.get(key(channel)) ?? 0) >= capacity) throw new ChannelFullError(channel)
            if (delayMs !== undefined) await delay(delayMs)
            add(channel, 1)
          }
          await inner.send(channel, json)
        },
        async receive(channel, signal) {
          const json = await inner.receive(channel, signal)
          add(channel, onReceive)
          return json
        },
      }
    })
    return make(count, { ...setup, capacity: 10_000 })
  }
}

interface Message {
  readonly json: string
  sentAt: number
}

/** Where queues of {@link queued} differ from proper ones. */
interface Queueing {
  take?(queue: Message[]): Message | undefined
  onSend?(queue: Message[], now: number): void
  onTaken?(queue: Message[], now: number): void
  /** The first message of a queue has expired. */
  onExpired?(queue: Message[], queues: Iterable<Message[]>): void
}

/** Layers with queues of their own; through the layer below go only tokens, which wake readers. */
export function queued(how: Queueing): LayerConformanceOptions['create'] {
  return (count, setup) => {
    const { expiryMs = 60_000, capacity = 100, clock } = setup
    const queues = new Map<string, Message[]>()
    const forgetExpired = (queue: Message[]) => {
      while (queue[0] !== undefined && clock.now() - queue[0].sentAt > expiryMs) {
        if (how.onExpired !== undefined) how.onExpired(queue, queues.values())
        else queue.shift()
      }
    }
    const make = all(() => (inner: ChannelLayer) => ({
      async send(channel, json) {
        if (isNodeChannel(channel)) return inner.send(channel, json)
        const queue = entryOf(queues, channel, () => [])
        forgetExpired(queue)
        if (queue.length >= capacity) throw new ChannelFullError(channel)
        how.onSend?.(queue, clock.now())
        queue.push({ json, sentAt: clock.now() })
        await inner.send(channel, 'token')
      },
      async receive(channel, signal) {
        for (;;) {
          await inner.receive(channel, signal)
          const queue = entryOf(queues, channel, () => [])
          forgetExpired(queue)
          const taken = how.take === undefined ? queue.shift() : how.take(queue)
          if (taken === undefined) continue
          how.onTaken?.(queue, clock.now())
          return taken.json
        }
      },
    }))
    return make(count, { clock, capacity: 10_000, expiryMs: 1e9 })
  }
}
