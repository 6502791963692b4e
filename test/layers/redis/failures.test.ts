/** What Redis refuses, forgets and hands over: a typed error or a status, never silence. */
import { Redis } from 'ioredis'
import { afterEach, describe, expect, test } from 'vitest'
import { errorCodeOf } from '../../../src/errors.ts'
import type { HistoryBounds } from '../../../src/history.ts'
import type { ChannelLayer, LayerRecovery, LayerStatus } from '../../../src/layers/layer.ts'
import { type RedisLayerOptions, redisLayer } from '../../../src/layers/redis/index.ts'
import { faultyWire, manualClock } from '../../../src/testing/index.ts'
import {
  type RedisServer,
  type RedisServerOptions,
  startCluster,
  startRedis,
  startSentinels,
} from '../../support/redis-server.ts'
import { until, within } from '../../support/until.ts'

const ends: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

const BOUNDS: HistoryBounds = { count: 100, ageMs: 600_000, bytes: 64 * 1024 * 1024 }
const historyOf = (group: string) => (group.startsWith('kept.') ? BOUNDS : null)
const json = (n: number) => JSON.stringify({ type: 'test', n })

interface TestNode {
  readonly layer: ChannelLayer
  readonly statuses: LayerStatus[]
  readonly reports: unknown[]
  readonly recoveries: LayerRecovery[]
  /** The numbers that came, in order. */
  readonly numbers: number[]
  /** Waits until it is ready (again). */
  ready(): Promise<void>
  lost(): Promise<void>
}

let nodes = 0

async function startNode(options: RedisLayerOptions): Promise<TestNode> {
  const layer = redisLayer(options)
  const statuses: LayerStatus[] = []
  const reports: unknown[] = []
  const recoveries: LayerRecovery[] = []
  const numbers: number[] = []
  const numberIn = (text: string) => (JSON.parse(text) as { n: number }).n
  ends.push(() => layer.close())
  await layer.start({
    nodeId: String(nodes++).padStart(12, 'n'),
    historyOf,
    sink: {
      deliver: (_, publication) => void numbers.push(numberIn(publication.json)),
      receive: () => true,
      status: (status) => void statuses.push(status),
      report: (error) => void reports.push(error),
      recovered(recovery) {
        recoveries.push(recovery)
        numbers.push(...recovery.publications.map(({ publication }) => numberIn(publication.json)))
      },
    },
  })
  return {
    ...{ layer, statuses, reports, recoveries, numbers },
    ready: () => until('the layer is ready', () => statuses.at(-1)?.state === 'ready', 20_000),
    lost: () => until('the layer is not ready', () => statuses.at(-1)?.state === 'connecting', 20_000),
  }
}

async function startServer(options: RedisServerOptions = {}): Promise<RedisServer> {
  const server = await startRedis(options)
  ends.push(() => server.stop())
  return server
}

/** What a promise rejects with. */
async function failure(promise: Promise<unknown>): Promise<{ code: unknown; text: string }> {
  const error: unknown = await within('a rejection', promise).then(
    (value) => expect.fail(`It resolved with ${value}`),
    (reason) => reason,
  )
  return { code: errorCodeOf(error), text: String(error) }
}

