/** What tokens are good, case by case from the RFCs, with the answer that each gets. */
import { createHash, generateKeyPairSync, randomBytes, randomUUID, X509Certificate } from 'node:crypto'
import fc from 'fast-check'
import { MisuseError } from 'groupcast'
import { type TokenOptions, tokens } from 'groupcast/auth'
import { describe, expect, test } from 'vitest'
import { secretProblem } from '../../src/auth/secrets.ts'
import { hostileStrings } from '../hostile-strings.ts'
import { CERTIFICATE } from '../support/certificate.ts'
import { ask } from './asking.ts'
import { base64url, claims, EC, ED, forge, hs256, now, pem, RSA, SECRET, SIGNERS, token } from './forge.ts'

const HS: TokenOptions = { key: { algorithm: 'HS256', secret: SECRET } }
const RS: TokenOptions = { key: { algorithm: 'RS256', publicKey: RSA.publicKey } }

const good = (id = 'ann') => expect.objectContaining({ id })
const MALFORMED = 'invalid-token: The token is malformed.'
const NO_JWT = 'invalid-token: The token is no signed JWT: three parts in base64url with dots between.'
const BAD_SIGNATURE = 'invalid-token: The signature does not fit.'
const NO_KEY = 'invalid-token: No key is known that it could be signed with (kid, alg).'
const BAD_ALG = 'invalid-token: The algorithm (alg) is not one of those that are allowed.'
const EXPIRED = 'invalid-token: The token has expired.'
const TOO_LONG = 'invalid-token: The token is good for longer than 86400 seconds (from iat to exp).'
const bad = (claim: string) => `invalid-token: The token’s ${claim} is not what it must be.`
const missing = (claim: string) => `invalid-token: The token has no ${claim}.`

const SECOND = 'wK3pN8vYq1tB6xRm0cZ5uLh2gFe9jSaD'
const otherRsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const otherSigner = (input: string) => createHash('sha256').update(input).digest()

const [HEAD = '', BODY = '', SIGNATURE = ''] = token().split('.')

type Case = readonly [what: string, token: () => string, expected: unknown, options?: TokenOptions]

const RFC_7515: readonly Case[] = [
  ['a good token', () => token(), good()],
  ['no token at all but dots (section 7.1)', () => '..', NO_JWT],
  ['one part', () => HEAD, NO_JWT],
  ['two parts', () => `${HEAD}.${BODY}`, NO_JWT],
  ['an empty signature', () => `${HEAD}.${BODY}.`, NO_JWT],
  ['four parts', () => `${token()}.x`, NO_JWT],
  ['five parts: JWE (RFC 7516)', () => 'a.b.c.d.e', NO_JWT],
  ['padding (section 2)', () => `${HEAD}.${BODY}.${SIGNATURE}=`, NO_JWT],
  ['base64 in place of base64url', () => `${HEAD}.${BODY}.+/${SIGNATURE.slice(2)}`, NO_JWT],
  ['white space around', () => ` ${token()}`, NO_JWT],
  ['a line break inside', () => token().replace('.', '.\n'), NO_JWT],
  ['a header that is no JSON', () => forge('{alg', claims()), MALFORMED],
  ['a header that is no object', () => forge('[]', claims()), MALFORMED],
  [
    'a header that is not UTF-8',
    () => `${Buffer.from([0xff, 0xfe]).toString('base64url')}.${BODY}.${SIGNATURE}`,
    MALFORMED,
  ],
  ['no alg (section 4.1.1)', () => forge({ typ: 'JWT' }, claims()), MALFORMED],
  ['alg as a number', () => forge({ alg: 256 }, claims()), MALFORMED],
  ['alg in lower case: names have case', () => forge({ alg: 'hs256' }, claims()), BAD_ALG],
  [
    'an unknown parameter that must be understood (section 4.1.11)',
    () => token({}, { crit: ['x'], x: 1 }),
    MALFORMED,
  ],
  ['an empty crit', () => token({}, { crit: [] }), MALFORMED],
  ['an unencoded payload (RFC 7797)', () => token({}, { b64: false, crit: ['b64'] }), MALFORMED],
  ['an unknown parameter that need not be', () => token({}, { x: 1 }), good()],
  ['a changed payload', () => `${HEAD}.${base64url(claims({ sub: 'eve' }))}.${SIGNATURE}`, BAD_SIGNATURE],
  ['a changed header', () => `${base64url({ alg: 'HS256' })}.${BODY}.${SIGNATURE}`, BAD_SIGNATURE],
  ['the signature of another', () => `${HEAD}.${BODY}.${token({ sub: 'eve' }).split('.')[2]}`, BAD_SIGNATURE],
  ['a signature cut short', () => `${HEAD}.${BODY}.${SIGNATURE.slice(0, 20)}`, BAD_SIGNATURE],
  [
    'another secret',
    () => forge({ alg: 'HS256' }, claims(), hs256('another-secret-of-32-bytes-at-all')),
    BAD_SIGNATURE,
  ],
  ['an empty secret', () => forge({ alg: 'HS256' }, claims(), hs256('')), BAD_SIGNATURE],
  ['kid where there is one key without', () => token({}, { kid: 'whatever' }), good()],
  ['kid as a number', () => token({}, { kid: 7 }), good()],
]

