/** What tokens are good: RFC 7515, 7517, 7519 and 8725, over a socket, with the words that each refusal has in body and challenge. */
import { createHmac, generateKeyPairSync } from 'node:crypto'
import { base64url, claims, EC, forge, hs256, now, pem, RSA, SIGNERS, token } from '../../auth/forge.ts'
import { get, shake } from '../bytes.ts'
import { type Answer, answers, problem, type Row, says } from '../row.ts'
import { SECOND } from '../stage.ts'

/** Refused on a request of its own path, so that body and challenge can be seen. */
function bad(id: string, rfc: string, what: string, make: () => string, detail: string, path = '/who'): Row {
  const answer = answers(
    problem('invalid-token', detail, {
      'www-authenticate': `Bearer error="invalid_token", error_description="${detail.replace('’', "'")}"`,
    }),
  )
  return { id, rfc: `RFC ${rfc}`, what, send: () => get(path, `Authorization: Bearer ${make()}`), answer }
}

const who = (id: string): Answer => says([1, JSON.stringify({ type: 'who', id })])

/** Let in, as this identity. */
function good(id: string, rfc: string, what: string, make: () => string, path = '/who', sub = 'ann'): Row {
  const sent = () => shake({ Authorization: `Bearer ${make()}` }, `GET ${path} HTTP/1.1`)
  return { id, rfc: `RFC ${rfc}`, what, send: sent, answer: who(sub) }
}

/** What no header may hold is a bad request. */
function unreadable(id: string, rfc: string, what: string, make: () => string): Row {
  const answer = answers(problem('bad-request', 'The Authorization header has no readable token.'))
  return { id, rfc: `RFC ${rfc}`, what, send: () => get('/who', `Authorization: Bearer ${make()}`), answer }
}

const NO_JWT = 'The token is no signed JWT: three parts in base64url with dots between.'
const MALFORMED = 'The token is malformed.'
const BAD_SIGNATURE = 'The signature does not fit.'
const BAD_ALG = 'The algorithm (alg) is not one of those that are allowed.'
const NO_KEY = 'No key is known that it could be signed with (kid, alg).'
const EXPIRED = 'The token has expired.'
const TOO_LONG = 'The token is good for longer than 86400 seconds (exp).'
const NOT_YET = 'The token is not good yet (nbf).'
const BAD_SUB = 'The subject (sub) is not 1 to 255 characters, none of them control characters.'
const wrong = (claim: string) => `The token’s ${claim} is not what it must be.`
const missing = (claim: string) => `The token has no ${claim}.`

const HS = { alg: 'HS256', typ: 'JWT' }
const parts = () => token().split('.') as [head: string, body: string, signature: string]
const other = generateKeyPairSync('rsa', { modulusLength: 2048 })
const strict = (more: object = {}) => token({ iss: 'https://login.example', aud: 'chat', ...more })
const kid = (header: object, secret?: string) => forge({ ...HS, ...header }, claims(), hs256(secret))

