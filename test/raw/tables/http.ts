/** Requests: their line, their headers, their methods and bodies, and where they end. RFC 9110 and RFC 9112. */
import { ask, get, lines, send } from '../bytes.ts'
import {
  type Answer,
  answers,
  type Bytes,
  closes,
  type Each,
  type HttpAnswer,
  notAHead,
  problem,
  type Row,
  refusedByParsers,
  waits,
} from '../row.ts'
import { KEYS, MAX_BODY_BYTES } from '../stage.ts'

const row = (id: string, rfc: string, what: string, bytes: Bytes, answer: Answer | Each): Row => ({
  id,
  rfc: `RFC ${rfc}`,
  what,
  send: bytes,
  answer,
})

const JSON_TYPE = { 'content-type': 'application/json', 'cache-control': 'no-store' }
const HEALTHY: HttpAnswer = { status: 200, headers: JSON_TYPE, body: '{"status":"ok"}' }
const healthy = answers(HEALTHY)
const NOBODY = problem('not-found')

const HOST_FAULT = answers(problem('bad-request', 'The Host header is not one host with perhaps a port.'))

const REQUEST_LINES: readonly Row[] = [
  row('RL-01', '9112, 3', 'GET', get('/health'), healthy),
  row(
    'RL-02',
    '9110, 9.3.2',
    'HEAD: the same head, no body',
    ask('HEAD /health'),
    answers({ status: 200, headers: { ...JSON_TYPE, 'content-length': '15' }, body: '', isHead: true }),
  ),
  row(
    'RL-03',
    '9110, 9.3.7',
    'OPTIONS',
    ask('OPTIONS /health'),
    answers({ status: 204, headers: { allow: 'GET, HEAD, OPTIONS', 'content-length': null } }),
  ),
  row(
    'RL-04',
    '9110, 15.5.6',
    'a method that is not for this: 405 with Allow',
    ask('DELETE /health'),
    answers(
      problem('method-not-allowed', 'The methods here are GET, HEAD, OPTIONS.', {
        allow: 'GET, HEAD, OPTIONS',
      }),
    ),
  ),
  row(
    'RL-05',
    '9110, 9.3.8',
    'TRACE says nothing back',
    ask('TRACE /health', 'Cookie: secret'),
    answers(
      problem('method-not-allowed', 'The methods here are GET, HEAD, OPTIONS.', {
        allow: 'GET, HEAD, OPTIONS',
      }),
    ),
  ),
  row('RL-06', '9110, 9.1', 'methods have case: get is none', ask('get /health'), refusedByParsers()),
  row('RL-07', '9110, 9.1', 'a method that nobody knows', ask('FROBNICATE /health'), refusedByParsers()),
  row(
    'RL-08',
    '9110, 9.3.2',
    'HEAD at a stream',
    ask('HEAD /events'),
    answers({ status: 405, headers: { allow: 'GET, POST, OPTIONS' }, isHead: true }),
  ),
  row(
    'RL-09',
    '9110, 9.3.7',
    'OPTIONS at a stream',
    ask('OPTIONS /events'),
    answers({ status: 204, headers: { allow: 'GET, POST, OPTIONS', 'content-length': null } }),
  ),
  row('RL-10', '9112, 3.2.2', 'a target in absolute form', get('http://127.0.0.1/health'), {
    node: healthy,
    uws: waits,
    why: 'uWebSockets.js reads no target in absolute form: no answer, and the connection is closed after ten seconds.',
  }),
  row(
    'RL-11',
    '9112, 3.2.2',
    'a target in absolute form with a host that is none, and a Host that is one',
    get('http://user@127.0.0.1/health'),
    {
      node: HOST_FAULT,
      uws: waits,
      why: 'uWebSockets.js reads no target in absolute form: no answer, and the connection is closed after ten seconds.',
    },
  ),
  row('RL-12', '9112, 3.2', 'a target without a slash', get('health'), notAHead()),
  row('RL-13', '9112, 3', 'no target', lines('GET HTTP/1.1', 'Host: 127.0.0.1'), notAHead()),
  row('RL-14', '9112, 2.3', 'no version', lines('GET /health', 'Host: 127.0.0.1'), {
    node: closes(HEALTHY),
    uws: waits,
    why: 'node:http takes it for a request of HTTP/0.9, and ends the connection with the answer; uWebSockets.js reads only HTTP/1.1.',
  }),
  row(
    'RL-15',
    '9112, 2.3',
    'another major version',
    lines('GET /health HTTP/3.7', 'Host: 127.0.0.1'),
    notAHead(),
  ),
  row(
    'RL-16',
    '9112, 2.3',
    'a version with a space in it',
    lines('GET /health HTTP/1. 1', 'Host: 127.0.0.1'),
    notAHead(),
  ),
  row(
    'RL-17',
    '9112, 2.3',
    'HTTP/1.0: the connection ends with the answer',
    lines('GET /health HTTP/1.0', 'Host: 127.0.0.1'),
    {
      node: closes(HEALTHY),
      uws: waits,
      why: 'uWebSockets.js reads no request of HTTP/1.0: no answer, and the connection is closed after ten seconds.',
    },
  ),
  row('RL-18', '9112, 9.6', 'Connection: close', get('/health', 'Connection: close'), closes(HEALTHY)),
  row('RL-19', '9110, 4.1', 'a target longer than heads may be', get(`/${'a'.repeat(20_000)}`), {
    ...refusedByParsers(431),
    uws: answers(NOBODY),
    why: 'node:http takes no more than 16 KB; uWebSockets.js takes what comes in one piece.',
  }),
  row('RL-20', '9110, 15.5.5', 'a URL of nobody', get('/nobody'), answers(NOBODY)),
  row('RL-21', '3986, 6.2.2', 'a path of dots is not resolved', get('/api/../health'), answers(NOBODY)),
  row(
    'RL-22',
    '9112, 9.3.2',
    'two requests in one segment',
    get('/health') + get('/nobody'),
    answers(HEALTHY, NOBODY),
  ),
]