const RFC_7519: readonly Case[] = [
  ['no exp', () => token({ exp: undefined }), missing('exp')],
  ['no sub', () => token({ sub: undefined }), missing('sub')],
  ['exp a second ago, within the leeway', () => token({ exp: now() - 1 }), good()],
  ['exp before the leeway', () => token({ exp: now() - 6 }), EXPIRED],
  ['exp long ago', () => token({ exp: 1 }), EXPIRED],
  ['exp of 0', () => token({ exp: 0 }), EXPIRED],
  ['a negative exp', () => token({ exp: -1e12 }), EXPIRED],
  ['exp as a text', () => token({ exp: String(now() + 60) }), bad('exp')],
  ['exp as null', () => token({ exp: null }), bad('exp')],
  ['exp with a fraction (section 2, NumericDate)', () => token({ exp: now() + 60.5 }), good()],
  [
    'exp in milliseconds: good for longer than allowed',
    () => token({ exp: Date.now() }),
    'invalid-token: The token is good for longer than 86400 seconds (exp).',
  ],
  [
    'exp that no date can say',
    () => forge({ alg: 'HS256' }, `{"sub":"ann","exp":1e308}`),
    'invalid-token: The token is good for longer than 86400 seconds (exp).',
  ],
  [
    'exp of infinity, as JSON reads it',
    () => forge({ alg: 'HS256' }, `{"sub":"ann","exp":1e999}`),
    'invalid-token: The token is good for longer than 86400 seconds (exp).',
  ],
  ['exp at the cap', () => token({ exp: now() + 86_400 }), good()],
  [
    'exp beyond the cap',
    () => token({ exp: now() + 86_410 }),
    'invalid-token: The token is good for longer than 86400 seconds (exp).',
  ],
  ['nbf in the past', () => token({ nbf: now() - 60 }), good()],
  ['nbf within the leeway', () => token({ nbf: now() + 3 }), good()],
  ['nbf to come', () => token({ nbf: now() + 60 }), 'invalid-token: The token is not good yet (nbf).'],
  ['nbf as a text', () => token({ nbf: 'soon' }), 'invalid-token: The token is not good yet (nbf).'],
  [
    'iat to come',
    () => token({ iat: now() + 60 }),
    'invalid-token: The token was issued in the future (iat).',
  ],
  ['iat as a text', () => token({ iat: 'now' }), bad('iat')],
  ['no iat', () => token({ iat: undefined }), expect.objectContaining({ id: 'ann', issuedAt: 0 })],
  ['a negative iat', () => token({ iat: -5 }), TOO_LONG],
  ['exp at the cap from iat', () => token({ iat: now() - 100, exp: now() + 86_300 }), good()],
  // The cap was held against the time that is left alone: a token of 36 hours was refused for twelve, then let in, also when it had been revoked
  // in its first hour, which was forgotten after a day.
  ['a long one of which little is left', () => token({ iat: now() - 90_000, exp: now() + 600 }), TOO_LONG],
  ['the same of a year ago', () => token({ iat: now() - 31_536_000, exp: now() + 1 }), TOO_LONG],
  [
    'one that is only just expired',
    () => token({ iat: now() - 86_401, exp: now() - 1 }),
    expect.objectContaining({ id: 'ann' }),
  ],
  [
    'sub as a number',
    () => token({ sub: 7 }),
    'invalid-token: The subject (sub) is not 1 to 255 characters, none of them control characters.',
  ],
  [
    'an empty sub',
    () => token({ sub: '' }),
    'invalid-token: The subject (sub) is not 1 to 255 characters, none of them control characters.',
  ],
  [
    'a sub with a line break',
    () => token({ sub: 'a\nb' }),
    'invalid-token: The subject (sub) is not 1 to 255 characters, none of them control characters.',
  ],
  [
    'a sub that is too long',
    () => token({ sub: 'x'.repeat(256) }),
    'invalid-token: The subject (sub) is not 1 to 255 characters, none of them control characters.',
  ],
  ['__proto__ as sub', () => token({ sub: '__proto__' }), good('__proto__')],
  ['claims that are no object (section 7.2)', () => forge({ alg: 'HS256' }, '[1]'), MALFORMED],
  ['claims that are null', () => forge({ alg: 'HS256' }, 'null'), MALFORMED],
  ['claims that are no JSON', () => forge({ alg: 'HS256' }, 'ann'), MALFORMED],
  [
    'a claim twice: the last counts (section 4)',
    () => forge({ alg: 'HS256' }, `{"sub":"eve","sub":"ann","exp":${now() + 60}}`),
    good(),
  ],
  ['an unknown claim', () => token({ 'https://a.example/x': [1] }), good()],
  ['the issuer', () => token({ iss: 'https://a.example' }), good(), { ...HS, issuer: 'https://a.example' }],
  ['one of several issuers', () => token({ iss: 'b' }), good(), { ...HS, issuer: ['a', 'b'] }],
  [
    'another issuer',
    () => token({ iss: 'https://b.example' }),
    bad('iss'),
    { ...HS, issuer: 'https://a.example' },
  ],
  [
    'an issuer in another case (section 2: exactly)',
    () => token({ iss: 'A' }),
    bad('iss'),
    { ...HS, issuer: 'a' },
  ],
  ['no issuer where one is wanted', () => token(), missing('iss'), { ...HS, issuer: 'a' }],
  ['the audience', () => token({ aud: 'chat' }), good(), { ...HS, audience: 'chat' }],
  [
    'the audience among others (section 4.1.3)',
    () => token({ aud: ['x', 'chat'] }),
    good(),
    { ...HS, audience: 'chat' },
  ],
  ['another audience', () => token({ aud: 'mail' }), bad('aud'), { ...HS, audience: 'chat' }],
  ['part of the audience', () => token({ aud: 'chatty' }), bad('aud'), { ...HS, audience: 'chat' }],
  ['no audience where one is wanted', () => token(), missing('aud'), { ...HS, audience: 'chat' }],
  ['an empty list of audiences', () => token({ aud: [] }), bad('aud'), { ...HS, audience: 'chat' }],
  ['an audience where none is wanted', () => token({ aud: 'mail' }), good()],
  [
    'a smaller cap',
    () => token({ exp: now() + 120 }),
    'invalid-token: The token is good for longer than 60 seconds (exp).',
    { ...HS, maxLifetimeSeconds: 60 },
  ],
  ['no leeway', () => token({ exp: now() - 1 }), EXPIRED, { ...HS, leewaySeconds: 0 }],
]

