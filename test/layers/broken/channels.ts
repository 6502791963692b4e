/** Layers that break obligations 6 to 8. */
import { GroupcastError } from '../../../src/errors.ts'
import { all, type BrokenLayer, configured, each, isNodeChannel } from './broken-layer.ts'
import { counting, queued } from './queues.ts'

export const brokenChannels: readonly BrokenLayer[] = [
  {
    what: 'lets two readers get each message',
    caughtBy: ['6.2', '6.4', '6.5', '6.6'],
    create: all(() => {
      const seen = new Set<string>()
      return (inner) => ({
        async receive(channel, signal) {
          const json = await inner.receive(channel, signal)
          const key = `${channel} ${json}`
          if (seen.has(key)) return json
          seen.add(key)
          await inner.send(channel, json).catch(() => {})
          return json
        },
      })
    }),
  },
  {
    what: 'reads the newest message first',
    caughtBy: ['6.2', '6.7'],
    create: queued({ take: (queue) => queue.pop() }),
  },
  {
    what: 'has channels for each node alone',
    caughtBy: ['6.1'],
    create: all(() => {
      let nodes = 0
      return (inner) => {
        const own = `.node.${nodes++}`
        return {
          send: (channel, json) => inner.send(isNodeChannel(channel) ? channel : channel + own, json),
          receive: (channel, signal) => inner.receive(channel + own, signal),
        }
      }
    }),
  },
  {
    what: 'drops a message for which no reader waits',
    caughtBy: ['6.1', '6.2'],
    create: all(() => {
      const waiting = new Map<string, number>()
      const count = (channel: string, by: number) => waiting.set(channel, (waiting.get(channel) ?? 0) + by)
      return (inner) => ({
        async send(channel, json) {
          if (isNodeChannel(channel) || (waiting.get(channel) ?? 0) > 0) await inner.send(channel, json)
        },
        receive(channel, signal) {
          count(channel, 1)
          return inner.receive(channel, signal).finally(() => count(channel, -1))
        },
      })
    }),
  },
  {
    what: 'wakes no reader who waits',
    caughtBy: ['6.3', '6.4', '6.9'],
    create: all(() => {
      const lengths = new Map<string, number>()
      const add = (channel: string, by: number) => lengths.set(channel, (lengths.get(channel) ?? 0) + by)
      return (inner) => ({
        async send(channel, json) {
          await inner.send(channel, json)
          add(channel, 1)
        },
        async receive(channel, signal) {
          if ((lengths.get(channel) ?? 0) === 0) return inner.receive('nothing.comes.here', signal)
          add(channel, -1)
          return inner.receive(channel, signal)
        },
      })
    }),
  },
  {
    what: 'does not tell capitals from small letters in channels',
    caughtBy: ['6.6'],
    create: each((inner) => ({
      send: (channel, json) => inner.send(channel.toLowerCase(), json),
      receive: (channel, signal) => inner.receive(channel.toLowerCase(), signal),
    })),
  },
  {
    what: 'lets a message overtake another that is still on its way',
    caughtBy: ['6.7'],
    create: each((inner) => {
      let calls = 0
      return {
        async send(channel, json) {
          if (calls++ % 2 === 0) await new Promise(setImmediate)
          await inner.send(channel, json)
        },
      }
    }),
  },
  {
    what: 'forgets a channel for good when it is empty',
    caughtBy: ['6.8'],
    create: all(() => {
      const gone = new Set<string>()
      return (inner) => ({
        async send(channel, json) {
          if (!gone.has(channel)) await inner.send(channel, json)
        },
        async receive(channel, signal) {
          const json = await inner.receive(channel, signal)
          gone.add(channel)
          return json
        },
      })
    }),
  },
  {
    what: 'reads one channel at a time',
    caughtBy: ['6.9'],
    create: each((inner) => {
      let before: Promise<unknown> = Promise.resolve()
      return {
        receive(channel, signal) {
          const reading = before.then(() => inner.receive(channel, signal))
          before = reading.catch(() => {})
          return reading
        },
      }
    }),
  },
  {
    what: 'ignores the capacity',
    caughtBy: ['7.1', '7.2', '7.3', '7.4', '7.5', '7.6', '7.7', '7.8'],
    create: configured((setup) => ({ ...setup, capacity: 10_000 })),
  },
  {
    what: 'rejects a full channel with another error',
    caughtBy: ['7.1'],
    create: each((inner) => ({
      send: (channel, json) =>
        inner.send(channel, json).catch(() => {
          throw new GroupcastError('channel-full')
        }),
    })),
  },
  {
    what: 'keeps the message that it rejects, in place of the oldest',
    caughtBy: ['7.2'],
    create: each((inner) => ({
      async send(channel, json) {
        try {
          await inner.send(channel, json)
        } catch (error) {
          await inner.receive(channel)
          await inner.send(channel, json)
          throw error
        }
      },
    })),
  },
  {
    what: 'counts messages that were read',
    caughtBy: ['7.3', '7.7'],
    create: counting(() => ({ key: (channel) => channel, onReceive: 0 })),
  },
  {
    what: 'shares one capacity among all channels',
    caughtBy: ['7.4'],
    create: counting(() => ({ key: () => 'all', onReceive: -1 })),
  },
  {
    what: 'counts what each node sent for itself',
    caughtBy: ['7.5'],
    create: counting((node) => ({ key: (channel) => `${node} ${channel}`, onReceive: -1 })),
  },
  {
    what: 'has another capacity by default',
    caughtBy: ['7.6'],
    create: configured((setup) => ({ capacity: 1000, ...setup })),
  },
  {
    what: 'looks whether there is room, and appends a moment later',
    caughtBy: ['7.8'],
    create: counting(() => ({ key: (channel) => channel, onReceive: -1, delayMs: 1 })),
  },
  {
    what: 'never lets a message expire',
    caughtBy: ['8.1', '8.3', '8.4', '8.5', '8.6', '8.7', '8.8', '8.10'],
    create: configured((setup) => ({ ...setup, expiryMs: 1e9 })),
  },
  {
    what: 'lets messages expire too early',
    caughtBy: ['8.2'],
    create: configured((setup) => ({ ...setup, expiryMs: (setup.expiryMs ?? 60_000) * 0.3 })),
  },
  {
    what: 'lets messages live on when another is sent',
    caughtBy: ['8.3', '8.4'],
    create: queued({
      onSend(queue, now) {
        for (const message of queue) message.sentAt = now
      },
    }),
  },
  {
    what: 'lets a whole channel expire with its first message',
    caughtBy: ['8.3', '8.4', '8.6'],
    create: queued({ onExpired: (queue) => void queue.splice(0) }),
  },
  {
    what: 'lets expired messages take room until somebody reads',
    caughtBy: ['8.5', '8.6'],
    create: counting(() => ({ key: (channel) => channel, onReceive: -1 })),
  },
  {
    what: 'lets all channels expire with one',
    caughtBy: ['8.7'],
    create: queued({
      onExpired(_, queues) {
        for (const queue of queues) queue.splice(0)
      },
    }),
  },
  {
    what: 'lets messages live on when another is read',
    caughtBy: ['8.8'],
    create: queued({
      onTaken(queue, now) {
        for (const message of queue) message.sentAt = now
      },
    }),
  },
  {
    what: 'forgets readers who wait longer than the expiry',
    caughtBy: ['8.9'],
    create: each((inner, { clock, expiryMs = 60_000 }) => ({
      receive(channel, signal) {
        const stop = new AbortController()
        const onAbort = () => stop.abort(signal?.reason)
        signal?.addEventListener('abort', onAbort)
        const cancel = clock.after(expiryMs, () => stop.abort(new Error('timed out')))
        return inner.receive(channel, stop.signal).finally(cancel)
      },
    })),
  },
  {
    what: 'has another expiry by default',
    caughtBy: ['8.10'],
    create: configured((setup) => ({ expiryMs: 50_000, ...setup })),
  },
]
