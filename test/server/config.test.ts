import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createHub } from '../../src/create-hub.ts'
import { groupsConsumer } from '../../src/groups-consumer.ts'
import { resolveHistory } from '../../src/history.ts'
import { fileJournal } from '../../src/layers/file-journal/index.ts'
import { DEFAULT_LIMITS, resolveLimits } from '../../src/options.ts'
import { assertOrigins } from '../../src/origin.ts'
import { DEFAULT_RATES } from '../../src/rates.ts'
import { configurationMarkdown } from '../../src/server/config/document.ts'
import { findJsonError } from '../../src/server/config/json-error.ts'
import { loadConfig } from '../../src/server/config/load.ts'
import { isLoopback } from '../../src/server/config/loopback.ts'
import { configSchema } from '../../src/server/config/schema.ts'
import { SETTINGS, unwrap } from '../../src/server/config/settings.ts'
import type { Environment, Flags } from '../../src/server/config/variables.ts'
import { layerOf } from '../../src/server/layer.ts'
import { LAYER_FORMS } from '../../src/server/layer-url.ts'

let cwd: string

beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'groupcast-config-'))
})

afterEach(() => {
  rmSync(cwd, { recursive: true })
})

interface Given {
  readonly flags?: Flags
  readonly env?: Environment
  /** The contents of `groupcast.config.json`: a text, or a value to write as JSON. */
  readonly file?: unknown
}

function load({ flags = {}, env = {}, file }: Given) {
  if (file !== undefined) {
    const text = typeof file === 'string' ? file : JSON.stringify(file)
    writeFileSync(join(cwd, 'groupcast.config.json'), text)
  }
  return loadConfig({ flags, env, cwd })
}

function configOf(given: Given) {
  const loaded = load(given)
  if (!loaded.ok) throw new Error(loaded.problems.map(({ text }) => text).join('\n'))
  return loaded.config
}

function textsOf(given: Given): string[] {
  const loaded = load(given)
  return loaded.ok ? [] : loaded.problems.map(({ text }) => text)
}

const KEY = 'key-0123456789abcdef'

describe('defaults', () => {
  test('are complete and frozen', () => {
    const config = configOf({})
    expect(config).toEqual({
      host: '127.0.0.1',
      port: 8000,
      path: '/events',
      backend: 'node',
      tls: { cert: false, key: false },
      trustedProxies: [],
      layer: 'memory',
      groups: [],
      journal: false,
      maxHistoryBytes: 268_435_456,
      apiKeys: [],
      auth: {
        algorithm: 'HS256',
        secret: false,
        publicKey: false,
        keys: [],
        jwksUrl: false,
        algorithms: ['RS256', 'ES256', 'EdDSA'],
        issuer: [],
        audience: [],
        maxLifetimeSeconds: 86_400,
        leewaySeconds: 5,
        cookie: false,
        query: false,
        required: false,
      },
      allowedOrigins: [],
      allowedHosts: ['localhost', '127.0.0.1', '[::1]'],
      playground: true,
      insecure: false,
      logLevel: 'warn',
      drainMs: 10_000,
      maxBodyBytes: 1_048_576,
      rates: DEFAULT_RATES,
      limits: DEFAULT_LIMITS,
    })
    expect(Object.isFrozen(config)).toBe(true)
    expect(Object.isFrozen(config.limits)).toBe(true)
    expect(Object.isFrozen(config.rates)).toBe(true)
    expect(Object.isFrozen(config.allowedHosts)).toBe(true)
  })

  test('every limit of the hub is a key of the schema, and no other', () => {
    const limits = unwrap(configSchema.shape.limits) as unknown as { shape: object }
    expect(Object.keys(limits.shape).sort()).toEqual(Object.keys(DEFAULT_LIMITS).sort())
  })

  test('every rate of the hub is a key of the schema, and no other', () => {
    const rates = unwrap(configSchema.shape.rates) as unknown as { shape: object }
    expect(Object.keys(rates.shape).sort()).toEqual(Object.keys(DEFAULT_RATES).sort())
  })

  test.each(Object.keys(DEFAULT_RATES))('rates.%s takes what the hub takes', (name) => {
    for (const value of [1, 2 ** 31 - 1, 0, 2 ** 31, 1.5, false, true, '1', null, [], ['::1'], ['x']]) {
      const isTaken = load({ file: { rates: { [name]: value } } }).ok
      const create = () => createHub({ rates: { [name]: value } })
      if (isTaken) expect(create, JSON.stringify(value)).not.toThrow()
      else expect(create, JSON.stringify(value)).toThrow()
    }
  })

  test.each(Object.keys(DEFAULT_LIMITS))('limits.%s takes what the hub takes', (name) => {
    for (const value of [1, 2 ** 31 - 1, 0, -1, 2 ** 31, 1.5, false, true, '1', null]) {
      const isTaken = load({ file: { limits: { [name]: value } } }).ok
      const takes = () => resolveLimits({ [name]: value })
      if (isTaken) expect(takes, String(value)).not.toThrow()
      else expect(takes, String(value)).toThrow()
    }
  })

  test('every key has a meaning, what is allowed, and a variable of its own', () => {
    expect(new Set(SETTINGS.map(({ variable }) => variable)).size).toBe(SETTINGS.length)
    for (const { key, description } of SETTINGS) expect(description, key).not.toBe('')
    // The symptom was a first start that failed: nothing but the refusal told how long a key must be.
    expect(configurationMarkdown()).toMatch(/apiKeys.*at least 16 characters/)
  })
})

