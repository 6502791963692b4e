/**
 * The configuration of the standalone server. Everything else comes from this schema: variables, flags, the checks and their
 * texts, and `docs/configuration.md`.
 */
import { z } from 'zod'
import { TOKEN_ALGORITHMS } from '../../auth/key-material.ts'
import { HISTORY_DEFAULTS, MAX_AGE_SECONDS } from '../../history.ts'
import { MAX_HISTORY_BYTES } from '../../layers/memory-options.ts'
import { DEFAULT_LIMITS, type Limits } from '../../options.ts'
import { DEFAULT_RATES, type RateName, type Rates } from '../../rates.ts'
import { SLOW_POLICIES } from '../../slow.ts'
import { LAYER_FORMS, LayerUrlError, parseLayerUrl } from '../layer-url.ts'
import { settingInfo } from './setting.ts'
import {
  apiKey,
  directory,
  eventsPath,
  file,
  groupPattern,
  listenHost,
  oneOf,
  origin,
  proxy,
  urlHost,
  whole,
  wholeText,
} from './values.ts'

/** Who may do something to a group by asking for it. */
const WHO = ['anyone', 'authenticated', 'token', 'nobody'] as const
const BACKENDS = ['node', 'uws'] as const
const LOG_LEVELS = ['silent', 'error', 'warn', 'info', 'debug'] as const

/** Loopback as the host of a URL. */
const LOOPBACK_HOSTS = ['localhost', '127.0.0.1', '[::1]']

const who = (fallback: (typeof WHO)[number], text: string) =>
  z
    .enum(WHO)
    .default(fallback)
    .describe(text)
    .register(settingInfo, { allowed: oneOf(WHO) })

const { count, ageSeconds, bytes } = HISTORY_DEFAULTS

/** `history` of a rule, where it is not `false`. */
const historySchema = z.strictObject({
  count: whole(1)
    .default(count)
    .describe('Most messages that are kept of each group.')
    .register(settingInfo, { allowed: wholeText(1) }),
  ageSeconds: z
    .number()
    .gt(0)
    .max(MAX_AGE_SECONDS)
    .default(ageSeconds)
    .describe('Seconds that a message is kept.')
    .register(settingInfo, { allowed: 'a number of seconds above 0, at most a year' }),
  bytes: whole(1)
    .default(bytes)
    .describe('Most bytes of JSON that are kept of each group.')
    .register(settingInfo, { allowed: wholeText(1) }),
})

/** One rule of `groups`. */
export const groupRuleSchema = z.strictObject({
  match: groupPattern
    .describe('The groups it is for: a name in which each `*` stands for any characters, also none.')
    .register(settingInfo, {
      allowed: 'a pattern of 1–255 characters of A-Z a-z 0-9 . _ ~ : @ # $ / - and *',
    }),
  join: who(
    'anyone',
    'Who may join these groups, and get their history: `anyone`; whoever is `authenticated` by a token; whoever has a `token` whose claims name the group; or `nobody`.',
  ),
  send: who(
    'nobody',
    'Who may send to these groups, in the same words. The HTTP API is not concerned: see `apiKeys`.',
  ),
  slow: z
    .enum(SLOW_POLICIES)
    .default('close')
    .describe(
      'What happens to a client that reads too slowly: `close` ends its connection, to come back; `drop` drops the oldest messages and says how many; `latest` keeps the newest message of each `key`, drops the others like `drop`, and ends the connection like `close` where the newest of all keys are too much.',
    )
    .register(settingInfo, { allowed: oneOf(SLOW_POLICIES) }),
  history: z
    .union([historySchema, z.literal(false)])
    .default(false)
    .describe(
      'What these groups keep, so that clients that come back miss nothing: an object of the keys below, of which each may be left out (`{}`), or `false`.',
    )
    .register(settingInfo, {
      allowed: `an object such as ${JSON.stringify(HISTORY_DEFAULTS)}, or false`,
    }),
})

/** A limit that cannot be switched off. */
const limit = (name: Exclude<keyof Limits, 'heartbeatMs'>, text: string) =>
  whole(1)
    .default(DEFAULT_LIMITS[name])
    .describe(text)
    .register(settingInfo, { allowed: wholeText(1) })