const RFC_8725: readonly Case[] = [
  ['alg none (section 2.1)', () => `${base64url({ alg: 'none' })}.${BODY}.`, NO_JWT],
  ['alg none with a signature', () => forge({ alg: 'none' }, claims()), BAD_ALG],
  ['alg None', () => forge({ alg: 'None' }, claims()), BAD_ALG],
  ['alg nOnE', () => forge({ alg: 'nOnE' }, claims()), BAD_ALG],
  [
    'a public RSA key used as a secret (section 2.1)',
    () => forge({ alg: 'HS256' }, claims(), hs256(pem(RSA.publicKey))),
    BAD_ALG,
    RS,
  ],
  [
    'the same without its last line break',
    () => forge({ alg: 'HS256' }, claims(), hs256(pem(RSA.publicKey).trim())),
    BAD_ALG,
    RS,
  ],
  [
    'the same as DER',
    () => forge({ alg: 'HS256' }, claims(), hs256(RSA.publicKey.export({ type: 'spki', format: 'der' }))),
    BAD_ALG,
    RS,
  ],
  ['HS512 where HS256 is pinned', () => forge({ alg: 'HS512' }, claims()), BAD_ALG],
  ['RS256 where HS256 is pinned', () => forge({ alg: 'RS256' }, claims(), SIGNERS.RS256), BAD_ALG],
  ['PS256 with the key of RS256', () => forge({ alg: 'PS256' }, claims(), SIGNERS.RS256), BAD_ALG, RS],
  [
    'a key that the token brings (jwk)',
    () => forge({ alg: 'ES256', jwk: EC.publicKey.export({ format: 'jwk' }) }, claims(), SIGNERS.ES256),
    BAD_ALG,
    RS,
  ],
  [
    'the same with the pinned algorithm',
    () => forge({ alg: 'RS256', jwk: otherRsa.publicKey.export({ format: 'jwk' }) }, claims(), otherSigner),
    BAD_SIGNATURE,
    RS,
  ],
  ['a URL that the token brings (jku)', () => token({}, { jku: 'https://evil.example/jwks' }), good()],
  ['a certificate that the token brings (x5c)', () => token({}, { x5c: ['MIIB'] }), good()],
  ['kid as a path (section 3.10)', () => token({}, { kid: '../../../../dev/null' }), NO_KEY, two()],
  ['kid as SQL', () => token({}, { kid: "' OR 1=1 --" }), NO_KEY, two()],
  ['kid as a name of every object', () => token({}, { kid: '__proto__' }), NO_KEY, two()],
  ['no kid, and several keys', () => token(), NO_KEY, two()],
  ['the kid of another key', () => token({}, { kid: 'new' }), BAD_SIGNATURE, two()],
  ['the old key', () => token({}, { kid: 'old' }), good(), two()],
  ['the new key', () => forge({ alg: 'HS256', kid: 'new' }, claims(), hs256(SECOND)), good(), two()],
  ['the algorithm of another key', () => token({}, { kid: 'rsa' }), NO_KEY, two()],
  [
    'another type (section 3.11)',
    () => token({}, { typ: 'logout+jwt' }),
    'invalid-token: The token is of another type (typ).',
  ],
  [
    'a type that is no text',
    () => token({}, { typ: 7 }),
    'invalid-token: The token is of another type (typ).',
  ],
  ['an access token (RFC 9068)', () => token({}, { typ: 'at+jwt' }), good()],
  ['the same in full and in another case', () => token({}, { typ: 'application/AT+JWT' }), good()],
  ['no type', () => forge({ alg: 'HS256' }, claims()), good()],
  ['compressed claims', () => token({}, { zip: 'DEF' }), good()],
  [
    'a token of a megabyte',
    () => 'a'.repeat(1024 * 1024),
    'invalid-token: The token is longer than 8192 characters.',
  ],
  ['RS256', () => forge({ alg: 'RS256' }, claims(), SIGNERS.RS256), good(), RS],
  [
    'ES256',
    () => forge({ alg: 'ES256' }, claims(), SIGNERS.ES256),
    good(),
    { key: { algorithm: 'ES256', publicKey: pem(EC.publicKey) } },
  ],
  [
    'EdDSA',
    () => forge({ alg: 'EdDSA' }, claims(), SIGNERS.EdDSA),
    good(),
    { key: { algorithm: 'EdDSA', publicKey: ED.publicKey.export({ format: 'jwk' }) as never } },
  ],
  [
    'an ES256 signature of zeros (CVE-2022-21449)',
    () => forge({ alg: 'ES256' }, claims(), () => Buffer.alloc(64)),
    BAD_SIGNATURE,
    { key: { algorithm: 'ES256', publicKey: pem(EC.publicKey) } },
  ],
  [
    'an ES256 signature as DER',
    () => forge({ alg: 'ES256' }, claims(), () => Buffer.alloc(70, 0x30)),
    BAD_SIGNATURE,
    { key: { algorithm: 'ES256', publicKey: pem(EC.publicKey) } },
  ],
  [
    'a claim groupcast that is no object',
    () => token({ groupcast: ['chat.*'] }),
    'invalid-token: The claim groupcast is malformed: give lists of patterns of groups.',
  ],
  [
    'one that is a text where a list belongs',
    () => token({ groupcast: { join: '*' } }),
    'invalid-token: The claim groupcast is malformed: give lists of patterns of groups.',
  ],
  [
    'one with a pattern that is none',
    () => token({ groupcast: { join: ['a b'] } }),
    'invalid-token: The claim groupcast is malformed: give lists of patterns of groups.',
  ],
  [
    'one with too many patterns',
    () => token({ groupcast: { join: Array.from({ length: 257 }, () => 'a') } }),
    'invalid-token: The claim groupcast is malformed: give lists of patterns of groups.',
  ],
  ['one with a word of the future', () => token({ groupcast: { join: ['a'], dance: ['a'] } }), good()],
]

