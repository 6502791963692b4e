/** What the core protocol leaves in Redis, and what becomes of it there. */
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { errorCodeOf } from '../../../src/errors.ts'
import type { DjangoLayerOptions } from '../../../src/layers/django/index.ts'
import { manualClock } from '../../../src/testing/index.ts'
import { type RedisServer, startRedis } from '../../support/redis-server.ts'
import { until } from '../../support/until.ts'
import { json, startNode } from './node.ts'
import { freshPrefix } from './redis.ts'

let server: RedisServer

beforeAll(async () => {
  server = await startRedis()
})

afterAll(() => server.stop())

afterEach(() => {
  vi.restoreAllMocks()
})

const redis = (...words: string[]) => server.command(...words)
const linesOf = async (...words: string[]) =>
  (await redis(...words)).split('\n').filter((line) => line !== '')

function optionsOf(more: Partial<DjangoLayerOptions> = {}) {
  const prefix = freshPrefix()
  return { protocol: 'core', hosts: [server.url], prefix, ...more } as const
}

describe('memberships', () => {
  test('a node has one channel in a group, however often it adds it, and takes it out again', async () => {
    const options = optionsOf()
    const { layer, id } = await startNode(options)
    const key = `${options.prefix}:group:room`
    for (let n = 0; n < 3; n++) await layer.groupAdd('room')
    expect(await linesOf('ZRANGE', key, '0', '-1')).toEqual([
      expect.stringMatching(`^groupcast\\.${id}\\.\\d+!\\w+$`),
    ])
    expect(Number(await redis('TTL', key))).toBeGreaterThan(86_000)
    await layer.groupDiscard('room')
    await vi.waitUntil(async () => (await redis('EXISTS', key)) === '0', { timeout: 5000 })
  })

  test('a node that closes leaves nothing behind', async () => {
    const options = optionsOf()
    const { layer } = await startNode(options)
    for (let n = 0; n < 20; n++) await layer.groupAdd(`room.${n}`)
    await layer.close()
    expect(await linesOf('KEYS', `${options.prefix}*`)).toEqual([])
  })

  test('a node that was killed is taken out of a group by the next message, and keeps none', async () => {
    const options = optionsOf()
    const { layer, numbers } = await startNode(options)
    await layer.groupAdd('room')
    const key = `${options.prefix}:group:room`
    await redis('ZADD', key, String(Date.now() / 1000), 'groupcast.0123456789ab.2!7')
    await layer.groupSend('room', json(1))
    await until('it has come', () => numbers.length === 1)
    await vi.waitUntil(async () => (await redis('ZCARD', key)) === '1', { timeout: 5000 })
    await layer.send('groupcast.0123456789ab!x', json(2))
    expect(await linesOf('KEYS', `${options.prefix}groupcast.0123456789ab*`)).toEqual([])
  })

  test('one that was removed by somebody else is written again', async () => {
    // Django throws memberships away that its own group_expiry calls old.
    const clock = manualClock()
    const options = optionsOf({ clock })
    const { layer, numbers } = await startNode(options)
    const groups = Array.from({ length: 50 }, (_, n) => `room.${n}`)
    for (const group of groups) await layer.groupAdd(group)
    await redis('DEL', ...groups.map((group) => `${options.prefix}:group:${group}`))
    const count = async () => (await linesOf('KEYS', `${options.prefix}:group:*`)).length
    expect(await count()).toBe(0)
    await vi.waitUntil(
      async () => {
        clock.advance(3_000)
        return (await count()) === groups.length
      },
      { timeout: 20_000, interval: 20 },
    )
    await layer.groupSend('room.7', json(7))
    await until('it has come', () => numbers.includes(7))
  })

  // It stayed in Redis, and the node got and dropped what came of the group until group_expiry: only a session that could still send took it out.
  test('a group that is discarded while Redis is away is left when it is back', async () => {
    const clock = manualClock()
    const options = optionsOf({ clock })
    const { layer, statuses, ready } = await startNode(options)
    for (const group of ['left', 'kept']) await layer.groupAdd(group)
    await redis('CLIENT', 'KILL', 'TYPE', 'normal')
    await until('the loss is noticed', () => statuses.at(-1)?.state === 'connecting')
    await layer.groupDiscard('left')
    clock.advance(1_000)
    await ready()
    expect(await linesOf('KEYS', `${options.prefix}:group:*`)).toEqual([`${options.prefix}:group:kept`])
  })

  test('FLUSHALL: the loss is said once, and all memberships come back', async () => {
    const clock = manualClock()
    const { layer, numbers, statuses, reports } = await startNode(optionsOf({ clock }))
    for (const group of ['a', 'b', 'c']) await layer.groupAdd(group)
    await redis('FLUSHALL')
    const isBack = () => statuses.filter(({ state }) => state === 'ready').length === 2
    await vi.waitUntil(
      () => {
        clock.advance(1_000)
        return isBack()
      },
      { timeout: 20_000, interval: 20 },
    )
    expect(statuses.find(({ reason }) => reason !== undefined)?.reason).toMatch(/lost its data/)
    expect(reports.map(errorCodeOf)).toEqual(['layer-unavailable'])
    for (const group of ['a', 'b', 'c']) await layer.groupSend(group, json(1))
    await until('they have come', () => numbers.length === 3)
  })

  test('a group of 3000 channels of one process is one message', async () => {
    const options = optionsOf()
    const { layer } = await startNode(options)
    const members = Array.from({ length: 3000 }, (_, n) => ['1e10', `specific.p!${n}`]).flat()
    await redis('ZADD', `${options.prefix}:group:big`, ...members)
    await layer.groupSend('big', json(1))
    expect(await redis('ZCARD', `${options.prefix}specific.p!`)).toBe('1')
  })
})