const limitsShape = {
  maxMessageBytes: limit('maxMessageBytes', 'Largest message from a client.'),
  maxGroupsPerConnection: limit('maxGroupsPerConnection', 'Most groups that one connection can be in.'),
  maxBacklogBytes: limit(
    'maxBacklogBytes',
    'Most bytes waiting for one client, in its socket too; beyond it, it is too slow. Under `latest` the newest messages of its keys may take fifteen sixteenths of what its socket leaves of it.',
  ),
  maxTotalBacklogBytes: limit(
    'maxTotalBacklogBytes',
    'Most bytes waiting for all slow clients together, in their sockets too; what several wait for counts once, and the newest 8 KiB of each client do not. Beyond it the client with most gives way, as `slow` says, or is cut where most of it is in its socket.',
  ),
  maxPendingMessages: limit(
    'maxPendingMessages',
    'Most messages of one client waiting to be handled; beyond it nothing more is read from it.',
  ),
  maxJsonDepth: limit('maxJsonDepth', 'Deepest nesting of JSON from outside.'),
  heartbeatMs: z
    .union([whole(1), z.literal(false)])
    .default(DEFAULT_LIMITS.heartbeatMs)
    .describe('Time between heartbeats; `false` turns them off.')
    .register(settingInfo, { allowed: `${wholeText(1)}, or false` }),
  deadAfterMs: limit(
    'deadAfterMs',
    'A WebSocket that does not answer a heartbeat for this long is dead; one with much to read before it gets longer, enough for 1 KB/s.',
  ),
  maxStallMs: limit(
    'maxStallMs',
    'A congested client that takes nothing for this long is dead; 1.25 ms longer for each byte that waits in its socket. The system hands over nothing more before a third of its buffer is free, 1.4 MB at most on Linux: less than 1,500,000 cuts clients that read 1 KB/s.',
  ),
  handshakeTimeoutMs: limit('handshakeTimeoutMs', 'Longest time from a request to its acceptance.'),
  authenticateTimeoutMs: limit('authenticateTimeoutMs', 'Longest time to find out who a client is.'),
  maxAuthentications: limit(
    'maxAuthentications',
    'How many clients are authenticated at once; 16 times as many may wait.',
  ),
  maxTickets: limit('maxTickets', 'Most one-time tickets that wait to be used.'),
  maxRevocations: limit(
    'maxRevocations',
    'Most revoked identities that are remembered; beyond it the oldest give way, and all tokens of that age with them.',
  ),
  bodyTimeoutMs: limit(
    'bodyTimeoutMs',
    'Longest time that the body of a posted message, or of a request to the HTTP API that is read as a whole, may take to arrive.',
  ),
  closeTimeoutMs: limit('closeTimeoutMs', 'How long a closed client may take to go before it is cut.'),
  retrySpreadMs: limit(
    'retrySpreadMs',
    'An EventSource told to come back waits a second, and at random up to this much more.',
  ),
} satisfies Record<keyof Limits, z.ZodType>

/** A number of {@link Rates} that may be `false`. */
const rate = (name: RateName | 'connectionsPerAddress', text: string) =>
  z
    .union([whole(1), z.literal(false)])
    .default(DEFAULT_RATES[name])
    .describe(text)
    .register(settingInfo, { allowed: `${wholeText(1)}, or false` })

const burst = (name: `${RateName}Burst` | 'maxTracked', text = 'So many at once before that counts.') =>
  whole(1)
    .default(DEFAULT_RATES[name])
    .describe(text)
    .register(settingInfo, { allowed: wholeText(1) })