function two(): TokenOptions {
  return {
    keys: [
      { kid: 'old', algorithm: 'HS256', secret: SECRET },
      { kid: 'new', algorithm: 'HS256', secret: SECOND },
      { kid: 'rsa', algorithm: 'RS256', publicKey: RSA.publicKey },
    ],
  }
}

describe.each([
  ['RFC 7515 (JWS)', RFC_7515],
  ['RFC 7519 (JWT)', RFC_7519],
  ['RFC 8725 (best practice)', RFC_8725],
] as const)('%s', (_name, cases) => {
  test.each(cases.map(([what, ...rest]) => [what, rest] as const))(
    '%s',
    async (_what, [make, expected, options = HS]) => {
      expect(await ask(tokens(options), { token: make() })).toEqual(expected)
    },
  )
})

describe('where a token is', () => {
  const options = { ...HS, cookie: 'session', query: 'access_token' }

  test.each<[string, Parameters<typeof ask>[1], unknown, TokenOptions?]>([
    ['none', {}, 'unauthorized: This needs valid credentials.'],
    ['none where none is required', {}, null, { ...HS, required: false }],
    ['given', { token: token() }, good()],
    ['in the cookie', { cookies: { session: token() } }, good()],
    ['in another cookie', { cookies: { other: token() } }, 'unauthorized: This needs valid credentials.'],
    ['in an empty cookie', { cookies: { session: '' } }, 'unauthorized: This needs valid credentials.'],
    [
      'in a cookie that is not looked at',
      { cookies: { session: token() } },
      'unauthorized: This needs valid credentials.',
      HS,
    ],
    ['given, and another in the cookie', { token: token(), cookies: { session: 'x' } }, good()],
    ['a bad one given, and a good one in the cookie', { token: 'x', cookies: { session: token() } }, NO_JWT],
    ['in the query', { query: `access_token=${token()}` }, good()],
    [
      'in a query that is not looked at',
      { query: `access_token=${token()}` },
      'unauthorized: This needs valid credentials.',
      HS,
    ],
    [
      'twice in the query (RFC 6750, section 3.1)',
      { query: `access_token=${token()}&access_token=x` },
      'bad-request: The request has more than one token: give it in one way.',
    ],
    [
      'given and in the query (section 2)',
      { token: token(), query: `access_token=${token()}` },
      'bad-request: The request has more than one token: give it in one way.',
    ],
    [
      'an expired one where none is required: it is no visitor',
      { token: token({ exp: 1 }) },
      EXPIRED,
      { ...HS, required: false },
    ],
  ])('%s', async (_what, given, expected, own = options) => {
    expect(await ask(tokens(own), given)).toEqual(expected)
  })
})

