/** The options of the Redis layer. */

import { Redis, type RedisOptions } from 'ioredis'
import { type Clock, systemClock } from '../../clock.ts'
import { MisuseError } from '../../errors.ts'
import { quote } from '../../names.ts'
import { assertKnownOptions } from '../../options.ts'
import type { MakeClient } from '../broker/redis-connection.ts'
import { type ChannelCapacity, COUNT, capacityRule, isCount } from '../channel-options.ts'
import { CHANNEL_DEFAULTS } from '../layer.ts'
import { SPAN_MS } from './history-scripts.ts'
import type { Address } from './servers.ts'

/** A primary that Sentinels watch. */
export interface RedisSentinelOptions {
  /** What the Sentinels call it. */
  readonly name: string
  /** URLs of Sentinels: `redis://[user:password@]host[:26379]`. One is enough; more are there when that is not. */
  readonly sentinels: readonly string[]
  /** For the servers that they watch. */
  readonly username?: string
  readonly password?: string
  /** Number of the database: 0 unless given. */
  readonly database?: number
}

/** Options of {@link redisLayer}. Of `url`, `sentinel` and `cluster` at most one. */
export interface RedisLayerOptions {
  /**
   * One server: `redis://[user:password@]host[:port][/database]`, `rediss://` for TLS; `redis://127.0.0.1:6379` unless given.
   */
  readonly url?: string
  /** A primary, found through Sentinels, and found again when another takes its place. */
  readonly sentinel?: RedisSentinelOptions
  /** URLs of some nodes of a Cluster; it finds the others. User and password are those of the first URL. */
  readonly cluster?: readonly string[]
  /**
   * A client of ioredis with options that no URL has, such as those of TLS. The layer makes its own connections like it (`client.duplicate()`) and leaves it alone, open
   * or not. Beside `cluster` its address is not used.
   */
  readonly client?: Redis
  /** Keeps apart what shares a server: 1 to 64 of `A-Z a-z 0-9 . _ : -`. `groupcast` unless given. */
  readonly prefix?: string
  /** Most messages that wait in one channel: 100 unless given. */
  readonly capacity?: number
  /**
   * Other capacities by channel name, as pairs of a pattern and a capacity (a list, a `Map`) or an object. In a pattern `*` stands for any run
   * of characters; the first that matches the whole name wins.
   */
  readonly channelCapacity?: ChannelCapacity
  /** A message that waited longer in a channel is forgotten: 60 000 ms unless given. */
  readonly expiryMs?: number
  /** How long Redis may take to answer, and connecting with all that belongs to it: 5000 ms unless given. */
  readonly timeoutMs?: number
  /** Time for timers and deadlines; what expires in Redis follows the time of its server. */
  readonly clock?: Clock
}

/** The options, resolved. */
export interface RedisParts {
  readonly make: MakeClient
  readonly seeds: readonly Address[] | null
  readonly prefix: string
  readonly capacityOf: (channel: string) => number
  readonly expiryMs: number
  readonly timeoutMs: number
  readonly spanMs: number
  readonly clock: Clock
}

const KNOWN = [
  'url',
  'sentinel',
  'cluster',
  'client',
  'prefix',
  'capacity',
  'channelCapacity',
  'expiryMs',
  'timeoutMs',
  'clock',
]

const DEFAULT_URL = 'redis://127.0.0.1:6379'
const DEFAULT_TIMEOUT_MS = 5_000
/** What timers can wait. */
const MOST_MS = 2 ** 31 - 1
const PREFIX = /^[A-Za-z0-9._:-]{1,64}$/
const URL_FORM = 'redis://[user:password@]host[:port][/database], or rediss://'

/**
 * Fills in the defaults and checks each option.
 *
 * @throws {MisuseError} (code `invalid-option`) naming the option, its value and what is allowed
 */
export function resolveRedisOptions(given: RedisLayerOptions): RedisParts {
  assertKnownOptions('redisLayer', given, KNOWN)
  const { prefix = 'groupcast', capacity = CHANNEL_DEFAULTS.capacity, clock = systemClock } = given
  const { expiryMs = CHANNEL_DEFAULTS.expiryMs, timeoutMs = DEFAULT_TIMEOUT_MS } = given
  if (typeof prefix !== 'string' || !PREFIX.test(prefix))
    refuse('prefix', prefix, '1 to 64 of A-Z a-z 0-9 . _ : -')
  if (!isCount(capacity)) refuse('capacity', capacity, COUNT)
  if (!isMs(expiryMs)) refuse('expiryMs', expiryMs, `a whole number of milliseconds from 1 to ${MOST_MS}`)
  if (!isMs(timeoutMs)) refuse('timeoutMs', timeoutMs, `a whole number of milliseconds from 1 to ${MOST_MS}`)
  if (typeof clock?.now !== 'function' || typeof clock.after !== 'function') refuse('clock', clock, 'a Clock')
  const ruleOf = capacityRule(given.channelCapacity ?? [])
  return {
    ...resolveServers(given),
    prefix,
    capacityOf: (channel) => ruleOf(channel) ?? capacity,
    expiryMs,
    timeoutMs,
    spanMs: SPAN_MS,
    clock,
  }
}