const ratesShape = {
  messagesPerConnection: rate(
    'messagesPerConnection',
    'Messages and commands of one connection in a second.',
  ),
  messagesPerConnectionBurst: burst('messagesPerConnectionBurst'),
  bytesPerConnection: rate('bytesPerConnection', 'Bytes of the messages of one connection in a second.'),
  bytesPerConnectionBurst: burst('bytesPerConnectionBurst'),
  joinsPerConnection: rate('joinsPerConnection', 'Joins that one connection asks for in a second.'),
  joinsPerConnectionBurst: burst('joinsPerConnectionBurst'),
  framesPerConnection: rate(
    'framesPerConnection',
    'Pings, pongs that nobody asked for and, with the back end `node`, reads from the socket of one WebSocket in a second.',
  ),
  framesPerConnectionBurst: burst('framesPerConnectionBurst'),
  messagesPerIdentity: rate('messagesPerIdentity', 'The same for all connections of one identity.'),
  messagesPerIdentityBurst: burst('messagesPerIdentityBurst'),
  bytesPerIdentity: rate('bytesPerIdentity', 'The same for all connections of one identity.'),
  bytesPerIdentityBurst: burst('bytesPerIdentityBurst'),
  joinsPerIdentity: rate(
    'joinsPerIdentity',
    'The same for all connections of one identity, the groups that they connect with included.',
  ),
  joinsPerIdentityBurst: burst('joinsPerIdentityBurst'),
  handshakesPerAddress: rate('handshakesPerAddress', 'Attempts to connect from one address in a second.'),
  handshakesPerAddressBurst: burst('handshakesPerAddressBurst'),
  failedAuthenticationsPerAddress: rate(
    'failedAuthenticationsPerAddress',
    'Attempts to authenticate from one address that fail, in a second; API keys are counted by themselves. Beyond it nobody from there is asked who it is.',
  ),
  failedAuthenticationsPerAddressBurst: burst('failedAuthenticationsPerAddressBurst'),
  postsPerAddress: rate(
    'postsPerAddress',
    'Messages posted from one address in a second, for connections of other nodes or none.',
  ),
  postsPerAddressBurst: burst('postsPerAddressBurst'),
  connectionsPerAddress: rate('connectionsPerAddress', 'Connections of one address at a time.'),
  exemptAddresses: z
    .array(proxy)
    .default([...DEFAULT_RATES.exemptAddresses])
    .describe('Addresses and networks of which nothing is counted by address.')
    .register(settingInfo, { allowed: 'a list of addresses and networks' }),
  maxTracked: burst(
    'maxTracked',
    'Most identities, and most addresses, that each rate is counted for at a time; beyond it those that owe least are forgotten.',
  ),
} satisfies Record<keyof Rates, z.ZodType>

const tlsFile = (what: string, name: 'cert' | 'key') =>
  z
    .union([file, z.literal(false)])
    .default(false)
    .describe(`File with the ${what} (PEM). \`false\`: plain HTTP.`)
    .register(settingInfo, {
      allowed: `the path of a file such as "./${name}.pem", or false`,
      flag: `--tls-${name} <file>`,
    })

const text = z.string().min(1)
const nothing = z.literal(false)
const nameOf = (what: string) => ({ allowed: `the name of a ${what}, or false` })

/** One key of `auth.keys`. */
const tokenKeySchema = z.strictObject({
  kid: text.register(settingInfo, { allowed: 'a text: what tokens name the key by' }),
  algorithm: z.enum(TOKEN_ALGORITHMS).register(settingInfo, { allowed: oneOf(TOKEN_ALGORITHMS) }),
  secret: text.optional().register(settingInfo, { allowed: 'at least 32 random bytes', isSecret: true }),
  publicKey: text.optional().register(settingInfo, { allowed: 'a public key as PEM or JWK' }),
})

/** Keys of tokens are read where tokens are made ready: `auth.ts` says what is wrong with them. */
const authShape = {
  algorithm: z
    .enum(TOKEN_ALGORITHMS)
    .default('HS256')
    .describe(
      'What tokens are signed with, where there is one key: `HS256` with `auth.secret`, the others with `auth.publicKey`.',
    )
    .register(settingInfo, { allowed: oneOf(TOKEN_ALGORITHMS) }),
  secret: z
    .union([text, nothing])
    .default(false)
    .describe('The secret of `HS256`: at least 32 random bytes. Weak and well-known ones are refused.')
    .register(settingInfo, { allowed: 'at least 32 random bytes, or false', isSecret: true }),
  publicKey: z
    .union([text, nothing])
    .default(false)
    .describe('The public key of `RS256`, `ES256` or `EdDSA`: PEM (SPKI or a certificate) or a JWK.')
    .register(settingInfo, { allowed: 'a public key as PEM or JWK, or false' }),
  keys: z
    .array(tokenKeySchema)
    .default([])
    .describe(
      'Several keys, to replace one without a break: `{"kid":"2","algorithm":"HS256","secret":"…"}` each, of which tokens name one.',
    )
    .register(settingInfo, { allowed: 'a list of keys (in a variable: as JSON)', isSecret: true }),
  jwksUrl: z
    .union([text, nothing])
    .default(false)
    .describe('Where the public keys of an issuer are (a JWKS): https, or http on this machine.')
    .register(settingInfo, { allowed: 'an https URL, or false' }),
  algorithms: z
    .array(
      z.enum(['RS256', 'ES256', 'EdDSA']).register(settingInfo, { allowed: '"RS256", "ES256" or "EdDSA"' }),
    )
    .min(1)
    .default(['RS256', 'ES256', 'EdDSA'])
    .describe('What the keys at `auth.jwksUrl` may be used with.')
    .register(settingInfo, { allowed: 'a list of "RS256", "ES256" and "EdDSA"' }),
  issuer: z
    .array(text)
    .default([])
    .describe('Who may have made a token (`iss`); none: anybody with the key.')
    .register(settingInfo, { allowed: 'a list of texts' }),
  audience: z
    .array(text)
    .default([])
    .describe('Whom a token may be meant for (`aud`); none: this is not looked at.')
    .register(settingInfo, { allowed: 'a list of texts' }),
  maxLifetimeSeconds: whole(1, 31_536_000)
    .default(86_400)
    .describe(
      'The longest time for which a token may be good, from `iat` to `exp`. It must have an end (`exp`).',
    )
    .register(settingInfo, { allowed: wholeText(1, 31_536_000) }),
  leewaySeconds: whole(0, 60)
    .default(5)
    .describe('By how much clocks may differ.')
    .register(settingInfo, { allowed: wholeText(0, 60) }),
  cookie: z
    .union([text, nothing])
    .default(false)
    .describe('The name of a cookie that may hold the token.')
    .register(settingInfo, nameOf('cookie')),
  query: z
    .union([text, nothing])
    .default(false)
    .describe(
      'The name of a query parameter that may hold the token. URLs end up in logs: tickets are better.',
    )
    .register(settingInfo, nameOf('query parameter')),
  required: z
    .boolean()
    .default(false)
    .describe('Whether clients without a token are refused. Otherwise they may do what `anyone` may.')
    .register(settingInfo, { allowed: 'true or false' }),
}