describe('precedence', () => {
  const sources = ['file', 'variable', 'flag'] as const
  const values = { file: 1001, variable: 1002, flag: 1003 }
  const subsets = Array.from({ length: 8 }, (_, bits) => sources.filter((_, bit) => bits & (1 << bit)))

  test.each(subsets.map((given) => ({ given, name: given.join(' and ') || 'nothing' })))(
    '$name given',
    ({ given }) => {
      const loaded = load({
        ...(given.includes('file') && { file: { port: values.file } }),
        ...(given.includes('variable') && { env: { GROUPCAST_PORT: String(values.variable) } }),
        ...(given.includes('flag') && { flags: { port: String(values.flag) } }),
      })
      const winner = given.at(-1)
      if (!loaded.ok) throw new Error('the configuration is valid')
      expect(loaded.config.port).toBe(winner === undefined ? 8000 : values[winner])
      const names = {
        file: 'file groupcast.config.json',
        variable: 'variable GROUPCAST_PORT',
        flag: 'flag --port',
      }
      expect(loaded.source.get('port')).toBe(winner === undefined ? 'default' : names[winner])
    },
  )

  test('limits are overridden one by one', () => {
    const { limits } = configOf({
      file: { limits: { heartbeatMs: 1, deadAfterMs: 2 } },
      env: { GROUPCAST_LIMITS_HEARTBEAT_MS: '5' },
    })
    expect(limits).toEqual({ ...DEFAULT_LIMITS, heartbeatMs: 5, deadAfterMs: 2 })
  })

  test('an overridden value of the file is not looked at', () => {
    expect(configOf({ file: { port: 'x' }, flags: { port: '1' } }).port).toBe(1)
  })
})

describe('variables and flags', () => {
  test('each kind of text is read', () => {
    const config = configOf({
      env: {
        GROUPCAST_API_KEYS: ` ${KEY} ,, second-${KEY},`,
        GROUPCAST_ALLOWED_ORIGINS: 'https://a.example,http://b.example:8080',
        GROUPCAST_PLAYGROUND: '0',
        GROUPCAST_INSECURE: 'true',
        GROUPCAST_GROUPS: '[{"match":"chat.*","send":"anyone"}]',
        GROUPCAST_LIMITS_HEARTBEAT_MS: 'false',
        GROUPCAST_MAX_BODY_BYTES: '4096',
        GROUPCAST_LOG_LEVEL: 'debug',
        PATH: '/bin',
      },
    })
    expect(config).toMatchObject({
      apiKeys: [KEY, `second-${KEY}`],
      allowedOrigins: ['https://a.example', 'http://b.example:8080'],
      playground: false,
      insecure: true,
      groups: [{ match: 'chat.*', join: 'anyone', send: 'anyone', slow: 'close', history: false }],
      maxBodyBytes: 4096,
      logLevel: 'debug',
    })
    expect(config.limits.heartbeatMs).toBe(false)
  })

  test('flags take lists and booleans as the command line gives them', () => {
    const flags = { apiKeys: [KEY], playground: false, insecure: true, port: 0, path: undefined }
    expect(configOf({ flags })).toMatchObject({
      apiKeys: [KEY],
      playground: false,
      insecure: true,
      port: 0,
      path: '/events',
    })
  })

  test.each<[string, string | false]>([
    ['./data', './data'],
    ['false', false],
    ['0', false],
    [' spaced, with a comma ', ' spaced, with a comma '],
    ['512', '512'],
  ])('a journal of %j', (text, journal) => {
    const file = { journal: './other', groups: [{ match: 'a', history: {} }] }
    expect(configOf({ file, env: { GROUPCAST_JOURNAL: text } }).journal).toBe(journal)
    expect(configOf({ file, flags: { journal: text } }).journal).toBe(journal)
  })

  test('the variables of other commands are no problem', () => {
    expect(textsOf({ env: { GROUPCAST_API_KEY: 'x', GROUPCAST_PORT: undefined } })).toEqual([])
  })

  test('unknown ones are named with what they may mean, never with their value', () => {
    const env = { GROUPCAST_PROT: 'hush', GROUPCAST_APIKEYS: 'hush', GROUPCAST_COMPLETELY_ELSE: 'hush' }
    expect(textsOf({ env })).toEqual([
      'variable GROUPCAST_PROT is not a variable of groupcast. Did you mean GROUPCAST_PORT?',
      'variable GROUPCAST_APIKEYS is not a variable of groupcast. Did you mean GROUPCAST_API_KEYS?',
      'variable GROUPCAST_COMPLETELY_ELSE is not a variable of groupcast. Unset it; docs/configuration.md lists the variables.',
    ])
  })
})