const HEADERS: readonly Row[] = [
  row('HD-01', '9112, 5.1', 'white space before the colon', get('/health', 'X-A : 1'), notAHead()),
  row('HD-02', '9112, 5.2', 'a folded line', get('/health', 'X-A: 1', ' 2'), notAHead()),
  row(
    'HD-03',
    '9112, 2.2',
    'a line that begins with white space, before all headers',
    lines('GET /health HTTP/1.1', ' Host: 127.0.0.1'),
    notAHead(),
  ),
  row('HD-04', '9110, 5.5', 'NUL in a value', get('/health', 'X-A: a\0b'), notAHead()),
  row('HD-05', '9112, 2.2', 'a bare CR in a value', get('/health', 'X-A: a\rb'), notAHead()),
  row('HD-06', '9112, 5', 'a line without a colon', get('/health', 'X-A'), notAHead()),
  row('HD-07', '9110, 5.1', 'a name with a space in it', get('/health', 'X A: 1'), notAHead()),
  row('HD-08', '9110, 5.1', 'a name with a control character', get('/health', 'X\x01A: 1'), notAHead()),
  row('HD-09', '9110, 5.6.2', 'a name with a separator in it', get('/health', 'X(A): 1'), notAHead()),
  row(
    'HD-10',
    '9110, 5.5',
    'an empty value, and white space around one',
    get('/health', 'X-A:', 'X-B: \t b \t '),
    healthy,
  ),
  row(
    'HD-11',
    '9110, 5.4',
    'more headers than the server takes',
    get('/health', ...Array.from({ length: 500 }, (_, n) => `X-${n}: ${'a'.repeat(40)}`)),
    refusedByParsers(431),
  ),
  row('HD-12', '9112, 3.2', 'no Host', lines('GET /health HTTP/1.1', 'X-A: 1'), notAHead()),
  row('HD-13', '9112, 3.2', 'two Hosts', get('/health', 'Host: evil.example'), HOST_FAULT),
  row('HD-14', '9112, 3.2', 'the same Host twice', get('/health', 'Host: 127.0.0.1'), HOST_FAULT),
  row(
    'HD-15',
    '9112, 3.2',
    'a Host with a user',
    lines('GET /health HTTP/1.1', 'Host: user@127.0.0.1'),
    HOST_FAULT,
  ),
  row(
    'HD-16',
    '9112, 3.2',
    'a Host with a path',
    lines('GET /health HTTP/1.1', 'Host: 127.0.0.1/x'),
    HOST_FAULT,
  ),
  row(
    'HD-17',
    '9112, 3.2',
    'a Host with a space',
    lines('GET /health HTTP/1.1', 'Host: 127.0.0.1 evil.example'),
    HOST_FAULT,
  ),
  row(
    'HD-18',
    '9112, 3.2',
    'two Hosts in one line',
    lines('GET /health HTTP/1.1', 'Host: 127.0.0.1,evil.example'),
    HOST_FAULT,
  ),
  row(
    'HD-19',
    '9112, 3.2',
    'an empty Host, of a target without an authority',
    lines('GET /health HTTP/1.1', 'Host:'),
    healthy,
  ),
  row(
    'HD-20',
    '3986, 3.2.2',
    'an address of IPv6 as Host',
    lines('GET /health HTTP/1.1', 'Host: [::1]:8000'),
    healthy,
  ),
  row('HD-21', '9112, 3.2', 'two Hosts at a stream', get('/events', 'Host: evil.example'), HOST_FAULT),
]

