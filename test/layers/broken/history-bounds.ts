/** Layers that break obligations 21 to 23: bounds, flush, and having no history. */
import { GroupcastError } from '../../../src/errors.ts'
import type { ChannelLayer, Replay } from '../../../src/layers/layer.ts'
import { memoryBroker, memoryLayer } from '../../../src/layers/memory.ts'
import { all, type BrokenLayer, changed, each } from './broken-layer.ts'
import { bounded, positionOf, sequenceOf } from './replays.ts'

export const brokenHistoryBounds: readonly BrokenLayer[] = [
  {
    what: 'keeps everything',
    caughtBy: ['21.1', '21.2', '21.3', '21.4', '21.5'],
    create: bounded((bounds) => ({ count: 10_000, ageMs: bounds.ageMs * 1e6, bytes: 1e9 })),
  },
  {
    what: 'keeps the oldest',
    caughtBy: ['21.1', '21.5'],
    create: each((inner) => {
      let bound: (group: string) => number = () => 0
      return {
        start(start) {
          bound = (group) => start.historyOf(group)?.count ?? 0
          const historyOf = (group: string) =>
            start.historyOf(group) && { count: 1e4, ageMs: 1e9, bytes: 1e9 }
          return inner.start({ ...start, historyOf })
        },
        async replay(request) {
          const replay = await inner.replay(request)
          return { ...replay, publications: firstOfEach(replay, bound) }
        },
      }
    }),
  },
  {
    what: 'counts characters for bytes',
    caughtBy: ['21.2'],
    create: bounded((bounds) => ({ ...bounds, bytes: bounds.bytes * 1.7 })),
  },
  {
    what: 'prolongs the age of all that a group keeps with each publication',
    caughtBy: ['21.3'],
    create: bounded((bounds) => ({ ...bounds, ageMs: bounds.ageMs * 1.5 })),
  },
  {
    what: 'always keeps the newest, however large',
    caughtBy: ['21.4'],
    create: bounded((bounds) => ({ ...bounds, count: bounds.bytes < 2000 ? 1 : bounds.count, bytes: 1e9 })),
  },
  {
    what: 'has one bound for all groups',
    caughtBy: ['21.5'],
    create: bounded((bounds) => ({ ...bounds, count: 5 })),
  },
  { what: 'does not flush history', caughtBy: ['22.1', '22.2'], create: unflushed(() => () => null) },
  {
    what: 'forgets on flush and counts on',
    caughtBy: ['22.2'],
    // All that it remembers of before is that it had something.
    create: unflushed(() => {
      let from = 0
      return (position) => {
        from = sequenceOf(position)
        return (replay) => ({
          lost: [],
          publications: replay.publications.filter(
            ({ publication }) => sequenceOf(publication.cursor) > from,
          ),
        })
      }
    }),
  },
  {
    what: 'begins again with the same cursors after a flush',
    caughtBy: ['22.3'],
    create: all(() => {
      let flushed: string | null = null
      return (inner) => ({
        async groupSend(group, json) {
          flushed ??= await positionOf(inner)
          const cursor = await inner.groupSend(group, json)
          return cursor && flushed.replace(/\d+$/, String(sequenceOf(cursor)))
        },
      })
    }),
  },
  {
    what: 'cannot replay and says that it is somewhere',
    caughtBy: ['23.1'],
    create: without(() => ({ position: 'x.0' })),
  },
  {
    what: 'cannot replay and answers that there is nothing',
    caughtBy: ['23.1'],
    create: without((inner) => ({ replay: (request) => inner.replay(request) })),
  },
  {
    what: 'cannot replay and rejects with an error of its own',
    caughtBy: ['23.1'],
    create: without(() => ({ replay: () => Promise.reject(new Error('not implemented')) })),
  },
  {
    what: 'cannot replay and gives cursors',
    caughtBy: ['23.1'],
    create: without((inner) => ({
      groupSend: async (group, json) => (await inner.groupSend(group, json)) ?? 'x.1',
    })),
  },
  {
    what: 'can replay on one node and not on others',
    caughtBy: ['23.1'],
    create: all(() => {
      let nodes = 0
      return (inner) => ({ capabilities: { ...inner.capabilities, replay: nodes++ === 0 } })
    }),
  },
]

/** Layers without history, but for the changes. */
export function without(change: (inner: ChannelLayer) => Partial<ChannelLayer>): BrokenLayer['create'] {
  return (count, setup) => {
    const broker = memoryBroker(setup)
    const layers = Array.from({ length: count }, () => {
      const inner = memoryLayer({ broker })
      const none = changed(inner, {
        capabilities: { ...inner.capabilities, replay: false },
        position: null,
        refresh: () => Promise.resolve(),
        start: (start) => inner.start({ ...start, historyOf: () => null }),
        replay: () => Promise.reject(new GroupcastError('history-not-available')),
      })
      return changed(none, change(inner))
    })
    return { layers }
  }
}

/** Layers that flush channels only; `begin` says what they do about history, given the position of the flush. */
function unflushed(
  begin: () => (position: string) => ((replay: Replay) => Partial<Replay>) | null,
): BrokenLayer['create'] {
  return all(() => {
    const onFlush = begin()
    let change: ((replay: Replay) => Partial<Replay>) | null = null
    return (inner) => ({
      async flush() {
        change = onFlush(await positionOf(inner))
      },
      async replay(request) {
        const replay = await inner.replay(request)
        return { ...replay, ...change?.(replay) }
      },
    })
  })
}

function firstOfEach({ publications }: Replay, most: (group: string) => number): Replay['publications'] {
  const counts = new Map<string, number>()
  return publications.filter(({ group }) => {
    counts.set(group, (counts.get(group) ?? 0) + 1)
    return (counts.get(group) ?? 0) <= most(group)
  })
}