const layer = z.string().refine((text) => layerFault(text) === null, {
  error: (issue) => layerFault(String(issue.input)) ?? '',
})

/** What is wrong with the name or URL of a layer; `null`: nothing. */
function layerFault(text: string): string | null {
  if (text === 'memory') return null
  try {
    parseLayerUrl(text)
    return null
  } catch (error) {
    if (error instanceof LayerUrlError) return error.message
    throw error
  }
}

/** See the head of this file. */
export const configSchema = z.strictObject({
  host: listenHost
    .default('127.0.0.1')
    .describe('Address to listen on. One that other machines can reach needs `apiKeys`, or `insecure`.')
    .register(settingInfo, { allowed: 'an IP address or a host name', flag: '--host <address>' }),
  port: whole(0, 65_535)
    .default(8000)
    .describe('Port to listen on; 0 takes any free one.')
    .register(settingInfo, { allowed: wholeText(0, 65_535), flag: '--port <number>' }),
  path: eventsPath
    .default('/events')
    .describe('Path of the event streams: WebSocket, SSE and ndjson.')
    .register(settingInfo, { allowed: 'a path such as "/events"', flag: '--path <path>' }),
  backend: z
    .enum(BACKENDS)
    .default('node')
    .describe(
      'What the bytes travel through: `node` (node:http and ws), or `uws` (uWebSockets.js, which has to be installed; see docs/backends.md).',
    )
    .register(settingInfo, { allowed: oneOf(BACKENDS), flag: '--backend <name>' }),
  tls: z
    .strictObject({
      cert: tlsFile('certificate, with those between it and the root', 'cert'),
      key: tlsFile('private key of the certificate', 'key'),
    })
    .prefault({})
    .describe('What the server needs to end TLS by itself.')
    .register(settingInfo, { allowed: 'an object with "cert" and "key"' }),
  trustedProxies: z
    .array(proxy)
    .default([])
    .describe(
      'Proxies in front of the server, whose `X-Forwarded-For` is believed: addresses, or networks such as `10.0.0.0/8`.',
    )
    .register(settingInfo, {
      allowed: 'a list of addresses and networks',
      flag: '--trusted-proxy <address>',
      flagMeaning:
        'A proxy whose `X-Forwarded-For` is believed: an address, or a network such as 10.0.0.0/8.',
    }),
  layer: layer
    .default('memory')
    .describe(
      'What moves messages between processes: `memory` for one process, or the URL of a broker, with options in its query (`prefix`, `capacity`, `expiryMs`, `timeoutMs`; NATS: `replicas`; Django: `protocol`).',
    )
    .register(settingInfo, {
      allowed: LAYER_FORMS,
      flag: '--layer <layer>',
      flagMeaning: 'The channel layer: `memory`, or a URL such as redis://host:6379/0 or nats://host:4222.',
    }),
  groups: z
    .array(groupRuleSchema.register(settingInfo, { allowed: 'an object with at least "match"' }))
    .default([])
    .describe(
      'What clients may do to groups: the first rule that matches wins. A group without one takes the defaults of a rule.',
    )
    .register(settingInfo, {
      allowed: 'a list of rules such as {"match":"chat.*","send":"anyone"} (in a variable: as JSON)',
    }),
  journal: z
    .union([directory, z.literal(false)])
    .default(false)
    .describe(
      'Directory in which history survives a restart and a `kill -9`: relative to the working directory, made if it is not there, of one server at a time. `false`: history ends with the process.',
    )
    .register(settingInfo, {
      allowed: 'the path of a directory such as "./data", or false',
      flag: '--journal <directory>',
      flagMeaning: 'Directory in which history survives a restart; needs groups that keep history.',
    }),
  maxHistoryBytes: whole(1)
    .default(MAX_HISTORY_BYTES)
    .describe(
      'Most bytes that the history of all groups takes together, about 200 for each message included; the groups that were quiet longest are forgotten first. A journal takes up to three times as much on the disk.',
    )
    .register(settingInfo, { allowed: wholeText(1) }),
  apiKeys: z
    .array(apiKey)
    .default([])
    .describe(
      'Keys of at least 16 characters, of which the HTTP API wants one (`Authorization: Bearer`). None: it is open. An object such as `{"key":"…","scopes":["publish"],"groups":["chat.*"]}` is good for `publish`, `read` or `admin` alone, and for these groups.',
    )
    .register(settingInfo, {
      allowed: 'a list of strings, or of objects (in a variable: as JSON)',
      flag: '--api-key <key>',
      flagMeaning: 'A key that opens the HTTP API; other users can see flags, so prefer GROUPCAST_API_KEYS.',
      isSecret: true,
    }),
  auth: z
    .strictObject(authShape)
    .prefault({})
    .describe('Who clients are, by the tokens that they bring.')
    .register(settingInfo, { allowed: 'an object' }),
  allowedOrigins: z
    .array(origin)
    .default([])
    .describe('Web pages that may connect, besides those of the same origin: exact origins, or `*` for any.')
    .register(settingInfo, {
      allowed: 'a list of origins',
      flag: '--allowed-origin <origin>',
      flagMeaning: 'An origin whose web pages may connect, such as https://app.example, or `*` for any.',
    }),
  allowedHosts: z
    .array(urlHost)
    .default(LOOPBACK_HOSTS)
    .describe(
      'Host names, besides `host`, that requests may name while the server listens on loopback without `apiKeys`; it refuses others, because a web page can make its own name resolve to this machine (DNS rebinding).',
    )
    .register(settingInfo, { allowed: 'a list of host names' }),
  playground: z
    .boolean()
    .default(true)
    .describe('Whether `/` shows the playground page.')
    .register(settingInfo, {
      allowed: 'true or false',
      flag: '--no-playground',
      flagMeaning: 'Without the playground page at `/`.',
    }),
  insecure: z
    .boolean()
    .default(false)
    .describe('Allows a host that other machines can reach without `apiKeys`.')
    .register(settingInfo, {
      allowed: 'true or false',
      flag: '--insecure',
      flagMeaning: 'Allow a host that other machines can reach without API keys.',
    }),
  logLevel: z
    .enum(LOG_LEVELS)
    .default('warn')
    .describe('What goes to the log: `silent`, `error`, `warn`, `info` or `debug`.')
    .register(settingInfo, { allowed: oneOf(LOG_LEVELS), flag: '--log-level <level>' }),
  drainMs: whole(0)
    .default(10_000)
    .describe('How long a stopping server waits for its clients to get what was sent to them.')
    .register(settingInfo, { allowed: wholeText(0), flag: '--drain-ms <ms>' }),
  maxBodyBytes: whole(1)
    .default(1024 * 1024)
    .describe('Largest body of a request to the HTTP API.')
    .register(settingInfo, { allowed: wholeText(1) }),
  rates: z
    .strictObject(ratesShape)
    .prefault({})
    .describe('What clients may spend in a second.')
    .register(settingInfo, { allowed: 'an object' }),
  limits: z
    .strictObject(limitsShape)
    .prefault({})
    .describe('What one client may cost, and how long things may take.')
    .register(settingInfo, { allowed: 'an object' }),
})

/** The configuration of a server: complete and checked. */
export type Config = Deeply<z.output<typeof configSchema>>

type Deeply<T> = T extends readonly (infer Element)[]
  ? readonly Deeply<Element>[]
  : T extends object
    ? { readonly [Key in keyof T]: Deeply<T[Key]> }
    : T
