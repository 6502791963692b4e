/** Pings, pongs and the close: RFC 6455, sections 5.5 and 7. */
import { close, closing, frame, hex, ping, pong, shake, text } from '../bytes.ts'
import { type Answer, type Bytes, type Each, ends, failed, type Row, says } from '../row.ts'

const row = (
  id: string,
  rfc: string,
  what: string,
  frames: readonly Bytes[],
  answer: Answer | Each,
): Row => ({
  id,
  rfc: `RFC 6455, ${rfc}`,
  what,
  send: shake(),
  frames,
  answer,
})

const X125 = 'x'.repeat(125)
const LATE = text('{"type":"late"}')
const EMPTY = Buffer.alloc(0)

const PINGS: readonly Row[] = [
  row('CT-01', '5.5.2', 'an empty ping has an empty pong', [ping()], says([10, ''])),
  row(
    'CT-02',
    '5.5.3',
    'the pong has what the ping had, as much as there may be',
    [ping(X125)],
    says([10, X125]),
  ),
  row('CT-03', '5.5.3', 'also what is no text', [ping(hex('00 ff fe 80'))], says([10, hex('00 ff fe 80')])),
  row(
    'CT-04',
    '5.5.3',
    'each ping has its pong',
    [Buffer.concat([ping('1'), ping('2'), ping('3')])],
    says([10, '1'], [10, '2'], [10, '3']),
  ),
  row('CT-05', '5.5.3', 'a pong that nobody asked for means nothing', [pong(), pong('x')], says()),
  row('CT-06', '5.5', 'a ping of 126 bytes', [ping(`${X125}x`)], failed(1002)),
  row('CT-07', '5.5', 'a pong of 126 bytes', [pong(`${X125}x`)], failed(1002)),
  row(
    'CT-08',
    '5.5',
    'a short ping whose length takes 16 bits',
    [ping('xxxxx', { width: 16 })],
    failed(1002),
  ),
  row('CT-09', '5.5', 'a ping in parts', [ping('x', { fin: false })], failed(1002)),
  row('CT-10', '5.5', 'a pong in parts', [pong('x', { fin: false })], failed(1002)),
  row('CT-11', '5.5', 'a close in parts', [frame(8, closing(1000), { fin: false })], failed(1002)),
  row('CT-12', '5.2', 'a ping with a reserved bit', [ping('x', { rsv: 4 })], failed(1002)),
]

/** Codes that the IANA has registered since, and that no endpoint need know. */
const REGISTERED = (code: number): Each => ({
  node: ends(closing(code)),
  uws: ends(EMPTY),
  why: 'uWebSockets.js takes codes from 1012 on for none up to 3999, and answers without one.',
})
/** A close frame that breaks the rules is answered with 1002, or as one without a code: closed it is. */
const NO_CODE = (code = 1002): Each => ({
  node: ends(closing(code)),
  uws: ends(EMPTY),
  why: 'uWebSockets.js answers a close frame that it cannot read with an empty one (RFC 6455, 7.1.5), and closes.',
})

const CLOSES: readonly Row[] = [
  row('CL-01', '5.5.1', 'a close without a code is answered without one', [frame(8)], ends(EMPTY)),
  row('CL-02', '5.5.1', '1000 is answered in kind', [close(1000)], ends(closing(1000))),
  row('CL-03', '7.1.6', 'so is 1001 with a reason', [close(1001, 'bye ü')], ends(closing(1001, 'bye ü'))),
  row('CL-04', '7.4.1', '1003', [close(1003)], ends(closing(1003))),
  row('CL-05', '7.4.1', '1007', [close(1007)], ends(closing(1007))),
  row('CL-06', '7.4.1', '1011', [close(1011)], ends(closing(1011))),
  row('CL-07', '7.4.2', '1012, registered', [close(1012)], REGISTERED(1012)),
  row('CL-08', '7.4.2', '3000, for libraries', [close(3000)], REGISTERED(3000)),
  row('CL-09', '7.4.2', '4000, for applications', [close(4000)], ends(closing(4000))),
  row('CL-10', '7.4.2', '4999, the last of them', [close(4999)], ends(closing(4999))),
  row(
    'CL-11',
    '5.5',
    'the longest reason',
    [close(4000, 'r'.repeat(123))],
    ends(closing(4000, 'r'.repeat(123))),
  ),
  row('CL-12', '5.5', 'a reason that is one byte longer', [close(4000, 'r'.repeat(124))], failed(1002)),
  row('CL-13', '5.5.1', 'a payload of one byte holds no code', [frame(8, hex('03'))], NO_CODE()),
  row('CL-14', '7.4.2', '0: not used', [close(0)], NO_CODE()),
  row('CL-15', '7.4.2', '999: not used', [close(999)], NO_CODE()),
  row('CL-16', '7.4.1', '1004: reserved', [close(1004)], NO_CODE()),
  row('CL-17', '7.4.1', '1005: never in a frame', [close(1005)], NO_CODE()),
  row('CL-18', '7.4.1', '1006: never in a frame', [close(1006)], NO_CODE()),
  row('CL-19', '7.4.1', '1015: never in a frame', [close(1015)], NO_CODE()),
  row('CL-20', '7.4.2', '1016: for later versions of the protocol', [close(1016)], NO_CODE()),
  row('CL-21', '7.4.2', '2999: the last of those', [close(2999)], NO_CODE()),
  row('CL-22', '7.4.2', '5000: no code at all', [close(5000)], NO_CODE()),
  row('CL-23', '7.4.2', '65535', [close(65_535)], NO_CODE()),
  row('CL-24', '5.5.1', 'a reason that is not UTF-8', [close(1000, hex('ff'))], NO_CODE(1007)),
  row(
    'CL-25',
    '5.5.1',
    'what follows a close is not heard',
    [Buffer.concat([close(1000), LATE, ping('x')])],
    ends(closing(1000)),
  ),
  row(
    'CL-26',
    '5.5.1',
    'one close is answered, not two',
    [Buffer.concat([close(1000), close(1001)])],
    ends(closing(1000)),
  ),
]

export const CONTROL: readonly Row[] = [...PINGS, ...CLOSES]