describe('problems', () => {
  const FILE = 'file groupcast.config.json'

  test.each<[string, Given, string]>([
    [
      'a port that is no number',
      { flags: { port: 'abc' } },
      'port (flag --port) is "abc": it must be a whole number from 0 to 65535.',
    ],
    [
      'a port beyond the last',
      { env: { GROUPCAST_PORT: '65536' } },
      'port (variable GROUPCAST_PORT) is 65536: it must be a whole number from 0 to 65535.',
    ],
    [
      'a port with a fraction, in a file',
      { file: { port: 80.5 } },
      `port (${FILE}) is 80.5: it must be a whole number from 0 to 65535.`,
    ],
    [
      'an empty variable',
      { env: { GROUPCAST_PORT: '' } },
      'port (variable GROUPCAST_PORT) is "": it must be a whole number from 0 to 65535.',
    ],
    ['null', { file: { port: null } }, `port (${FILE}) is null: it must be a whole number from 0 to 65535.`],
    [
      'a host that is none',
      { flags: { host: 'a b' } },
      'host (flag --host) is "a b": it must be an IP address or a host name.',
    ],
    [
      'an IPv6 address in brackets',
      { flags: { host: '[::1]' } },
      'host (flag --host) is "[::1]": write an IPv6 address without brackets.',
    ],
    [
      'a path without its slash',
      { flags: { path: 'events' } },
      'path (flag --path) is "events": it must start with "/" and have no "/" at the end, segments of A-Z a-z 0-9 . _ ~ -, such as "/events".',
    ],
    [
      "a path that is the server's own",
      { flags: { path: '/api/x' } },
      'path (flag --path) is "/api/x": the server has other routes there; choose another path, such as "/events".',
    ],
    [
      // The symptom was a page without its styles and scripts: the streams took the requests for them.
      "a path that is the playground's",
      { flags: { path: '/playground' } },
      'path (flag --path) is "/playground": the server has other routes there; choose another path, such as "/events".',
    ],
    [
      'another back end',
      { flags: { backend: 'bun' } },
      'backend (flag --backend) is "bun": it must be "node" or "uws".',
    ],
    [
      'a certificate without its key',
      { flags: { 'tls.cert': './cert.pem' } as never },
      'tls.cert (flag --tls-cert) is given and tls.key is not: TLS needs both.',
    ],
    [
      'a key without its certificate',
      { env: { GROUPCAST_TLS_KEY: './key.pem' } },
      'tls.key (variable GROUPCAST_TLS_KEY) is given and tls.cert is not: TLS needs both.',
    ],
    [
      'a proxy that is none',
      { flags: { trustedProxies: ['10.0.0.0/33'] } },
      'trustedProxies[0] (flag --trusted-proxy) is "10.0.0.0/33": it must be an IP address, or a network such as "10.0.0.0/8".',
    ],
    [
      "a layer's URL, without its password",
      { flags: { layer: `redis://:${'p'.repeat(90)}@db/zero` } },
      'layer (flag --layer) is "redis://***@db/zero": the path of a Redis URL is the number of a database, such as /0.',
    ],
    ['a layer that is none', { file: { layer: 'x' } }, `layer (${FILE}) is "x": it must be ${LAYER_FORMS}.`],
    [
      'a journal beside a broker',
      { file: { layer: 'redis://db', journal: './data', groups: [{ match: '*', history: {} }] } },
      `journal (${FILE}) is "./data", and layer (${FILE}) is a broker, which keeps history itself: leave journal out, or use the layer "memory".`,
    ],
    [
      'history with a layer that keeps none',
      {
        env: { GROUPCAST_LAYER: 'django+redis://db' },
        file: { groups: [{ match: 'a' }, { match: '*', history: {} }] },
      },
      `groups[1].history (${FILE}) is given, and layer (variable GROUPCAST_LAYER) is Django's, which keeps none: leave history out, or use another layer.`,
    ],
    [
      'a log level that is none',
      { flags: { logLevel: 'verbose' } },
      'logLevel (flag --log-level) is "verbose": it must be "silent", "error", "warn", "info" or "debug".',
    ],
    [
      'a boolean that is none',
      { env: { GROUPCAST_PLAYGROUND: 'yes' } },
      'playground (variable GROUPCAST_PLAYGROUND) is "yes": it must be true or false.',
    ],
    [
      'a short key, not shown',
      { flags: { apiKeys: ['hush'] } },
      'apiKeys[0] (flag --api-key) is not valid (its value is not shown): it must be at least 16 visible ASCII characters without spaces, or an object with key, scopes and groups.',
    ],
    [
      'a key that is no text, not shown',
      { file: { apiKeys: [KEY, 1234567890123456] } },
      `apiKeys[1] (${FILE}) is not valid (its value is not shown): it must be at least 16 visible ASCII characters without spaces, or an object with key, scopes and groups.`,
    ],
    [
      'one key in place of a list, not shown',
      { file: { apiKeys: 'hush-hush-hush-hush' } },
      `apiKeys (${FILE}) is not valid (its value is not shown): it must be a list of strings, or of objects (in a variable: as JSON).`,
    ],
    [
      'an origin with a slash at its end',
      { flags: { allowedOrigins: ['https://app.example/'] } },
      'allowedOrigins[0] (flag --allowed-origin) is "https://app.example/": write "https://app.example", as browsers send it.',
    ],
    [
      'an origin that is none',
      { flags: { allowedOrigins: ['*', 'null'] } },
      'allowedOrigins[1] (flag --allowed-origin) is "null": it must be an origin such as "https://app.example" (scheme, host and port exactly), or "*" for any page.',
    ],
    [
      'a host with a port',
      { env: { GROUPCAST_ALLOWED_HOSTS: 'localhost:8000' } },
      'allowedHosts[0] (variable GROUPCAST_ALLOWED_HOSTS) is "localhost:8000": write "localhost".',
    ],
    [
      'a journal that is none',
      { env: { GROUPCAST_JOURNAL: 'true' } },
      'journal (variable GROUPCAST_JOURNAL) is true: it must be the path of a directory such as "./data", or false.',
    ],
    [
      'a journal without a name',
      { flags: { journal: '' } },
      'journal (flag --journal) is "": it must be the path of a directory such as "./data", or false.',
    ],
    [
      'a journal with options',
      { file: { journal: { directory: './data' } } },
      `journal (${FILE}) is {"directory":"./data"}: it must be the path of a directory such as "./data", or false.`,
    ],
    [
      'a path that no file system has',
      { file: { journal: 'a\u0000b' } },
      `journal (${FILE}) is "a\\u0000b": it must be the path of a directory such as "./data", or false.`,
    ],
    [
      'a journal without anything to put into it',
      { flags: { journal: './data' }, file: { groups: [{ match: 'a' }, { match: 'b', history: false }] } },
      'journal (flag --journal) is "./data", and no group keeps a history to put into it: give a rule of groups one, such as {"match":"chat.*","history":{}}, or leave journal out.',
    ],
    [
      'no room for history',
      { env: { GROUPCAST_MAX_HISTORY_BYTES: '0' } },
      'maxHistoryBytes (variable GROUPCAST_MAX_HISTORY_BYTES) is 0: it must be a whole number from 1 to 2147483647.',
    ],
    [
      'a history that is none',
      { file: { groups: [{ match: 'a', history: true }] } },
      `groups[0].history (${FILE}) is true: it must be an object such as {"count":100,"ageSeconds":300,"bytes":1048576}, or false.`,
    ],
    [
      'a history that is a list',
      { file: { groups: [{ match: 'a', history: [] }] } },
      `groups[0].history (${FILE}) is []: it must be an object such as {"count":100,"ageSeconds":300,"bytes":1048576}, or false.`,
    ],
    [
      'a history of nothing',
      { file: { groups: [{ match: 'a', history: { count: 0 } }] } },
      `groups[0].history.count (${FILE}) is 0: it must be a whole number from 1 to 2147483647.`,
    ],
    [
      'an age that is no number',
      { file: { groups: [{ match: 'a' }, { match: 'b', history: { ageSeconds: '5m' } }] } },
      `groups[1].history.ageSeconds (${FILE}) is "5m": it must be a number of seconds above 0, at most a year.`,
    ],
    [
      'a misspelt key of a history',
      { file: { groups: [{ match: 'a', history: { cuont: 1 } }] } },
      `groups[0].history.cuont (${FILE}) is not a configuration key. Did you mean "count"?`,
    ],
    [
      'a key of a history like none',
      { file: { groups: [{ match: 'a', history: { zzzzzz: 1 } }] } },
      `groups[0].history.zzzzzz (${FILE}) is not a configuration key. The keys of history are count, ageSeconds, bytes.`,
    ],
    [
      'a key of a rule like none',
      { file: { groups: [{ match: 'a', zzzzzz: 1 }] } },
      `groups[0].zzzzzz (${FILE}) is not a configuration key. The keys of a rule are match, join, send, slow, history.`,
    ],
    [
      'a rule without its pattern',
      { file: { groups: [{ match: 'a' }, {}] } },
      `groups[1].match (${FILE}) is missing: it must be a pattern of 1–255 characters of A-Z a-z 0-9 . _ ~ : @ # $ / - and *.`,
    ],
    [
      'a rule that is none',
      { file: { groups: ['a'] } },
      `groups[0] (${FILE}) is "a": it must be an object with at least "match".`,
    ],
    [
      'rules that are no JSON',
      { env: { GROUPCAST_GROUPS: '[{' } },
      'groups (variable GROUPCAST_GROUPS) is "[{": it must be a list of rules such as {"match":"chat.*","send":"anyone"} (in a variable: as JSON).',
    ],
    [
      'a word of a rule',
      { file: { groups: [{ match: 'a', join: 'none' }] } },
      `groups[0].join (${FILE}) is "none": it must be "anyone", "authenticated", "token" or "nobody".`,
    ],
    [
      'a misspelt key of a rule',
      { file: { groups: [{ match: 'a', jion: 'anyone' }] } },
      `groups[0].jion (${FILE}) is not a configuration key. Did you mean "join"?`,
    ],
    [
      'a limit of zero',
      { env: { GROUPCAST_LIMITS_HEARTBEAT_MS: '0' } },
      'limits.heartbeatMs (variable GROUPCAST_LIMITS_HEARTBEAT_MS) is 0: it must be a whole number from 1 to 2147483647, or false.',
    ],
    ['limits that are none', { file: { limits: 5 } }, `limits (${FILE}) is 5: it must be an object.`],
    [
      'a misspelt key',
      { file: { prot: 1 } },
      `prot (${FILE}) is not a configuration key. Did you mean "port"?`,
    ],
    [
      'a key in another case',
      { file: { apikeys: ['hush'] } },
      `apikeys (${FILE}) is not a configuration key. Did you mean "apiKeys"?`,
    ],
    [
      'a limit at the top',
      { file: { heartbeatMs: 1 } },
      `heartbeatMs (${FILE}) is not a configuration key. Did you mean "limits.heartbeatMs"?`,
    ],
    [
      'a key like none',
      { file: { limits: { zzzzzz: 1 } } },
      `limits.zzzzzz (${FILE}) is not a configuration key. The keys are ${Object.keys(DEFAULT_LIMITS).join(', ')}.`,
    ],
    [
      'a public host without keys',
      { flags: { host: '0.0.0.0' } },
      'host (flag --host) is "0.0.0.0", which other machines can reach, and there are no apiKeys: set apiKeys (variable GROUPCAST_API_KEYS, flag --api-key), or allow it with --insecure.',
    ],
  ])('%s', (_, given, text) => {
    const loaded = load(given)
    expect(loaded.ok ? [] : loaded.problems.map((problem) => problem.text)).toEqual([text])
  })

  test('carry the key and where it was set', () => {
    const loaded = load({ file: { limits: { deadAfterMs: 'x' } } })
    expect(loaded.ok ? [] : loaded.problems).toMatchObject([{ key: 'limits.deadAfterMs', source: FILE }])
  })

  test('are reported all at once, from every source', () => {
    const texts = textsOf({
      flags: { port: 'x', host: '::' },
      env: { GROUPCAST_DRAIN_MS: '-1', GROUPCAST_HOTS: 'x' },
      file: { prot: 1, groups: [{ match: '' }], limits: { maxJsonDepth: 0, heartbeat: 1 } },
    })
    expect(texts.map((text) => text.split(' ')[text.startsWith('variable') ? 1 : 0])).toEqual([
      'port',
      'groups[0].match',
      'drainMs',
      'limits.maxJsonDepth',
      'limits.heartbeat',
      'prot',
      'GROUPCAST_HOTS',
      'host',
    ])
  })

  test('a public host is allowed with keys or with insecure, and short keys are the only problem then', () => {
    expect(configOf({ flags: { host: '0.0.0.0', apiKeys: [KEY] } }).host).toBe('0.0.0.0')
    expect(configOf({ flags: { host: '::', insecure: true } }).host).toBe('::')
    expect(textsOf({ flags: { host: '::', apiKeys: ['short'] } })).toHaveLength(1)
  })
})