const CLOSE = 'Connection: close'
const MESSAGE = '{"type":"m"}'
const POST = 'POST /api/groups/raw/messages'
const KEY = `Authorization: Bearer ${KEYS.all}`
const TYPE = 'Content-Type: application/json'

/** A message with these headers about its length, and this body. */
const post = (lengths: readonly string[], body: string) => send(POST, [KEY, TYPE, ...lengths], body)
const chunked = (body: string, coding = 'chunked') => post([`Transfer-Encoding: ${coding}`], body)
const CHUNKS = `c\r\n${MESSAGE}\r\n0\r\n\r\n`

const SENT: HttpAnswer = { status: 200, headers: JSON_TYPE, body: '{"cursor":null}' }
const CLOSING =
  'Where a chunked body ends for uWebSockets.js is not where it ends for others, since it does not look at the line breaks: it is the last of its connection.'
/** A chunked body that was read: the connection goes on, or does not. */
const sent: Each = { node: answers(SENT), uws: closes(SENT), why: CLOSING }
/** Refused by node:http; by the hub where uWebSockets.js would believe it. */
const refusedByUs = (detail: string): Each => ({
  node: closes({ status: 400, headers: { connection: 'close' }, body: '' }),
  uws: closes(problem('bad-request', detail)),
  why: 'node:http refuses it by itself and says no more; uWebSockets.js would guess, so the hub refuses it there. Both close.',
})
/** Behind a body that nobody has read node:http is of no use any more. */
const unread = (answer: HttpAnswer): Each => ({
  node: closes({ ...answer, headers: { ...answer.headers, connection: 'close' } }),
  uws: answers(answer),
  why: 'The body is not read. With node:http the connection ends behind the answer; uWebSockets.js passes the body over by itself.',
})
const TWO_LENGTHS = refusedByUs('The Content-Length is not one number.')
/** What follows came before the refusal could leave. */
const CUT: Each = {
  ...TWO_LENGTHS,
  uws: closes(),
  why: 'node:http refuses it by itself; of uWebSockets.js the hub keeps the refusal back for a turn, so that it closes the connection at what it takes for a second request.',
}
const TWO_CODINGS = refusedByUs('The one Transfer-Encoding that is understood is chunked.')
/** Smuggled: were the length read otherwise, this would be the next request, and be answered. */
const SMUGGLED = get('/health')

