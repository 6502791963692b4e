/**
 * A reader at 1 KB/s under `latest`, at the default limits. Its time is the hub's: a clock that goes on by a second for each 1,024 bytes
 * that it reads, so that an hour passes in a moment, and what the kernel holds meanwhile is what it holds.
 */
import { connect } from 'node:net'
import { manualClock } from 'groupcast/testing'
import { expect, onTestFinished, test } from 'vitest'
import { startTestHub } from '../support/hub-server.ts'
import { handshake, OPCODE, RawClient, requestHead } from '../support/raw.ts'
import { until } from '../support/until.ts'

const KEYS = 50
const TEXT = 'x'.repeat(10_000)
/** More than the system holds for a connection on the loopback address, several times. */
const MESSAGES = 1_500
const BYTES_PER_MS = 1.024
const STEP_BYTES = 16 * 1024

/** Reads so much at a time as it is told to. */
class Trickle extends RawClient {
  /** @param url of the server */
  static connect(url: string): Trickle {
    const { hostname, port } = new URL(url)
    const buffer = Buffer.alloc(STEP_BYTES)
    const callback = (length: number) => {
      socket.emit('data', Buffer.from(buffer.subarray(0, length)))
      return false
    }
    const socket = connect({ host: hostname, port: Number(port), onread: { buffer, callback } })
    onTestFinished(() => {
      socket.destroy()
    })
    return new Trickle(socket)
  }

  /** Reads on once. @returns how many bytes it read */
  async step(): Promise<number> {
    const before = this.size
    this.socket.resume()
    await until('more has come', () => this.size > before || this.isClosed)
    return this.size - before
  }

  /** Messages so far, in order. */
  get read(): { n: number; key: string }[] {
    const found = this.text.matchAll(/"n":(\d+),"key":"(k\d+)"/g)
    return [...found].map(([, n, key]) => ({ n: Number(n), key: key ?? '' }))
  }

  /** Whether the message came among the last. */
  has(n: number): boolean {
    return this.bytes.subarray(-3 * STEP_BYTES).includes(`"n":${n},`)
  }
}

test.each([
  ['websocket', handshake('/events?group=a')],
  ['sse', requestHead('GET', '/events?group=a', { Accept: 'text/event-stream' })],
  ['ndjson', requestHead('GET', '/events?group=a', { Accept: 'application/x-ndjson' })],
] as const)('%s: stays, and ends on the newest value of each key', async (transport, request) => {
  const clock = manualClock()
  const { hub, links, url } = await startTestHub({ clock, groups: [{ match: 'a', slow: 'latest' }] })
  const client = Trickle.connect(url)
  client.write(request)
  while (!client.text.includes('\r\n\r\n')) await client.step()
  if (transport === 'websocket') await client.upgraded()
  await until('it is in', () => hub.groups().length === 1)

  let answers = 0
  const readOn = async () => {
    const length = await client.step()
    // As every WebSocket client does when it comes to a ping.
    for (; transport === 'websocket' && pings(client) > answers; answers++) client.send(OPCODE.pong, '')
    await until('the hub has heard it', () => links[0]?.answers === answers)
    clock.advance(length / BYTES_PER_MS)
  }

  let mostWaiting = 0
  for (let n = 0; n < MESSAGES; n++) {
    await hub.groupSend('a', { type: 'price', n, key: `k${n % KEYS}`, text: TEXT })
    clock.advance(5)
    mostWaiting = Math.max(mostWaiting, hub.stats.backlogBytes)
    if (n % 10 === 0) await readOn()
  }
  expect(mostWaiting).toBeGreaterThan(0)
  while (!client.has(MESSAGES - 1) && !client.isClosed) await readOn()

  expect(hub.stats).toMatchObject({ connections: { [transport]: 1 }, dead: 0, slowConsumers: 0, dropped: 0 })
  const numbers = client.read.map(({ n }) => n)
  expect(numbers).toEqual(numbers.toSorted((a, b) => a - b))
  expect(numbers.length).toBeLessThan(MESSAGES)
  const last = new Map(client.read.map(({ n, key }) => [key, n]))
  expect([...last.values()].toSorted((a, b) => a - b)).toEqual(
    Array.from({ length: KEYS }, (_, i) => MESSAGES - KEYS + i),
  )
})

function pings(client: RawClient): number {
  return client.frames.filter(({ opcode }) => opcode === OPCODE.ping).length
}
