/** Layers that break obligations 1 to 5. */
import type { ChannelLayer, LayerPublication, LayerSink } from '../../../src/layers/layer.ts'
import { memoryBroker, memoryLayer } from '../../../src/layers/memory.ts'
import { all, type BrokenLayer, each, entryOf, naiveLayers, withSink } from './broken-layer.ts'

export const brokenGroups: readonly BrokenLayer[] = [
  {
    what: 'drops every tenth publication',
    caughtBy: ['1.3', '1.4'],
    create: each((inner) => {
      let count = 0
      return withSink(inner, (sink) => ({
        deliver(group, publication) {
          if (++count % 10 !== 0) sink.deliver(group, publication)
        },
      }))
    }),
  },
  {
    what: 'delivers twice',
    caughtBy: ['1.2', '1.3'],
    create: each((inner) =>
      withSink(inner, (sink) => ({ deliver: twice((...args) => sink.deliver(...args)) })),
    ),
  },
  {
    what: 'delivers again a moment later',
    caughtBy: ['1.2', '1.3'],
    create: each((inner) =>
      withSink(inner, (sink) => ({
        deliver(group, publication) {
          sink.deliver(group, publication)
          queueMicrotask(() => sink.deliver(group, publication))
        },
      })),
    ),
  },
  {
    what: 'leaves out the node that sends',
    caughtBy: ['1.1', '1.2'],
    create: each((inner) => {
      let isSending = false
      return {
        ...withSink(inner, (sink) => ({
          deliver(group, publication) {
            if (!isSending || group.startsWith('fence.')) sink.deliver(group, publication)
          },
        })),
        groupSend(group, json) {
          isSending = true
          const sent = inner.groupSend(group, json)
          isSending = false
          return sent
        },
      }
    }),
  },
  {
    what: 'reaches no other node than the one that sends',
    caughtBy: ['1.2'],
    create: (count, setup) => ({
      layers: Array.from({ length: count }, () => memoryLayer({ broker: memoryBroker(setup) })),
    }),
  },
  {
    what: 'names the group that was added last',
    caughtBy: ['1.4'],
    create: each((inner) => {
      let last = ''
      return {
        ...withSink(inner, (sink) => ({ deliver: (_, publication) => sink.deliver(last, publication) })),
        groupAdd(group) {
          last = group
          return inner.groupAdd(group)
        },
      }
    }),
  },
  {
    what: 'has no history but makes up cursors',
    caughtBy: ['1.5'],
    create: each((inner) =>
      withSink(inner, (sink) => ({
        deliver: (group, { json }) => sink.deliver(group, { json, cursor: '0.1' }),
      })),
    ),
  },
  {
    what: 'delivers to every node, member or not',
    caughtBy: ['2.1', '2.2', '2.3', '2.5'],
    create: all(() => {
      const sinks: LayerSink[] = []
      return (inner) => ({
        start(start) {
          sinks.push(start.sink)
          return inner.start(start)
        },
        async groupSend(group, json) {
          for (const sink of sinks) sink.deliver(group, { json, cursor: null })
          return null
        },
      })
    }),
  },
  {
    what: 'does not tell capitals from small letters in groups',
    caughtBy: ['2.2'],
    create: each((inner) => ({
      groupAdd: (group) => inner.groupAdd(group.toLowerCase()),
      groupDiscard: (group) => inner.groupDiscard(group.toLowerCase()),
      groupSend: (group, json) => inner.groupSend(group.toLowerCase(), json),
    })),
  },
  {
    what: 'forgets to discard',
    caughtBy: ['2.3', '2.4', '2.5'],
    create: each(() => ({ groupDiscard: async () => {} })),
  },
  {
    what: 'discards the group on all nodes',
    caughtBy: ['2.3'],
    create: all(() => {
      const inners: ChannelLayer[] = []
      return (inner) => {
        inners.push(inner)
        return {
          groupDiscard: async (group) =>
            void (await Promise.all(inners.map((one) => one.groupDiscard(group)))),
        }
      }
    }),
  },
  {
    what: 'discards all groups with one',
    caughtBy: ['2.4'],
    create: each((inner) => {
      const groups = new Set<string>()
      return {
        groupAdd(group) {
          groups.add(group)
          return inner.groupAdd(group)
        },
        groupDiscard: async () =>
          void (await Promise.all([...groups].map((group) => inner.groupDiscard(group)))),
      }
    }),
  },
  {
    what: 'sends publications to the channel of the same name, too',
    caughtBy: ['2.6'],
    create: each((inner) => ({
      async groupSend(group, json) {
        await inner.send(group, json).catch(() => {})
        return inner.groupSend(group, json)
      },
    })),
  },
  {
    what: 'delivers as often as the group was added',
    caughtBy: ['3.1'],
    create: each((inner) => {
      const adds = new Map<string, number>()
      return {
        ...withSink(inner, (sink) => ({
          deliver(group, publication) {
            for (let n = 0; n < (adds.get(group) ?? 0); n++) sink.deliver(group, publication)
          },
        })),
        groupAdd(group) {
          adds.set(group, (adds.get(group) ?? 0) + 1)
          return inner.groupAdd(group)
        },
      }
    }),
  },
  {
    what: 'wants as many discards as there were adds',
    caughtBy: ['3.2'],
    create: each((inner) => countingMembers(inner, (count) => count)),
  },
  {
    what: 'rejects a discard without an add',
    caughtBy: ['3.3', '3.4'],
    create: each((inner) => {
      const groups = new Set<string>()
      return {
        groupAdd(group) {
          groups.add(group)
          return inner.groupAdd(group)
        },
        async groupDiscard(group) {
          if (!groups.delete(group)) throw new Error(`not a member of ${group}`)
          await inner.groupDiscard(group)
        },
      }
    }),
  },
  {
    what: 'needs an add for each discard before it is a member again',
    caughtBy: ['3.3', '3.4'],
    create: each((inner) => countingMembers(inner, (count) => Math.min(count, 1))),
  },
  {
    what: 'resolves groupAdd before the group is added',
    caughtBy: ['3.5'],
    create: each((inner) => ({
      groupAdd: async (group) => void setImmediate(() => inner.groupAdd(group).catch(() => {})),
    })),
  },
  {
    what: 'discards a moment later, whatever has happened since',
    caughtBy: ['3.6'],
    create: each((inner) => ({
      groupDiscard: async (group) => void setImmediate(() => inner.groupDiscard(group).catch(() => {})),
    })),
  },
  {
    what: 'swaps neighbours',
    caughtBy: ['4.1', '4.2', '4.3', '4.4'],
    create: each((inner) => {
      const held = new Map<string, LayerPublication>()
      return withSink(inner, (sink) => ({
        deliver(group, publication) {
          const before = held.get(group)
          if (before === undefined && !group.startsWith('fence.')) return void held.set(group, publication)
          held.delete(group)
          sink.deliver(group, publication)
          if (before !== undefined) sink.deliver(group, before)
        },
      }))
    }),
  },
  {
    what: 'lets a publication overtake another that is still on its way',
    caughtBy: ['4.2', '4.3', '4.4'],
    create: each((inner) => {
      let calls = 0
      return {
        async groupSend(group, json) {
          if (calls++ % 2 === 0) await new Promise(setImmediate)
          return inner.groupSend(group, json)
        },
      }
    }),
  },
  {
    what: 'keeps the order within each group only',
    caughtBy: ['4.3'],
    create: each((inner) => ({
      async groupSend(group, json) {
        if (group === 'a') await new Promise(setImmediate)
        return inner.groupSend(group, json)
      },
    })),
  },
  { what: 'delivers what a sink sends at once', caughtBy: ['4.5'], create: naiveLayers },
  {
    what: 'delivers what it rejects',
    caughtBy: ['4.6'],
    create: all(() => {
      const inners: ChannelLayer[] = []
      return (inner) => {
        inners.push(inner)
        return {
          async groupSend(group, json) {
            for (const other of inners)
              if (other !== inner) await other.groupSend(group, json).catch(() => {})
            return inner.groupSend(group, json)
          },
        }
      }
    }),
  },
  {
    what: 'keeps publications for members that come later',
    caughtBy: ['5.1'],
    create: all(() => {
      const kept = new Map<string, string[]>()
      return (inner) => ({
        async groupAdd(group) {
          await inner.groupAdd(group)
          for (const json of kept.get(group) ?? []) await inner.groupSend(group, json)
          kept.set(group, [])
        },
        groupSend(group, json) {
          if (!kept.has(group)) kept.set(group, [])
          entryOf(kept, group, () => []).push(json)
          return inner.groupSend(group, json)
        },
      })
    }),
  },
  {
    what: 'counts publications against the capacity of a channel, and rejects',
    caughtBy: ['5.2'],
    create: each((inner) => ({
      async groupSend(group, json) {
        await inner.send(group, json)
        return inner.groupSend(group, json)
      },
    })),
  },
]

function twice<Args extends unknown[]>(call: (...args: Args) => void): (...args: Args) => void {
  return (...args) => {
    call(...args)
    call(...args)
  }
}

/**
 * A layer that counts adds and discards, and is a member while the count is above 0. `cap` is applied to the
 * count.
 */
function countingMembers(inner: ChannelLayer, cap: (count: number) => number): Partial<ChannelLayer> {
  const counts = new Map<string, number>()
  const change = async (group: string, by: number) => {
    const count = cap((counts.get(group) ?? 0) + by)
    counts.set(group, count)
    await (count > 0 ? inner.groupAdd(group) : inner.groupDiscard(group))
  }
  return { groupAdd: (group) => change(group, 1), groupDiscard: (group) => change(group, -1) }
}