const BODIES: readonly Row[] = [
  row('BD-01', '9112, 6.2', 'a body of a length', post(['Content-Length: 12'], MESSAGE), answers(SENT)),
  row('BD-02', '9112, 7.1', 'a body in a chunk', chunked(CHUNKS), sent),
  row(
    'BD-03',
    '9112, 7.1',
    'a body in several, sizes in either case and with leading zeros',
    chunked(`00A\r\n{"type":"m\r\n2\r\n"}\r\n000\r\n\r\n`),
    sent,
  ),
  row('BD-04', '9112, 6.1', 'names of codings have no case', chunked(CHUNKS, 'ChUnKeD'), sent),
  row(
    'BD-05',
    '9112, 7.1.1',
    'an extension of a chunk is passed over',
    chunked(`c;a=b;c="d"\r\n${MESSAGE}\r\n0\r\n\r\n`),
    {
      node: answers(SENT),
      uws: closes(),
      why: 'uWebSockets.js knows no chunk extensions: it closes the connection.',
    },
  ),
  row(
    'BD-06',
    '9112, 7.1.2',
    'trailers are passed over, and are no request',
    chunked(`c\r\n${MESSAGE}\r\n0\r\nX-A: 1\r\n\r\n`),
    sent,
  ),
  row(
    'BD-07',
    '9112, 6.3',
    'no length is no body',
    send(POST, [KEY, TYPE], ''),
    answers(problem('invalid-json', undefined)),
  ),
  row(
    'BD-08',
    '9112, 6.3',
    'a length of 0 is no body',
    post(['Content-Length: 0'], ''),
    answers(problem('invalid-json', undefined)),
  ),
  row(
    'BD-09',
    '9112, 6.3',
    'a length and a coding: CL.TE',
    post(['Content-Length: 5', 'Transfer-Encoding: chunked'], `0\r\n\r\n${SMUGGLED}`),
    refusedByParsers(),
  ),
  row(
    'BD-10',
    '9112, 6.3',
    'a coding and a length: TE.CL',
    post(['Transfer-Encoding: chunked', 'Content-Length: 4'], `c\r\n${MESSAGE}\r\n0\r\n\r\n${SMUGGLED}`),
    refusedByParsers(),
  ),
  row(
    'BD-11',
    '9112, 6.3',
    'two lengths',
    post(['Content-Length: 12', 'Content-Length: 0'], MESSAGE + SMUGGLED),
    CUT,
  ),
  row(
    'BD-12',
    '9112, 6.3',
    'the same length twice: it may be refused',
    post(['Content-Length: 12', 'Content-Length: 12'], MESSAGE),
    TWO_LENGTHS,
  ),
  row(
    'BD-13',
    '9112, 6.3',
    'two lengths in one line',
    post(['Content-Length: 12, 12'], MESSAGE),
    refusedByParsers(),
  ),
  row(
    'BD-14',
    '9110, 8.6',
    'a length with a sign',
    post(['Content-Length: +12'], MESSAGE),
    refusedByParsers(),
  ),
  row('BD-15', '9110, 8.6', 'a negative length', post(['Content-Length: -1'], MESSAGE), refusedByParsers()),
  row(
    'BD-16',
    '9110, 8.6',
    'a length in hexadecimal',
    post(['Content-Length: 0xc'], MESSAGE),
    refusedByParsers(),
  ),
  row(
    'BD-17',
    '9110, 8.6',
    'a length with a space in it',
    post(['Content-Length: 1 2'], MESSAGE),
    refusedByParsers(),
  ),
  row(
    'BD-18',
    '9110, 8.6',
    'a length that no number holds',
    post([`Content-Length: ${'9'.repeat(30)}`], MESSAGE),
    refusedByParsers(),
  ),
  row('BD-19', '9110, 8.6', 'an empty length', post(['Content-Length:'], ''), TWO_LENGTHS),
  row(
    'BD-43',
    '9110, 8.6',
    'an empty length, and a body all the same',
    post(['Content-Length:'], MESSAGE + SMUGGLED),
    CUT,
  ),
  row('BD-20', '9112, 6.1', 'a coding that nobody knows', chunked(CHUNKS, 'xchunked'), TWO_CODINGS),
  row('BD-21', '9112, 6.1', 'identity is no coding any more', chunked(CHUNKS, 'identity'), TWO_CODINGS),
  row('BD-22', '9112, 6.1', 'chunked twice', chunked(CHUNKS, 'chunked, chunked'), TWO_CODINGS),
  row('BD-23', '9112, 6.1', 'chunked, but not last', chunked(CHUNKS, 'chunked, gzip'), TWO_CODINGS),
  row(
    'BD-24',
    '9112, 6.1',
    'another coding below chunked',
    chunked(CHUNKS, 'gzip, chunked'),
    closes(problem('bad-request', 'The one Transfer-Encoding that is understood is chunked.')),
  ),
  row(
    'BD-25',
    '9112, 6.1',
    'two headers, of which one is chunked',
    post(['Transfer-Encoding: chunked', 'Transfer-Encoding: identity'], `${CHUNKS}${SMUGGLED}`),
    CUT,
  ),
  row('BD-26', '9112, 6.1', 'a tab for a space in front of chunked', chunked(CHUNKS, '\tchunked'), sent),
  row('BD-27', '9112, 6.1', 'a vertical tab is none', chunked(CHUNKS, '\x0bchunked'), notAHead()),
  row(
    'BD-28',
    '9112, 7.1',
    'a size that is no number',
    chunked(`zz\r\n${MESSAGE}\r\n0\r\n\r\n`),
    refusedByParsers(),
  ),
  row('BD-29', '9112, 7.1', 'a negative size', chunked(`-c\r\n${MESSAGE}\r\n0\r\n\r\n`), refusedByParsers()),
  row(
    'BD-30',
    '9112, 7.1',
    'a size that no number holds',
    chunked(`${'f'.repeat(20)}\r\n${MESSAGE}\r\n0\r\n\r\n`),
    refusedByParsers(),
  ),
  row(
    'BD-31',
    '9112, 7.1',
    'a size in hexadecimal with its sign',
    chunked(`0xc\r\n${MESSAGE}\r\n0\r\n\r\n`),
    refusedByParsers(),
  ),
  row(
    'BD-32',
    '9112, 7.1',
    'a chunk longer than its size',
    chunked(`c\r\n${MESSAGE}xx\r\n0\r\n\r\n${SMUGGLED}`),
    {
      node: closes({ status: 400, headers: { connection: 'close' }, body: '' }),
      uws: closes(SENT),
      why: `uWebSockets.js passes two bytes over behind a chunk, whatever they are. ${CLOSING}`,
    },
  ),
  row(
    'BD-33',
    '9110, 9.3.1',
    'the body of a GET is no request',
    send('GET /health', [`Content-Length: ${SMUGGLED.length}`], SMUGGLED),
    unread(HEALTHY),
  ),
  row(
    'BD-34',
    '9110, 9.3.1',
    'nor is that of a GET of nobody',
    send('GET /nobody', [`Content-Length: ${SMUGGLED.length}`], SMUGGLED),
    answers(NOBODY),
  ),
  row(
    'BD-35',
    '9110, 9.3.5',
    'nor that of a method that is not for this',
    send('PUT /events', [`Content-Length: ${SMUGGLED.length}`], SMUGGLED),
    answers(problem('method-not-allowed', undefined, { allow: 'GET, POST, OPTIONS' })),
  ),
  row(
    'BD-36',
    '9110, 15.5.14',
    'a body that says it is too large',
    post([`Content-Length: ${MAX_BODY_BYTES + 1}`], `"${'x'.repeat(MAX_BODY_BYTES - 1)}"`),
    unread(problem('message-too-large', `The body is larger than ${MAX_BODY_BYTES} bytes.`)),
  ),
  row(
    'BD-37',
    '9110, 8.3',
    'a body of another type',
    send(POST, [KEY, CLOSE, 'Content-Type: text/plain', 'Content-Length: 12'], MESSAGE),
    closes(
      problem(
        'unsupported-media-type',
        'This body has the Content-Type "text/plain": send application/json.',
      ),
    ),
  ),
  row(
    'BD-38',
    '9110, 8.3',
    'a body of no type',
    send(POST, [KEY, CLOSE, 'Content-Length: 12'], MESSAGE),
    closes(problem('unsupported-media-type', 'This body has no Content-Type: send application/json.')),
  ),
  row(
    'BD-39',
    '9110, 8.3.1',
    'a type in another case and with a parameter',
    send(POST, [KEY, 'Content-Type: Application/JSON;charset=utf-8', 'Content-Length: 12'], MESSAGE),
    answers(SENT),
  ),
  row(
    'BD-40',
    '9110, 8.4',
    'a body that is compressed',
    send(POST, [KEY, CLOSE, TYPE, 'Content-Encoding: gzip', 'Content-Length: 12'], MESSAGE),
    closes(problem('unsupported-media-type', 'Send the body without the Content-Encoding "gzip".')),
  ),
  row(
    'BD-41',
    '8259, 8.1',
    'a body that is not UTF-8',
    Buffer.concat([Buffer.from(ask(POST, KEY, TYPE, 'Content-Length: 3')), Buffer.from([0x22, 0xff, 0x22])]),
    answers(problem('invalid-json', 'The text is not valid UTF-8.')),
  ),
  row(
    'BD-42',
    '9112, 7.1',
    'chunks that end their lines with LF alone',
    chunked(`c\n${MESSAGE}\n0\n\n${SMUGGLED}`),
    {
      node: closes({ status: 400, headers: { connection: 'close' }, body: '' }),
      uws: closes(),
      why: 'uWebSockets.js takes what it cannot read there for a second request, before the first was answered, and closes the connection.',
    },
  ),
]

