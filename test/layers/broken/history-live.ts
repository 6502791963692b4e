/** Layers that break obligations 18 to 20: limits, and replays while nodes publish. */
import { all, type BrokenLayer, each, withSink } from './broken-layer.ts'
import { asking, newest, positionOf, replaying, sequenceOf } from './replays.ts'

export const brokenReplays: readonly BrokenLayer[] = [
  {
    what: 'gives the newest where a limit is, also after a cursor',
    caughtBy: ['18.1'],
    create: each((inner) => ({
      async replay(request) {
        const whole = await inner.replay({ ...request, groups: unlimited(request.groups) })
        const [limit] = request.groups.values()
        if (limit === null || limit === undefined) return whole
        return {
          ...whole,
          publications: whole.publications.slice(-limit),
          hasMore: whole.publications.length > limit,
        }
      },
    })),
  },
  {
    what: 'gives the oldest where a limit is, also without a cursor',
    caughtBy: ['18.2'],
    create: replaying(async ({ after, groups }, inner) => {
      const [limit] = groups.values()
      if (after !== null || limit === null) return {}
      return { publications: (await newest(inner, groups.keys())).publications.slice(0, limit) }
    }),
  },
  {
    what: 'does not know limits',
    caughtBy: ['18.1', '18.2', '18.4'],
    create: asking(({ groups }) => ({ groups: unlimited(groups) })),
  },
  {
    what: 'never has more',
    caughtBy: ['18.1', '18.2', '18.4', '18.5'],
    create: replaying(() => ({ hasMore: false })),
  },
  {
    what: 'has more whenever it gives as many as the limit',
    caughtBy: ['18.3', '18.5'],
    create: replaying(async (request, inner) => {
      const [limit] = request.groups.values()
      return { hasMore: (await inner.replay(request)).publications.length === limit }
    }),
  },
  {
    what: 'counts the publications of all groups against one limit',
    caughtBy: ['18.4'],
    create: replaying(async (request, inner) => {
      const limits = [...request.groups.values()].filter((limit) => limit !== null)
      const { publications, hasMore } = await inner.replay(request)
      if (limits.length === 0) return {}
      const most = Math.max(...limits)
      return { publications: publications.slice(0, most), hasMore: hasMore || publications.length > most }
    }),
  },
  {
    what: 'has more where bounds dropped something',
    caughtBy: ['18.5'],
    create: replaying(async ({ groups }, inner) => {
      const { publications } = await newest(inner, groups.keys())
      return publications.length > 0 && sequenceOf(publications[0]?.publication.cursor ?? null) > 1
        ? { hasMore: true }
        : {}
    }),
  },
  {
    what: 'replays from a copy that is behind',
    caughtBy: ['19.1'],
    create: all(() => {
      const young = new Set<string>()
      return (inner) => ({
        async groupSend(group, json) {
          const cursor = await inner.groupSend(group, json)
          if (cursor !== null) young.add(cursor)
          setTimeout(() => young.delete(cursor ?? ''), 5)
          return cursor
        },
        async replay(request) {
          const replay = await inner.replay(request)
          const isOld = (cursor: string | null) => !young.has(cursor ?? '')
          const publications = replay.publications.filter(({ publication }) => isOld(publication.cursor))
          return { ...replay, publications, covers: (cursor) => replay.covers(cursor) && isOld(cursor) }
        },
      })
    }),
  },
  {
    what: 'covers everything',
    caughtBy: ['19.2', '19.4', '19.5'],
    create: replaying(() => ({ covers: () => true })),
  },
  { what: 'covers nothing', caughtBy: ['19.2', '19.4'], create: replaying(() => ({ covers: () => false })) },
  {
    what: 'covers only what it gave',
    caughtBy: ['19.2'],
    create: replaying(async (request, inner) => {
      const { publications } = await inner.replay(request)
      const given = new Set(publications.map(({ publication }) => publication.cursor))
      return { covers: (cursor) => given.has(cursor) }
    }),
  },
  {
    what: 'takes cursors for text to tell what it covers',
    caughtBy: ['19.2'],
    create: replaying(async (_, inner) => {
      const position = await positionOf(inner)
      return { covers: (cursor) => cursor <= position }
    }),
  },
  {
    what: 'was at the last publication that it gave',
    caughtBy: ['19.3'],
    create: replaying(async (request, inner) => {
      const { publications, cursor } = await inner.replay(request)
      return { cursor: publications.at(-1)?.publication.cursor ?? cursor }
    }),
  },
  {
    what: 'looks where it is after it has read',
    caughtBy: ['19.4'],
    create: each((inner) => ({
      async replay(request) {
        const replay = await inner.replay(request)
        await new Promise((resolve) => setTimeout(resolve, 2))
        const { cursor, covers } = await inner.replay({ after: null, groups: new Map() })
        return { ...replay, cursor, covers }
      },
    })),
  },
  {
    what: 'looks where it is before it reads',
    caughtBy: ['19.4'],
    create: each((inner) => ({
      async replay(request) {
        const { cursor, covers } = await inner.replay({ after: null, groups: new Map() })
        await new Promise((resolve) => setTimeout(resolve, 2))
        return { ...(await inner.replay(request)), cursor, covers }
      },
    })),
  },
  {
    what: 'compares numbers of two epochs',
    caughtBy: ['19.5'],
    create: replaying(async (_, inner) => {
      const end = sequenceOf(await positionOf(inner))
      return { covers: (cursor) => sequenceOf(cursor) <= end }
    }),
  },
  {
    what: 'lets a replay overtake what is on its way to the sink',
    caughtBy: ['19.6'],
    create: each((inner) => {
      let arrived = Promise.resolve()
      return {
        ...withSink(inner, (sink) => ({
          deliver(group, publication) {
            arrived = arrived
              .then(() => new Promise(setImmediate))
              .then(() => sink.deliver(group, publication))
          },
        })),
      }
    }),
  },
  {
    what: 'knows only what its own sink has got, refreshed or not',
    caughtBy: ['20.4'],
    create: each((inner) => {
      let { position } = inner
      return {
        ...withSink(inner, (sink) => ({
          deliver(group, publication) {
            position = publication.cursor ?? position
            sink.deliver(group, publication)
          },
        })),
        get position() {
          return position
        },
      }
    }),
  },
  {
    what: 'is where the newest publication is before its sink has got it',
    caughtBy: ['20.1', '20.2'],
    create: each((inner) => {
      let arrived = Promise.resolve()
      return withSink(inner, (sink) => ({
        deliver(group, publication) {
          arrived = arrived.then(() => sink.deliver(group, publication))
        },
      }))
    }),
  },
  {
    what: 'stays where it was',
    caughtBy: ['20.3'],
    create: each((inner) => ({ position: inner.position })),
  },
]

function unlimited(groups: ReadonlyMap<string, number | null>): Map<string, null> {
  return new Map([...groups.keys()].map((group) => [group, null]))
}