const FORM: readonly Row[] = [
  good('JW-01', '7519, 7.2', 'a good token', () => token()),
  bad('JW-02', '7515, 7.1', 'one part', () => parts()[0], NO_JWT),
  bad('JW-03', '7515, 7.1', 'two parts', () => parts().slice(0, 2).join('.'), NO_JWT),
  bad('JW-04', '7515, 7.1', 'an empty signature', () => `${parts().slice(0, 2).join('.')}.`, NO_JWT),
  bad('JW-05', '7515, 7.1', 'a dot behind it', () => `${token()}.`, NO_JWT),
  bad('JW-06', '7515, 7.1', 'dots alone', () => '..', NO_JWT),
  bad('JW-07', '7515, 7.1', 'four parts', () => `${token()}.x`, NO_JWT),
  bad(
    'JW-08',
    '7519, 7.2',
    'five parts: encrypted, which is not taken',
    () => 'eyJhbGciOiJkaXIiLCJlbmMiOiJBMTI4R0NNIn0..aaaa.bbbb.cccc',
    NO_JWT,
  ),
  bad(
    'JW-09',
    '7519, 5.2',
    'a signed token around another: cty says JWT',
    () => forge({ ...HS, cty: 'JWT' }, token()),
    MALFORMED,
  ),
  bad('JW-10', '7515, 2', 'padding', () => `${token()}=`, NO_JWT),
  bad(
    'JW-11',
    '7515, 2',
    'base64 in place of base64url',
    () => `${parts()[0]}.${parts()[1]}.+/${parts()[2].slice(2)}`,
    NO_JWT,
  ),
  unreadable('JW-12', '7515, 7.2', 'the JSON form', () => JSON.stringify({ payload: 'x', signatures: [] })),
  bad('JW-13', '7515, 5.2', 'a header that is no JSON', () => forge('{alg', claims()), MALFORMED),
  bad('JW-14', '7515, 4', 'a header that is no object', () => forge('["HS256"]', claims()), MALFORMED),
  bad(
    'JW-15',
    '7515, 5.2',
    'a header that is not UTF-8',
    () => `${Buffer.from([0xff, 0xfe, 0x7b]).toString('base64url')}.${parts()[1]}.${parts()[2]}`,
    MALFORMED,
  ),
  bad('JW-16', '7515, 4.1.1', 'no algorithm', () => forge({ typ: 'JWT' }, claims()), MALFORMED),
  bad(
    'JW-17',
    '7515, 4.1.11',
    'a crit that is not understood',
    () => token({}, { crit: ['x'], x: 1 }),
    MALFORMED,
  ),
  bad('JW-18', '7515, 4.1.11', 'an empty crit', () => token({}, { crit: [] }), MALFORMED),
  bad(
    'JW-19',
    '7515, 4.1.11',
    'a crit that names what is not there',
    () => token({}, { crit: ['b64'] }),
    MALFORMED,
  ),
  bad(
    'JW-20',
    '7797, 7',
    'a payload that is not encoded',
    () => token({}, { b64: false, crit: ['b64'] }),
    MALFORMED,
  ),
  good('JW-21', '7515, 4', 'a parameter that nobody knows', () => token({}, { x: 1 })),
  bad('JW-22', '7519, 7.2', 'claims that are no object', () => forge(HS, '[1]'), MALFORMED),
  bad('JW-23', '7519, 7.2', 'claims that are no JSON', () => forge(HS, 'ann'), MALFORMED),
  bad(
    'JW-24',
    '7515, 5.2',
    'claims that were changed',
    () => `${parts()[0]}.${base64url(claims({ sub: 'eve' }))}.${parts()[2]}`,
    BAD_SIGNATURE,
  ),
  bad(
    'JW-25',
    '7515, 5.2',
    'a header that was changed',
    () => `${base64url({ alg: 'HS256' })}.${parts()[1]}.${parts()[2]}`,
    BAD_SIGNATURE,
  ),
  bad(
    'JW-26',
    '7515, 5.2',
    'another secret',
    () => forge(HS, claims(), hs256('another-secret-of-32-bytes-at-all')),
    BAD_SIGNATURE,
  ),
  bad('JW-27', '7515, 5.2', 'a signature that is cut short', () => token().slice(0, -11), BAD_SIGNATURE),
  bad(
    'JW-28',
    '8725, 3.9',
    'a token of 9,000 characters',
    () => token({ pad: 'x'.repeat(6_800) }),
    'The token is longer than 8192 characters.',
  ),
]

const ALGORITHMS: readonly Row[] = [
  bad(
    'AL-01',
    '8725, 2.1',
    'alg none without a signature',
    () => `${base64url({ alg: 'none' })}.${parts()[1]}.`,
    NO_JWT,
  ),
  bad('AL-02', '8725, 2.1', 'alg none with one', () => forge({ alg: 'none' }, claims()), BAD_ALG),
  bad('AL-03', '8725, 2.1', 'alg nOnE', () => forge({ alg: 'nOnE' }, claims()), BAD_ALG),
  bad('AL-04', '7515, 4.1.1', 'alg hs256: names have case', () => forge({ alg: 'hs256' }, claims()), BAD_ALG),
  bad(
    'AL-05',
    '8725, 3.1',
    'HS512, with the right secret',
    () =>
      forge({ alg: 'HS512' }, claims(), (input) =>
        createHmac('sha512', 'vR8mQ2xLp0aZk7WcT4bY9nHe3sJd6fGu').update(input).digest(),
      ),
    BAD_ALG,
  ),
  bad(
    'AL-06',
    '8725, 2.1',
    'HS256 with the public RSA key as the secret',
    () => forge({ alg: 'HS256' }, claims(), hs256(pem(RSA.publicKey))),
    BAD_ALG,
    '/rs256',
  ),
  bad(
    'AL-07',
    '8725, 2.1',
    'the same with the key as DER',
    () => forge({ alg: 'HS256' }, claims(), hs256(RSA.publicKey.export({ type: 'spki', format: 'der' }))),
    BAD_ALG,
    '/rs256',
  ),
  bad(
    'AL-08',
    '8725, 3.1',
    'PS256 where the key is for RS256',
    () => forge({ alg: 'PS256' }, claims(), SIGNERS.RS256),
    BAD_ALG,
    '/rs256',
  ),
  good('AL-09', '7518, 3.3', 'RS256', () => forge({ alg: 'RS256' }, claims(), SIGNERS.RS256), '/rs256'),
  bad(
    'AL-10',
    '7515, 5.2',
    'RS256 by another key',
    () => forge({ alg: 'RS256' }, claims(), SIGNERS.ES256),
    BAD_SIGNATURE,
    '/rs256',
  ),
  good('AL-11', '8037, 3.1', 'EdDSA', () => forge({ alg: 'EdDSA' }, claims(), SIGNERS.EdDSA), '/eddsa'),
  bad(
    'AL-12',
    '7515, 5.2',
    'EdDSA with a signature of zeros',
    () => forge({ alg: 'EdDSA' }, claims(), () => Buffer.alloc(64)),
    BAD_SIGNATURE,
    '/eddsa',
  ),
]