const HEAD_HEALTHY: HttpAnswer = { status: 200, headers: JSON_TYPE, body: '', isHead: true }
/** To node:http a HEAD like any other, whose connection goes on; the last of its connection where uWebSockets.js cannot say where it ends. */
const REFUSED_HEAD: HttpAnswer = {
  status: 400,
  headers: {
    'content-type': 'application/problem+json',
    'content-length': /^[1-9]\d+$/,
    connection: 'close',
    'transfer-encoding': null,
  },
  body: '',
  isHead: true,
}
const headRefused = { ...TWO_LENGTHS, uws: closes(REFUSED_HEAD) }
const headInChunks = (...byNode: readonly HttpAnswer[]): Each => ({
  node: answers(...byNode),
  uws: closes(REFUSED_HEAD),
  why: 'To node:http a HEAD may have a body in chunks. For uWebSockets.js such a body is the last of its connection, so the hub takes none of a HEAD.',
})
const twoLengths = (target: string) =>
  ask(`HEAD ${target}`, 'Content-Length: 0', `Content-Length: ${SMUGGLED.length}`)
const inChunks = (target: string) => `${ask(`HEAD ${target}`, 'Transfer-Encoding: chunked')}0\r\n\r\n`
const LINE = '{"groups":["news.a"],"message":{"type":"m"}}'
const RESULTS: HttpAnswer = {
  status: 200,
  headers: { ...JSON_TYPE, 'transfer-encoding': 'chunked' },
  body: '{"results":[{"line":1,"group":"news.a","cursor":null}]}',
}

