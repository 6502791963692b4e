// @ts-check
/** What hostile clients do. Each kind knows nothing of the others, nor of the limits of the server: what becomes of it is what is reported. */
import { randomBytes } from 'node:crypto'
import { deflateRawSync } from 'node:zlib'

/** @typedef {import('./client.mjs').HostileClient} HostileClient */

/**
 * A kind of hostile client.
 *
 * @typedef {object} Kind
 * @property {string} name
 * @property {number} clients at once; one that is gone comes back
 * @property {boolean} [isOneAddress] all of them come from one address, for which the server has limits; the others from many that are exempt
 * @property {(client: HostileClient, facts: Facts) => void} act begins when it is connected, or tries to be
 */

/** @typedef {{ group: string, token: string }} Facts `group`: that of the honest clients; `token`: of an identity that the server lets in */

const TICK_MS = 20
const HEAD = 'Host: 127.0.0.1\r\n'

/** @param {string} path @param {string} [more] */
const handshake = (path, more = '') =>
  `GET ${path} HTTP/1.1\r\n${HEAD}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n${more}\r\n`
const ENVELOPES = 'Sec-WebSocket-Protocol: groupcast.v1\r\n'

/** A frame; the mask is zeros, so that the payload stands as it is. @param {number} opcode @param {string | Buffer} [payload] @param {{ fin?: boolean, mask?: boolean, compressed?: boolean, length?: number }} [form] */
function frame(opcode, payload = '', { fin = true, mask = true, compressed = false, length } = {}) {
  const data = Buffer.from(/** @type {string} */ (payload))
  const declared = length ?? data.length
  const head = Buffer.alloc(declared < 126 ? 2 : declared < 65_536 ? 4 : 10)
  const bit = mask ? 0x80 : 0
  head[0] = (fin ? 0x80 : 0) | (compressed ? 0x40 : 0) | opcode
  head[1] = bit | (declared < 126 ? declared : declared < 65_536 ? 126 : 127)
  if (head.length === 4) head.writeUInt16BE(declared, 2)
  if (head.length === 10) head.writeBigUInt64BE(BigInt(declared), 2)
  return Buffer.concat([head, Buffer.alloc(mask ? 4 : 0), data])
}

/** @param {Buffer} one @param {number} count */
const many = (one, count) => Buffer.concat(Array.from({ length: count }, () => one))

/** @param {object} value */
const text = (value) => frame(1, JSON.stringify(value))

/** Opens a WebSocket, then says this at each tick, unless the last has yet to leave. @param {(n: number) => Buffer} say @param {string} [headers] */
function flood(say, headers = '') {
  return (/** @type {HostileClient} */ client) => {
    client.write(handshake('/events', headers))
    client.whenAnswered(() => {
      let n = 0
      client.every(TICK_MS, () => {
        if (!client.isCongested) client.write(say(n++))
      })
    })
  }
}

/** Opens a WebSocket and says this once. @param {() => Buffer} say */
function once(say) {
  return (/** @type {HostileClient} */ client) => {
    client.write(handshake('/events'))
    client.whenAnswered(() => client.write(say()))
  }
}

/** One byte after the other. @param {Buffer | string} bytes @param {number} ms between two */
function trickle(bytes, ms) {
  const all = Buffer.from(/** @type {string} */ (bytes))
  return (/** @type {HostileClient} */ client) => {
    let at = 0
    client.every(ms, () => {
      if (at < all.length) client.write(all.subarray(at, ++at))
    })
  }
}

const PINGS = many(frame(9, 'x'.repeat(20)), 20)
const PONGS = many(frame(10, 'x'.repeat(20)), 20)
const EMPTY_PARTS = many(frame(0, '', { fin: false }), 50)
const SHORT_PARTS = many(frame(0, 'x', { fin: false }), 50)

/** In turns. @type {readonly (() => Buffer)[]} */
const BROKEN = [
  () => frame(1, 'not masked at all, not masked', { mask: false }),
  () => frame(3, 'a reserved opcode'),
  () => frame(0, 'a part of nothing'),
  () => frame(9, 'x'.repeat(126)),
  () => frame(1, Buffer.from([0x22, 0xff, 0xfe, 0x22])),
  () => frame(1, 'no JSON'),
  () => frame(8, 'x'),
  () => frame(2, 'binary'),
]
let broken = 0

const DEFLATE = 'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n'
/** 16 KiB on the way, 16 MiB for whoever inflates it. */
const BOMB = frame(1, deflateRawSync(Buffer.alloc(2 ** 24, '[')), { compressed: true })

const BAD_TOKEN = `${Buffer.from('{"alg":"HS256"}').toString('base64url')}.${Buffer.from('{"sub":"eve","exp":4102444800}').toString('base64url')}.${'A'.repeat(43)}`

