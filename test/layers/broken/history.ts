/** Layers that break obligations 14 to 17: what is kept, and what a replay gives. */
import type { Replay } from '../../../src/layers/layer.ts'
import { all, type BrokenLayer, each, withSink } from './broken-layer.ts'
import {
  AMPLE,
  asking,
  bounded,
  isAfter,
  newest,
  positionOf,
  replaying,
  sequenceOf,
  shifted,
  withHistoryOf,
} from './replays.ts'

export const brokenHistory: readonly BrokenLayer[] = [
  {
    what: 'does not tell the sender the cursor',
    caughtBy: ['14.1', '14.2', '14.5'],
    create: each((inner) => ({
      groupSend: (group, json) => inner.groupSend(group, json).then(() => null),
    })),
  },
  {
    what: 'does not tell sinks the cursor',
    caughtBy: ['14.1'],
    create: each((inner) =>
      withSink(inner, (sink) => ({
        deliver: (group, { json }) => sink.deliver(group, { json, cursor: null }),
      })),
    ),
  },
  {
    what: 'writes cursors in other characters',
    caughtBy: ['14.1'],
    create: each((inner) => {
      const write = (cursor: string | null) => cursor && `${cursor}==`
      return {
        ...withSink(inner, (sink) => ({
          deliver: (group, { json, cursor }) => sink.deliver(group, { json, cursor: write(cursor) }),
        })),
        groupSend: async (group, json) => write(await inner.groupSend(group, json)),
      }
    }),
  },
  {
    what: 'writes cursors without an end',
    caughtBy: ['14.1'],
    create: each((inner) => ({
      groupSend: async (group, json) => (await inner.groupSend(group, json))?.padEnd(129, '.') ?? null,
    })),
  },
  {
    what: 'numbers the publications of each group for itself',
    caughtBy: ['14.2'],
    create: all(() => {
      const counts = new Map<string, number>()
      return (inner) => ({
        async groupSend(group, json) {
          if ((await inner.groupSend(group, json)) === null) return null
          counts.set(group, (counts.get(group) ?? 0) + 1)
          return `x.${counts.get(group)}`
        },
      })
    }),
  },
  {
    what: 'numbers publications on each node for itself',
    caughtBy: ['14.2'],
    create: each((inner) => {
      let count = 0
      return { groupSend: async (group, json) => (await inner.groupSend(group, json)) && `x.${++count}` }
    }),
  },
  {
    what: 'keeps nothing where it has no members',
    caughtBy: ['14.3'],
    create: each((inner) => {
      const groups = new Set<string>()
      return {
        ...withHistoryOf(inner, (group, bounds) => (groups.has(group) ? bounds : null)),
        groupAdd(group) {
          groups.add(group)
          return inner.groupAdd(group)
        },
      }
    }),
  },
  {
    what: 'keeps history of all groups',
    caughtBy: ['14.4'],
    create: each((inner) => withHistoryOf(inner, () => AMPLE)),
  },
  {
    what: 'looks up groups with history in a plain object',
    caughtBy: ['14.5'],
    create: each((inner) => withHistoryOf(inner, (group, bounds) => (group in {} ? null : bounds))),
  },
  {
    what: 'includes the publication of the cursor',
    caughtBy: ['15.1', '15.2', '15.3', '15.5', '15.8', '15.9'],
    create: asking(({ after }) => ({ after: after && shifted(after, -1) })),
  },
  {
    what: 'leaves out the first after the cursor',
    caughtBy: ['15.1', '15.2', '15.3', '15.4', '15.9'],
    create: asking(({ after }) => ({ after: after && shifted(after, 1) })),
  },
  {
    what: 'replays the newest first',
    caughtBy: ['15.1', '15.2', '15.3', '15.6', '15.9'],
    create: replaying(async (request, inner) => ({
      publications: [...(await inner.replay(request)).publications].reverse(),
    })),
  },
  {
    what: 'replays one group after another',
    caughtBy: ['15.2', '15.3'],
    create: replaying(async (request, inner) => {
      const { publications } = await inner.replay(request)
      return {
        publications: [...request.groups.keys()].flatMap((name) =>
          publications.filter(({ group }) => group === name),
        ),
      }
    }),
  },
  {
    what: 'takes cursors for text when it compares them',
    caughtBy: ['15.3'],
    create: replaying(async ({ after, groups }, inner) => {
      const kept = await newest(inner, groups.keys())
      return after === null
        ? {}
        : { publications: kept.publications.filter(({ publication }) => (publication.cursor ?? '') > after) }
    }),
  },
  {
    what: 'knows a cursor only in the group that it came from',
    caughtBy: ['15.4'],
    create: replaying(async ({ after, groups }, inner) => {
      const { publications } = await newest(inner, groups.keys())
      const isKnown = publications.some(({ publication }) => publication.cursor === after)
      return after === null || isKnown ? {} : { publications: [], lost: [...groups.keys()] }
    }),
  },
  {
    what: 'takes the newest cursor for one of the future',
    caughtBy: ['15.5'],
    create: replaying(async ({ after, groups }, inner) =>
      after === (await positionOf(inner)) ? { lost: [...groups.keys()] } : {},
    ),
  },
  {
    what: 'keeps messages as Latin-1',
    caughtBy: ['15.6'],
    create: rewriting((json) => Buffer.from(json, 'latin1').toString('latin1')),
  },
  {
    what: 'cuts what it keeps at 64 KiB',
    caughtBy: ['15.7'],
    create: rewriting((json) => json.slice(0, 65_536)),
  },
  {
    what: 'keeps history on the node that sent it',
    caughtBy: ['15.1', '15.2', '15.8'],
    create: each((inner) => {
      const own = new Set<string>()
      return {
        async groupSend(group, json) {
          const cursor = await inner.groupSend(group, json)
          if (cursor !== null) own.add(cursor)
          return cursor
        },
        async replay(request) {
          const replay = await inner.replay(request)
          const isOwn = ({ publication }: Replay['publications'][number]) => own.has(publication.cursor ?? '')
          return { ...replay, publications: replay.publications.filter(isOwn) }
        },
      }
    }),
  },
  {
    what: 'takes what is no cursor for none',
    caughtBy: ['16.1'],
    create: asking(({ after }) => ({ after: Number.isNaN(sequenceOf(after)) ? null : after })),
  },
  {
    what: 'reads a number wherever a cursor begins with one that it knows',
    caughtBy: ['16.1'],
    create: asking(({ after }) => ({
      after: after && (/^[a-z0-9]{1,32}\.\d{1,15}/.exec(after)?.[0] ?? after),
    })),
  },
  {
    what: 'rejects a replay after what is no cursor',
    caughtBy: ['16.1', '16.7'],
    create: asking(({ after }) => {
      if (after !== null && Number.isNaN(sequenceOf(after))) throw new SyntaxError('no cursor')
      return {}
    }),
  },
  {
    what: 'looks only at the number of a cursor',
    caughtBy: ['16.2'],
    create: each((inner) => ({
      async replay(request) {
        const { after } = request
        const position = await positionOf(inner)
        // A number of the future is cut to the newest.
        const cursor = after && shifted(position, Math.min(0, sequenceOf(after) - sequenceOf(position)))
        return inner.replay({ ...request, after: Number.isNaN(sequenceOf(after)) ? after : cursor })
      },
    })),
  },
  {
    what: 'gives what is left of a group that was trimmed',
    caughtBy: ['16.3', '16.4', '16.5', '16.6'],
    create: replaying(async (request, inner) => {
      const { after } = request
      const { lost } = await inner.replay(request)
      if (after === null || lost.length === 0) return {}
      const { publications } = await newest(inner, request.groups.keys())
      return { publications: publications.filter((one) => isAfter(one, after)), lost: [] }
    }),
  },
  {
    what: 'gives what is left of a lost group, and says that it is lost',
    caughtBy: ['16.3', '16.4', '16.5', '16.6'],
    create: replaying(async (request, inner) => {
      const { after } = request
      const { publications } = await newest(inner, request.groups.keys())
      return after === null ? {} : { publications: publications.filter((one) => isAfter(one, after)) }
    }),
  },
  {
    what: 'loses a group at the cursor just before the oldest that it keeps',
    caughtBy: ['16.3', '16.4'],
    create: replaying(async ({ after, groups }, inner) => {
      const { publications } = await newest(inner, groups.keys())
      const first = sequenceOf(publications[0]?.publication.cursor ?? null)
      return after !== null && first > 1 && sequenceOf(after) < first
        ? { publications: [], lost: [...groups.keys()] }
        : {}
    }),
  },
  {
    what: 'loses all groups with one',
    caughtBy: ['16.6'],
    create: replaying(async (request, inner) =>
      (await inner.replay(request)).lost.length === 0
        ? {}
        : { publications: [], lost: [...request.groups.keys()] },
    ),
  },
  {
    what: 'loses groups without history',
    caughtBy: ['16.7'],
    create: replaying(({ after, groups }) => (after === 'no cursor' ? { lost: [...groups.keys()] } : {})),
  },
  {
    what: 'loses groups that had nothing yet',
    caughtBy: ['16.8'],
    create: replaying(async ({ groups }, inner) => {
      const had = new Set((await newest(inner, groups.keys())).publications.map(({ group }) => group))
      return { lost: [...groups.keys()].filter((group) => !had.has(group)) }
    }),
  },
  {
    what: 'gives nothing without a cursor',
    caughtBy: ['17.1', '17.2'],
    create: replaying(({ after }) => (after === null ? { publications: [] } : {})),
  },
  {
    what: 'begins at its first publication where there is no cursor',
    caughtBy: ['17.2'],
    create: each((inner) => ({
      async replay(request) {
        return inner.replay({ ...request, after: request.after ?? shifted(await positionOf(inner), -1e9) })
      },
    })),
  },
  {
    what: 'gives without a cursor what it gives of the first group',
    caughtBy: ['17.1'],
    create: asking(({ after, groups }) =>
      after === null ? { groups: new Map([...groups].slice(0, 1)) } : {},
    ),
  },
  {
    what: 'keeps history half as long as it should',
    caughtBy: ['16.5'],
    create: bounded((bounds) => ({ ...bounds, ageMs: bounds.ageMs * 0.4 })),
  },
]

/** Layers that change messages when they keep them. */
function rewriting(rewrite: (json: string) => string): BrokenLayer['create'] {
  return replaying(async (request, inner) => ({
    publications: (await inner.replay(request)).publications.map(({ group, publication }) => ({
      group,
      publication: { ...publication, json: rewrite(publication.json) },
    })),
  }))
}
