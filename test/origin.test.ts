import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { MisuseError } from '../src/errors.ts'
import {
  accessHeaders,
  assertOrigins,
  isAllowedHost,
  type OriginVerdict,
  originVerdict,
  preflightHeaders,
} from '../src/origin.ts'
import { hostileStrings } from './hostile-strings.ts'

const LIST = [
  'https://app.example',
  'http://dev.example:3000',
  'https://late.example:443',
  'capacitor://localhost',
]

type Case = readonly [origin: string | undefined, host: string | undefined, verdict: OriginVerdict]

describe('without TLS here, there may be a proxy that ended it', () => {
  const cases: readonly Case[] = [
    [undefined, 'localhost:8000', 'absent'],
    ['http://localhost:8000', 'localhost:8000', 'same'],
    ['https://localhost:8000', 'localhost:8000', 'same'],
    ['HTTP://LocalHost:8000', 'localhost:8000', 'same'],
    ['http://hub.example', 'HUB.example', 'same'],
    ['http://hub.example', 'hub.example:80', 'same'],
    ['https://hub.example', 'hub.example', 'same'],
    ['https://hub.example', 'hub.example:443', 'same'],
    ['https://hub.example:443', 'hub.example', 'same'],
    ['http://[::1]:8000', '[::1]:8000', 'same'],
    ['http://[::1]', '[::1]', 'same'],
    // Another port, also where one of them is the default of the other scheme.
    ['http://localhost:8001', 'localhost:8000', 'refused'],
    ['http://localhost', 'localhost:8000', 'refused'],
    ['http://hub.example', 'hub.example:443', 'refused'],
    ['https://hub.example', 'hub.example:80', 'refused'],
    ['http://hub.example:443', 'hub.example', 'refused'],
    // Look-alikes.
    ['http://evil-localhost:8000', 'localhost:8000', 'refused'],
    ['http://localhost.evil.example:8000', 'localhost:8000', 'refused'],
    ['http://localhost:8000.evil.example', 'localhost:8000', 'refused'],
    ['http://localhost:80000', 'localhost:8000', 'refused'],
    ['http://localhost:08000', 'localhost:8000', 'refused'],
    ['http://evil.example#localhost:8000', 'localhost:8000', 'refused'],
    ['http://evil.example/localhost:8000', 'localhost:8000', 'refused'],
    ['http://localhost:8000@evil.example', 'localhost:8000', 'refused'],
    ['http://user@localhost:8000', 'localhost:8000', 'refused'],
    ['http://localhost:8000/', 'localhost:8000', 'refused'],
    ['http://localhost:8000, http://evil.example', 'localhost:8000', 'refused'],
    ['http://evil.example http://localhost:8000', 'localhost:8000', 'refused'],
    ['http://hub.example.', 'hub.example', 'refused'],
    ['http://localhost:', 'localhost', 'refused'],
    ['http://[::1', '[::1', 'refused'],
    ['http://::1', '::1', 'refused'],
    ['http://127.0.0.1', '0x7f.1', 'refused'],
    ['http://', '', 'refused'],
    ['localhost:8000', 'localhost:8000', 'refused'],
    ['//localhost:8000', 'localhost:8000', 'refused'],
    ['ws://localhost:8000', 'localhost:8000', 'refused'],
    ['file://localhost', 'localhost', 'refused'],
    ['null', 'localhost:8000', 'refused'],
    ['null', 'null', 'refused'],
    ['', 'localhost:8000', 'refused'],
    ['', '', 'refused'],
    ['http://localhost:8000', undefined, 'refused'],
    // On the list, exactly.
    ['https://app.example', 'hub.example', 'listed'],
    ['HTTPS://APP.EXAMPLE', 'hub.example', 'listed'],
    ['https://app.example:443', 'hub.example', 'listed'],
    ['https://late.example', 'hub.example', 'listed'],
    ['http://dev.example:3000', 'hub.example', 'listed'],
    ['capacitor://localhost', 'hub.example', 'listed'],
    ['https://app.example', undefined, 'listed'],
    ['http://app.example', 'hub.example', 'refused'],
    ['https://app.example:8443', 'hub.example', 'refused'],
    ['https://sub.app.example', 'hub.example', 'refused'],
    ['https://app.example.evil.example', 'hub.example', 'refused'],
    ['https://evilapp.example', 'hub.example', 'refused'],
    ['http://dev.example', 'hub.example', 'refused'],
    ['capacitor://localhost:80', 'hub.example', 'refused'],
  ]

  test.each(cases)('%s at %s is %s', (origin, host, verdict) => {
    expect(originVerdict({ origin, host, encrypted: false }, LIST)).toBe(verdict)
  })

  test.each(cases.filter(([, , verdict]) => verdict === 'listed'))(
    '%s is refused without the list',
    (origin, host) => {
      expect(originVerdict({ origin, host, encrypted: false }, [])).toBe('refused')
    },
  )
})

test.each<Case>([
  ['https://hub.example', 'hub.example', 'same'],
  ['https://hub.example:8443', 'hub.example:8443', 'same'],
  ['http://hub.example', 'hub.example', 'refused'],
  ['http://hub.example:8443', 'hub.example:8443', 'refused'],
  ['http://hub.example:443', 'hub.example', 'refused'],
])('over TLS that ends here, %s at %s is %s', (origin, host, verdict) => {
  expect(originVerdict({ origin, host, encrypted: true }, [])).toBe(verdict)
})