describe('an answer that comes after the deadline, and before deadlines are looked at', () => {
  /** Deadlines are looked at every 100 ms: at 5000, when it is not over, and at 5100. */
  const timeoutMs = 5_030
  const late = 5_040

  // groupSend resolved, and nothing was sent: the session took its sender for told, which is told up to 100 ms later.
  test('groupSend rejects, and nothing is sent', async () => {
    const clock = manualClock()
    const options = optionsOf({ clock, timeoutMs })
    const [sender, reader] = [await startNode(options), await startNode(options)]
    await reader.layer.groupAdd('room')
    const sent = sender.layer.groupSend('room', json(1)).then(
      () => 'sent',
      (error) => [errorCodeOf(error), String(error)],
    )
    clock.advance(late)
    expect(await sent).toEqual(['layer-unavailable', expect.stringMatching(/nothing was sent/)])
    await sender.layer.groupSend('room', json(2))
    await until('it has come', () => reader.numbers.length > 0)
    expect(reader.numbers).toEqual([2])
  })

  // The node stayed a member for ever of each group whose groupAdd had timed out: it wrote the membership down, and refreshed it, after that was said.
  test.each(['before', 'after'])(
    'groupAdd rejects %s deadlines are looked at, and leaves no membership',
    async (when) => {
      const clock = manualClock()
      const options = optionsOf({ clock, timeoutMs })
      const { layer, numbers } = await startNode(options)
      const added = layer.groupAdd('room')
      clock.advance(when === 'before' ? late : timeoutMs + 100)
      await expect(added).rejects.toMatchObject({ code: 'layer-timeout' })
      const key = `${options.prefix}:group:room`
      await vi.waitUntil(async () => (await redis('EXISTS', key)) === '0', { timeout: 5000 })
      await layer.groupAdd('other')
      await redis('DEL', `${options.prefix}:group:other`)
      // Memberships are written again by turns, the first one now.
      clock.advance(1_000)
      await vi.waitUntil(async () => (await redis('EXISTS', `${options.prefix}:group:other`)) === '1')
      expect(await redis('EXISTS', key)).toBe('0')
      await layer.groupAdd('room')
      await layer.groupSend('room', json(2))
      await until('it has come', () => numbers.length === 1)
    },
  )

  test('flush rejects, since it may have left queues', async () => {
    const clock = manualClock()
    const { layer } = await startNode(optionsOf({ clock, timeoutMs }))
    const queues = Array.from({ length: 3_000 }, (_, n) => `other.${n}`)
    await redis('MSET', ...queues.flatMap((queue) => [queue, '1']))
    const flushed = layer.flush()
    clock.advance(late)
    await expect(flushed).rejects.toMatchObject({ code: 'layer-timeout' })
    await redis('DEL', ...queues)
  })
})

