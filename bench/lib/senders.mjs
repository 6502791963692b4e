// @ts-check
/**
 * Clients that send, in a process of their own: `senders.mjs <url> <bytes> <block> <connections> <milliseconds>` opens WebSockets, on each of
 * which the next block of messages follows the answer to the last of the one before, and prints how many were answered as JSON.
 */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'

const [url = '', bytes = '128', block = '20', connections = '50', durationMs = '250'] = process.argv.slice(2)
const { hostname, port, host, pathname } = new URL(url)

const HEAD = `GET ${pathname} HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n\r\n`

/** One masked text frame. @param {string} text */
function frameOf(text) {
  const payload = Buffer.from(text)
  const mask = randomBytes(4)
  const head =
    payload.length < 126
      ? Buffer.from([0x81, 0x80 | payload.length])
      : Buffer.from([0x81, 0xfe, payload.length >> 8, payload.length & 0xff])
  return Buffer.concat([head, mask, payload.map((byte, i) => byte ^ (mask[i % 4] ?? 0))])
}

/** @param {boolean} isLast */
function message(isLast) {
  const text = JSON.stringify({ type: 'm', last: isLast, text: '' })
  return text.replace('""', JSON.stringify('x'.repeat(Math.max(0, Number(bytes) - text.length))))
}

const frames = Array.from({ length: Number(block) }, (_, i) => frameOf(message(i === Number(block) - 1)))
const BLOCK = Buffer.concat(frames)

let answered = 0
let isOver = false
const sockets = await Promise.all(
  Array.from({ length: Number(connections) }, async () => {
    const socket = connect({ host: hostname, port: Number(port), noDelay: true })
    socket.write(HEAD)
    const [head] = await once(socket, 'data')
    if (!String(head).startsWith('HTTP/1.1 101')) throw new Error(`The handshake was answered by ${head}`)
    return socket
  }),
)
const cpu = process.cpuUsage()
const startMs = performance.now()
const ended = sockets.map(
  (socket) =>
    new Promise((resolve) => {
      // An answer is one small frame: it comes alone, since one is on its way at a time.
      socket.on('data', () => {
        answered++
        if (isOver) resolve(undefined)
        else socket.write(BLOCK)
      })
      socket.on('close', resolve)
      socket.write(BLOCK)
    }),
)
setTimeout(() => {
  isOver = true
}, Number(durationMs))
await Promise.all(ended)
const tookMs = performance.now() - startMs
const { user, system } = process.cpuUsage(cpu)
for (const socket of sockets) socket.destroy()
const busy = (user + system) / 1000 / tookMs
console.log(JSON.stringify({ messages: answered * Number(block), tookMs, busy }))