/** Secrets of the docs, defaults and tutorials of others, which were taken as if nobody knew them. */
const WELL_KNOWN: readonly (readonly [string, string | Buffer])[] = [
  ['Supabase', 'super-secret-jwt-token-with-at-least-32-characters-long'],
  ['FastAPI', '09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7'],
  ['Spring', '404E635266556A586E3272357538782F413F4428472B4B6250645367566B5970'],
  [
    'Spring, as the bytes that it stands for',
    Buffer.from('404E635266556A586E3272357538782F413F4428472B4B6250645367566B5970', 'hex'),
  ],
  ['PostgREST', 'reallyreallyreallyreallyverysafe'],
  ['Mercure', '!ChangeThisMercureHubJWTSecretKey!'],
  ['Hasura', '3EK6FD+o0+c7tzBNVfjpMkNDi2yARAAKzQlk8O2IKoxQu4nF7EdAh8s3TwpHwrdWT6R'],
  ['a new project of Django', 'django-insecure-4kz$8q!w2n@r7x_p0v3m#c6b9t5y1h8j2l'],
  [
    'Supabase in base64',
    Buffer.from('super-secret-jwt-token-with-at-least-32-characters-long').toString('base64'),
  ],
  [
    'FastAPI in hexadecimal of hexadecimal',
    Buffer.from('09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7').toString('hex'),
  ],
]

const GUESSABLE: readonly string[] = [
  'passwordpassword1234567890qwerty',
  'P4ssw0rd!P4$$word?P@ssw0rd-2024-01',
  'abcdefghijklmnopqrstuvwxyzabcdef',
  'ABCDEFGHIJKLMNOPQRSTUVWXYZ012345',
  'zyxwvutsrqponmlkjihgfedcba987654',
  '01234567890123456789012345678901',
  'qwertyuiopasdfghjklzxcvbnm1234567890',
  'secret-key-for-jwt-signing-in-dev',
  'my-super-secret-key-for-signing-jwt-tokens',
  'MySuperSecretKeyForJwtAuthentication123456',
  'this_is_my_very_long_secret_key_for_my_app',
  'AcmeCorp-production-jwt-secret-key-2024',
  Buffer.from('passwordpassword1234567890qwerty').toString('base64'),
]

const SSH2 = `---- BEGIN SSH2 PUBLIC KEY ----
AAAAB3NzaC1yc2EAAAADAQABAAABAQC7vbqajDhA
---- END SSH2 PUBLIC KEY ----`