describe('loopback', () => {
  test.each([
    ['127.0.0.1', true],
    ['127.8.9.10', true],
    ['::1', true],
    ['0:0:0:0:0:0:0:1', true],
    ['::ffff:127.0.0.1', true],
    ['localhost', true],
    ['LocalHost', true],
    ['0.0.0.0', false],
    ['::', false],
    ['128.0.0.1', false],
    ['::ffff:10.0.0.1', false],
    ['localhost.example', false],
    ['127.0.0.1.example', false],
    ['', false],
  ])('%s: %s', (host, is) => {
    expect(isLoopback(host)).toBe(is)
  })
})

describe('allowedOrigins', () => {
  test.each([
    '*',
    'https://a.example',
    'http://localhost:3000',
    'http://[::1]:8000',
    'capacitor://localhost',
  ])('takes %s', (origin) => {
    expect(configOf({ flags: { allowedOrigins: [origin] } }).allowedOrigins).toEqual([origin])
  })

  test.each([
    '',
    'null',
    'a.example',
    'https://',
    'https://A.example',
    'https://a.example:443',
    'https://*.a.example',
    'https://user@a.example',
    'https://a.example/path',
    'ws://a.example',
    'file:///etc',
    'javascript:alert(1)',
    'capacitor://',
    'capacitor://a/b',
    'https://a.example\r\n',
  ])('refuses %j', (origin) => {
    expect(load({ flags: { allowedOrigins: [origin] } }).ok).toBe(false)
  })
})

