/** The Redis hosts of a layer: addresses, or clients that somebody else opened. */
import { Redis, type RedisOptions } from 'ioredis'
import { MisuseError } from '../../errors.ts'
import type { MakeClient } from '../broker/redis-connection.ts'

/**
 * One Redis: a URL (`redis://`, `rediss://`, `unix://`), options of ioredis (also for Sentinel: `{ sentinels: [{ host, port }], name }`), or a client of
 * ioredis, which is duplicated and otherwise left alone.
 */
export type DjangoHost = string | RedisOptions | Redis

const DEFAULT_HOST = 'redis://localhost:6379'
const ALLOWED =
  'a list of URLs such as "redis://localhost:6379", options of ioredis, or clients of ioredis: a list even of one, as in Django'

// Types ask for it.
const AS_IN_RESP2 = { replyMapping: 'legacy' } as const

/**
 * How clients of each host are made.
 *
 * @throws {MisuseError} (code `invalid-option`)
 */
export function resolveHosts(hosts: readonly DjangoHost[] = [DEFAULT_HOST]): MakeClient[] {
  if (!Array.isArray(hosts) || hosts.length === 0) refuse()
  return hosts.map((host: DjangoHost) => {
    if (host instanceof Redis) return (options) => host.duplicate(options)
    if (typeof host === 'string') {
      if (!/^(rediss?|unix):\/\/./.test(host)) refuse()
      return (options) => new Redis(host, { ...options, ...AS_IN_RESP2 })
    }
    if (typeof host !== 'object' || host === null) refuse()
    return (options) => new Redis({ ...host, ...options, ...AS_IN_RESP2 })
  })
}

// The value is not shown: it may hold a password.
function refuse(): never {
  throw new MisuseError('invalid-option', `djangoLayer has hosts that cannot be used: it must be ${ALLOWED}.`)
}