/** Public keys in forms that were not looked through: whoever can fetch the key could have signed any token. */
const PUBLIC_KEYS: readonly (readonly [string, string | Buffer])[] = [
  ['DER of PKCS #1', RSA.publicKey.export({ type: 'pkcs1', format: 'der' })],
  ['base64 of PKCS #1', RSA.publicKey.export({ type: 'pkcs1', format: 'der' }).toString('base64')],
  ['hexadecimal of SPKI', EC.publicKey.export({ type: 'spki', format: 'der' }).toString('hex')],
  ['hexadecimal of an Ed25519 key', ED.publicKey.export({ type: 'spki', format: 'der' }).toString('hex')],
  ['base64url of SPKI', EC.publicKey.export({ type: 'spki', format: 'der' }).toString('base64url')],
  ['PEM without its first and last line', pem(RSA.publicKey).split('\n').slice(1, -2).join('\n')],
  ['base64 of PEM', Buffer.from(pem(RSA.publicKey)).toString('base64')],
  ['PEM in quotes', JSON.stringify(pem(RSA.publicKey))],
  ['base64 of a JWK', Buffer.from(JSON.stringify(EC.publicKey.export({ format: 'jwk' }))).toString('base64')],
  ['the n of a JWK', RSA.publicKey.export({ format: 'jwk' }).n ?? ''],
  ['a block of SSH2', SSH2],
  ['the base64 of OpenSSH alone', 'AAAAC3NzaC1lZDI1NTE5AAAAIJ2Yt4kQ0b9c8d7e6f5a4b3c2d1e0f9a8b7c6d5e4f3a2b1c'],
  ['a certificate', CERTIFICATE.cert],
  ['the DER of a certificate', new X509Certificate(CERTIFICATE.cert).raw],
  ['the base64 of a certificate', new X509Certificate(CERTIFICATE.cert).raw.toString('base64')],
]

