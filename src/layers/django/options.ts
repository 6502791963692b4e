/** The options of the Django layer. */
import { type Clock, systemClock } from '../../clock.ts'
import { MisuseError } from '../../errors.ts'
import { quote } from '../../names.ts'
import { assertKnownOptions, isLimit } from '../../options.ts'
import type { MakeClient } from '../broker/redis-connection.ts'
import { type ChannelCapacity, COUNT, capacityRule, invalidOption, isCount } from '../channel-options.ts'
import { CHANNEL_DEFAULTS } from '../layer.ts'
import { Envelope } from './envelope.ts'
import { Fernet } from './fernet.ts'
import { type Format, jsonFormat, msgpackFormat } from './formats.ts'
import { type DjangoHost, resolveHosts } from './hosts.ts'
import { isOfHub } from './names.ts'

/** Options of {@link djangoLayer}. What has a counterpart in `CHANNEL_LAYERS[…]["CONFIG"]` must be the same there. */
export interface DjangoLayerOptions {
  /** Which of the two layers of channels_redis Django has: `'core'` for `RedisChannelLayer`, `'pubsub'` for `RedisPubSubChannelLayer`. */
  readonly protocol: 'core' | 'pubsub'
  /** `hosts`, in the same order: `['redis://localhost:6379']` unless given. */
  readonly hosts?: readonly DjangoHost[]
  /** `prefix`: `asgi` unless given. */
  readonly prefix?: string
  /** `symmetric_encryption_keys`: the first encrypts, all decrypt. Nothing is encrypted unless given. With `'pubsub'`, Django needs channels_redis 4.2.1. */
  readonly encryption?: readonly string[]
  /** `serializer_format`: `msgpack` unless given. */
  readonly format?: 'msgpack' | 'json'
  /** `random_prefix_length` of the core layer: 12 unless given. */
  readonly randomPrefixLength?: number
  /** `capacity` of the core layer: most messages that wait for one process or in one channel; 100 unless given. Senders enforce it. */
  readonly capacity?: number
  /**
   * `channel_capacity` of the core layer: other capacities by channel name, as pairs of a pattern and a capacity. In a pattern `*` stands for any run of
   * characters; the first that matches wins. Hubs have 10 000 unless a pattern matches.
   */
  readonly channelCapacity?: ChannelCapacity
  /** `expiry` of the core layer, in milliseconds: 60 000 unless given. */
  readonly expiryMs?: number
  /** `group_expiry` of the core layer, in milliseconds: 86 400 000 (a day) unless given. */
  readonly groupExpiryMs?: number
  /**
   * Queues that this node has with the core layer: 4 unless given. Each holds as much as a process of Django, and groups are spread over them, so bursts of
   * several groups do not fill one. With 1, what one sender sends keeps its order across groups too, with one host.
   */
  readonly queues?: number
  /**
   * `false`: names as Django's pub/sub layer takes them, which checks none: whatever a hub lets through, such as `room:1`. Names are those of Channels unless given.
   */
  readonly strictNames?: boolean
  /** How long Redis may take to answer, in milliseconds: 5000 unless given. */
  readonly timeoutMs?: number
  /** Time, for deadlines and pauses; tests turn it by hand. */
  readonly clock?: Clock
}

const KNOWN = [
  'protocol',
  'hosts',
  'prefix',
  'encryption',
  'format',
  'randomPrefixLength',
  'capacity',
  'channelCapacity',
  'expiryMs',
  'groupExpiryMs',
  'queues',
  'strictNames',
  'timeoutMs',
  'clock',
]

/** What a hub's queue holds, where Django's senders do not say otherwise: one serves all connections of a node. */
const HUB_CAPACITY = 10_000
const MAX_QUEUES = 64
const MAX_RANDOM_PREFIX = 1024
/** Messages may be read a moment after they expired, as in channels_redis. */
const TTL_SPARE_SECONDS = 10