describe('permissions', () => {
  test('a wrong password is said by status and report, and nothing of it is shown', async () => {
    const server = await startServer({ args: ['--requirepass', 'right'] })
    const { statuses, reports, layer } = await startNode({ url: server.url.replace('//', '//:wrong-one@') })
    expect(statuses.at(-1)).toMatchObject({
      state: 'connecting',
      reason: expect.stringContaining('WRONGPASS'),
    })
    expect(reports.map(errorCodeOf)).toEqual(['layer-unavailable'])
    expect(JSON.stringify([statuses, String(reports)])).not.toContain('wrong-one')
    expect(await failure(layer.groupSend('a', json(1)))).toMatchObject({ code: 'layer-unavailable' })
    const good = await startNode({ url: server.url.replace('//', '//default:right@') })
    expect(good.statuses.at(-1)?.state).toBe('ready')
    const none = await startNode({ url: server.url })
    expect(none.statuses.at(-1)?.reason).toMatch(/NOAUTH.*give a password/)
  })

  test('a user without keys or channels hears of it where somebody waits, and the session goes on', async () => {
    const server = await startServer()
    const rules = ['on', '>secret', '+@all', '~*', 'resetchannels', '&{groupcast}:all', '&{groupcast}:f:*']
    await server.command('ACL', 'SETUSER', 'few', ...rules, '&groupcast:n:*', '&{groupcast}:g:allowed')
    const { layer, statuses, numbers } = await startNode({ url: server.url.replace('//', '//few:secret@') })
    expect(statuses.at(-1)?.state).toBe('ready')
    await layer.groupAdd('allowed')
    for (const refused of [
      () => layer.groupSend('denied', json(1)),
      () => layer.groupSend('kept.denied', json(1)),
      () => layer.groupAdd('denied'),
      () => layer.send('jobs', json(1)),
      () => layer.receive('jobs'),
    ]) {
      expect(await failure(refused())).toMatchObject({
        code: 'layer-unavailable',
        text: expect.stringMatching(/NOPERM|publish to the channel/),
      })
    }
    await layer.groupSend('allowed', json(2))
    await until('it came', () => numbers.length === 1)
    expect(statuses.filter(({ state }) => state === 'connecting')).toHaveLength(1)
    // Nothing of what was refused is there.
    const { publications } = await layer.replay({ groups: new Map([['kept.denied', null]]), after: null })
    expect(publications).toEqual([])
    expect(await server.command('LLEN', 'groupcast:c:{jobs}')).toBe('0')
  })

  test('a user without scripts is not ready, and the status says what is missing', async () => {
    const server = await startServer()
    await server.command('ACL', 'SETUSER', 'plain', 'on', '>secret', '+@all', '-@scripting', '~*', '&*')
    const { statuses } = await startNode({ url: server.url.replace('//', '//plain:secret@') })
    expect(statuses.at(-1)?.reason).toMatch(/NOPERM.*script.*the docs of the layer/)
  })
})

test('a server without memory refuses, keeps its promises to readers, and goes on when there is some', async () => {
  const server = await startServer()
  const { layer, statuses, numbers } = await startNode({ url: server.url })
  await layer.groupAdd('kept.a')
  await layer.groupAdd('plain')
  const cursor = (await layer.groupSend('kept.a', json(1))) as string
  await layer.groupSend('kept.a', json(2))
  await layer.send('jobs', json(3))
  await server.command('CONFIG', 'SET', 'maxmemory', '1')
  for (const refused of [() => layer.groupSend('kept.a', json(4)), () => layer.send('jobs', json(4))]) {
    expect(await failure(refused())).toMatchObject({
      code: 'layer-unavailable',
      text: expect.stringContaining('OOM'),
    })
  }
  // What needs no memory works.
  await layer.groupSend('plain', json(5))
  await layer.refresh()
  expect(await layer.receive('jobs')).toBe(json(3))
  const { publications, lost } = await layer.replay({ groups: new Map([['kept.a', null]]), after: cursor })
  expect([publications.length, lost]).toEqual([1, []])
  await server.command('CONFIG', 'SET', 'maxmemory', '0')
  await layer.groupSend('kept.a', json(6))
  await until('all came', () => numbers.length === 4)
  expect(numbers).toEqual([1, 2, 5, 6])
  expect(statuses.filter(({ state }) => state === 'connecting')).toHaveLength(1)
})

test('a server that may evict what groups keep is reported once', async () => {
  const server = await startServer({ args: ['--maxmemory', '100mb', '--maxmemory-policy', 'allkeys-lru'] })
  const { reports, lost, ready } = await startNode({ url: server.url })
  expect(reports.map(String)).toEqual([expect.stringContaining('allkeys-lru')])
  await server.kill()
  await lost()
  await server.start()
  await ready()
  expect(reports.filter((error) => String(error).includes('allkeys-lru'))).toHaveLength(1)
})

test('a primary that becomes a replica is left, and what it refused was not sent', async () => {
  const server = await startServer()
  const { layer, statuses, lost, ready } = await startNode({ url: server.url })
  await layer.groupAdd('kept.a')
  const other = await startServer()
  // Redis cuts nobody for that; Sentinels do.
  await server.command('REPLICAOF', '127.0.0.1', String(other.port))
  expect(await failure(layer.groupSend('kept.a', json(1)))).toMatchObject({
    code: expect.stringMatching(/^layer-/),
  })
  await lost()
  expect(statuses.at(-1)?.reason).toMatch(/READONLY|replica|slave/)
  await server.command('REPLICAOF', 'NO', 'ONE')
  await ready()
  await layer.groupSend('kept.a', json(2))
})