describe('what cannot be configured', () => {
  const rsa1024 = generateKeyPairSync('rsa', { modulusLength: 1024 })
  const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' })
  const secret = (value: unknown) => ({ key: { algorithm: 'HS256', secret: value } })
  const refused = (what: string, value: unknown, text: string): [string, unknown, string] => [
    what,
    secret(value),
    text,
  ]
  const rs = (publicKey: unknown) => ({ key: { algorithm: 'RS256', publicKey } })
  const certificateOfNobody = '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----'

  test.each<[string, unknown, string]>([
    ['no key', {}, 'exactly one of key, keys and jwksUrl'],
    ['two ways', { ...HS, jwksUrl: 'https://a.example' }, 'exactly one of key, keys and jwksUrl'],
    ['an unknown option', { ...HS, expiry: 1 }, 'has no option "expiry"'],
    ['an unknown option of a key', { key: { ...HS.key, use: 'sig' } }, 'key has no option "use"'],
    ['no algorithm', { key: { secret: SECRET } }, 'key.algorithm is undefined'],
    ['alg none', { key: { algorithm: 'none' } }, 'it must be one of HS256, RS256, ES256, EdDSA'],
    ['no secret', secret(undefined), 'key.secret is missing'],
    ['an empty secret', secret(''), 'shorter than 32 bytes'],
    ['31 bytes', secret('vR8mQ2xLp0aZk7WcT4bY9nHe3sJd6fG'), 'shorter than 32 bytes'],
    ['one letter', secret('x'.repeat(64)), 'easy to guess'],
    ['a short text that repeats', secret('hunter2!'.repeat(8)), 'easy to guess'],
    ['few letters', secret('ababcdabcabdabcdabcaabbccddabcda'), 'easy to guess'],
    ['a placeholder', secret('please-change-me-9f8e7d6c5b4a3210'), 'well known'],
    ['the secret of jwt.io', secret('a-string-secret-at-least-256-bits-long'), 'well known'],
    ['the same in another spelling', secret('A_STRING_SECRET_AT_LEAST_256_BITS_LONG'), 'well known'],
    [
      'the key of RFC 7515',
      secret('AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow'),
      'well known',
    ],
    [
      'the same as bytes',
      secret(
        Buffer.from(
          'AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow',
          'base64url',
        ),
      ),
      'well known',
    ],
    ...WELL_KNOWN.map(([what, value]) => refused(`the secret of ${what}`, value, 'well known')),
    ...GUESSABLE.map((value) => refused(`words and sequences, ${value}`, value, 'easy to guess')),
    ...PUBLIC_KEYS.map(([what, value]) => refused(`a public key as ${what}`, value, 'a public key')),
    ['a public key as PEM', secret(pem(RSA.publicKey)), 'a public key'],
    ['a public key as DER', secret(EC.publicKey.export({ type: 'spki', format: 'der' })), 'a public key'],
    [
      'a public key as the base64 of DER',
      secret(RSA.publicKey.export({ type: 'spki', format: 'der' }).toString('base64')),
      'a public key',
    ],
    [
      'a public key as a JWK',
      secret(JSON.stringify(RSA.publicKey.export({ format: 'jwk' }))),
      'a public key',
    ],
    ['a public key as a KeyObject', secret(RSA.publicKey), 'not a key'],
    [
      'a public key of OpenSSH',
      secret('ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ2Yt4kQ0b9c8d7e6f5a4'),
      'a public key',
    ],
    ['HS256 with a publicKey', { key: { algorithm: 'HS256', publicKey: pem(RSA.publicKey) } }, 'not a key'],
    ['HS256 with both', { key: { ...HS.key, publicKey: pem(RSA.publicKey) } }, 'not a key'],
    ['RS256 with a secret', { key: { algorithm: 'RS256', secret: SECRET } }, 'publicKey is missing'],
    [
      'RS256 with both',
      { key: { algorithm: 'RS256', publicKey: RSA.publicKey, secret: SECRET } },
      'has a secret',
    ],
    ['an RSA key of 1024 bits', rs(rsa1024.publicKey), 'has 1024 bits'],
    ['a private key', rs(RSA.privateKey), 'a private key'],
    ['a private key as PEM', rs(RSA.privateKey.export({ type: 'pkcs8', format: 'pem' })), 'a private key'],
    ['a private key as a JWK', rs(RSA.privateKey.export({ format: 'jwk' })), 'a private key'],
    ['a secret as a JWK', rs({ kty: 'oct', k: 'AAAA' }), 'is a secret'],
    ['an elliptic key for RS256', rs(EC.publicKey), 'RS256 takes an RSA key'],
    [
      'another curve',
      { key: { algorithm: 'ES256', publicKey: p384.publicKey } },
      'ES256 takes a key on the curve P-256',
    ],
    [
      'an RSA key for EdDSA',
      { key: { algorithm: 'EdDSA', publicKey: RSA.publicKey } },
      'EdDSA takes an Ed25519 key',
    ],
    ['a text that is no key', rs('hello'), 'cannot be read'],
    ['a certificate that is none', rs(certificateOfNobody), 'cannot be read'],
    ['no keys', { keys: [] }, 'keys is empty'],
    ['keys without kid', { keys: [HS.key, RS.key] }, 'need a kid each'],
    [
      'keys with one kid',
      {
        keys: [
          { ...HS.key, kid: 'a' },
          { ...RS.key, kid: 'a' },
        ],
      },
      'need a kid each',
    ],
    ['HS256 with a URL', { jwksUrl: 'https://a.example', algorithms: ['HS256'] }, 'with jwksUrl it must be'],
    ['no algorithms with a URL', { jwksUrl: 'https://a.example', algorithms: [] }, 'with jwksUrl it must be'],
    ['algorithms without a URL', { ...HS, algorithms: ['HS256'] }, 'goes with jwksUrl'],
    ['a URL in the open', { jwksUrl: 'http://a.example/jwks' }, 'must be an https: URL'],
    ['a URL with a password', { jwksUrl: 'https://u:hush@a.example/jwks' }, 'must be an https: URL'],
    ['a file', { jwksUrl: 'file:///etc/jwks' }, 'must be an https: URL'],
    [
      'an endless lifetime',
      { ...HS, maxLifetimeSeconds: Number.POSITIVE_INFINITY },
      'maxLifetimeSeconds is null',
    ],
    ['no lifetime', { ...HS, maxLifetimeSeconds: 0 }, 'maxLifetimeSeconds is 0'],
    ['a leeway of hours', { ...HS, leewaySeconds: 3600 }, 'leewaySeconds is 3600'],
    ['an empty issuer', { ...HS, issuer: '' }, 'issuer is ""'],
    ['no audience of a list', { ...HS, audience: [] }, 'audience is []'],
    ['a cookie that is no name', { ...HS, cookie: 'a b' }, 'cookie is "a b"'],
    ['a query without a name', { ...HS, query: '' }, 'query is ""'],
    ['required as a text', { ...HS, required: 'no' }, 'required is "no"'],
  ])('%s', (_what, options, text) => {
    const make = () => tokens(options as TokenOptions)
    expect(make).toThrow(MisuseError)
    expect(make).toThrow(text)
    expect(make).not.toThrow(/hush|hunter2|change-me|vR8mQ2/)
  })

  test('no random secret is taken for a guessable one or a public key', () => {
    const refused: string[] = []
    for (let n = 0; n < 300; n++) {
      const bytes = randomBytes(32 + (n % 33))
      for (const value of [
        bytes,
        ...(['hex', 'base64', 'base64url'] as const).map((encoding) => bytes.toString(encoding)),
        bytes.toString('hex', 0, 16),
        bytes.toString('base64url', 0, 24),
      ]) {
        if (secretProblem(Buffer.from(value)) !== null) refused.push(bytes.toString('hex'))
      }
    }
    // What is refused can be made again from here.
    expect(refused).toEqual([])
  })

  // One in some fifteen thousand has so many equal digits side by side that it looks guessable: this test failed now and then when none was to.
  test('of random UUIDs hardly any is refused', () => {
    const refused = Array.from({ length: 300 }, () => randomUUID()).filter(
      (text) => secretProblem(Buffer.from(text)) !== null,
    )
    expect(refused.length).toBeLessThan(4)
  })

  test('of long random secrets that look like the modulus of a key few are refused', () => {
    const secrets = Array.from({ length: 200 }, () => randomBytes(256))
    const refused = secrets.filter(
      (bytes) => secretProblem(Buffer.from(bytes.toString('base64url'))) !== null,
    )
    // Five are to be expected, and 40 not in the age of the universe.
    expect(refused.length).toBeLessThan(40)
  })

  test.each([
    ['32 random bytes', Buffer.from(createHash('sha256').update('a').digest())],
    ['in hexadecimal', createHash('sha256').update('b').digest('hex')],
    ['half as many', createHash('sha256').update('c').digest('hex').slice(0, 32)],
    ['in base64', createHash('sha256').update('d').digest('base64')],
    ['a long sentence', 'tangerine bicycles rarely whistle at midnight in Lisbon'],
  ])('%s will do', (_what, value) => {
    expect(() => tokens({ key: { algorithm: 'HS256', secret: value } })).not.toThrow()
  })
})