const KEYS: readonly Row[] = [
  good('KI-01', '7515, 4.1.4', 'the first of two keys, by its kid', () => kid({ kid: 'one' }), '/keys'),
  good('KI-02', '7515, 4.1.4', 'the second', () => kid({ kid: 'two' }, SECOND), '/keys'),
  bad('KI-03', '7515, 4.1.4', 'the kid of another key', () => kid({ kid: 'two' }), BAD_SIGNATURE, '/keys'),
  bad('KI-04', '7515, 4.1.4', 'no kid, where there are two keys', () => kid({}), NO_KEY, '/keys'),
  bad('KI-05', '7515, 4.1.4', 'a kid that nobody knows', () => kid({ kid: 'three' }), NO_KEY, '/keys'),
  bad(
    'KI-06',
    '8725, 3.10',
    'a kid that is a path',
    () => kid({ kid: '../../../../dev/null' }, ''),
    NO_KEY,
    '/keys',
  ),
  bad(
    'KI-07',
    '8725, 3.10',
    'a kid that is SQL',
    () => kid({ kid: "x' UNION SELECT 'a" }, 'a'),
    NO_KEY,
    '/keys',
  ),
  bad('KI-08', '8725, 3.10', 'a kid that every object has', () => kid({ kid: '__proto__' }), NO_KEY, '/keys'),
  bad('KI-09', '7515, 4.1.4', 'a kid that is no text', () => kid({ kid: ['one'] }), NO_KEY, '/keys'),
  bad(
    'KI-10',
    '8725, 3.10',
    'jku: a URL with the attacker’s keys',
    () => forge({ alg: 'RS256', jku: 'http://127.0.0.1:1/jwks' }, claims(), SIGNERS.ES256),
    BAD_SIGNATURE,
    '/rs256',
  ),
  bad(
    'KI-11',
    '8725, 3.10',
    'x5u: a URL with the attacker’s certificate',
    () => forge({ alg: 'RS256', x5u: 'http://127.0.0.1:1/x5u' }, claims(), SIGNERS.ES256),
    BAD_SIGNATURE,
    '/rs256',
  ),
  bad(
    'KI-12',
    '7515, 4.1.3',
    'jwk: the attacker’s key in the token',
    () => forge({ alg: 'RS256', jwk: other.publicKey.export({ format: 'jwk' }) }, claims(), SIGNERS.ES256),
    BAD_SIGNATURE,
    '/rs256',
  ),
  bad(
    'KI-13',
    '7515, 4.1.6',
    'x5c: the attacker’s certificate in the token',
    () =>
      forge(
        { alg: 'RS256', x5c: [EC.publicKey.export({ type: 'spki', format: 'der' }).toString('base64')] },
        claims(),
        SIGNERS.ES256,
      ),
    BAD_SIGNATURE,
    '/rs256',
  ),
]

