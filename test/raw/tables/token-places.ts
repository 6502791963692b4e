/** Where a token may stand: RFC 6750, section 2, on WebSockets and streams, with the ways that browsers need; and what the answer says then. */
import { forge, token } from '../../auth/forge.ts'
import { get, send, shake } from '../bytes.ts'
import { type Answer, answers, closes, denied, problem, type Row, type Stage, says, streams } from '../row.ts'

type Sent = (stage: Stage) => string | Buffer | Promise<string | Buffer>

const row = (id: string, rfc: string, what: string, sent: Sent, answer: Answer): Row => ({
  id,
  rfc: `RFC ${rfc}`,
  what,
  send: sent,
  answer,
})

/** A token each time it is asked for: they end. */
const bearer = (text = token()) => `Bearer ${text}`
const ANN = says([1, '{"type":"who","id":"ann"}'])
const NOBODY = denied('unauthorized')
const TWO = 'The request has more than one token: give it in one way.'
const UNREADABLE = 'The Authorization header has no readable token.'
const OLD_TICKET = 'The ticket was used, or is too old: get a new one.'
const NO_JWT = 'The token is no signed JWT: three parts in base64url with dots between.'

const who = (changes: Parameters<typeof shake>[0], query = '') => shake(changes, `GET /who${query} HTTP/1.1`)
const ENVELOPES: Answer = {
  ...says([1, /^\{"open":\{.*\}\}$/], [1, '{"message":{"type":"who","id":"ann"}}']),
  headers: { 'sec-websocket-protocol': 'groupcast.v1' },
}

/** The answer of 401 to whoever gave a token that is not good (RFC 6750, 3.1). */
const refused = (detail: string) =>
  answers(
    problem('invalid-token', detail, {
      'www-authenticate': `Bearer error="invalid_token", error_description="${detail}"`,
    }),
  )
const unauthorized = answers(
  problem('unauthorized', 'This needs valid credentials.', { 'www-authenticate': 'Bearer' }),
)

const LINE = ['Accept: application/x-ndjson'] as const

