/** What a GET at a stream becomes, and what may be posted for one: RFC 9110, sections 12 and 15; the event stream of the HTML standard. */
import { ask, get, send } from '../bytes.ts'
import { type Answer, answers, problem, type Row, streams } from '../row.ts'

const row = (id: string, rfc: string, what: string, bytes: string | Buffer, answer: Answer): Row => ({
  id,
  rfc,
  what,
  send: bytes,
  answer,
})

const UNCACHED = {
  'cache-control': 'no-cache, no-store, no-transform, private',
  'transfer-encoding': 'chunked',
  'content-length': null,
  'content-encoding': null,
}
const OPEN = '\\{"connection":"[^"]+","node":"[^"]+","groups":\\[\\],"heartbeatMs":25000\\}'
const EVENTS = streams(
  { ...UNCACHED, 'content-type': 'text/event-stream; charset=utf-8' },
  new RegExp(`^retry: \\d+\\nevent: groupcast\\.open\\ndata: ${OPEN}\\n\\n$`),
)
const LINES = streams(
  { ...UNCACHED, 'content-type': 'application/x-ndjson' },
  new RegExp(`^\\{"open":${OPEN}\\}\\n$`),
)
const NEITHER = answers(problem('not-acceptable'))

const accept = (value: string) => get('/silent', `Accept: ${value}`)

const NEGOTIATION: readonly Row[] = [
  row('NG-01', 'RFC 9110, 12.5.1', 'no Accept: anything', get('/silent'), EVENTS),
  row(
    'NG-02',
    'WHATWG HTML, 9.2.2',
    'what an EventSource sends',
    get('/silent', 'Accept: text/event-stream', 'Cache-Control: no-store'),
    EVENTS,
  ),
  row('NG-03', 'RFC 9110, 12.5.1', 'lines', accept('application/x-ndjson'), LINES),
  row(
    'NG-04',
    'RFC 9110, 12.5.1',
    'the one that is liked better',
    accept('text/event-stream;q=0.5, application/x-ndjson;q=0.6'),
    LINES,
  ),
  row(
    'NG-05',
    'RFC 9110, 12.5.1',
    'the most specific range decides',
    accept('text/event-stream;q=0, text/*;q=1, application/x-ndjson;q=0.001'),
    LINES,
  ),
  row('NG-06', 'RFC 9110, 12.4.2', 'a weight of 0 is a no', accept('text/event-stream;q=0'), NEITHER),
  row('NG-07', 'RFC 9110, 12.5.1', 'neither', accept('text/html, application/json'), NEITHER),
  row(
    'NG-08',
    'RFC 9110, 5.3',
    'two headers are one list',
    get('/silent', 'Accept: text/html', 'Accept: application/x-ndjson'),
    LINES,
  ),
  row('NG-09', 'RFC 9110, 8.3.1', 'types have no case', accept('Application/X-NDJSON'), LINES),
  row(
    'NG-10',
    'RFC 9110, 12.5.3',
    'no coding is applied, whatever is accepted',
    get('/silent', 'Accept-Encoding: gzip, br'),
    EVENTS,
  ),
  row(
    'NG-11',
    'RFC 9110, 14.2',
    'ranges of a stream there are none: the header is passed over',
    get('/silent', 'Range: bytes=0-1'),
    EVENTS,
  ),
  row(
    'NG-12',
    'WHATWG HTML, 9.2.4',
    'a Last-Event-ID of no history changes nothing',
    get('/silent', 'Last-Event-ID: x'),
    EVENTS,
  ),
]

const M = '{"type":"m"}'
const post = (...headers: string[]) => send('POST /silent', ['Content-Length: 12', ...headers], M)

const POSTS: readonly Row[] = [
  row(
    'PO-01',
    'RFC 9110, 15.5.1',
    'a post for no connection',
    post(),
    answers(
      problem(
        'bad-request',
        'A message is posted with the header Groupcast-Connection: the id that the open event carries.',
      ),
    ),
  ),
  row(
    'PO-02',
    'RFC 9110, 15.5.5',
    'a post for one that is not there',
    post('Groupcast-Connection: x'),
    answers(problem('unknown-connection', 'There is no such connection.')),
  ),
  row(
    'PO-03',
    'RFC 9110, 8.4',
    'a post that is compressed',
    post('Groupcast-Connection: x', 'Content-Encoding: br'),
    answers(problem('unsupported-media-type', 'The body must not be encoded (Content-Encoding).')),
  ),
  row(
    'PO-04',
    'RFC 8259, 8.1',
    'a post that is not UTF-8',
    Buffer.concat([
      Buffer.from(ask('POST /silent', 'Groupcast-Connection: x', 'Content-Length: 3')),
      Buffer.from([0x22, 0xff, 0x22]),
    ]),
    answers(problem('invalid-json', 'The body is not UTF-8.')),
  ),
  row(
    'PO-05',
    'RFC 8259, 2',
    'a post that is no JSON',
    send('POST /silent', ['Groupcast-Connection: x', 'Content-Length: 5'], 'hello'),
    answers(problem('invalid-json', 'The text is not valid JSON.')),
  ),
  row(
    'PO-06',
    'RFC 9110, 15.5.14',
    'a post that is too large',
    send('POST /silent', ['Groupcast-Connection: x', 'Content-Length: 65537'], 'x'.repeat(65_537)),
    answers(problem('message-too-large', 'The limit is 65536 bytes.')),
  ),
]

export const STREAMS: readonly Row[] = [...NEGOTIATION, ...POSTS]