describe('what the schema takes, the hub takes too', () => {
  const unit = (characters: string) => fc.string({ unit: fc.constantFrom(...characters), maxLength: 12 })

  test('allowedOrigins', () => {
    const rest = fc
      .tuple(fc.constantFrom('http', 'https', 'app'), unit('aA1.-_:*@/[]% ,'))
      .map((parts) => parts.join('://'))
    fc.assert(
      fc.property(rest, (origin) => {
        if (load({ flags: { allowedOrigins: [origin] } }).ok) assertOrigins([origin])
      }),
      { numRuns: 1000 },
    )
  })

  test.each(['count', 'ageSeconds', 'bytes'])('history.%s', (name) => {
    const year = 366 * 24 * 60 * 60
    const values = [
      1,
      0.5,
      2 ** 31 - 1,
      year,
      year + 1,
      0,
      -1,
      1.5,
      2 ** 31,
      1e300,
      false,
      '1',
      null,
      Number.NaN,
    ]
    for (const value of values) {
      const isTaken = load({ file: { groups: [{ match: 'a', history: { [name]: value } }] } }).ok
      const takes = () => resolveHistory('history', { [name]: value })
      if (isTaken) expect(takes, String(value)).not.toThrow()
      else if (value !== 2 ** 31) expect(takes, String(value)).toThrow()
    }
  })

  test('history, with its defaults', () => {
    for (const history of [{}, { count: 7 }, { ageSeconds: 0.5, bytes: 1 }, false] as const) {
      const [rule] = configOf({ file: { groups: [{ match: 'a', history }] } }).groups
      expect(resolveHistory('history', rule?.history ?? false)).toEqual(resolveHistory('history', history))
    }
  })

  test('the journal and how much history may take', async () => {
    const groups = [{ match: 'a', history: {} }]
    for (const journal of ['./data', '/', '', 'a\u0000b', ' ', 'é', false, true, null, 1, {}]) {
      for (const maxHistoryBytes of [1, 2 ** 31 - 1]) {
        const loaded = load({ file: { groups, journal, maxHistoryBytes } })
        if (loaded.ok) await layerOf(loaded.config)
        else expect(() => fileJournal({ directory: journal as string })).toThrow('the path of a directory')
      }
    }
  })

  test('patterns of groups', () => {
    fc.assert(
      fc.property(
        fc.oneof(unit('aZ0._~:@#$/-*! é'), fc.string({ minLength: 250, maxLength: 260 })),
        (match) => {
          if (load({ file: { groups: [{ match }] } }).ok) groupsConsumer({ rules: [{ match }] })
        },
      ),
      { numRuns: 1000 },
    )
  })

  test('paths', () => {
    fc.assert(
      fc.property(unit('a/.-~_:*{}()+?%'), (text) => {
        const path = `/${text}`
        if (!load({ flags: { path } }).ok) return
        createHub().consumer(path, {})
        expect(new URL(path, 'http://localhost').pathname).toBe(path)
      }),
    )
  })
})

