/** The Redis layer: the same hub on several machines, over Redis or Valkey. */
import type { ChannelLayer } from '../layer.ts'
import { RedisLayer } from './layer.ts'
import { type RedisLayerOptions, type RedisSentinelOptions, resolveRedisOptions } from './options.ts'

export type { RedisLayerOptions, RedisSentinelOptions }

/**
 * A channel layer over Redis 7 or Valkey, which must be there: one server, one that Sentinels watch, or a Cluster. Hubs with the same server and prefix
 * are nodes of one system. Needs the package `ioredis`.
 *
 * The hub starts while Redis is down, says so in `status`, and is ready by itself when it is up. While Redis is away, `groupSend` and the like reject with
 * code `layer-unavailable` (nothing was sent) or `layer-timeout` (it may have been); nothing is sent later or twice. Afterwards groups that keep
 * history go on where they were: see `docs/redis.md`.
 *
 * @example
 * import { createHub } from 'groupcast'
 * import { redisLayer } from 'groupcast/layers/redis'
 *
 * const hub = createHub({ layer: redisLayer({ url: 'redis://127.0.0.1:6379' }) })
 *
 * @throws {MisuseError} `invalid-option` naming the option, its value and what is allowed
 */
export function redisLayer(options: RedisLayerOptions = {}): ChannelLayer {
  return new RedisLayer(resolveRedisOptions(options))
}
