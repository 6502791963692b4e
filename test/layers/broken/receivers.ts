/** Layers that break obligations 9 and 10. */
import type { LayerSink } from '../../../src/layers/layer.ts'
import { all, type BrokenLayer, each, isNodeChannel, withSink } from './broken-layer.ts'

export const brokenReceivers: readonly BrokenLayer[] = [
  {
    what: 'loses a message to a reader who gave up',
    caughtBy: ['9.1', '9.3', '9.5', '9.7'],
    create: each((inner) => ({
      receive(channel, signal) {
        if (signal?.aborted) return Promise.reject(signal.reason)
        const reading = inner.receive(channel)
        reading.catch(() => {})
        return new Promise((resolve, reject) => {
          signal?.addEventListener('abort', () => reject(signal.reason))
          reading.then(resolve, reject)
        })
      },
    })),
  },
  {
    what: 'rejects an aborted receive with an error of its own',
    caughtBy: ['9.1', '9.2', '9.3', '9.5', '9.6', '9.7'],
    create: each((inner) => ({
      receive: (channel, signal) =>
        inner.receive(channel, signal).catch((error) => {
          throw signal?.aborted ? new Error('aborted') : error
        }),
    })),
  },
  {
    what: 'looks at the signal only when it has a message',
    caughtBy: ['9.1', '9.2'],
    create: each((inner) => ({
      async receive(channel, signal) {
        const json = await inner.receive(channel)
        signal?.throwIfAborted()
        return json
      },
    })),
  },
  {
    what: 'reads on for a signal that aborts after the receive',
    caughtBy: ['9.4'],
    create: each((inner) => ({
      receive(channel, signal) {
        signal?.addEventListener('abort', () => void inner.receive(channel).catch(() => {}))
        return inner.receive(channel, signal)
      },
    })),
  },
  {
    what: 'ends all receives of a node with one',
    caughtBy: ['9.6'],
    create: each((inner) => {
      const end = new AbortController()
      return {
        receive(channel, signal) {
          signal?.addEventListener('abort', () => end.abort(signal.reason))
          return inner.receive(channel, signal?.aborted ? signal : AbortSignal.any([end.signal]))
        },
      }
    }),
  },
  {
    what: 'loses the message that is on its way to a reader who gives up',
    caughtBy: ['9.7'],
    create: each((inner) => ({
      async receive(channel, signal) {
        const json = await inner.receive(channel, signal)
        await new Promise(setImmediate)
        signal?.throwIfAborted()
        return json
      },
    })),
  },
  {
    what: 'gives channels of nodes names without a !',
    caughtBy: ['10.1'],
    create: each(() => ({ channelOf: (nodeId, localId) => `specific.${nodeId}.${localId}` })),
  },
  {
    what: 'gives one thing on a node several names',
    caughtBy: ['10.1'],
    create: each((inner) => {
      let count = 0
      return { channelOf: (nodeId, localId) => inner.channelOf(nodeId, `${localId}-${count++}`) }
    }),
  },
  {
    what: 'pushes messages for one node to all',
    caughtBy: ['10.2', '10.6'],
    create: all(() => {
      const sinks: LayerSink[] = []
      return (inner) => ({
        start(start) {
          sinks.push(start.sink)
          return inner.start(start)
        },
        async send(channel, json) {
          if (!isNodeChannel(channel)) return inner.send(channel, json)
          for (const sink of sinks) sink.receive(channel, json)
        },
      })
    }),
  },
  {
    what: 'pushes messages in another order',
    caughtBy: ['10.2'],
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
    what: 'keeps messages for a node, to be received as well',
    caughtBy: ['10.3'],
    create: each((inner) => ({
      async send(channel, json) {
        if (isNodeChannel(channel)) await inner.send(channel.replace('!', '.kept.'), json).catch(() => {})
        await inner.send(channel, json)
      },
      receive: (channel, signal) => inner.receive(channel.replace('!', '.kept.'), signal),
    })),
  },
  {
    what: 'does not care what the sink answers',
    caughtBy: ['10.4', '10.5'],
    create: each((inner) => ({
      send: (channel, json) =>
        inner.send(channel, json).catch((error) => {
          if (!isNodeChannel(channel)) throw error
        }),
    })),
  },
  {
    what: 'pushes a refused message again with the next',
    caughtBy: ['10.4'],
    create: each((inner) => {
      const refused: string[] = []
      return {
        async send(channel, json) {
          for (const again of refused.splice(0)) await inner.send(channel, again)
          await inner.send(channel, json).catch((error) => {
            refused.push(json)
            throw error
          })
        },
      }
    }),
  },
  {
    what: 'takes one full channel for a full node',
    caughtBy: ['10.5'],
    create: each((inner) => {
      let isFull = false
      return withSink(inner, (sink) => ({
        receive(channel, json) {
          isFull ||= !sink.receive(channel, json)
          return !isFull
        },
      }))
    }),
  },
  {
    what: 'rejects what is sent to a node that it does not know',
    caughtBy: ['10.6'],
    create: all(() => {
      const known: string[] = []
      return (inner) => ({
        start(start) {
          known.push(start.nodeId)
          return inner.start(start)
        },
        async send(channel, json) {
          if (isNodeChannel(channel) && !known.some((nodeId) => channel.includes(nodeId)))
            throw new Error('no such node')
          await inner.send(channel, json)
        },
      })
    }),
  },
  {
    what: 'keeps messages for a node that is closed until the queue is full',
    caughtBy: ['10.7'],
    create: all(() => {
      const closed: string[] = []
      return (inner) => {
        let own = ''
        return {
          start(start) {
            own = start.nodeId
            return inner.start(start)
          },
          async send(channel, json) {
            const isClosed = closed.some((nodeId) => channel.includes(nodeId))
            await inner.send(isClosed ? channel.replace('!', '.kept.') : channel, json)
          },
          close() {
            closed.push(own)
            return inner.close()
          },
        }
      }
    }),
  },
]