test('* lists every origin but `null`, and is not needed for the same', () => {
  for (const origin of ['http://evil.example', '', 'x']) {
    expect(originVerdict({ origin, host: 'hub.example', encrypted: false }, ['*'])).toBe('listed')
  }
  expect(originVerdict({ origin: 'null', host: 'hub.example', encrypted: false }, ['*'])).toBe('refused')
  const same = { origin: 'http://hub.example', host: 'hub.example', encrypted: false }
  expect(originVerdict(same, ['*'])).toBe('same')
  expect(originVerdict({ ...same, origin: undefined }, ['*'])).toBe('absent')
})

test('nothing but the list and the host itself lets an origin in', () => {
  const part = fc.constantFrom(
    'http',
    'https',
    '://',
    'hub.example',
    'evil',
    '.',
    ':',
    '80',
    '443',
    '/',
    '@',
    '#',
    '[',
    ']',
  )
  const text = fc.oneof(
    fc.array(part).map((parts) => parts.join('')),
    fc.string(),
    fc.constantFrom(...hostileStrings),
  )
  fc.assert(
    fc.property(text, fc.boolean(), (origin, encrypted) => {
      const verdict = originVerdict({ origin, host: 'hub.example', encrypted }, LIST)
      const isOurs = /^https?:\/\/hub\.example(?::80|:443)?$/.test(origin)
      expect(verdict === 'refused' || isOurs || LIST.includes(origin)).toBe(true)
    }),
  )
})

describe('CORS', () => {
  const headersFor = (origin: string | undefined, list: readonly string[]) =>
    accessHeaders(origin, originVerdict({ origin, host: 'hub.example', encrypted: false }, list), list)

  test('a listed origin is echoed, and may send credentials', () => {
    expect(headersFor('https://app.example', LIST)).toEqual({
      'Access-Control-Allow-Origin': 'https://app.example',
      'Access-Control-Allow-Credentials': 'true',
      'Access-Control-Expose-Headers': 'Allow, Retry-After',
      Vary: 'Origin',
    })
    expect(headersFor('https://app.example', ['*', ...LIST])).toMatchObject({
      'Access-Control-Allow-Credentials': 'true',
    })
  })

  test('any origin may read, but without credentials', () => {
    const headers = headersFor('https://other.example', ['*'])
    expect(headers).toMatchObject({ 'Access-Control-Allow-Origin': '*', Vary: 'Origin' })
    expect(headers).not.toHaveProperty('Access-Control-Allow-Credentials')
    expect(headersFor('null', ['*', 'null'])).not.toHaveProperty('Access-Control-Allow-Credentials')
  })

  test('the others get nothing', () => {
    expect(headersFor('https://app.example', [])).toEqual({})
    for (const origin of [undefined, 'http://hub.example', 'http://evil.example']) {
      expect(headersFor(origin, LIST)).toEqual({ Vary: 'Origin' })
    }
  })

  test('a page of the other scheme is let in as the same, and reads what it is listed for', () => {
    expect(headersFor('https://hub.example', ['https://hub.example'])).toMatchObject({
      'Access-Control-Allow-Origin': 'https://hub.example',
    })
  })

  test('a preflight is told methods and headers', () => {
    expect(preflightHeaders({ methods: 'GET, POST', headers: 'Content-Type' })).toEqual({
      'Access-Control-Allow-Methods': 'GET, POST',
      'Access-Control-Allow-Headers': 'Content-Type',
      'Access-Control-Max-Age': '600',
    })
    expect(preflightHeaders({ methods: '', headers: '', maxAgeSeconds: 5 })['Access-Control-Max-Age']).toBe(
      '5',
    )
  })
})

describe('a list of origins', () => {
  test('may have *, web origins and those of apps', () => {
    expect(() => assertOrigins(['*', ...LIST, 'http://[::1]:8000', 'chrome-extension://abc'])).not.toThrow()
    expect(() => assertOrigins([])).not.toThrow()
  })

  test.each([
    'null',
    '',
    'app.example',
    'https://app.example/',
    'https://app.example/path',
    // There are no patterns, and one that is taken for a name would look as if there were.
    'https://*.example',
    'https://user@app.example',
    'https://app.example:port',
    'https://a.example https://b.example',
    'https://',
    7,
    null,
  ])('may not have %j', (origin) => {
    expect(() => assertOrigins([origin as string])).toThrow(MisuseError)
  })
})

describe('allowed hosts', () => {
  const hosts = ['localhost', '127.0.0.1', '::1', 'Hub.Example']

  test.each(['localhost', 'LOCALHOST:8000', '127.0.0.1:1', '[::1]', '[::1]:8000', 'hub.example:443'])(
    '%s',
    (host) => {
      expect(isAllowedHost(host, hosts)).toBe(true)
    },
  )

  test.each([
    undefined,
    '',
    'evil.example',
    'localhost.evil.example',
    'evil-localhost',
    'localhost:8000:1',
    'localhost,evil.example',
    'localhost@evil.example',
    'evil.example/localhost',
    '::1',
    'localhost.',
    '*',
  ])('not %s', (host) => {
    expect(isAllowedHost(host, hosts)).toBe(false)
  })

  test('null allows all, brackets in the list too, an empty list none', () => {
    expect(isAllowedHost(undefined, null)).toBe(true)
    expect(isAllowedHost('[::1]:80', ['[::1]'])).toBe(true)
    expect(isAllowedHost('localhost', [])).toBe(false)
  })
})