const CLAIMS: readonly Row[] = [
  bad('CM-01', '7519, 4.1.4', 'no exp', () => token({ exp: undefined }), missing('exp')),
  bad('CM-02', '7519, 4.1.4', 'exp in the past', () => token({ exp: now() - 60 }), EXPIRED),
  bad('CM-03', '7519, 4.1.4', 'exp of 0', () => token({ exp: 0 }), EXPIRED),
  bad('CM-04', '7519, 4.1.4', 'a negative exp', () => token({ exp: -1e12 }), EXPIRED),
  bad('CM-05', '7519, 2', 'exp as a text', () => token({ exp: String(now() + 60) }), wrong('exp')),
  bad('CM-06', '7519, 2', 'exp as null', () => token({ exp: null }), wrong('exp')),
  good('CM-07', '7519, 2', 'exp with a fraction', () => token({ exp: now() + 60.5 })),
  bad('CM-08', '7519, 2', 'exp in milliseconds', () => token({ exp: Date.now() }), TOO_LONG),
  bad('CM-09', '7519, 2', 'exp that no date can say', () => forge(HS, '{"sub":"ann","exp":1e308}'), TOO_LONG),
  bad('CM-10', '8259, 6', 'exp that no number holds', () => forge(HS, '{"sub":"ann","exp":1e999}'), TOO_LONG),
  bad('CM-11', '7519, 4.1.5', 'nbf to come', () => token({ nbf: now() + 60 }), NOT_YET),
  bad('CM-12', '7519, 2', 'nbf as a text', () => token({ nbf: 'now' }), NOT_YET),
  good('CM-13', '7519, 4.1.5', 'nbf within the leeway', () => token({ nbf: now() + 2 })),
  bad(
    'CM-14',
    '7519, 4.1.6',
    'iat to come',
    () => token({ iat: now() + 60 }),
    'The token was issued in the future (iat).',
  ),
  bad('CM-15', '7519, 2', 'iat as a text', () => token({ iat: 'now' }), wrong('iat')),
  bad('CM-16', '7519, 4.1.2', 'no sub', () => token({ sub: undefined }), missing('sub')),
  bad('CM-17', '7519, 2', 'sub as a number', () => token({ sub: 7 }), BAD_SUB),
  bad('CM-18', '7519, 4.1.2', 'an empty sub', () => token({ sub: '' }), BAD_SUB),
  bad('CM-19', '7519, 4.1.2', 'a sub with a line break', () => token({ sub: 'ann\nadmin' }), BAD_SUB),
  good('CM-20', '7519, 4', 'a claim twice: the last counts', () =>
    forge(HS, `{"sub":"eve","exp":1,"sub":"ann","exp":${now() + 60}}`),
  ),
  bad(
    'CM-21',
    '7519, 4',
    'a claim twice, the last of them bad',
    () => forge(HS, `{"sub":"ann","exp":${now() + 60},"exp":1}`),
    EXPIRED,
  ),
  good('CM-22', '7519, 4.1.3', 'an audience where none is asked for', () => token({ aud: 'mail' })),
  good('CM-23', '7519, 4.1.1', 'issuer and audience', () => strict(), '/strict'),
  good(
    'CM-24',
    '7519, 4.1.3',
    'the audience among others',
    () => strict({ aud: ['mail', 'chat'] }),
    '/strict',
  ),
  bad('CM-25', '7519, 4.1.3', 'another audience', () => strict({ aud: 'chatter' }), wrong('aud'), '/strict'),
  bad('CM-26', '7519, 4.1.3', 'no audience among none', () => strict({ aud: [] }), wrong('aud'), '/strict'),
  bad('CM-27', '7519, 4.1.3', 'no audience', () => strict({ aud: undefined }), missing('aud'), '/strict'),
  bad(
    'CM-28',
    '7519, 4.1.3',
    'an audience that is no text',
    () => strict({ aud: { chat: true } }),
    wrong('aud'),
    '/strict',
  ),
  bad(
    'CM-29',
    '7519, 4.1.1',
    'another issuer',
    () => strict({ iss: 'https://login.example/' }),
    wrong('iss'),
    '/strict',
  ),
  bad(
    'CM-30',
    '7519, 4.1.1',
    'several issuers',
    () => strict({ iss: ['https://login.example'] }),
    wrong('iss'),
    '/strict',
  ),
  bad('CM-31', '7519, 4.1.1', 'no issuer', () => strict({ iss: undefined }), missing('iss'), '/strict'),
  bad(
    'CM-32',
    '8725, 3.11',
    'a token of another kind',
    () => token({}, { typ: 'logout+jwt' }),
    'The token is of another type (typ).',
  ),
  good('CM-33', '9068, 2.1', 'an access token, its type in full', () =>
    token({}, { typ: 'application/at+jwt' }),
  ),
  bad(
    'CM-34',
    '7519, 4.3',
    'groups that are no lists',
    () => token({ groupcast: { join: '*' } }),
    'The claim groupcast is malformed: give lists of patterns of groups.',
  ),
]

export const TOKENS: readonly Row[] = [...FORM, ...ALGORITHMS, ...KEYS, ...CLAIMS]