test('scripts that are gone are loaded again, and what needed them was not sent', async () => {
  const server = await startServer()
  const { layer, lost, ready, numbers } = await startNode({ url: server.url })
  await layer.groupAdd('kept.a')
  await layer.groupSend('kept.a', json(1))
  await server.command('SCRIPT', 'FLUSH')
  expect(await failure(layer.groupSend('kept.a', json(2)))).toMatchObject({ code: 'layer-unavailable' })
  await lost()
  await ready()
  await layer.groupSend('kept.a', json(3))
  await until('both came', () => numbers.length === 2)
  expect(numbers).toEqual([1, 3])
})

test('attempts on a server that stands still leave no connections behind', { timeout: 60_000 }, async () => {
  const server = await startServer()
  const client = new Redis(server.port, { lazyConnect: true })
  const duplicate = client.duplicate.bind(client)
  let made = 0
  client.duplicate = (options) => {
    made++
    return duplicate(options)
  }
  const { ready, lost } = await startNode({ client, timeoutMs: 300 })
  const connections = async () => {
    const clients = await server.command('CLIENT', 'LIST')
    return clients.split('\n').filter((line) => !line.includes('cmd=client')).length
  }
  expect(await connections()).toBe(2)
  server.pause()
  await lost()
  await until('several attempts have come to nothing', () => made >= 8)
  server.resume()
  await ready()
  await server.until('only its two are left', async () => (await connections()) === 2)
})

test('groups that flap cost one subscription, and those without members none', async () => {
  const server = await startServer()
  const clock = manualClock()
  const { layer } = await startNode({ url: server.url, clock })
  const subscribed = async () =>
    (await server.command('PUBSUB', 'CHANNELS', '{groupcast}:g:*')).split('\n').filter((line) => line !== '')
  for (let turn = 0; turn < 20; turn++) {
    await layer.groupAdd('flapping')
    await layer.groupDiscard('flapping')
  }
  await layer.groupAdd('other')
  expect((await subscribed()).sort()).toEqual(['{groupcast}:g:flapping', '{groupcast}:g:other'])
  const stats = await server.command('INFO', 'commandstats')
  expect(/cmdstat_subscribe:calls=(\d+)/.exec(stats)?.[1]).toBe('3')
  clock.advance(5_001)
  await server.until('it is given up', async () => (await subscribed()).length === 1)
})

// Its caller was told that it had failed, and nobody ever discarded the group: this node got its publications for ever.
test('a group that was added too late is given up', async () => {
  const server = await startServer()
  const clock = manualClock()
  const { layer } = await startNode({ url: server.url, clock, timeoutMs: 1000 })
  const subscribed = () => server.command('PUBSUB', 'CHANNELS', '{groupcast}:g:*')
  server.pause()
  const adding = failure(layer.groupAdd('kept.a'))
  clock.advance(1101)
  expect(await adding).toMatchObject({ code: 'layer-timeout' })
  server.resume()
  await server.until('the server has done it', async () => (await subscribed()) !== '')
  await layer.refresh()
  clock.advance(5_001)
  await server.until('it is given up', async () => (await subscribed()) === '')
})

// All that a node had missed had to be read within one `timeoutMs`, and each attempt began where the one before did: it was never ready again.
test('a node that missed more than it can hold comes back, and says of which groups', async () => {
  const server = await startServer()
  const wire = await faultyWire(server.port)
  ends.push(() => wire.close())
  const node = await startNode({ url: `redis://${wire.host}:${wire.port}` })
  const other = await startNode({ url: server.url })
  const groups = Array.from({ length: 50 }, (_, n) => `kept.${n}`)
  for (const group of groups) await node.layer.groupAdd(group)
  wire.cut()
  await node.lost()
  const text = JSON.stringify({ type: 'test', n: 1, pad: 'x'.repeat(1_000_000) })
  for (const group of groups) await other.layer.groupSend(group, text)
  wire.mend()
  await node.ready()
  const [recovery] = node.recoveries
  const given = new Set(recovery?.publications.map(({ group }) => group))
  expect(given.size).toBeLessThan(groups.length)
  expect([...given, ...(recovery?.lost ?? [])].sort()).toEqual([...groups].sort())
  await other.layer.refresh()
  expect(recovery?.cursor).toBe(other.layer.position)
})

