/** The scripts that keep history, on a real server: what groups keep, judged as a memory layer would, and what only Redis can do to it. */
import fc from 'fast-check'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { HistoryBounds } from '../../../src/history.ts'
import type { Position } from '../../../src/layers/cursor.ts'
import { MemoryHistory } from '../../../src/layers/memory-history.ts'
import { RedisHistory } from '../../../src/layers/redis/history.ts'
import { HISTORY_SCRIPTS, SKIPPED } from '../../../src/layers/redis/history-scripts.ts'
import { Keys } from '../../../src/layers/redis/keys.ts'
import { type ServerInfo, Servers } from '../../../src/layers/redis/servers.ts'
import { Wire } from '../../../src/layers/redis/wire.ts'
import { manualClock } from '../../../src/testing/index.ts'
import { type RedisServer, startRedis } from '../../support/redis-server.ts'

const range = (from: number, end: number) => Array.from({ length: end - from }, (_, n) => from + n)
const AMPLE: HistoryBounds = { count: 1e6, ageMs: 1e9, bytes: 1e9 }
let server: RedisServer
let prefixes = 0
const opened: Servers[] = []

beforeAll(async () => {
  server = await startRedis({ args: ['--enable-debug-command', 'yes'] })
})
afterAll(async () => {
  for (const servers of opened) servers.destroy()
  await server.stop()
})

/** Waits until the server's clock has gone on. */
async function timeGoesOn(ms: number): Promise<void> {
  const time = async () => {
    const [seconds, micros] = (await server.command('TIME')).split('\n').map(Number) as [number, number]
    return seconds * 1000 + micros / 1000
  }
  const end = (await time()) + ms
  await server.until('time has gone on', async () => (await time()) > end)
}

/** A server that goes on after a restart with all that it had. */
const DURABLE = { isDurable: true, wasReplica: false }

interface HistoryOptions {
  readonly keys?: Keys
  /** What the server is taken for. */
  readonly info?: Partial<ServerInfo>
  readonly spanMs?: number
  /** What the node has heard of. */
  readonly known?: Position
}

/** A history of its own, as a session sees it. */
async function openHistory({
  keys = new Keys(`h-${prefixes++}`, false),
  info = {},
  spanMs = 1e9,
  known,
}: HistoryOptions = {}) {
  const servers = new Servers({
    make: (options) => new Redis({ ...options, port: server.port, replyMapping: 'legacy' as const }),
    seeds: null,
    connectTimeoutMs: 5000,
    onLost: () => {},
  })
  opened.push(servers)
  await servers.connect()
  Object.assign(servers.shards[0]?.info as ServerInfo, info)
  const wire = new Wire(servers, false, () => {})
  await wire.load(HISTORY_SCRIPTS)
  const history = new RedisHistory(wire, keys, spanMs)
  const start = await history.hello(known ?? null)
  const keep = (group: string, n: number, bounds = AMPLE) =>
    history.publish(group, `{"type":"t","n":${n}}`, bounds)
  const readAfter = async (cursor: string | null, ...groups: string[]) => {
    const { publications, lost, hasMore } = await history.replay({
      after: cursor,
      groups: new Map(groups.map((group) => [group, null])),
    })
    return { numbers: publications.map(({ publication }) => JSON.parse(publication.json).n), lost, hasMore }
  }
  return { history, keys, start, keep, readAfter, wire }
}

test('numbers grow across groups, and a cursor of one serves for all', async () => {
  const { keep, readAfter, start } = await openHistory()
  const cursors = [await keep('a', 0), await keep('b', 1), await keep('a', 2)]
  expect(cursors.map((cursor) => cursor.split('.')[1])).toEqual(['1', '2', '3'])
  expect(new Set(cursors.map((cursor) => cursor.split('.')[0]))).toEqual(new Set([start.epoch]))
  expect(await readAfter(cursors[0] as string, 'b', 'a')).toEqual({
    numbers: [1, 2],
    lost: [],
    hasMore: false,
  })
  for (const bad of ['', 'x', `${start.epoch}.4`, 'other.1', `${start.epoch}.-1`]) {
    expect((await readAfter(bad, 'a', 'b')).lost).toEqual(['a', 'b'])
  }
})

