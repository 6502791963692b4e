/**
 * The URL of a channel layer, as the configuration names it: what a driver is made with. Lists of servers and options that a broker's own URLs do not have
 * go into it, so that one text says it all.
 */

/** What the query of a URL can say; which of it a driver takes differs. */
interface UrlOptions {
  readonly prefix?: string
  readonly capacity?: number
  readonly expiryMs?: number
  readonly timeoutMs?: number
  /** NATS: copies of the stream in its cluster. */
  readonly replicas?: number
  /** Django: `core` or `pubsub`. */
  readonly protocol?: string
}

/** What a URL asks for. */
export type LayerSpec =
  | { readonly driver: 'redis'; readonly servers: RedisServers; readonly options: UrlOptions }
  | { readonly driver: 'nats' | 'django'; readonly servers: readonly string[]; readonly options: UrlOptions }

/** One server, the nodes of a Cluster, or Sentinels that know of a primary. */
type RedisServers =
  | { readonly url: string }
  | { readonly cluster: readonly string[] }
  | { readonly sentinel: RedisSentinels }

/** A primary that Sentinels watch, and what opens it. */
interface RedisSentinels {
  readonly name: string
  readonly sentinels: readonly string[]
  readonly username?: string
  readonly password?: string
  readonly database?: number
}

/** The forms, for texts. */
export const LAYER_FORMS =
  '"memory", or a URL: redis://host:6379/0, rediss://…, redis+cluster://host:port,host:port, redis+sentinel://host:port,host:port/primary, nats://host:4222,host:4222, tls://… (NATS), django+redis://host:6379/0'

/** Why a text is no URL of a layer. */
export class LayerUrlError extends Error {}

const COMMON = ['prefix', 'capacity', 'expiryMs', 'timeoutMs'] as const
const NUMBERS: ReadonlySet<string> = new Set(['capacity', 'expiryMs', 'timeoutMs', 'replicas'])

/** `scheme://[credentials@]host[:port][,host[:port]…][/path][?query]` */
const FORM =
  /^(?<scheme>[a-z+]+):\/\/(?:(?<credentials>[^@/?#]*)@)?(?<hosts>[^@/?#]+)(?:\/(?<path>[^?#]*))?(?:\?(?<query>[^#]*))?$/

interface Parts {
  readonly scheme: string
  /** With its `@`; empty without one. */
  readonly credentials: string
  readonly hosts: readonly string[]
  readonly path: string
  readonly query: URLSearchParams
}

const SCHEMES: ReadonlyMap<string, (parts: Parts) => LayerSpec> = new Map([
  ['redis', redis],
  ['rediss', redis],
  ['redis+cluster', redisCluster],
  ['rediss+cluster', redisCluster],
  ['redis+sentinel', redisSentinel],
  ['nats', nats],
  ['tls', nats],
  ['django+redis', django],
  ['django+rediss', django],
])

/** The URL with stars in place of its password, for people. */
export function withoutPassword(text: string): string {
  return text.replace(/^([a-z+]+:\/\/[^@/?#]*?:)[^@/?#]*@/, '$1***@')
}

/** @throws {LayerUrlError} saying what is wrong, as the end of a sentence; without anything secret of the URL */
export function parseLayerUrl(text: string): LayerSpec {
  const groups = FORM.exec(text)?.groups
  const make = SCHEMES.get(groups?.scheme ?? '')
  if (groups === undefined || make === undefined) throw new LayerUrlError(`it must be ${LAYER_FORMS}.`)
  const { scheme = '', credentials, hosts = '', path = '', query = '' } = groups
  const list = hosts.split(',')
  for (const host of list) {
    if (!URL.canParse(`redis://${host}`))
      throw new LayerUrlError(`${JSON.stringify(host)} is no host and port.`)
  }
  return make({
    ...{ scheme, hosts: list, path },
    credentials: credentials === undefined ? '' : `${credentials}@`,
    query: new URLSearchParams(query),
  })
}

function redis({ scheme, credentials, hosts, path, query }: Parts): LayerSpec {
  const [host, ...others] = hosts
  if (others.length > 0)
    throw new LayerUrlError(`several servers need ${scheme}+cluster:// or redis+sentinel://.`)
  return {
    driver: 'redis',
    servers: { url: `${scheme}://${credentials}${host}${database(path)}` },
    options: optionsOf(query, COMMON),
  }
}

function redisCluster({ scheme, credentials, hosts, path, query }: Parts): LayerSpec {
  if (path !== '') throw new LayerUrlError('a Cluster has no databases: leave the path out.')
  const plain = scheme.replace('+cluster', '')
  const cluster = hosts.map((host) => `${plain}://${credentials}${host}`)
  return { driver: 'redis', servers: { cluster }, options: optionsOf(query, COMMON) }
}

/** The credentials are those of the servers that the Sentinels watch. */
function redisSentinel({ credentials, hosts, path, query }: Parts): LayerSpec {
  const [name = '', number, ...rest] = path.split('/')
  if (name === '' || rest.length > 0) {
    throw new LayerUrlError(
      'behind the Sentinels it needs the name of the primary: redis+sentinel://host:26379/name.',
    )
  }
  const { username, password } = new URL(`redis://${credentials}host`)
  const sentinel = {
    name: decodeURIComponent(name),
    sentinels: hosts.map((host) => `redis://${host}`),
    ...(username !== '' && { username: decodeURIComponent(username) }),
    ...(password !== '' && { password: decodeURIComponent(password) }),
    ...(number !== undefined && { database: Number(database(number).slice(1)) }),
  }
  return { driver: 'redis', servers: { sentinel }, options: optionsOf(query, COMMON) }
}

function nats({ scheme, credentials, hosts, path, query }: Parts): LayerSpec {
  if (path !== '') throw new LayerUrlError('NATS has no databases: leave the path out.')
  const servers = hosts.map((host) => `${scheme}://${credentials}${host}`)
  return { driver: 'nats', servers, options: optionsOf(query, [...COMMON, 'replicas']) }
}

function django({ scheme, credentials, hosts, path, query }: Parts): LayerSpec {
  const plain = scheme.replace('django+', '')
  const servers = hosts.map((host) => `${plain}://${credentials}${host}${database(path)}`)
  const options = optionsOf(query, [...COMMON, 'protocol'])
  const { protocol } = options
  if (protocol !== undefined && protocol !== 'core' && protocol !== 'pubsub') {
    throw new LayerUrlError(`protocol is ${JSON.stringify(protocol)}: it must be "core" or "pubsub".`)
  }
  return { driver: 'django', servers, options }
}

/** The path of a database, with its slash; empty for none. */
function database(path: string): string {
  if (path === '') return ''
  if (!/^\d{1,5}$/.test(path))
    throw new LayerUrlError('the path of a Redis URL is the number of a database, such as /0.')
  return `/${path}`
}

function optionsOf(query: URLSearchParams, known: readonly (keyof UrlOptions)[]): UrlOptions {
  const options: Record<string, string | number> = {}
  for (const [name, value] of query) {
    if (!(known as readonly string[]).includes(name)) {
      throw new LayerUrlError(`there is no option ${JSON.stringify(name)}: it takes ${known.join(', ')}.`)
    }
    if (!NUMBERS.has(name)) options[name] = value
    else if (/^[1-9]\d{0,9}$/.test(value)) options[name] = Number(value)
    else throw new LayerUrlError(`${name} is ${JSON.stringify(value)}: it must be a whole number from 1.`)
  }
  return options
}