export const TOKEN_PLACES: readonly Row[] = [
  row('TP-01', '6750, 2.1', 'in the header', () => who({ Authorization: bearer() }), ANN),
  row('TP-02', '9110, 11.1', 'schemes have no case', () => who({ Authorization: `bEARER ${token()}` }), ANN),
  row(
    'TP-03',
    '9110, 11.4',
    'several spaces in front of it',
    () => who({ Authorization: `Bearer   ${token()}` }),
    ANN,
  ),
  row(
    'TP-04',
    '6750, 2.1',
    'on a stream',
    () => get('/who', ...LINE, `Authorization: ${bearer()}`),
    streams({}, /^\{"open":.*\}\n\{"message":\{"type":"who","id":"ann"\}\}\n$/),
  ),
  row('TP-05', '6750, 3', 'none: the challenge has no error', () => get('/who'), unauthorized),
  row('TP-06', '9110, 11.6.1', 'none, on a WebSocket: the close code says it', () => who({}), NOBODY),
  row(
    'TP-07',
    '9110, 11.1',
    'another scheme is none',
    () => get('/who', 'Authorization: Basic YW5uOmFubg=='),
    unauthorized,
  ),
  row(
    'TP-08',
    '9110, 11.7.2',
    'credentials for a proxy are none',
    () => get('/who', `Proxy-Authorization: ${bearer()}`),
    unauthorized,
  ),
  row(
    'TP-09',
    '6750, 3.1',
    'a scheme without a token',
    () => get('/who', 'Authorization: Bearer'),
    answers(problem('bad-request', UNREADABLE, { 'www-authenticate': null })),
  ),
  row(
    'TP-10',
    '6750, 2.1',
    'what is no b64token',
    () => get('/who', 'Authorization: Bearer a"b'),
    answers(problem('bad-request', UNREADABLE)),
  ),
  row(
    'TP-11',
    '6750, 2.1',
    'two in one header',
    () => get('/who', `Authorization: ${bearer()} x`),
    answers(problem('bad-request', UNREADABLE)),
  ),
  row(
    'TP-12',
    '6750, 2.1',
    'a tab is no space',
    () => get('/who', `Authorization: Bearer\t${token()}`),
    unauthorized,
  ),
  row(
    'TP-13',
    '9110, 5.3',
    'two headers, the first of them good',
    () => get('/who', `Authorization: ${bearer()}`, 'Authorization: Bearer x.y.z'),
    answers(problem('bad-request', UNREADABLE)),
  ),
  row(
    'TP-14',
    '9110, 5.3',
    'two headers, the last of them good',
    () => get('/who', 'Authorization: Basic x', `Authorization: ${bearer()}`),
    unauthorized,
  ),
  row(
    'TP-15',
    '6750, 2.2',
    'in a form: not looked at',
    () =>
      send(
        'POST /api/tickets',
        ['Content-Type: application/x-www-form-urlencoded', 'Content-Length: 16', 'Connection: close'],
        'access_token=abc',
      ),
    closes(problem('unauthorized', undefined, { 'www-authenticate': 'Bearer' })),
  ),
  row(
    'TP-16',
    '6455, 4.1',
    'as a subprotocol, beside the one that is chosen',
    () => who({ 'Sec-WebSocket-Protocol': `groupcast.v1, groupcast.token.${token()}` }),
    ENVELOPES,
  ),
  row(
    'TP-17',
    '6455, 4.2.2',
    'the token comes first, and is not chosen',
    () => who({ 'Sec-WebSocket-Protocol': `groupcast.token.${token()},groupcast.v1` }),
    ENVELOPES,
  ),
  row(
    'TP-18',
    '6455, 4.2.2',
    'the token alone: none is chosen',
    () => who({ 'Sec-WebSocket-Protocol': `groupcast.token.${token()}` }),
    ANN,
  ),
  row(
    'TP-19',
    '6750, 2',
    'two subprotocols with tokens',
    () => who({ 'Sec-WebSocket-Protocol': `groupcast.token.${token()}, groupcast.token.x` }),
    denied('bad-request', TWO),
  ),
  row(
    'TP-20',
    '6750, 2',
    'a subprotocol and the header',
    () => who({ 'Sec-WebSocket-Protocol': `groupcast.token.${token()}`, Authorization: bearer() }),
    denied('bad-request', TWO),
  ),
  row(
    'TP-21',
    '7515, 7.1',
    'a subprotocol with an empty token',
    () => who({ 'Sec-WebSocket-Protocol': 'groupcast.token.' }),
    denied('invalid-token', NO_JWT),
  ),
  row(
    'TP-22',
    '6455, 4.1',
    'subprotocols have case',
    () => who({ 'Sec-WebSocket-Protocol': `Groupcast.Token.${token()}` }),
    NOBODY,
  ),
  row('TP-23', '6265, 5.4', 'in the cookie', () => who({ Cookie: `a=b; session=${token()}; c=d` }), ANN),
  row(
    'TP-24',
    '6265, 5.4',
    'of two cookies of that name the first counts',
    () => who({ Cookie: `session=${token()}; session=${token({ sub: 'eve' })}` }),
    ANN,
  ),
  row(
    'TP-25',
    '6265, 4.1.1',
    'names of cookies have case',
    () => who({ Cookie: `Session=${token()}` }),
    NOBODY,
  ),
  row(
    'TP-26',
    '6265, 4.1.1',
    'quotes are a part of the value, and of no token',
    () => who({ Cookie: `session="${token()}"` }),
    denied('invalid-token', NO_JWT),
  ),
  row('TP-27', '6265, 5.4', 'an empty cookie is none', () => who({ Cookie: 'session=' }), NOBODY),
  row(
    'TP-28',
    '6750, 2',
    'a bad token in the header, a good one in the cookie: the header counts',
    () => who({ Authorization: 'Bearer x', Cookie: `session=${token()}` }),
    denied('invalid-token', NO_JWT),
  ),
  row(
    'TP-29',
    '6454, 7.3',
    'a cookie from a page of another origin',
    () => get('/who', `Cookie: session=${token()}`, 'Origin: http://evil.example'),
    answers(problem('origin-not-allowed')),
  ),
  row(
    'TP-30',
    '6750, 2.3',
    'in the query, where the configuration allows it',
    () => who({}, `?access_token=${token()}`),
    ANN,
  ),
  row(
    'TP-31',
    '3986, 2.4',
    'in the query, percent-encoded',
    () => who({}, `?access_token=${token().replaceAll('.', '%2e')}`),
    ANN,
  ),
  row('TP-32', '6750, 2.3', 'in the query under another name', () => who({}, `?token=${token()}`), NOBODY),
  row(
    'TP-33',
    '6750, 3.1',
    'twice in the query',
    () => get(`/who?access_token=${token()}&access_token=x`),
    answers(problem('bad-request', TWO)),
  ),
  row(
    'TP-34',
    '6750, 2',
    'in the query and in the header',
    () => get(`/who?access_token=${token()}`, `Authorization: ${bearer()}`),
    answers(problem('bad-request', TWO)),
  ),
  row(
    'TP-35',
    '6750, 3.1',
    'a token that has expired',
    () => get('/who', `Authorization: ${bearer(token({ exp: 1 }))}`),
    refused('The token has expired.'),
  ),
  row('TP-36', '6750, 2', 'a ticket', async (stage) => who({}, `?ticket=${await stage.ticket()}`), ANN),
  row(
    'TP-37',
    '6750, 2',
    'a ticket and a token',
    async (stage) => who({ Authorization: bearer() }, `?ticket=${await stage.ticket()}`),
    denied('bad-request', TWO),
  ),
  row(
    'TP-38',
    '6750, 5.2',
    'a ticket that was used',
    async (stage) => who({}, `?ticket=${await stage.usedTicket()}`),
    denied('invalid-token', OLD_TICKET),
  ),
  row(
    'TP-39',
    '6750, 5.2',
    'a ticket that was guessed',
    () => who({}, `?ticket=${'a'.repeat(43)}`),
    denied('invalid-token', OLD_TICKET),
  ),
  row(
    'TP-40',
    '6750, 3',
    'a ticket without a token is not to be had',
    () => send('POST /api/tickets', ['Content-Length: 0'], ''),
    answers(problem('unauthorized', undefined, { 'www-authenticate': 'Bearer' })),
  ),
  row(
    'TP-41',
    '6750, 2.1',
    'a ticket for a token',
    () => send('POST /api/tickets', ['Content-Length: 0', `Authorization: ${bearer()}`], ''),
    answers({
      status: 201,
      headers: { 'content-type': 'application/json', 'cache-control': 'no-store' },
      body: /^\{"ticket":"[\w.-]{20,}","expiresInSeconds":30\}$/,
    }),
  ),
  row(
    'TP-42',
    '8725, 3.11',
    'a token of another kind is no way to a ticket',
    () =>
      send(
        'POST /api/tickets',
        [
          'Content-Length: 0',
          `Authorization: ${bearer(forge({ alg: 'HS256', typ: 'logout+jwt' }, { sub: 'ann', exp: 2e9 }))}`,
        ],
        '',
      ),
    refused('The token is of another type (typ).'),
  ),
  // uWebSockets.js gives each line by itself: joined by a comma, the second was a part of the value of the first.
  row(
    'TP-43',
    '9113, 8.2.3',
    'in the second of two Cookie lines',
    () => get('/who', ...LINE, 'Cookie: a=1', `Cookie: session=${token()}`),
    streams({}, /^\{"open":.*\}\n\{"message":\{"type":"who","id":"ann"\}\}\n$/),
  ),
  row(
    'TP-44',
    '6265, 5.4',
    'in two Cookie lines: the first counts, on a WebSocket, too',
    () =>
      who({ Cookie: `a=1\r\nCookie: session=${token()}\r\nCOOKIE: session=${token({ sub: 'eve' })}; b=2` }),
    ANN,
  ),
]