/** What comes when the answer has come: answered where the connection goes on, and nowhere else. */
const LAST: readonly Row[] = [
  row('LC-01', '9112, 6.3', 'a HEAD of two lengths', twoLengths('/health'), headRefused),
  row('LC-02', '9112, 6.3', 'a HEAD of two lengths, at a stream', twoLengths('/silent'), headRefused),
  row('LC-03', '9112, 6.3', 'a HEAD of two lengths, of nobody', twoLengths('/nobody'), headRefused),
  row('LC-04', '9112, 7.1', 'a HEAD in chunks', inChunks('/health'), headInChunks(HEAD_HEALTHY, HEALTHY)),
  row(
    'LC-05',
    '9112, 7.1',
    'a HEAD in chunks, at a stream',
    inChunks('/silent'),
    headInChunks({ status: 405, body: '', isHead: true }, HEALTHY),
  ),
  row(
    'LC-06',
    '9112, 7.1',
    'lines in chunks, whose answer is streamed',
    send(
      'POST /api/publish',
      [KEY, 'Content-Type: application/x-ndjson', 'Transfer-Encoding: chunked'],
      `${LINE.length.toString(16)}\r\n${LINE}\r\n0\r\n\r\n`,
    ),
    {
      node: answers(RESULTS, HEALTHY),
      uws: closes({ ...RESULTS, headers: { ...RESULTS.headers, connection: 'close' } }),
      why: CLOSING,
    },
  ),
  row('LC-07', '9112, 7.1', 'a message in chunks', chunked(CHUNKS), {
    node: answers(SENT, HEALTHY),
    uws: closes(SENT),
    why: CLOSING,
  }),
].map((each) => ({ ...each, later: SMUGGLED }))

/** The same at once: what follows came before the refusal could leave. */
const AT_ONCE: readonly Row[] = [
  row('LC-08', '9112, 6.3', 'a HEAD of two lengths, and more', twoLengths('/health') + SMUGGLED, CUT),
  row(
    'LC-09',
    '9112, 6.3',
    'a HEAD of two lengths, of nobody, and more',
    twoLengths('/nobody') + SMUGGLED,
    CUT,
  ),
]

/** The body of the request does not come, and the answer has none. */
const BARE: readonly Row[] = [
  row(
    'LC-10',
    '9110, 9.3.2',
    'a HEAD whose body does not come',
    ask('HEAD /health', 'Content-Length: 5'),
    closes({ ...HEAD_HEALTHY, headers: { 'content-length': '15', connection: 'close' } }),
  ),
  row(
    'LC-11',
    '9110, 9.3.7',
    'an OPTIONS whose body does not come',
    ask('OPTIONS /health', 'Content-Length: 5'),
    closes({ status: 204, headers: { allow: 'GET, HEAD, OPTIONS', connection: 'close' } }),
  ),
]

export const HTTP: readonly Row[] = [...REQUEST_LINES, ...HEADERS, ...BODIES, ...LAST, ...AT_ONCE, ...BARE]
