/** Layers that break obligations 11 to 13. */
import { GroupcastError, MisuseError } from '../../../src/errors.ts'
import type { ChannelLayer } from '../../../src/layers/layer.ts'
import type { LayerConformanceOptions } from '../../../src/testing/index.ts'
import { type BrokenLayer, each, naiveLayers, soundLayers, withSink } from './broken-layer.ts'

export const brokenEnds: readonly BrokenLayer[] = [
  {
    what: 'looks up names in a plain object',
    caughtBy: ['11.1', '11.2'],
    create: each((inner) => {
      const groups: Record<string, unknown> = {}
      return {
        async groupAdd(group) {
          groups[group] ??= await inner.groupAdd(group).then(() => true)
        },
        async send(channel, json) {
          if (!(channel in {})) await inner.send(channel, json)
        },
      }
    }),
  },
  {
    what: 'refuses names with an ordinary error',
    caughtBy: ['11.3', '11.4'],
    create: refusing((name) => new Error(`bad name ${name}`)),
  },
  {
    what: 'refuses in groupSend what groupAdd allowed',
    caughtBy: ['11.3'],
    create: each((inner) => ({
      async groupSend(group, json) {
        if (group.includes('$')) throw new MisuseError('invalid-name', `bad name ${group}`)
        return inner.groupSend(group, json)
      },
    })),
  },
  {
    what: 'cuts long names',
    caughtBy: ['11.3'],
    create: each((inner) => ({
      groupAdd: (group) => inner.groupAdd(group.slice(0, 64)),
      groupSend: (group, json) => inner.groupSend(group.slice(0, 64), json),
    })),
  },
  {
    what: 'loses null',
    caughtBy: ['11.5'],
    create: rewriting((json) => JSON.stringify(JSON.parse(json, (_, value) => value ?? undefined))),
  },
  {
    what: 'copies messages key by key',
    caughtBy: ['11.6'],
    create: rewriting((json) => {
      const copy: Record<string, unknown> = {}
      for (const [key, value] of Object.entries(JSON.parse(json))) copy[key] = value
      return JSON.stringify(copy)
    }),
  },
  {
    what: 'takes text for Latin-1',
    caughtBy: ['11.7'],
    create: rewriting((json) => Buffer.from(json, 'latin1').toString('latin1')),
  },
  {
    what: 'takes line separators for spaces',
    caughtBy: ['11.7'],
    create: rewriting((json) => json.replace(/[\u2028\u2029]/g, ' ')),
  },
  {
    what: 'sends parsed text as UTF-8',
    caughtBy: ['11.8'],
    create: rewriting((json) =>
      JSON.stringify(
        JSON.parse(json, (_, value) => (typeof value === 'string' ? Buffer.from(value).toString() : value)),
      ),
    ),
  },
  {
    what: 'takes a message for a line',
    caughtBy: ['11.9'],
    create: rewriting((json) => json.split('\n')[0] as string),
  },
  {
    what: 'cuts messages at 64 KiB',
    caughtBy: ['11.10'],
    create: rewriting((json) => json.slice(0, 65_536)),
  },
  {
    what: 'does not flush',
    caughtBy: ['12.1', '12.2'],
    create: each(() => ({ flush: async () => {} })),
  },
  {
    what: 'flushes groups away',
    caughtBy: ['12.3'],
    create: each((inner) => {
      const groups = new Set<string>()
      return {
        groupAdd(group) {
          groups.add(group)
          return inner.groupAdd(group)
        },
        async flush() {
          for (const group of groups) await inner.groupDiscard(group)
          await inner.flush()
        },
      }
    }),
  },
  {
    what: 'leaves receives waiting after close',
    caughtBy: ['12.4'],
    create: each((inner) => ({
      receive: (channel, signal) =>
        new Promise((resolve, reject) => {
          inner.receive(channel, signal).then(resolve, (error) => {
            if (signal?.aborted) reject(error)
          })
        }),
    })),
  },
  {
    what: 'goes on after close',
    caughtBy: ['12.5', '12.7', '12.9'],
    create: each(() => ({ close: async () => {} })),
  },
  {
    what: 'rejects a second close',
    caughtBy: ['12.6'],
    create: each((inner) => {
      let isClosed = false
      return {
        async close() {
          if (isClosed) throw new GroupcastError('hub-closed')
          isClosed = true
          await inner.close()
        },
      }
    }),
  },
  {
    what: 'flushes when it closes',
    caughtBy: ['12.8'],
    create: each((inner) => ({
      async close() {
        await inner.flush().catch(() => {})
        await inner.close()
      },
    })),
  },
  { what: 'closes a client that it was given', caughtBy: ['12.10'], create: withClient(true) },
  { what: 'leaves its own client open', caughtBy: ['12.10'], create: withClient(false) },
  { what: 'lets the error of a sink through to the sender', caughtBy: ['13.1'], create: naiveLayers },
  {
    what: 'stops when a sink throws',
    caughtBy: ['13.1', '13.2'],
    create: each((inner) => {
      let isBroken = false
      const unlessBroken = (call: () => boolean): boolean => {
        if (isBroken) return true
        isBroken = true
        const answer = call()
        isBroken = false
        return answer
      }
      return withSink(inner, (sink) => ({
        deliver: (group, publication) =>
          void unlessBroken(() => {
            sink.deliver(group, publication)
            return true
          }),
        receive: (channel, json) => unlessBroken(() => sink.receive(channel, json)),
      }))
    }),
  },
]

/** Layers that refuse names with a `$` with some error. */
function refusing(errorFor: (name: string) => Error): LayerConformanceOptions['create'] {
  return each((inner) => {
    const check = async (name: string) => {
      if (name.includes('$')) throw errorFor(name)
    }
    return {
      groupAdd: (group) => check(group).then(() => inner.groupAdd(group)),
      groupSend: (group, json) => check(group).then(() => inner.groupSend(group, json)),
      send: (channel, json) => check(channel).then(() => inner.send(channel, json)),
      receive: (channel, signal) => check(channel).then(() => inner.receive(channel, signal)),
    }
  })
}

/** Layers that change the text of messages. */
function rewriting(rewrite: (json: string) => string): LayerConformanceOptions['create'] {
  return each((inner) => ({
    groupSend: (group, json) => inner.groupSend(group, rewrite(json)),
    send: (channel, json) => inner.send(channel, rewrite(json)),
  }))
}

/** Layers with a client, that do with it at close what they should not. */
function withClient(isGiven: boolean): LayerConformanceOptions['create'] {
  return (count, setup) => {
    const layers: ChannelLayer[] = soundLayers(count, setup)
    return { layers, clients: () => layers.map(() => ({ isGiven, isOpen: !isGiven })) }
  }
}
