import type { NodeConnectionOptions } from '@nats-io/transport-node'
import { type Clock, systemClock } from '../../clock.ts'
import { MisuseError } from '../../errors.ts'
import { quote } from '../../names.ts'
import { assertKnownOptions } from '../../options.ts'
import { CHANNEL_DEFAULTS } from '../layer.ts'

/** Options of `natsLayer()`. All nodes of one layer should have the same. */
export interface NatsLayerOptions {
  /**
   * Where the NATS servers are, one URL or several of one cluster, of which any is used: `nats://` or `tls://`, a host, a port (4222 unless given), a user and a
   * password (or a token) where they are needed. `nats://127.0.0.1:4222` unless given.
   */
  readonly servers?: string | readonly string[]
  /** What else `connect()` of `@nats-io/transport-node` takes, such as `authenticator`, `tls`, `inboxPrefix`. What it says of reconnecting is ignored. */
  readonly connection?: NodeConnectionOptions
  /** What all subjects and streams begin with: nodes with the same one are nodes of one layer. `[A-Za-z0-9_-]`, at most 64; `groupcast` unless given. */
  readonly prefix?: string
  /** Most messages that wait in one channel: 100 unless given. */
  readonly capacity?: number
  /** A message that waited longer in a channel is forgotten: 60 000 ms unless given; from 100. */
  readonly expiryMs?: number
  /** Most messages that the stream keeps of one group, whatever its `history.count` says: 1 000 unless given; at most 100 000. */
  readonly maxMessagesPerGroup?: number
  /** Nothing is kept for longer, whatever `history.ageSeconds` says: 86 400 000 ms (a day) unless given; from 1 000. */
  readonly maxHistoryAgeMs?: number
  /** Most bytes that the stream of history has, all groups together; the oldest go first. 256 MiB unless given. */
  readonly maxHistoryBytes?: number
  /** Most bytes that wait in all channels together: 256 MiB unless given. Beyond it, `send` rejects. */
  readonly maxQueueBytes?: number
  /** `'file'` (the default): history and channels survive a restart of the server. `'memory'`: they do not, and cost no disk. */
  readonly storage?: 'file' | 'memory'
  /** On so many servers of a cluster each message is kept, 1 to 5: 1 unless given. From 3 on one may fail without a loss. */
  readonly replicas?: number
  /** How long an operation may take, and opening a connection: 5 000 ms unless given. */
  readonly timeoutMs?: number
  /** How long a group without members stays subscribed, since members that flap come back: 5 000 ms unless given. */
  readonly lingerMs?: number
  /** Time; tests turn it by hand. What NATS keeps ages by the server's. */
  readonly clock?: Clock
}

/** The same, filled in and checked. */
export interface ResolvedOptions extends Required<Omit<NatsLayerOptions, 'servers'>> {
  readonly servers: readonly string[]
}

const COUNT = 'a whole number from 1'
const KNOWN: readonly (keyof NatsLayerOptions)[] = [
  ...([
    'servers',
    'connection',
    'prefix',
    'capacity',
    'expiryMs',
    'maxMessagesPerGroup',
    'maxHistoryAgeMs',
  ] as const),
  ...(['maxHistoryBytes', 'maxQueueBytes', 'storage', 'replicas', 'timeoutMs', 'lingerMs', 'clock'] as const),
]
const MOST_MS = 2 ** 31 - 1
const YEAR_MS = 366 * 24 * 60 * 60 * 1000

type Check = readonly [isValid: (value: never) => boolean, allowed: string]

const isCount = (most: number) => (value: number) =>
  Number.isSafeInteger(value) && value >= 1 && value <= most
const isBetween = (least: number, most: number) => (value: number) =>
  typeof value === 'number' && value >= least && value <= most