describe('another server process', () => {
  test('that has an append-only file skips numbers: what it may have lost is lost, what it has is not', async () => {
    const { keys, keep, start } = await openHistory({ info: { ...DURABLE, runId: 'first' } })
    const cursor = await keep('a', 0)
    // 2 and 3 were sent, and the server that knew them is gone.
    const {
      start: next,
      keep: keepOn,
      readAfter,
    } = await openHistory({
      keys,
      info: { ...DURABLE, runId: 'second' },
    })
    expect(next).toEqual({ epoch: start.epoch, sequence: 1 + SKIPPED })
    await keepOn('a', 1)
    expect(await readAfter(cursor, 'a')).toEqual({ numbers: [1], lost: [], hasMore: false })
    for (const lost of [2, 3, SKIPPED]) {
      expect(await readAfter(`${start.epoch}.${lost}`, 'a')).toEqual({
        numbers: [],
        lost: ['a'],
        hasMore: false,
      })
    }
    expect(await readAfter(`${start.epoch}.${1 + SKIPPED}`, 'a')).toEqual({
      numbers: [1],
      lost: [],
      hasMore: false,
    })
  })

  // A client with a cursor of before a snapshot got what was in the snapshot, and never heard of what had been acknowledged after it: only cursors of the
  // numbers that were skipped were taken as lost.
  const lossy: readonly (readonly [what: string, before: Partial<ServerInfo>, after: Partial<ServerInfo>])[] =
    [
      ['that has no append-only file', DURABLE, { isDurable: false }],
      ['that had none before', { isDurable: false }, DURABLE],
      ['that was a replica', DURABLE, { ...DURABLE, wasReplica: true }],
      ['that is another node of a Cluster', { ...DURABLE, nodeId: 'a' }, { ...DURABLE, nodeId: 'b' }],
      [
        'that was a replica meanwhile, as the same process',
        { runId: 'first' },
        { runId: 'first', wasReplica: true, replicationId: 'b' },
      ],
    ]
  for (const [what, before, after] of lossy) {
    test(`${what} may have lost anything`, async () => {
      const { keys, keep, start } = await openHistory({
        info: { runId: 'first', replicationId: 'a', ...before },
      })
      const cursor = await keep('a', 0)
      const { start: next, readAfter } = await openHistory({ keys, info: { runId: 'second', ...after } })
      expect(next.epoch).not.toBe(start.epoch)
      expect((await readAfter(cursor, 'a')).lost).toEqual(['a'])
      expect((await readAfter(null, 'a')).numbers).toEqual([])
    })
  }

  test('that a replica has joined goes on', async () => {
    const { keys, start } = await openHistory({ info: { replicationId: 'a' } })
    expect((await openHistory({ keys, info: { replicationId: 'b' } })).start).toEqual(start)
    // One that was promoted long ago.
    const info = { wasReplica: true, replicationId: 'c', runId: 'next' }
    const { start: promoted } = await openHistory({ keys, info })
    expect((await openHistory({ keys, info })).start).toEqual(promoted)
  })

  // With `appendfsync everysec` a power cut loses up to a second, and nothing at the server shows it.
  test('lacks what a node has heard of, whether that node comes first or later', async () => {
    for (const others of [0, 1]) {
      const { keys, keep, start } = await openHistory({ info: { ...DURABLE, runId: 'first' } })
      const cursor = await keep('a', 0)
      const info = { ...DURABLE, runId: 'second' }
      // It knows of nothing that is missing.
      for (let turn = 0; turn < others; turn++) {
        expect((await openHistory({ keys, info, known: { ...start, sequence: 1 } })).start.epoch).toBe(
          start.epoch,
        )
      }
      const { start: next, readAfter } = await openHistory({ keys, info, known: { ...start, sequence: 2 } })
      expect(next.epoch).not.toBe(start.epoch)
      expect((await readAfter(cursor, 'a')).lost).toEqual(['a'])
    }
  })

  test('is noticed by a session of before, which does nothing', async () => {
    const { keys, keep, readAfter, history } = await openHistory({ info: { ...DURABLE, runId: 'first' } })
    const { keep: keepOn, readAfter: readNow } = await openHistory({
      keys,
      info: { ...DURABLE, runId: 'second' },
    })
    await keepOn('a', 1)
    await expect(keep('a', 2)).rejects.toThrow('STALE')
    await expect(readAfter(null, 'a')).rejects.toThrow('STALE')
    await expect(history.fence('f', '1')).rejects.toThrow('STALE')
    expect((await readNow(null, 'a')).numbers).toEqual([1])
  })

  test('however often it is another one, the numbers that were lost stay lost', async () => {
    const keys = new Keys(`h-${prefixes++}`, false)
    const cursors: string[] = []
    for (let turn = 0; turn < 40; turn++) {
      const { keep } = await openHistory({ keys, info: { ...DURABLE, runId: `run${turn}` } })
      cursors.push(await keep('a', turn))
    }
    const { readAfter } = await openHistory({ keys, info: { ...DURABLE, runId: 'last' } })
    const outcomes = await Promise.all(cursors.map((cursor) => readAfter(cursor, 'a')))
    // Of the oldest, voids are taken together with what is between: told too often, never too rarely.
    const firstGood = outcomes.findIndex(({ lost }) => lost.length === 0)
    expect(firstGood).toBeLessThan(12)
    for (const [turn, { numbers, lost }] of outcomes.entries()) {
      if (turn === 0) continue
      if (lost.length > 0) expect(turn).toBeLessThan(12)
      else expect(numbers).toEqual(Array.from({ length: 39 - turn }, (_, index) => turn + 1 + index))
    }
    for (const cursor of cursors) {
      const [epoch, sequence] = cursor.split('.')
      expect((await readAfter(`${epoch}.${Number(sequence) + 1}`, 'a')).lost).toEqual(['a'])
    }
  })
})

