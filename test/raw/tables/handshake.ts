/** The opening handshake of a WebSocket: RFC 6455, section 4, on RFC 9110 and 9112. */
import { SAMPLE_ACCEPT, shake } from '../bytes.ts'
import {
  closes,
  type HttpAnswer,
  notAHead,
  problem,
  type Row,
  refusedByParsers,
  says,
  streams,
  waits,
} from '../row.ts'

const MANY_PARTS = 'a; b=c; d="e", f;g , permessage-deflate; client_max_window_bits'

const accepted = says()

const chosen = (protocol: string) => ({ ...says(), headers: { 'sec-websocket-protocol': protocol } })

/** It is no handshake, and the client is told which version would be one (RFC 6455, 4.4). */
const NONE: HttpAnswer = problem('bad-request', 'This is not a WebSocket handshake.', {
  'sec-websocket-version': '13, 8',
  'sec-websocket-accept': null,
})
const refused = closes(NONE)

const STREAM = streams(
  { 'content-type': 'text/event-stream; charset=utf-8', upgrade: null },
  /^retry: \d+\nevent: groupcast\.open\ndata: \{.*\}\n\n$/,
)

export const HANDSHAKE: readonly Row[] = [
  {
    id: 'HS-01',
    rfc: 'RFC 6455, 1.3',
    what: 'the sample handshake is answered with the sample accept value',
    send: shake(),
    answer: { ...accepted, headers: { 'sec-websocket-accept': SAMPLE_ACCEPT } },
  },
  {
    id: 'HS-02',
    rfc: 'RFC 6455, 4.2.2',
    what: 'another key has another accept value',
    send: shake({ 'Sec-WebSocket-Key': 'AAAAAAAAAAAAAAAAAAAAAA==' }),
    answer: { ...accepted, headers: { 'sec-websocket-accept': 'ICX+Yqv66kxgM0FcWaLWlFLwTAI=' } },
  },
  {
    id: 'HS-03',
    rfc: 'RFC 6455, 4.2.1',
    what: 'Upgrade and Connection in any case, names of headers too',
    send: shake({ Upgrade: null, Connection: null, UPGRADE: 'WebSocket', cOnNeCtIoN: 'uPgRaDe' }),
    answer: accepted,
  },
  {
    id: 'HS-04',
    rfc: 'RFC 6455, 4.2.1',
    what: 'Connection with other options',
    send: shake({ Connection: 'keep-alive, Upgrade' }),
    answer: accepted,
  },
  {
    id: 'HS-05',
    rfc: 'RFC 9110, 5.3',
    what: 'Connection as two lines is one list',
    send: shake({ Connection: ['keep-alive', 'Upgrade'] }),
    answer: accepted,
  },
  {
    id: 'HS-06',
    rfc: 'RFC 9110, 7.8',
    what: 'Upgrade that Connection does not name means nothing: a plain request',
    send: shake({ Connection: 'keep-alive' }),
    answer: STREAM,
  },
  {
    id: 'HS-07',
    rfc: 'RFC 6455, 4.2.1',
    what: 'no key',
    send: shake({ 'Sec-WebSocket-Key': null }),
    answer: refused,
  },
  {
    id: 'HS-08',
    rfc: 'RFC 6455, 4.2.1',
    what: 'an empty key',
    send: shake({ 'Sec-WebSocket-Key': '' }),
    answer: refused,
  },
  {
    id: 'HS-09',
    rfc: 'RFC 6455, 4.2.1',
    what: 'a key of 15 bytes',
    send: shake({ 'Sec-WebSocket-Key': 'AAAAAAAAAAAAAAAAAAAA' }),
    answer: refused,
  },
  {
    id: 'HS-10',
    rfc: 'RFC 6455, 4.2.1',
    what: 'a key of 18 bytes, as long in base64 as one of 16',
    send: shake({ 'Sec-WebSocket-Key': 'AAAAAAAAAAAAAAAAAAAAAAAA' }),
    answer: refused,
  },
  {
    id: 'HS-11',
    rfc: 'RFC 6455, 4.2.1',
    what: 'a key that is not base64',
    send: shake({ 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25j!Q==' }),
    answer: refused,
  },
  {
    id: 'HS-12',
    rfc: 'RFC 6455, 11.3.1',
    what: 'two keys: the header must not stand there twice',
    send: shake({ 'Sec-WebSocket-Key': ['dGhlIHNhbXBsZSBub25jZQ==', 'AAAAAAAAAAAAAAAAAAAAAA=='] }),
    answer: refused,
  },
  {
    id: 'HS-13',
    rfc: 'RFC 6455, 4.4',
    what: 'no version',
    send: shake({ 'Sec-WebSocket-Version': null }),
    answer: refused,
  },
  {
    id: 'HS-14',
    rfc: 'RFC 6455, 4.4',
    what: 'a version that does not exist',
    send: shake({ 'Sec-WebSocket-Version': '14' }),
    answer: refused,
  },
  {
    id: 'HS-15',
    rfc: 'RFC 6455, 4.3',
    what: 'version 013: no leading zeros',
    send: shake({ 'Sec-WebSocket-Version': '013' }),
    answer: refused,
  },
  {
    id: 'HS-16',
    rfc: 'RFC 6455, 11.3.5',
    what: 'two versions: in a request the header stands there once',
    send: shake({ 'Sec-WebSocket-Version': ['13', '8'] }),
    answer: refused,
  },
  {
    id: 'HS-17',
    rfc: 'RFC 9110, 5.5',
    what: 'white space around a value is none of it',
    send: shake({ 'Sec-WebSocket-Version': ' \t13\t ' }),
    answer: accepted,
  },
  {
    id: 'HS-18',
    rfc: 'RFC 9110, 7.8',
    what: 'over HTTP/1.0 an upgrade is ignored',
    send: shake({}, 'GET /echo HTTP/1.0'),
    answer: {
      node: STREAM,
      uws: waits,
      why: 'uWebSockets.js reads no request of HTTP/1.0: no answer, and the connection is closed after ten seconds.',
    },
  },
  {
    id: 'HS-19',
    rfc: 'RFC 6455, 4.1',
    what: 'by POST',
    send: shake({}, 'POST /echo HTTP/1.1'),
    answer: closes(problem('method-not-allowed', undefined, { allow: 'GET, POST, OPTIONS' })),
  },
  {
    id: 'HS-20',
    rfc: 'RFC 6455, 4.1',
    what: 'by PUT',
    send: shake({}, 'PUT /echo HTTP/1.1'),
    answer: closes(problem('method-not-allowed', undefined, { allow: 'GET, POST, OPTIONS' })),
  },
  {
    id: 'HS-21',
    rfc: 'RFC 6455, 4.2.2',
    what: 'the one subprotocol of ours is chosen',
    send: shake({ 'Sec-WebSocket-Protocol': 'chat, groupcast.v1' }, 'GET /silent HTTP/1.1'),
    answer: {
      ...chosen('groupcast.v1'),
      frames: [[1, /^\{"open":\{"connection":"[^"]+","node":"[^"]+","groups":\[\],"heartbeatMs":25000\}\}$/]],
    },
  },
  {
    id: 'HS-22',
    rfc: 'RFC 6455, 4.2.2',
    what: 'of subprotocols that are not ours none is chosen',
    send: shake({ 'Sec-WebSocket-Protocol': 'chat, superchat, Groupcast.V1' }),
    answer: accepted,
  },
  {
    id: 'HS-23',
    rfc: 'RFC 6455, 11.3.4',
    what: 'subprotocols in two headers are one list',
    send: shake({ 'Sec-WebSocket-Protocol': ['chat', 'groupcast.v1'] }, 'GET /silent HTTP/1.1'),
    answer: { ...chosen('groupcast.v1'), frames: [[1, /^\{"open":\{.*\}\}$/]] },
  },
  {
    id: 'HS-24',
    rfc: 'RFC 6455, 4.1',
    what: 'a subprotocol twice: they must be unique',
    send: shake({ 'Sec-WebSocket-Protocol': 'chat, chat' }),
    answer: refused,
  },
  {
    id: 'HS-25',
    rfc: 'RFC 6455, 4.1',
    what: 'a subprotocol that is no token',
    send: shake({ 'Sec-WebSocket-Protocol': 'a b' }),
    answer: refused,
  },
  {
    id: 'HS-26',
    rfc: 'RFC 6455, 9.1',
    what: 'extensions that are not ours are not taken, in whatever form they come',
    send: shake({ 'Sec-WebSocket-Extensions': MANY_PARTS }),
    answer: accepted,
  },
  {
    id: 'HS-27',
    rfc: 'RFC 6455, 9.1',
    what: 'extensions that cannot be read fail the handshake',
    send: shake({ 'Sec-WebSocket-Extensions': 'permessage-deflate; =1' }),
    answer: refused,
  },
  {
    id: 'HS-28',
    rfc: 'RFC 6455, 9.1',
    what: 'a quoted parameter that is no token once it is not quoted',
    send: shake({ 'Sec-WebSocket-Extensions': 'a; b="c d"' }),
    answer: refused,
  },
  {
    id: 'HS-29',
    rfc: 'RFC 6455, 4.2.1',
    what: 'no Host',
    send: shake({ Host: null }),
    answer: {
      node: refused,
      uws: waits,
      why: 'uWebSockets.js takes a head without Host for one that has not ended: no answer, and the connection is closed after ten seconds.',
    },
  },
  {
    id: 'HS-30',
    rfc: 'RFC 9112, 3.2',
    what: 'two Hosts',
    send: shake({ Host: ['127.0.0.1', 'evil.example'] }),
    answer: closes(problem('bad-request', 'The Host header is not one host with perhaps a port.')),
  },
  {
    id: 'HS-31',
    rfc: 'RFC 9112, 3.2',
    what: 'a Host that is none',
    send: shake({ Host: 'user@127.0.0.1' }),
    answer: closes(problem('bad-request', 'The Host header is not one host with perhaps a port.')),
  },
  {
    id: 'HS-32',
    rfc: 'RFC 6455, 10.2',
    what: 'a page of another origin',
    send: shake({ Origin: 'http://evil.example' }),
    answer: closes(problem('origin-not-allowed', undefined, { vary: 'Origin' })),
  },
  {
    id: 'HS-33',
    rfc: 'RFC 6454, 7.3',
    what: 'a page of no origin',
    send: shake({ Origin: 'null' }),
    answer: closes(problem('origin-not-allowed', undefined, { vary: 'Origin' })),
  },
  {
    id: 'HS-34',
    rfc: 'RFC 6455, 10.2',
    what: 'a page of the same origin',
    send: shake({ Origin: 'http://127.0.0.1' }),
    answer: accepted,
  },
  {
    id: 'HS-35',
    rfc: 'RFC 6454, 7.1',
    what: 'an origin with a path is none',
    send: shake({ Origin: 'http://127.0.0.1/' }),
    answer: closes(problem('origin-not-allowed', undefined, { vary: 'Origin' })),
  },
  {
    id: 'HS-36',
    rfc: 'RFC 6455, 4.2.2',
    what: 'a URL of nobody',
    send: shake({}, 'GET /nobody HTTP/1.1'),
    answer: closes(problem('not-found')),
  },
  {
    id: 'HS-37',
    rfc: 'RFC 9112, 3.2.2',
    what: 'a target in absolute form',
    send: shake({}, 'GET http://127.0.0.1/echo HTTP/1.1'),
    answer: {
      node: accepted,
      uws: waits,
      why: 'uWebSockets.js reads no target in absolute form: no answer, and the connection is closed after ten seconds.',
    },
  },
  {
    id: 'HS-38',
    rfc: 'RFC 9112, 5.1',
    what: 'white space before the colon of a header',
    send: shake({ 'Sec-WebSocket-Key ': 'AAAAAAAAAAAAAAAAAAAAAA==' }),
    answer: notAHead(),
  },
  {
    id: 'HS-39',
    rfc: 'RFC 9112, 6.3',
    what: 'a body by two lengths',
    send: shake({ 'Content-Length': ['5', '6'] }),
    answer: {
      ...refusedByParsers(),
      uws: closes(problem('bad-request', 'The Content-Length is not one number.')),
      why: 'node:http refuses it by itself and says no more; uWebSockets.js would believe the first, so the hub refuses it there.',
    },
  },
  {
    id: 'HS-40',
    rfc: 'RFC 6455, 4.2.1',
    what: 'Upgrade to other protocols besides: the answer could choose one only',
    send: shake({ Upgrade: 'h2c, websocket' }),
    answer: refused,
  },
]
