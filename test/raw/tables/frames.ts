/** Frames, fragments and text: RFC 6455, sections 5 to 8. `/echo` says back what it is told. */
import { begin, closing, frame, hex, last, more, ping, pong, shake, text } from '../bytes.ts'
import { type Answer, type Bytes, denied, type Each, ends, failed, type Row, says } from '../row.ts'

const row = (
  id: string,
  rfc: string,
  what: string,
  frames: readonly Bytes[],
  answer: Answer | Each,
): Row => ({
  id,
  rfc: `RFC ${rfc}`,
  what,
  send: shake(),
  frames,
  answer,
})

const M = '{"type":"m"}'
const echo = says([1, M])
/** A message of exactly so many bytes. */
const sized = (bytes: number) => `{"type":"${'x'.repeat(bytes - 11)}"}`
const said = (body: string) => `{"type":"m","text":"${body}"}`
/** A message whose text has these bytes in it. */
const around = (digits: string) =>
  Buffer.concat([Buffer.from('{"type":"m","text":"'), hex(digits), Buffer.from('"}')])

const NO_JSON = denied('invalid-json')
const NO_TEXT = denied('unsupported-media-type')
const TOO_LARGE = denied('message-too-large')

const UNMASKED =
  'uWebSockets.js reads what is not masked as if it were: the first four bytes of the payload as the mask, which leaves no text. It ends the connection.'

const FORMS: readonly Row[] = [
  row(
    'FR-01',
    '6455, 5.7',
    'the masked "Hello" of the RFC: text, but no JSON',
    [hex('81 85 37 fa 21 3d 7f 9f 4d 51 58')],
    NO_JSON,
  ),
  row('FR-02', '6455, 5.3', 'a mask of zeros', [text(M, { mask: [0, 0, 0, 0] })], echo),
  row('FR-03', '6455, 5.3', 'a mask of ones', [text(M, { mask: [255, 255, 255, 255] })], echo),
  row(
    'FR-04',
    '6455, 5.1',
    'a frame that is not masked',
    [text(M, { mask: null }), text(M, { mask: null })],
    { ...failed(1002), why: UNMASKED },
  ),
  row(
    'FR-05',
    '6455, 5.2',
    'the longest payload with a length of 7 bits',
    [text(sized(125))],
    says([1, sized(125)]),
  ),
  row('FR-06', '6455, 5.2', 'the shortest with 16 bits', [text(sized(126))], says([1, sized(126)])),
  row('FR-07', '6455, 5.2', 'the longest with 16 bits', [text(sized(65_535))], says([1, sized(65_535)])),
  row('FR-08', '6455, 5.2', 'the shortest with 64 bits', [text(sized(65_536))], says([1, sized(65_536)])),
  row('FR-09', '6455, 7.4.1', 'a byte more than a message may have', [text(sized(65_537))], TOO_LARGE),
  row(
    'FR-10',
    '6455, 5.2',
    'a short length in 16 bits: no sender may, and nothing is unclear',
    [text(M, { width: 16 })],
    echo,
  ),
  row('FR-11', '6455, 5.2', 'a short length in 64 bits', [text(M, { width: 64 })], echo),
  row(
    'FR-12',
    '6455, 5.2',
    'a length of 64 bits whose highest is set',
    [text('', { width: 64, declared: 2n ** 63n })],
    failed(1009),
  ),
  row(
    'FR-13',
    '6455, 5.2',
    'a length beyond 2^53',
    [text('', { width: 64, declared: 2n ** 53n })],
    failed(1009),
  ),
  row(
    'FR-14',
    '6455, 5.2',
    'reserved bit 1, which no extension has a meaning for',
    [text(M, { rsv: 4 })],
    failed(1002),
  ),
  row('FR-15', '6455, 5.2', 'reserved bit 2', [text(M, { rsv: 2 })], failed(1002)),
  row('FR-16', '6455, 5.2', 'reserved bit 3', [text(M, { rsv: 1 })], failed(1002)),
  row('FR-17', '6455, 5.2', 'opcode 3', [frame(3, M)], failed(1002)),
  row('FR-18', '6455, 5.2', 'opcode 7', [frame(7, M)], failed(1002)),
  row('FR-19', '6455, 5.2', 'opcode 11', [frame(11, M)], failed(1002)),
  row('FR-20', '6455, 5.2', 'opcode 15', [frame(15, M)], failed(1002)),
  row('FR-21', '6455, 7.4.1', 'binary: not the data that this endpoint takes', [frame(2, M)], NO_TEXT),
  row('FR-22', '6455, 7.4.1', 'empty binary', [frame(2)], NO_TEXT),
  row('FR-23', '6455, 7.4.1', 'binary in parts', [frame(2, '{', { fin: false }), last('}')], NO_TEXT),
  row(
    'FR-24',
    '6455, 5.2',
    'two messages in one segment',
    [Buffer.concat([text('{"type":"a"}'), text('{"type":"b"}')])],
    says([1, '{"type":"a"}'], [1, '{"type":"b"}']),
  ),
  row(
    'FR-25',
    '6455, 5.2',
    'each byte in a segment of its own',
    [...text(M)].map((byte) => Buffer.from([byte])),
    echo,
  ),
  row('FR-26', '6455, 5.6', 'an empty text: no JSON', [text('')], NO_JSON),
  row(
    'FR-27',
    '6455, 7.1.7',
    'nothing is done after a fault',
    [Buffer.concat([frame(3, 'x'), text(M)])],
    failed(1002),
  ),
]