// What a node could have read in a moment was lost: the time for it had gone by while the server stood still, before it was asked for anything.
test('a node whose connections took long gets what it missed all the same', async () => {
  const server = await startServer()
  const wire = await faultyWire(server.port)
  ends.push(() => wire.close())
  const clock = manualClock()
  const node = await startNode({ url: `redis://${wire.host}:${wire.port}`, clock, timeoutMs: 10_000 })
  const other = await startNode({ url: server.url })
  await node.layer.groupAdd('kept.a')
  await node.layer.refresh()
  wire.cut()
  await node.lost()
  await other.layer.groupSend('kept.a', json(1))
  wire.mend()
  wire.stall('from broker')
  clock.advance(100)
  const isThere = async () => (await server.command('CLIENT', 'LIST')).split('\n').length >= 5
  await server.until('both nodes are there, and who asks', isThere)
  clock.advance(9_000)
  wire.mend()
  await node.ready()
  expect(node.recoveries.map(({ lost, publications }) => [lost, publications.length])).toEqual([[[], 1]])
})

// Whatever was published in the channel of a group went to its clients, as if it were a message; and any text in the channel of all nodes became
// the node's position.
test('what others publish in its channels is dropped, reported once, and moves nothing', async () => {
  const server = await startServer()
  const { layer, reports, statuses, numbers } = await startNode({ url: server.url })
  const nodeId = String(nodes - 1).padStart(12, 'n')
  await layer.groupAdd('kept.a')
  await layer.groupAdd('plain')
  const cursor = (await layer.groupSend('kept.a', json(1))) as string
  await layer.refresh()
  const [epoch] = cursor.split('.')
  const foreign: readonly (readonly [channel: string, payload: string])[] = [
    ['all', 'garbage'],
    ['all', 'zzz.99'],
    ['all', 'zzz.99 zzz'],
    [`f:${nodeId}`, `0 ${epoch}.99`],
    [`f:${nodeId}`, `${epoch}.99`],
    ...['kept.a', 'plain'].flatMap((group) =>
      [
        '',
        'not json',
        '{"type":"test","n":7',
        '{"type":\n\ndata: 7}',
        `${epoch}.99`,
        `${epoch}.99 x {}`,
        `${epoch}.99 99 {}`,
        'x 1 {}',
        '[7]',
      ].map((payload) => [`g:${group}`, payload] as const),
    ),
  ]
  for (const [channel, payload] of foreign) await server.command('PUBLISH', `{groupcast}:${channel}`, payload)
  await server.command('PUBLISH', `groupcast:n:${nodeId}`, 'not json')
  await layer.refresh()
  expect(layer.position).toBe(cursor)
  await layer.groupSend('plain', json(2))
  expect((await layer.groupSend('kept.a', json(3)))?.split('.')[0]).toBe(epoch)
  await until('what came after is there', () => numbers.length === 3)
  expect(numbers).toEqual([1, 2, 3])
  expect(reports.map(errorCodeOf)).toEqual(['invalid-message'])
  expect(statuses.at(-1)?.state).toBe('ready')
})

describe('a restart', () => {
  test('with an append-only file loses nothing: the groups go on where they were', async () => {
    const server = await startServer({ persistence: 'aof' })
    const [node, other] = [await startNode({ url: server.url }), await startNode({ url: server.url })]
    await node.layer.groupAdd('kept.a')
    const cursor = (await node.layer.groupSend('kept.a', json(1))) as string
    await until('it came', () => node.numbers.length === 1)
    await other.layer.send('jobs', json(9))
    await server.kill()
    await node.lost()
    await server.start()
    await node.ready()
    await other.ready()
    await other.layer.groupSend('kept.a', json(2))
    await until('the second came', () => node.numbers.length === 2)
    expect(node.recoveries.map(({ lost }) => lost)).toEqual([[]])
    const { publications, lost } = await other.layer.replay({
      groups: new Map([['kept.a', null]]),
      after: cursor,
    })
    expect([publications.map(({ publication }) => publication.json), lost]).toEqual([[json(2)], []])
    expect(await other.layer.receive('jobs')).toBe(json(9))
  })

  test('without one is told: all that keeps history is lost', async () => {
    const server = await startServer()
    const node = await startNode({ url: server.url })
    for (const group of ['kept.a', 'kept.b', 'plain']) await node.layer.groupAdd(group)
    const cursor = (await node.layer.groupSend('kept.a', json(1))) as string
    await server.kill()
    await node.lost()
    await server.start()
    await node.ready()
    expect(node.recoveries.map(({ lost }) => [...lost].sort())).toEqual([['kept.a', 'kept.b']])
    const { lost } = await node.layer.replay({ groups: new Map([['kept.a', null]]), after: cursor })
    expect(lost).toEqual(['kept.a'])
  })
})