/** @type {readonly Kind[]} */
export const KINDS = [
  { name: 'slow handshakes', clients: 20, act: trickle(handshake('/events'), 400) },
  {
    name: 'slow bodies',
    clients: 10,
    act(client) {
      client.write(`POST /events HTTP/1.1\r\n${HEAD}Groupcast-Connection: x\r\nContent-Length: 60000\r\n\r\n`)
      client.every(400, () => client.write('x'))
    },
  },
  {
    name: 'endless headers',
    clients: 5,
    act(client) {
      client.write(`GET /events HTTP/1.1\r\n${HEAD}`)
      let n = 0
      client.every(TICK_MS, () => client.write(`X-${n++}: ${'a'.repeat(100)}\r\n`))
    },
  },
  { name: 'pings', clients: 5, act: flood(() => PINGS) },
  { name: 'pongs', clients: 5, act: flood(() => PONGS) },
  {
    name: 'empty fragments',
    clients: 3,
    act: flood((n) => (n === 0 ? frame(1, '', { fin: false }) : EMPTY_PARTS)),
  },
  {
    name: 'fragments of a byte',
    clients: 3,
    act: flood((n) => (n === 0 ? frame(1, '"', { fin: false }) : SHORT_PARTS)),
  },
  {
    name: 'segments of a byte',
    clients: 10,
    act: trickle(Buffer.concat([Buffer.from(handshake('/events')), many(text({ type: 'm' }), 100)]), 5),
  },
  {
    name: 'messages too large',
    clients: 5,
    act: once(() => frame(1, 'x'.repeat(60_000), { length: 2 ** 20 })),
  },
  {
    name: 'broken frames',
    clients: 5,
    act: (client) => once(() => BROKEN[broken++ % BROKEN.length]?.() ?? PINGS)(client),
  },
  {
    name: 'connecting and leaving',
    clients: 5,
    act(client) {
      client.write(handshake('/events?group=churn'))
      client.whenAnswered(() => client.leave())
    },
  },
  {
    name: 'knocking from one address',
    clients: 10,
    isOneAddress: true,
    act(client) {
      client.write(handshake('/events?group=churn'))
      client.whenAnswered(() => client.leave())
    },
  },
  {
    name: 'subscribers that never read',
    clients: 5,
    act(client, { group }) {
      client.write(handshake(`/events?group=${group}`))
      client.whenAnswered(() => client.stopReading())
    },
  },
  {
    name: 'joins',
    clients: 3,
    act: flood((n) => many(text({ join: `flood.${n}`, reply: n }), 5), ENVELOPES),
  },
  {
    name: 'commands',
    clients: 3,
    act: (client, { group }) =>
      flood(
        (n) => many(text({ publish: { group, message: { type: 'spam' } }, reply: n }), 5),
        ENVELOPES,
      )(client),
  },
  {
    // No more on each than a connection may say: together it is.
    name: 'one identity on many connections',
    clients: 6,
    act: (client, { token }) =>
      flood(() => many(text({ leave: 'x' }), 4), `${ENVELOPES}Authorization: Bearer ${token}\r\n`)(client),
  },
  { name: 'compressed bombs', clients: 3, act: flood(() => BOMB, DEFLATE) },
  {
    name: 'bad tokens',
    clients: 3,
    act(client) {
      client.write(handshake('/events', `Authorization: Bearer ${BAD_TOKEN}\r\n`))
    },
  },
  {
    name: 'deep and huge JSON',
    clients: 3,
    act: once(() => frame(1, `{"type":"m","v":${'['.repeat(30_000)}${']'.repeat(30_000)}}`)),
  },
  {
    name: 'guessed tickets',
    clients: 3,
    isOneAddress: true,
    act(client) {
      const ticket = randomBytes(24).toString('base64url')
      // An event stream would be refused in a stream of its own: by the status it is seen why.
      client.write(`GET /events?ticket=${ticket} HTTP/1.1\r\n${HEAD}Accept: application/x-ndjson\r\n\r\n`)
      client.whenAnswered(() => client.leave())
    },
  },
  {
    name: 'pipelined publishes with a bad key',
    clients: 3,
    isOneAddress: true,
    act(client) {
      const body = '{"type":"spam"}'
      const post = `POST /api/groups/spam/messages HTTP/1.1\r\n${HEAD}Authorization: Bearer not-the-key-at-all\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`
      client.write(post.repeat(20))
      client.after(1_000, () => client.leave())
    },
  },
  {
    name: 'resets in the handshake',
    clients: 5,
    act(client) {
      const bytes = handshake('/events?group=rude')
      client.write(bytes.slice(0, Math.floor(Math.random() * bytes.length)))
      client.after(5, () => client.reset())
    },
  },
  {
    name: 'handshakes that are none',
    clients: 3,
    act(client) {
      client.write(handshake('/events').replace('Version: 13', 'Version: 12'))
    },
  },
]