/** The options, resolved. */
export interface Settings {
  readonly protocol: 'core' | 'pubsub'
  readonly hosts: readonly MakeClient[]
  readonly prefix: string
  readonly format: Format
  readonly envelope: Envelope
  readonly capacity: number
  /** Most messages that may wait where this channel is read. */
  capacityOf(channel: string): number
  readonly expiryMs: number
  readonly groupExpiryMs: number
  readonly queues: number
  readonly strictNames: boolean
  readonly timeoutMs: number
  readonly clock: Clock
}

/**
 * Fills in the defaults and checks each option.
 *
 * @throws {MisuseError} (code `invalid-option`) naming the option, its value and what is allowed
 */
export function resolveOptions(given: DjangoLayerOptions): Settings {
  assertKnownOptions('djangoLayer', given, KNOWN)
  const { protocol, prefix = 'asgi', format = 'msgpack', strictNames = true, queues = 4 } = given
  const { capacity = CHANNEL_DEFAULTS.capacity, channelCapacity, clock = systemClock } = given
  const { expiryMs = CHANNEL_DEFAULTS.expiryMs, groupExpiryMs = 86_400_000, timeoutMs = 5_000 } = given
  if (protocol !== 'core' && protocol !== 'pubsub')
    throw invalidOption('protocol', protocol, "'core' or 'pubsub'")
  if (typeof prefix !== 'string') throw invalidOption('prefix', prefix, 'a text')
  if (format !== 'msgpack' && format !== 'json') throw invalidOption('format', format, "'msgpack' or 'json'")
  if (!isCount(capacity)) throw invalidOption('capacity', capacity, COUNT)
  for (const [name, value] of Object.entries({ expiryMs, groupExpiryMs, timeoutMs })) {
    if (!isLimit(value)) throw invalidOption(name, value, 'a whole number of milliseconds from 1')
  }
  if (!isCount(queues) || queues > MAX_QUEUES)
    throw invalidOption('queues', queues, `a whole number from 1 to ${MAX_QUEUES}`)
  if (typeof strictNames !== 'boolean' || (!strictNames && protocol === 'core')) {
    throw invalidOption('strictNames', strictNames, "true; or false with protocol 'pubsub'")
  }
  if (typeof clock?.now !== 'function') throw invalidOption('clock', clock, 'a Clock')
  const rule = channelCapacity === undefined ? () => null : capacityRule(channelCapacity)
  return {
    protocol,
    hosts: resolveHosts(given.hosts),
    prefix,
    format: format === 'json' ? jsonFormat : msgpackFormat,
    envelope: envelopeOf(given, expiryMs),
    capacity,
    capacityOf: (channel) =>
      rule(channel) ?? (isOfHub(channel) ? Math.max(capacity, HUB_CAPACITY) : capacity),
    expiryMs,
    groupExpiryMs,
    queues,
    strictNames,
    timeoutMs,
    clock,
  }
}

function envelopeOf(
  { protocol, encryption, randomPrefixLength = 12 }: DjangoLayerOptions,
  expiryMs: number,
): Envelope {
  const isPrefix = Number.isInteger(randomPrefixLength) && randomPrefixLength >= 0
  if (!isPrefix || randomPrefixLength > MAX_RANDOM_PREFIX) {
    throw invalidOption(
      'randomPrefixLength',
      randomPrefixLength,
      `a whole number from 0 to ${MAX_RANDOM_PREFIX}`,
    )
  }
  const isCore = protocol === 'core'
  return new Envelope({
    fernet: fernetOf(encryption),
    ttlSeconds: isCore ? Math.floor(expiryMs / 1000) + TTL_SPARE_SECONDS : null,
    prefixBytes: isCore ? randomPrefixLength : 0,
  })
}

function fernetOf(keys: readonly string[] | undefined): Fernet | null {
  if (keys === undefined) return null
  const areKeys =
    Array.isArray(keys) && keys.length > 0 && keys.every((key) => typeof key === 'string' && key !== '')
  if (areKeys) return new Fernet(keys)
  // Not shown: keys are secret.
  const given = Array.isArray(keys) ? 'has an entry that is no key, or none' : `is ${quote(typeof keys)}`
  throw new MisuseError(
    'invalid-option',
    `encryption ${given}: it must be a list of texts, as symmetric_encryption_keys of channels_redis.`,
  )
}