const CHECKS: Readonly<Record<Exclude<keyof NatsLayerOptions, 'servers'>, Check>> = {
  connection: [(value: unknown) => typeof value === 'object' && value !== null, 'an object of options'],
  prefix: [
    (value: unknown) => typeof value === 'string' && /^[A-Za-z0-9_-]{1,64}$/.test(value),
    '1–64 characters of A-Z a-z 0-9 _ -',
  ],
  capacity: [isCount(1_000_000), `${COUNT} to 1000000`],
  expiryMs: [isBetween(100, YEAR_MS), 'a number of milliseconds from 100 to a year'],
  maxMessagesPerGroup: [isCount(100_000), `${COUNT} to 100000`],
  maxHistoryAgeMs: [isBetween(1_000, YEAR_MS), 'a number of milliseconds from 1000 to a year'],
  maxHistoryBytes: [isCount(Number.MAX_SAFE_INTEGER), COUNT],
  maxQueueBytes: [isCount(Number.MAX_SAFE_INTEGER), COUNT],
  storage: [(value: unknown) => value === 'file' || value === 'memory', "'file' or 'memory'"],
  replicas: [isCount(5), `${COUNT} to 5`],
  timeoutMs: [isBetween(1, MOST_MS), 'a number of milliseconds from 1'],
  lingerMs: [isBetween(0, MOST_MS), 'a number of milliseconds from 0'],
  clock: [(value: Clock) => typeof value?.now === 'function' && typeof value.every === 'function', 'a Clock'],
}

const DEFAULTS = {
  connection: {},
  prefix: 'groupcast',
  ...CHANNEL_DEFAULTS,
  maxMessagesPerGroup: 1_000,
  maxHistoryAgeMs: 24 * 60 * 60 * 1000,
  maxHistoryBytes: 256 * 1024 * 1024,
  maxQueueBytes: 256 * 1024 * 1024,
  storage: 'file',
  replicas: 1,
  timeoutMs: 5_000,
  lingerMs: 5_000,
  clock: systemClock,
} as const

/**
 * Fills in the defaults and checks each option.
 *
 * @throws {MisuseError} (code `invalid-option`) naming the option, its value and what is allowed
 */
export function resolveOptions(given: NatsLayerOptions): ResolvedOptions {
  assertKnownOptions('natsLayer', given, KNOWN)
  const set = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
  const resolved = { ...DEFAULTS, ...set } as Required<NatsLayerOptions>
  for (const [name, [isValid, allowed]] of Object.entries(CHECKS)) {
    const value = resolved[name as keyof NatsLayerOptions]
    if (!isValid(value as never)) throw invalid(name, value, allowed)
  }
  const { servers, connection } = resolveServers(
    given.servers === undefined ? DEFAULT_SERVER : given.servers,
    resolved.connection,
  )
  return Object.freeze({ ...resolved, servers, connection })
}

const DEFAULT_SERVER = 'nats://127.0.0.1:4222'

/** The addresses without credentials, for the client library knows none in URLs; and the credentials. */
function resolveServers(given: string | readonly string[], connection: NodeConnectionOptions) {
  const urls = typeof given === 'string' ? [given] : given
  if (!Array.isArray(urls) || urls.length === 0) throw invalid('servers', given, SERVERS)
  let credentials: NodeConnectionOptions = {}
  const servers = urls.map((text: unknown) => {
    const url = urlOf(text)
    const [user, pass] = [decodeURIComponent(url.username), decodeURIComponent(url.password)]
    if (user !== '') credentials = pass === '' ? { token: user } : { user, pass }
    if (url.protocol === 'tls:') credentials = { tls: {}, ...credentials }
    return `${url.hostname}:${url.port === '' ? 4222 : url.port}`
  })
  return { servers, connection: { ...credentials, ...connection } }
}

const SERVERS = 'a URL like nats://127.0.0.1:4222, or a list of them'

function urlOf(text: unknown): URL {
  // Without the credentials that it may have: the text ends up in logs.
  const shown = typeof text === 'string' ? text.replace(/\/\/[^@]*@/, '//…@') : text
  if (typeof text !== 'string' || !URL.canParse(text)) throw invalid('servers', shown, SERVERS)
  const url = new URL(text)
  const isPlain = ['', '/'].includes(url.pathname) && url.search === '' && url.hash === ''
  if (!['nats:', 'tls:'].includes(url.protocol) || url.hostname === '' || !isPlain)
    throw invalid('servers', shown, SERVERS)
  return url
}

function invalid(option: string, value: unknown, allowed: string): MisuseError {
  // JSON has no Infinity and no NaN: `quote` would show them as null.
  const shown = typeof value === 'number' ? String(value) : quote(value)
  return new MisuseError('invalid-option', `natsLayer has ${option}: ${shown}: it must be ${allowed}.`)
}