describe('the file', () => {
  const write = (name: string, text: string) => writeFileSync(join(cwd, name), text)

  test.each(['groupcast.config.yaml', 'groupcast.config.yml'])('%s is found', (name) => {
    write(name, 'port: 9000\ngroups:\n  - match: chat.*\n    send: anyone\n')
    expect(configOf({})).toMatchObject({ port: 9000, groups: [{ match: 'chat.*', send: 'anyone' }] })
  })

  test('an empty YAML file is an empty configuration', () => {
    write('groupcast.config.yaml', '# nothing yet\n')
    expect(configOf({}).port).toBe(8000)
  })

  test('a byte order mark is no part of it', () => {
    expect(configOf({ file: '\ufeff{"port":9000}' }).port).toBe(9000)
  })

  test('two of them are a problem', () => {
    write('groupcast.config.yaml', 'port: 1')
    expect(textsOf({ file: { port: 2 } })).toEqual([
      `groupcast.config.json and groupcast.config.yaml are both in ${cwd}: keep one, or name one with --config.`,
    ])
  })

  test('--config names another, before GROUPCAST_CONFIG, and no other is read', () => {
    mkdirSync(join(cwd, 'etc'))
    write('etc/a.yaml', 'port: 1')
    write('etc/b.json', '{"port":2}')
    const env = { GROUPCAST_CONFIG: 'etc/b.json' }
    expect(configOf({ file: 'broken', env }).port).toBe(2)
    expect(configOf({ file: 'broken', env, flags: { config: join(cwd, 'etc/a.yaml') } }).port).toBe(1)
  })

  test.each<[string, string]>([
    ['no-such.json', 'file no-such.json (named by --config) cannot be read: there is no such file.'],
    ['folder.json', 'file folder.json (named by --config) cannot be read: it is a directory.'],
    ['some.toml', 'file some.toml has an unknown format: its name must end in .json, .yaml or .yml.'],
  ])('%s is one problem', (name, text) => {
    mkdirSync(join(cwd, 'folder.json'))
    expect(textsOf({ flags: { config: name } })).toEqual([text])
  })

  test.each<[string, string]>([
    ['{"port": 1,\n  }', 'not valid JSON at line 2, column 3: a key in double quotes was expected.'],
    ['{"port": 08}', 'not valid JSON at line 1, column 11: "," or "}" was expected.'],
    [
      '{\r\n// a comment\r\n}',
      'not valid JSON at line 2, column 1: a key in double quotes or "}" was expected.',
    ],
    [
      '{"apiKeys": ["hush-hush-hush-hush\n"]}',
      'not valid JSON at line 1, column 14: a value or "]" was expected.',
    ],
    ['{"a" 1}', 'not valid JSON at line 1, column 6: ":" was expected.'],
    ['', 'not valid JSON at line 1, column 1: a value was expected.'],
    ['{} {}', 'not valid JSON at line 1, column 4: the end of the file was expected.'],
    ['[1]', 'must hold an object of configuration keys, such as {"port": 8000}.'],
    ['null', 'must hold an object of configuration keys, such as {"port": 8000}.'],
  ])('%j', (file, text) => {
    const verb = text.startsWith('must') ? '' : 'is '
    expect(textsOf({ file })).toEqual([`file groupcast.config.json ${verb}${text}`])
  })

  test.each<[string, string]>([
    ['port: 1\nport: 2', 'is not valid YAML at line 2, column 1: map keys must be unique.'],
    [
      'a: [1\nb: 2',
      'is not valid YAML at line 2, column 1: flow sequence in block collection must be sufficiently indented and end with a ].',
    ],
    ['"hush" hush: - x', 'is not valid YAML at line 1, column 8: unexpected scalar token.'],
    ['a: *b', 'is not valid YAML: unresolved alias (the anchor must be set before the alias): b.'],
    [
      '--- {}\n--- {}',
      'is not valid YAML at line 2, column 1: a second document begins, and only one is read.',
    ],
    ['- 1', 'must hold an object of configuration keys, such as {"port": 8000}.'],
  ])('YAML %j', (file, text) => {
    write('groupcast.config.yaml', file)
    expect(textsOf({})).toEqual([`file groupcast.config.yaml ${text}`])
  })

  test.each(['['.repeat(50_000), '{"a":'.repeat(50_000), '&a [*a, *a]'])('YAML bomb %#', (text) => {
    write('groupcast.config.yaml', text)
    expect(textsOf({})).toHaveLength(1)
  })

  test('the example of the docs is valid', () => {
    const example = /```json\n([\s\S]*?)```/.exec(configurationMarkdown())?.[1] ?? ''
    expect(configOf({ file: example }).groups).toHaveLength(3)
  })
})