const FRAGMENTS: readonly Row[] = [
  row('FG-01', '6455, 5.4', 'two parts', [begin('{"type"'), last(':"m"}')], echo),
  row('FG-02', '6455, 5.4', 'an empty part in the middle', [begin('{"type"'), more(''), last(':"m"}')], echo),
  row('FG-03', '6455, 5.4', 'an empty first part', [begin(''), last(M)], echo),
  row('FG-04', '6455, 5.4', 'an empty last part', [begin(M), last('')], echo),
  row(
    'FG-05',
    '6455, 5.4',
    'a part for each byte',
    [Buffer.concat([begin(''), ...[...M].map((char) => more(char)), last('')])],
    echo,
  ),
  row(
    'FG-06',
    '6455, 5.4',
    'a ping between the parts is answered between them',
    [begin('{"type"'), ping('p'), last(':"m"}')],
    says([10, 'p'], [1, M]),
  ),
  row(
    'FG-07',
    '6455, 5.4',
    'a pong between the parts means nothing',
    [begin('{"type"'), pong('p'), last(':"m"}')],
    echo,
  ),
  row(
    'FG-08',
    '6455, 5.5.1',
    'a close between the parts: the message is none',
    [begin('{"type"'), frame(8, closing(1000)), last(':"m"}')],
    ends(closing(1000)),
  ),
  row('FG-09', '6455, 5.4', 'a last part of nothing', [last(M)], failed(1002)),
  row('FG-10', '6455, 5.4', 'a middle part of nothing', [more(M)], failed(1002)),
  {
    ...row('FG-11', '6455, 5.4', 'a part after the last', [text(M)], failed(1002, [1, M])),
    later: last(M),
  },
  row('FG-12', '6455, 5.4', 'a text inside a message', [begin('{'), text(M)], failed(1002)),
  row(
    'FG-13',
    '6455, 5.4',
    'the first part of another inside a message',
    [begin('{'), begin('{')],
    failed(1002),
  ),
  row('FG-14', '6455, 5.4', 'a binary inside a message', [begin('{'), frame(2, M)], {
    ...failed(1002),
    uws: NO_TEXT,
    why: 'uWebSockets.js goes on with the message under the new opcode, which is one that this endpoint does not take.',
  }),
  row(
    'FG-15',
    '6455, 7.4.1',
    'parts that are too large together',
    [begin(sized(40_000)), last(sized(40_000))],
    TOO_LARGE,
  ),
  row(
    'FG-16',
    '6455, 5.2',
    'a reserved bit on the second part',
    [begin('{"type"'), frame(0, ':"m"}', { rsv: 4 })],
    failed(1002),
  ),
  row(
    'FG-17',
    '6455, 5.4',
    'a message in parts, and another',
    [begin('{"type"'), last(':"m"}'), text('{"type":"n"}')],
    says([1, M], [1, '{"type":"n"}']),
  ),
]