describe('what Redis does on its own is told', () => {
  test('a stream that is gone', async () => {
    const { keep, readAfter, keys } = await openHistory()
    const cursor = await keep('a', 0)
    const next = await keep('a', 1)
    await server.command('DEL', keys.stream('a'))
    expect((await readAfter(cursor, 'a')).lost).toEqual(['a'])
    expect(await readAfter(next, 'a')).toEqual({ numbers: [], lost: [], hasMore: false })
    expect((await readAfter(null, 'a')).numbers).toEqual([])
    const last = await keep('a', 2)
    expect((await readAfter(cursor, 'a')).lost).toEqual(['a'])
    expect((await readAfter(next, 'a')).numbers).toEqual([2])
    expect((await readAfter(last, 'a')).lost).toEqual([])
  })

  test('a stream that lost an entry', async () => {
    const { keep, readAfter, keys } = await openHistory()
    const cursors = [await keep('a', 0), await keep('a', 1), await keep('a', 2)]
    await server.command('XDEL', keys.stream('a'), '2-0')
    expect((await readAfter(cursors[0] as string, 'a')).lost).toEqual(['a'])
  })

  test('a state that is gone, with streams that are not', async () => {
    const { keep, readAfter, keys, start } = await openHistory()
    const cursor = await keep('a', 0)
    await keep('a', 1)
    await server.command('DEL', keys.state)
    expect((await readAfter(cursor, 'a')).lost).toEqual(['a'])
    expect((await readAfter(null, 'a')).numbers).toEqual([])
    const next = await keep('a', 2)
    expect(next.startsWith(start.epoch)).toBe(false)
    expect((await readAfter(null, 'a')).numbers).toEqual([2])
  })

  test('epochs differ, however often it is flushed', async () => {
    const { keep, keys } = await openHistory()
    const epochs = new Set<string>()
    for (let turn = 0; turn < 20; turn++) {
      epochs.add((await keep('a', turn)).split('.')[0] as string)
      await server.command('DEL', keys.state)
    }
    expect(epochs.size).toBe(20)
  })

  test('a group of which nothing is known any more', async () => {
    // After twice the span the hash of a group may have expired.
    const { keep, readAfter, keys } = await openHistory({ spanMs: 40 })
    const before = await keep('other', 0)
    const cursor = await keep('a', 1)
    const ttl = Number(await server.command('PTTL', keys.hash('a')))
    // The bounds keep it longer.
    expect(ttl).toBeGreaterThan(1e9 - 10_000)
    await server.command('DEL', keys.hash('a'))
    await timeGoesOn(100)
    const later = await keep('other', 2)
    expect((await readAfter(before, 'a')).lost).toEqual(['a'])
    // What it had at most was its own.
    expect((await readAfter(cursor, 'a')).lost).toEqual([])
    expect((await readAfter(later, 'a')).lost).toEqual([])
  })
})

test('what may not be published is not kept', async () => {
  const { keep, readAfter, keys, wire } = await openHistory()
  await keep('a', 0)
  await server.command('ACL', 'SETUSER', 'mute', 'on', 'nopass', '~*', '+@all', 'resetchannels')
  await wire.send(wire.servers.shardOf(keys.state), 'AUTH', 'mute', '')
  await expect(keep('a', 1)).rejects.toThrow('publish to the channel')
  expect(await server.command('XLEN', keys.stream('a'))).toBe('1')
  expect((await readAfter(null, 'a')).numbers).toEqual([0])
})