describe('hostile files', () => {
  const pristine = Object.getOwnPropertyNames(Object.prototype)

  test.each(['__proto__', 'constructor', 'prototype', 'toString'])('%s is an unknown key', (name) => {
    const value = `{"${name}":{"port":1,"insecure":true}}`
    for (const file of [value, `{"limits":${value}}`, `{"groups":[${value}]}`]) {
      expect(textsOf({ file }).some((text) => text.includes('is not a configuration key'))).toBe(true)
    }
    writeFileSync(join(cwd, 'g.yaml'), `${name}: { port: 1 }`)
    expect(textsOf({ flags: { config: 'g.yaml' } })).toHaveLength(1)
    expect(({} as { port?: number }).port).toBeUndefined()
  })

  test('any JSON value at any key neither throws nor pollutes', () => {
    const keys = [...SETTINGS.map(({ key }) => key), 'limits', 'groups.0', 'groups.0.match', 'apiKeys.0']
    const names = [...keys, '__proto__', 'constructor', 'toString', 'x\r\ny']
    const cases = fc.tuple(fc.constantFrom(...names), fc.jsonValue({ maxDepth: 6 }), fc.string())
    fc.assert(
      fc.property(cases, ([key, value, text]) => {
        const name = key.startsWith('limits.') ? key.slice('limits.'.length) : key
        const inner = JSON.stringify({ [name]: value })
        const [list = '', , field] = key.split('.')
        const inList = field === undefined ? [value] : [{ [field]: value }]
        const file = key.startsWith('limits.')
          ? `{"limits":${inner}}`
          : key.includes('.0')
            ? JSON.stringify({ [list]: inList })
            : inner
        const env = { [SETTINGS.find((setting) => setting.key === key)?.variable ?? 'OTHER']: text }
        for (const given of [{ file }, { env, file: {} }]) {
          const loaded = load(given)
          for (const problem of loaded.ok ? [] : loaded.problems) expect(problem.text).not.toMatch(/[\r\n]/)
        }
        expect(Object.getOwnPropertyNames(Object.prototype)).toEqual(pristine)
      }),
    )
  })

  test('a value nested beyond the stack is a problem like others', () => {
    const deep = '['.repeat(20_000) + ']'.repeat(20_000)
    for (const key of ['port', 'layer', 'groups', 'nothing']) {
      expect(textsOf({ file: `{"${key}":${deep}}` })).toHaveLength(1)
    }
  })
})