// A client with a cursor of before the snapshot got what the snapshot had, and was never told of what had been acknowledged after it: only nodes
// with a later position were.
test('a restart from a snapshot tells whoever was there before', async () => {
  const server = await startServer()
  const node = await startNode({ url: server.url })
  await node.layer.groupAdd('kept.a')
  const cursor = (await node.layer.groupSend('kept.a', json(1))) as string
  await node.layer.groupSend('kept.a', json(2))
  await server.command('SAVE')
  await node.layer.groupSend('kept.a', json(3))
  await server.kill()
  await node.lost()
  await server.start()
  await node.ready()
  expect(node.recoveries.map(({ publications, lost }) => [publications, lost])).toEqual([[[], ['kept.a']]])
  const { publications, lost } = await node.layer.replay({
    groups: new Map([['kept.a', null]]),
    after: cursor,
  })
  expect([publications, lost]).toEqual([[], ['kept.a']])
})

// The node could not hear the primary when it acknowledged what the replica never got: its position was one that the replica had, so it was taken as good.
test('a node that was cut off before a failover is told that it may have missed something', async () => {
  const primary = await startServer()
  const replica = await startServer({ args: ['--replicaof', '127.0.0.1', `${primary.port}`] })
  const wire = await faultyWire(primary.port)
  ends.push(() => wire.close())
  let { port } = primary
  const client = new Redis({ lazyConnect: true })
  const duplicate = client.duplicate.bind(client)
  client.duplicate = (options) => duplicate({ ...options, port })
  const hearing = await startNode({ client })
  port = wire.port
  const cutOff = await startNode({ client })
  for (const { layer } of [hearing, cutOff]) await layer.groupAdd('kept.a')
  await hearing.layer.groupSend('kept.a', json(1))
  await until('both have it', () => [hearing, cutOff].every(({ numbers }) => numbers.length === 1))
  await replica.until('it has it', async () => (await replica.command('KEYS', '*state')) !== '')
  await replica.until(
    'it has all',
    async () => (await replica.command('XLEN', '{groupcast}:h:kept.a')) === '1',
  )
  wire.cut()
  await cutOff.lost()
  replica.pause()
  await hearing.layer.groupSend('kept.a', json(2))
  await primary.kill()
  replica.resume()
  await replica.command('REPLICAOF', 'NO', 'ONE')
  port = replica.port
  await cutOff.ready()
  expect(cutOff.recoveries.map(({ publications, lost }) => [publications, lost])).toEqual([[[], ['kept.a']]])
})

test('when Sentinels make another server the primary, nodes follow, say what may be lost, and no number is given twice', async () => {
  const set = await startSentinels()
  ends.push(() => set.stop())
  const sentinel = { name: set.name, sentinels: set.sentinels.map(({ url }) => url) }
  const [node, other] = [await startNode({ sentinel }), await startNode({ sentinel })]
  await node.layer.groupAdd('kept.a')
  const cursors: (string | null)[] = []
  for (let n = 0; n < 5; n++) cursors.push(await other.layer.groupSend('kept.a', json(n)))
  const [primary, replica] = set.servers
  await until('all came', () => node.numbers.length === 5)
  const offset = async (server: RedisServer) =>
    /master_repl_offset:(\d+)/.exec(await server.command('INFO', 'replication'))?.[1]
  await primary.until('the replica has all', async () => (await offset(primary)) === (await offset(replica)))
  // One of the Sentinels answers nobody.
  set.sentinels[0]?.pause()
  await primary.kill()
  await Promise.all([node.lost(), other.lost()])
  await Promise.all([node.ready(), other.ready()])
  for (let n = 5; n < 8; n++) cursors.push(await other.layer.groupSend('kept.a', json(n)))
  await until('those of the new primary came', () => node.numbers.length === 8)
  expect(node.numbers).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
  expect(new Set(cursors).size).toBe(8)
  // That the replica had all of it nobody can prove.
  expect(node.recoveries.map(({ lost }) => lost)).toEqual([['kept.a']])
}, 60_000)