function resolveServers(given: RedisLayerOptions): Pick<RedisParts, 'make' | 'seeds'> {
  const { url, sentinel, cluster, client } = given
  const ways = Object.entries({ url, sentinel, cluster }).filter(([, value]) => value !== undefined)
  if (ways.length > 1) {
    const names = ways.map(([name]) => name).join(' and ')
    throw new MisuseError('invalid-option', `redisLayer has ${names}: give one of them.`)
  }
  if (client !== undefined && typeof (client as { duplicate?: unknown } | null)?.duplicate !== 'function') {
    refuse('client', client, 'a client of ioredis: new Redis({ … })')
  }
  if (client !== undefined && (url !== undefined || sentinel !== undefined)) {
    throw new MisuseError(
      'invalid-option',
      'redisLayer has client beside url or sentinel: the client has an address of its own.',
    )
  }
  const own =
    (base: RedisOptions): MakeClient =>
    (options) =>
      client === undefined ? newClient({ ...base, ...options }) : client.duplicate(options)
  if (cluster !== undefined) return resolveCluster(cluster, own)
  if (sentinel !== undefined) return { make: resolveSentinel(sentinel), seeds: null }
  return { make: own(serverOptions('url', url ?? DEFAULT_URL, 6379)), seeds: null }
}

function resolveCluster(
  cluster: unknown,
  own: (base: RedisOptions) => MakeClient,
): Pick<RedisParts, 'make' | 'seeds'> {
  if (!Array.isArray(cluster) || cluster.length === 0) refuse('cluster', cluster, 'a list of URLs of nodes')
  const nodes = cluster.map((url, index) => serverOptions(`cluster[${index}]`, url, 6379))
  const database = nodes.findIndex(({ db }) => db !== 0)
  if (database !== -1)
    refuse(`cluster[${database}]`, shown(cluster[database]), 'without a database: a Cluster has one only')
  const [{ host: _host, port: _port, ...common }] = nodes as [RedisOptions]
  return { make: own(common), seeds: nodes.map(({ host, port }) => ({ host, port }) as Address) }
}

function resolveSentinel(given: RedisSentinelOptions): MakeClient {
  if (typeof given !== 'object' || given === null) refuse('sentinel', given, '{ name, sentinels }')
  assertKnownOptions('redisLayer’s sentinel', given, [
    'name',
    'sentinels',
    'username',
    'password',
    'database',
  ])
  const { name, sentinels, username, password, database = 0 } = given
  if (typeof name !== 'string' || name === '')
    refuse('sentinel.name', name, 'what the Sentinels call the primary')
  if (!Array.isArray(sentinels) || sentinels.length === 0)
    refuse('sentinel.sentinels', sentinels, 'a list of URLs')
  for (const [option, value] of Object.entries({ username, password })) {
    if (value !== undefined && typeof value !== 'string') refuse(`sentinel.${option}`, typeof value, 'a text')
  }
  if (!Number.isInteger(database) || database < 0)
    refuse('sentinel.database', database, 'a whole number from 0')
  const nodes = sentinels.map((url, index) => serverOptions(`sentinel.sentinels[${index}]`, url, 26_379))
  const [first] = nodes as [RedisOptions]
  let turn = 0
  return (options) => {
    // Each time another one is asked first: one that has stopped must not take the time of every attempt.
    const start = turn++ % nodes.length
    const ordered = [...nodes.slice(start), ...nodes.slice(0, start)]
    return newClient({
      name,
      sentinels: ordered.map(({ host, port }) => ({ host, port }) as Address),
      ...(first.username === undefined ? {} : { sentinelUsername: first.username }),
      ...(first.password === undefined ? {} : { sentinelPassword: first.password }),
      ...(first.tls === undefined
        ? {}
        : { sentinelTLS: first.tls, enableTLSForSentinelMode: true, tls: first.tls }),
      ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password }),
      db: database,
      updateSentinels: false,
      ...options,
    })
  }
}

/** As its types see the options, replies may have two forms. */
function newClient(options: RedisOptions): Redis {
  return new Redis({ ...options, replyMapping: 'legacy' as const })
}

/** What a URL says. */
function serverOptions(option: string, given: unknown, defaultPort: number): RedisOptions {
  const url = typeof given === 'string' && URL.canParse(given) ? new URL(given) : null
  if (
    url === null ||
    !/^rediss?:$/.test(url.protocol) ||
    url.hostname === '' ||
    url.search !== '' ||
    url.hash !== ''
  ) {
    return refuse(option, shown(given), URL_FORM)
  }
  const database = /^\/?(\d{0,5})$/.exec(url.pathname)?.[1]
  if (database === undefined) return refuse(option, shown(given), URL_FORM)
  return {
    // An IPv6 address stands in brackets.
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: url.port === '' ? defaultPort : Number(url.port),
    db: Number(database),
    ...(url.username === '' ? {} : { username: decodeURIComponent(url.username) }),
    ...(url.password === '' ? {} : { password: decodeURIComponent(url.password) }),
    ...(url.protocol === 'rediss:' ? { tls: {} } : {}),
  }
}

/** A URL without its password, for texts. */
function shown(url: unknown): unknown {
  return typeof url === 'string' ? url.replace(/:[^:@/]*@/, ':…@') : url
}

function isMs(value: unknown): value is number {
  return isCount(value) && value <= MOST_MS
}

function refuse(option: string, value: unknown, allowed: string): never {
  const given = typeof value === 'number' ? String(value) : quote(value)
  throw new MisuseError('invalid-option', `redisLayer has ${option}: ${given}: it must be ${allowed}.`)
}