describe('clocks', () => {
  test('a node whose clock is ahead throws away neither messages of others nor their memberships', async () => {
    const options = optionsOf()
    const { layer } = await startNode(options)
    const now = Date.now()
    const queue = `${options.prefix}specific.p!`
    await redis('ZADD', `${options.prefix}:group:room`, String(now / 1000), 'specific.p!x')
    await redis('ZADD', queue, String(now / 1000), 'waits')
    vi.spyOn(Date, 'now').mockReturnValue(now + 7 * 86_400_000)
    const ahead = await startNode({ ...options, hosts: [server.url] })
    await ahead.layer.groupSend('room', json(1))
    expect(await redis('ZCARD', queue)).toBe('2')
    expect(layer.name).toBe('django')
  })

  test('a message goes behind those that wait, though their sender’s clock is a little ahead', async () => {
    const options = optionsOf()
    const { layer } = await startNode(options)
    await redis('ZADD', `${options.prefix}jobs`, String(Date.now() / 1000 + 0.9), 'first')
    await layer.send('jobs', json(1))
    expect((await linesOf('ZRANGE', `${options.prefix}jobs`, '0', '0'))[0]).toBe('first')
    // Much later it would be read long after it should.
    await redis('ZADD', `${options.prefix}far`, String(Date.now() / 1000 + 30), 'far')
    await layer.send('far', json(1))
    expect((await linesOf('ZRANGE', `${options.prefix}far`, '-1', '-1'))[0]).toBe('far')
  })
})

test('flush leaves groups, and what others have in the same Redis', async () => {
  const options = optionsOf()
  const { layer, numbers } = await startNode(options)
  await layer.groupAdd('room')
  await layer.send('jobs', json(1))
  await redis('ZADD', `${options.prefix}specific.p!`, '1', 'x')
  await redis('ZADD', `${options.prefix}specific.p!$inflight`, '1', 'x')
  await redis('SET', `${options.prefix}text`, 'of another application')
  await redis('ZADD', 'unrelated', '1', 'x')
  await layer.flush()
  const left = await linesOf('KEYS', `${options.prefix}*`)
  expect(left.filter((key) => !key.includes('groupcast.')).sort()).toEqual(
    [`${options.prefix}:group:room`, `${options.prefix}text`].sort(),
  )
  expect(await redis('EXISTS', 'unrelated')).toBe('1')
  await layer.groupSend('room', json(2))
  await until('it has come', () => numbers.length === 1)
})

test('a message for a channel of Django is for one process, and nobody else may read it', async () => {
  const { layer } = await startNode(optionsOf())
  await expect(layer.receive('specific.p!x')).rejects.toMatchObject({ code: 'invalid-name' })
})

test('a message in a queue of workers that cannot be read is reported, and the reader gets the next one', async () => {
  const options = optionsOf()
  const { layer, reports } = await startNode(options)
  const reading = layer.receive('jobs')
  await redis('ZADD', `${options.prefix}jobs`, String(Date.now() / 1000), 'no msgpack at all')
  await layer.send('jobs', json(1))
  expect(await reading).toBe(json(1))
  await redis('ZADD', `${options.prefix}jobs`, String(Date.now() / 1000), 'again, while nobody reads')
  await layer.send('jobs', json(2))
  expect(await layer.receive('jobs')).toBe(json(2))
  expect(reports.map(errorCodeOf)).toEqual(['invalid-message'])
})

test('several hosts: a reader gets what is on any of them, the oldest first', async () => {
  const hosts = [`${server.url}/1`, `${server.url}/2`, `${server.url}/3`]
  const { layer } = await startNode(optionsOf({ hosts }))
  const other = await startNode(optionsOf({ hosts }))
  for (let n = 0; n < 9; n++) await layer.send('jobs', json(n))
  for (let n = 0; n < 9; n++) expect(await layer.receive('jobs')).toBe(json(n))
  const reading = layer.receive('jobs')
  await layer.send('jobs', json(9))
  expect(await reading).toBe(json(9))
  expect(other.pushed).toEqual([])
})