describe('publications of one turn', () => {
  const callsOf = async () =>
    /cmdstat_evalsha:calls=(\d+)/.exec(await server.command('INFO', 'commandstats'))?.[1]

  // Each cost the server a script of its own, of which the publication was the smallest part.
  test('to one group go out together, in order, and as many as a script may take', async () => {
    const { keep, readAfter } = await openHistory()
    await server.command('CONFIG', 'RESETSTAT')
    const cursors = await Promise.all(Array.from({ length: 100 }, (_, n) => keep('a', n)))
    expect(cursors.map((cursor) => Number(cursor.split('.')[1]))).toEqual(range(1, 101))
    expect(await callsOf()).toBe('2')
    expect((await readAfter(null, 'a')).numbers).toEqual(range(0, 100))
  })

  test('with other bounds, or other groups between, keep their order', async () => {
    const { keep, readAfter } = await openHistory()
    const cursors = await Promise.all([
      keep('a', 0),
      keep('a', 1, { ...AMPLE, count: 1 }),
      keep('b', 2),
      keep('a', 3, { ...AMPLE, count: 1 }),
    ])
    expect(cursors.map((cursor) => Number(cursor.split('.')[1]))).toEqual([1, 2, 3, 4])
    expect((await readAfter(null, 'a', 'b')).numbers).toEqual([2, 3])
  })

  test('go out before whatever is sent after them', async () => {
    const { keep, keys, wire } = await openHistory()
    const heard: string[] = []
    await wire.subscribe(keys.group('a', true), (payload) => void heard.push(payload.toString().slice(-1)))
    const publishing = [keep('a', 0), keep('a', 1)]
    const other = wire.publish(keys.group('a', true), 'x')
    const last = keep('a', 2)
    await Promise.all([...publishing, other, last])
    await server.until('all came', async () => heard.length === 4)
    expect(heard).toEqual(['}', '}', 'x', '}'])
  })

  test('are refused together', async () => {
    const { keep, keys, wire } = await openHistory()
    await server.command('ACL', 'SETUSER', 'silent', 'on', 'nopass', '~*', '+@all', 'resetchannels')
    await wire.send(wire.servers.shardOf(keys.state), 'AUTH', 'silent', '')
    const outcomes = await Promise.allSettled([keep('a', 0), keep('a', 1)])
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    expect(await server.command('XLEN', keys.stream('a'))).toBe('0')
  })
})

/** What is done, by turns; without age, since nobody can turn a server's clock. */
const GROUPS = ['few', 'small', 'tight', 'ample', '__proto__']
const BOUNDS: Readonly<Record<string, HistoryBounds>> = {
  few: { ...AMPLE, count: 3 },
  small: { ...AMPLE, bytes: 200 },
  tight: { ...AMPLE, count: 4, bytes: 250 },
  ample: AMPLE,
}
const boundsOf = (group: string) =>
  Object.hasOwn(BOUNDS, group) ? (BOUNDS[group] as HistoryBounds) : { ...AMPLE, count: 1 }
const size = fc.oneof(
  { weight: 9, arbitrary: fc.nat({ max: 100 }) },
  { weight: 1, arbitrary: fc.constant(400) },
)
const step = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      kind: fc.constant('publish' as const),
      // In one turn: what goes to one group without a break goes out together.
      runs: fc.array(fc.tuple(fc.constantFrom(...GROUPS), fc.array(size, { minLength: 1, maxLength: 6 })), {
        minLength: 1,
        maxLength: 3,
      }),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('replay' as const),
      back: fc.option(fc.nat({ max: 20 }), { freq: 5 }),
      groups: fc.uniqueArray(
        fc.tuple(fc.constantFrom(...GROUPS, 'never'), fc.option(fc.nat({ max: 4 }), { freq: 2 })),
        {
          selector: ([group]) => group,
        },
      ),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('flush' as const) }) },
)

test('any publications and replays come to what a memory layer makes of them', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const { history } = await openHistory()
      const model = new MemoryHistory({ maxBytes: 1e9, clock: manualClock(), newEpoch: () => 'm' })
      /** Cursors of both, of the present epoch. */
      let cursors: (readonly [redis: string, model: string])[] = []
      const toModel = (cursor: string) => cursors.find(([redis]) => redis === cursor)?.[1] ?? cursor
      for (const [turn, one] of steps.entries()) {
        if (one.kind === 'publish') {
          const sent = one.runs.flatMap(([group, sizes]) =>
            sizes.map((size) => {
              const json = JSON.stringify({ type: 'model', turn, text: 'é'.repeat(size) })
              const kept = model.append(group, json, boundsOf(group)).cursor as string
              return [history.publish(group, json, boundsOf(group)), kept] as const
            }),
          )
          for (const [publishing, kept] of sent) cursors.push([await publishing, kept])
        } else if (one.kind === 'flush') {
          await history.flush()
          model.clear()
          cursors = []
        } else {
          const from = one.back === null ? null : (cursors.at(-1 - one.back) ?? null)
          const groups = new Map(one.groups)
          const got = await history.replay({ after: from?.[0] ?? null, groups })
          const expected = model.replay({ after: from?.[1] ?? null, groups }, () => true)
          expect({
            ...{ lost: got.lost, hasMore: got.hasMore },
            publications: got.publications.map(({ group, publication }) => ({
              group,
              publication: { ...publication, cursor: toModel(publication.cursor as string) },
            })),
          }).toEqual({
            ...{ lost: expected.lost, hasMore: expected.hasMore },
            publications: expected.publications,
          })
        }
      }
    }),
    { numRuns: 150 },
  )
})
