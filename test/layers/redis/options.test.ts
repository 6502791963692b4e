import { readFileSync } from 'node:fs'
import { Redis } from 'ioredis'
import { describe, expect, test } from 'vitest'
import { MisuseError } from '../../../src/errors.ts'
import { redisLayer } from '../../../src/layers/redis/index.ts'
import { type RedisLayerOptions, resolveRedisOptions } from '../../../src/layers/redis/options.ts'
import { slotOf } from '../../../src/layers/redis/slots.ts'

const PAGE = readFileSync(new URL('../../../docs/redis.md', import.meta.url), 'utf8')

/** What a client would be made with; it is not connected. */
function clientOf(options: RedisLayerOptions) {
  return resolveRedisOptions(options).make({ lazyConnect: true }).options
}

describe('what is not allowed is said with the option, the value and what is', () => {
  test.each<[options: object, text: RegExp]>([
    [{ host: 'a' }, /no option "host".*url, sentinel, cluster, client/],
    [{ url: 'http://a' }, /url: "http:\/\/a".*redis:\/\//],
    [{ url: 'redis://' }, /url/],
    [{ url: 'redis://a/x' }, /url/],
    [{ url: 'redis://a?x=1' }, /url/],
    [{ url: 7 }, /url: 7/],
    [{ url: 'redis://a', cluster: ['redis://a'] }, /url and cluster: give one/],
    [{ client: {} }, /client: \{\}.*ioredis/],
    [{ client: null }, /client: null/],
    [{ cluster: [] }, /cluster: \[\].*list of URLs/],
    [{ cluster: 'redis://a' }, /cluster/],
    [{ cluster: ['redis://a', 'redis://b/1'] }, /cluster\[1\].*without a database/],
    [{ sentinel: null }, /sentinel: null/],
    [{ sentinel: { name: '', sentinels: ['redis://a'] } }, /sentinel\.name/],
    [{ sentinel: { name: 'a', sentinels: [] } }, /sentinel\.sentinels/],
    [{ sentinel: { name: 'a', sentinels: ['a'] } }, /sentinel\.sentinels\[0\]/],
    [{ sentinel: { name: 'a', sentinels: ['redis://a'], password: 7 } }, /sentinel\.password/],
    [{ sentinel: { name: 'a', sentinels: ['redis://a'], database: -1 } }, /sentinel\.database/],
    [{ sentinel: { name: 'a', sentinels: ['redis://a'], master: 1 } }, /no option "master"/],
    [{ prefix: '' }, /prefix: ""/],
    [{ prefix: 'a{b}' }, /prefix: "a\{b\}"/],
    [{ prefix: 'a'.repeat(65) }, /prefix/],
    [{ capacity: 0 }, /capacity: 0.*from 1/],
    [{ capacity: Number.NaN }, /capacity: NaN/],
    [{ expiryMs: 0.5 }, /expiryMs: 0\.5/],
    [{ expiryMs: Number.POSITIVE_INFINITY }, /expiryMs: Infinity/],
    [{ timeoutMs: 2 ** 31 }, /timeoutMs: 2147483648/],
    [{ channelCapacity: 7 }, /channelCapacity/],
    [{ channelCapacity: { 'a*': 0 } }, /channelCapacity\["a\*"\] is 0/],
    [{ channelCapacity: ['ab'] }, /channelCapacity/],
    [{ clock: {} }, /clock/],
  ])('%o', (options, text) => {
    expect(() => redisLayer(options)).toThrow(MisuseError)
    expect(() => redisLayer(options)).toThrow(text)
  })

  test('an address beside a client, which has one', () => {
    const client = new Redis({ lazyConnect: true })
    expect(() => redisLayer({ url: 'redis://a', client })).toThrow(/client beside url/)
  })

  test('without the password', () => {
    expect(() => redisLayer({ url: 'redis://user:secret@host/what' })).toThrow(/user:…@host/)
    expect(() => redisLayer({ url: 'redis://user:secret@host/what' })).not.toThrow(/secret/)
  })
})

test('URLs say what they say elsewhere', () => {
  expect(clientOf({})).toMatchObject({ host: '127.0.0.1', port: 6379, db: 0 })
  expect(clientOf({ url: 'redis://:p%40ss@a:1/3' })).toMatchObject({
    host: 'a',
    port: 1,
    db: 3,
    password: 'p@ss',
  })
  expect(clientOf({ url: 'rediss://ann:x@[::1]' })).toMatchObject({
    host: '::1',
    port: 6379,
    username: 'ann',
    tls: {},
  })
  expect(resolveRedisOptions({ cluster: ['redis://a', 'redis://b:7000'] }).seeds).toEqual([
    { host: 'a', port: 6379 },
    { host: 'b', port: 7000 },
  ])
  expect(clientOf({ cluster: ['redis://:x@a', 'redis://b'] })).toMatchObject({ password: 'x' })
})

test('each connection asks another Sentinel first', () => {
  const { make } = resolveRedisOptions({
    sentinel: { name: 'hubs', sentinels: ['redis://:s@a', 'redis://b:1'], password: 'p', database: 2 },
  })
  const [first, second] = [make({ lazyConnect: true }).options, make({ lazyConnect: true }).options]
  expect(first).toMatchObject({ name: 'hubs', password: 'p', sentinelPassword: 's', db: 2 })
  expect(first.sentinels).toEqual([
    { host: 'a', port: 26_379 },
    { host: 'b', port: 1 },
  ])
  expect(second.sentinels?.map(({ host }) => host)).toEqual(['b', 'a'])
})

test('capacities by pattern', () => {
  const { capacityOf } = resolveRedisOptions({ capacity: 7, channelCapacity: new Map([['jobs.*', 1]]) })
  expect(['jobs.a', 'other'].map(capacityOf)).toEqual([1, 7])
})

test('slots are those of Redis', () => {
  // As CLUSTER KEYSLOT says.
  expect(['123456789', 'foo', '{user1000}.following', 'foo{}{bar}', 'foo{{bar}}zap', ''].map(slotOf)).toEqual(
    [12739, 12182, 3443, 8363, 4015, 0],
  )
})

test('the page has every option, with its default, and no other', () => {
  const rows = [...PAGE.matchAll(/^\| `(\w+)` +\| (.*?) +\|/gm)]
  let text = ''
  try {
    redisLayer({ nothing: 1 } as object)
  } catch (error) {
    text = String(error)
  }
  const known = /The options are (.*)\./.exec(text)?.[1]?.split(', ')
  expect(rows.map(([, name]) => name)).toEqual(known)
  const defaults = new Map(rows.map(([, name, value]) => [name, value?.replaceAll(/[` ]/g, '')]))
  const { prefix, expiryMs, timeoutMs, capacityOf } = resolveRedisOptions({})
  expect(defaults.get('prefix')).toBe(prefix)
  expect(defaults.get('capacity')).toBe(String(capacityOf('a')))
  expect(defaults.get('expiryMs')).toBe(String(expiryMs))
  expect(defaults.get('timeoutMs')).toBe(String(timeoutMs))
})