describe('a Cluster', () => {
  test('is told apart from one server', async () => {
    const cluster = await startCluster()
    ends.push(() => cluster.stop())
    const layer = redisLayer({ url: cluster.nodes[0]?.url ?? '' })
    ends.push(() => layer.close())
    const sink = { deliver() {}, receive: () => true, status() {} }
    await expect(layer.start({ nodeId: 'nnnnnnnnnnnn', historyOf, sink })).rejects.toThrow(/cluster/)
  })

  test('goes on when slots move to another node, and says that history may be lost', async () => {
    const cluster = await startCluster()
    ends.push(() => cluster.stop())
    const node = await startNode({ cluster: cluster.nodes.map(({ url }) => url) })
    await node.layer.groupAdd('kept.a')
    await node.layer.groupAdd('plain')
    const cursor = (await node.layer.groupSend('kept.a', json(1))) as string
    await node.layer.groupSend('kept.a', json(2))
    await moveSlot(cluster.nodes, '{groupcast}')
    // Meanwhile it may have come back to the old place.
    const isBack = () =>
      node.layer.refresh().then(
        () => true,
        () => false,
      )
    await cluster.nodes[0]?.until('the layer is at the new place', isBack)
    expect(node.statuses.filter(({ state }) => state === 'ready').length).toBeGreaterThan(1)
    await node.layer.groupSend('kept.a', json(3))
    await node.layer.groupSend('plain', json(4))
    await until('all came', () => node.numbers.length === 4)
    const { publications, lost } = await node.layer.replay({
      groups: new Map([['kept.a', null]]),
      after: cursor,
    })
    // That it is a move, and no failover to a replica that lacks something, nobody can prove.
    expect([publications, lost]).toEqual([[], ['kept.a']])
    expect(node.recoveries.flatMap((recovery) => recovery.lost)).toContain('kept.a')
  })

  test('a node of it that stands still is noticed, whichever it is', { timeout: 60_000 }, async () => {
    const cluster = await startCluster()
    ends.push(() => cluster.stop())
    const node = await startNode({ cluster: cluster.nodes.map(({ url }) => url) })
    const slot = Number(await (cluster.nodes[0] as RedisServer).command('CLUSTER', 'KEYSLOT', '{groupcast}'))
    const home = Math.floor((slot * 3) / 16_384)
    const stopped = cluster.nodes[(home + 1) % 3] as RedisServer
    stopped.pause()
    const before = performance.now()
    await node.lost()
    expect(performance.now() - before).toBeLessThan(10_000)
    stopped.resume()
    await node.ready()
  })
})

/** Moves the slot of a key, and all that is in it, to another node. */
async function moveSlot(servers: readonly RedisServer[], key: string): Promise<void> {
  const slot = await (servers[0] as RedisServer).command('CLUSTER', 'KEYSLOT', key)
  const ids = await Promise.all(servers.map((server) => server.command('CLUSTER', 'MYID')))
  const from = Math.floor((Number(slot) * servers.length) / 16_384)
  const to = (from + 1) % servers.length
  const [source, target] = [servers[from], servers[to]] as [RedisServer, RedisServer]
  await target.command('CLUSTER', 'SETSLOT', slot, 'IMPORTING', ids[from] as string)
  await source.command('CLUSTER', 'SETSLOT', slot, 'MIGRATING', ids[to] as string)
  const keys = (await source.command('CLUSTER', 'GETKEYSINSLOT', slot, '1000')).split('\n')
  await source.command('MIGRATE', '127.0.0.1', String(target.port), '', '0', '5000', 'KEYS', ...keys)
  for (const server of [target, source, ...servers]) {
    await server.command('CLUSTER', 'SETSLOT', slot, 'NODE', ids[to] as string)
  }
}