const UTF_8: readonly Row[] = [
  row(
    'U8-01',
    '3629, 3',
    'characters of two, three and four bytes',
    [text(said('ü€𝄞'))],
    says([1, said('ü€𝄞')]),
  ),
  row(
    'U8-02',
    '3629, 3',
    'the last character, U+10FFFF',
    [text(said('\u{10ffff}'))],
    says([1, said('\u{10ffff}')]),
  ),
  row(
    'U8-03',
    '3629, 3',
    'noncharacters are characters',
    [text(said('\ufffe\uffff'))],
    says([1, said('\ufffe\uffff')]),
  ),
  row(
    'U8-04',
    '6455, 5.6',
    'a character cut in two by a part',
    [begin(Buffer.from(said('€')).subarray(0, 21)), last(Buffer.from(said('€')).subarray(21))],
    says([1, said('€')]),
  ),
  row('U8-05', '3629, 3', 'overlong, in two bytes', [text(around('c0 af'))], failed(1007)),
  row('U8-06', '3629, 3', 'overlong, in three', [text(around('e0 80 af'))], failed(1007)),
  row('U8-07', '3629, 3', 'overlong, in four', [text(around('f0 80 80 af'))], failed(1007)),
  row('U8-08', '3629, 3', 'a surrogate', [text(around('ed a0 80'))], failed(1007)),
  row('U8-09', '3629, 3', 'a pair of surrogates', [text(around('ed a0 bd ed b8 80'))], failed(1007)),
  row('U8-10', '3629, 3', 'beyond U+10FFFF', [text(around('f4 90 80 80'))], failed(1007)),
  row('U8-11', '3629, 3', 'five bytes', [text(around('f8 88 80 80 80'))], failed(1007)),
  row('U8-12', '3629, 3', 'FE and FF', [text(around('fe ff'))], failed(1007)),
  row('U8-13', '3629, 3', 'a continuation of nothing', [text(around('80'))], failed(1007)),
  row('U8-14', '3629, 3', 'a character that is cut by another', [text(around('e2 82 41'))], failed(1007)),
  row('U8-15', '3629, 3', 'a character that is cut by the end', [text(hex('22 f0 9d 84'))], failed(1007)),
  row(
    'U8-16',
    '6455, 8.1',
    'invalid in the second part',
    [begin('{"type":"m","text":"'), last(hex('ff 22 7d'))],
    failed(1007),
  ),
]

const JSON_TEXTS: readonly Row[] = [
  row('JS-01', '8259, 8.1', 'a byte order mark is no JSON', [text('\ufeff{"type":"m"}')], NO_JSON),
  row('JS-02', '8259, 7', 'a control character in a string', [text(said('\0'))], NO_JSON),
  row('JS-03', '8259, 4', 'a comma too many', [text('{"type":"m",}')], NO_JSON),
  row('JS-04', '8259, 6', 'a number with a leading zero', [text('{"type":"m","n":01}')], NO_JSON),
  row('JS-05', '8259, 6', 'NaN', [text('{"type":"m","n":NaN}')], NO_JSON),
  row('JS-06', '8259, 2', 'two texts', [text(`${M}${M}`)], NO_JSON),
  row('JS-07', '8259, 2', 'white space around', [text(` \t\r\n${M}\n`)], echo),
  row(
    'JS-08',
    '8259, 4',
    'a name twice: the last counts',
    [text('{"type":"a","type":"b"}')],
    says([1, '{"type":"b"}']),
  ),
  row(
    'JS-09',
    '8259, 8.2',
    'a lone surrogate, escaped, stays escaped',
    [text('{"type":"m","text":"\\ud800"}')],
    says([1, '{"type":"m","text":"\\ud800"}']),
  ),
  row(
    'JS-10',
    '8259, 9',
    'as deep as may be',
    [text(`{"type":"m","v":${'['.repeat(63)}${']'.repeat(63)}}`)],
    says([1, `{"type":"m","v":${'['.repeat(63)}${']'.repeat(63)}}`]),
  ),
  row(
    'JS-11',
    '8259, 9',
    'a level deeper',
    [text(`{"type":"m","v":${'['.repeat(64)}${']'.repeat(64)}}`)],
    denied('json-too-deep', 'The JSON is nested deeper than 64 levels.'),
  ),
  row(
    'JS-12',
    '8259, 2',
    'a value that is no object',
    [text('[1]')],
    denied('invalid-message', 'Send a JSON object; this is [1].'),
  ),
]

export const FRAMES: readonly Row[] = [...FORMS, ...FRAGMENTS, ...UTF_8, ...JSON_TEXTS]