describe('findJsonError', () => {
  const isJson = (text: string) => {
    try {
      JSON.parse(text)
      return true
    } catch {
      return false
    }
  }

  test('finds one exactly where JSON.parse does', () => {
    const json = fc.json().map((text) => JSON.stringify(JSON.parse(text), null, 1))
    const cut = fc.tuple(json, fc.nat(), fc.nat(3), fc.string({ maxLength: 2 }))
    fc.assert(
      fc.property(cut, ([text, at, length, put]) => {
        const offset = at % (text.length + 1)
        const mutant = text.slice(0, offset) + put + text.slice(offset + length)
        expect(findJsonError(text)).toBeNull()
        expect(findJsonError(mutant) === null).toBe(isJson(mutant))
      }),
      { numRuns: 2000 },
    )
  })

  test('everything before the error could go on as JSON', () => {
    expect(findJsonError('{"a":[1,2}')).toEqual({ offset: 9, expected: '"," or "]"' })
    expect(findJsonError('{"a":tru}')).toEqual({ offset: 5, expected: 'a value' })
  })
})

describe('auth', () => {
  const SECRET = 'vR8mQ2xLp0aZk7WcT4bY9nHe3sJd6fGu'

  test.each<[string, object, string]>([
    ['a weak secret', { secret: 'a'.repeat(40) }, 'key.secret is easy to guess'],
    ['a short secret', { secret: 'too-short-to-be-one' }, 'key.secret is shorter than 32 bytes'],
    ['a well-known secret', { secret: 'your-256-bit-secret-your-256-bit' }, 'key.secret is'],
    ['two ways at once', { secret: SECRET, jwksUrl: 'https://a.example/jwks' }, 'give one of secret'],
    ['a URL in the open', { jwksUrl: 'http://a.example/jwks' }, 'jwksUrl is "http://a.example/jwks"'],
    ['no key at all', { audience: ['chat'] }, 'has no key to check tokens with'],
    [
      'a public key as a secret',
      {
        secret: '-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n-----END PUBLIC KEY-----',
      },
      'a public key, which everybody has',
    ],
  ])('%s is refused before the server starts, and not shown', (_what, auth, text) => {
    const [problem = ''] = textsOf({ file: { auth } })
    expect(problem).toContain(text)
    expect(problem).toContain('(file groupcast.config.json)')
    for (const secret of ['aaaa', 'too-short', 'your-256', SECRET, 'MFkw'])
      expect(problem).not.toContain(secret)
  })

  test('a rule about tokens needs a key to check them with', () => {
    const groups = [{ match: 'team.*', join: 'token' }]
    expect(textsOf({ file: { groups } })[0]).toContain('has a rule for "team.*" about tokens')
    expect(configOf({ file: { groups, auth: { secret: SECRET } } }).groups[0]?.join).toBe('token')
  })

  test('the secret and keys with scopes may come from variables', () => {
    const key = { key: KEY, scopes: ['publish'], groups: ['chat.*'] }
    const config = configOf({
      env: { GROUPCAST_AUTH_SECRET: SECRET, GROUPCAST_API_KEYS: JSON.stringify([KEY.toUpperCase(), key]) },
    })
    expect(config.auth.secret).toBe(SECRET)
    expect(config.apiKeys).toEqual([KEY.toUpperCase(), key])
    expect(textsOf({ env: { GROUPCAST_API_KEYS: '[{"key":"' } })).toHaveLength(1)
  })
})