describe('whatever comes as a token', () => {
  const hook = tokens(HS)

  test.each(hostileStrings.map((text) => [text.slice(0, 20), text]))(
    '%j is refused in words',
    async (_start, text) => {
      expect(await ask(hook, { token: text })).toMatch(/^invalid-token: /)
    },
  )

  test('is refused in words', async () => {
    const part = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.json().map((text) => base64url(text)),
      fc.base64String(),
      fc.constantFrom(HEAD, BODY, SIGNATURE),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(part, { maxLength: 6 }), async (parts) => {
        const text = parts.join('.')
        fc.pre(text !== `${HEAD}.${BODY}.${SIGNATURE}`)
        expect(await ask(hook, { token: text })).toMatch(/^invalid-token: /)
      }),
    )
  })

  test('and signed: what is let in has an id, and an end within the cap', async () => {
    const date = fc.oneof(
      fc.integer(),
      fc.double(),
      fc.integer({ min: -100, max: 100_000 }).map((n) => now() + n),
      fc.jsonValue(),
    )
    const payload = fc.record(
      { sub: fc.oneof(fc.string(), fc.jsonValue()), exp: date, nbf: date, iat: date },
      { requiredKeys: [] },
    )
    await fc.assert(
      fc.asyncProperty(payload, async (value) => {
        const text = forge({ alg: 'HS256' }, JSON.stringify(value))
        const answer = await ask(hook, { token: text })
        if (typeof answer === 'string') {
          expect(answer).toMatch(/^invalid-token: /)
          return
        }
        expect(answer?.id).toMatch(/^\P{Cc}{1,255}$/u)
        const left = (answer?.expiresAt ?? Number.POSITIVE_INFINITY) - Date.now()
        expect(left).toBeLessThanOrEqual((86_400 + 10) * 1000)
        expect(answer?.issuedAt ?? 0).toBeLessThanOrEqual(Date.now())
        // A revocation is remembered for as long as it is good for, whatever it says.
        const lifetime = (answer?.expiresAt ?? 0) - (answer?.issuedAt ?? 0)
        if (answer?.issuedAt !== 0) expect(lifetime).toBeLessThanOrEqual(hook.maxLifetimeMs ?? 0)
      }),
    )
  })

  test('a token with any one character changed is refused', async () => {
    const whole = token()
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length - 1), fc.constantFrom(...'AZaz09-_.'), async (at, char) => {
        const changed = whole.slice(0, at) + char + whole.slice(at + 1)
        // The last character of a part holds bits that mean nothing.
        const isSame = changed
          .split('.')
          .every((part, i) =>
            Buffer.from(part, 'base64url').equals(Buffer.from(whole.split('.')[i] ?? '', 'base64url')),
          )
        fc.pre(!isSame)
        expect(await ask(hook, { token: changed })).toMatch(/^invalid-token: /)
      }),
    )
  })
})
