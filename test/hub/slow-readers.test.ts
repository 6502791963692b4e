/** What slow readers get, held against models. The link is a fake whose congestion the test turns on and off; real sockets follow in test/transports. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Batch, FrameRun } from '../../src/batch.ts'
import { Frame } from '../../src/frame.ts'
import { Backlog } from '../../src/hub/backlog.ts'
import { Outbox, type OutboxHost } from '../../src/hub/outbox.ts'
import { Turn } from '../../src/hub/turn.ts'
import { resolveLimits } from '../../src/options.ts'
import { Publication } from '../../src/publication.ts'
import type { SlowPolicy } from '../../src/slow.ts'
import type { Link } from '../../src/transports/backend.ts'
import { streamFormat } from '../../src/wire/http-stream.ts'

const format = streamFormat('ndjson', true, 'raw')

/** A client whose link can be congested, and what it has been sent. */
class FakeClient {
  isWritable = true
  /** Congested again after each write, as a socket is whose kernel buffer is full. */
  takesOneWrite = false
  /** What its link has of the last write while it is not writable, and whether others with the same share it. */
  unsentBytes = 0
  keepsUnsent = false
  sharesBytes = true
  isCut = false
  isFinished = false
  readonly lines: { message?: { n: number; key?: string }; dropped?: { count: number } }[] = []
  readonly link: Link
  isOverflowed = false
  droppedCount = 0
  readonly outbox: Outbox

  constructor(host: OutboxHost, policy: SlowPolicy) {
    const client = this
    this.link = {
      get writable() {
        return client.isWritable
      },
      get bufferedBytes() {
        return client.isWritable || !client.keepsUnsent ? 0 : client.unsentBytes
      },
      get sharesBytes() {
        return client.sharesBytes
      },
      writtenBytes: 0,
      answersHeartbeats: false,
      write(batch: Batch) {
        if (client.isWritable) client.unsentBytes = batch.bytes().length
        if (client.takesOneWrite) client.isWritable = false
        for (const line of batch.bytes().toString().split('\n'))
          if (line !== '') client.lines.push(JSON.parse(line))
        return client.isWritable
      },
      heartbeat: () => true,
      close() {},
      terminate() {},
      pause() {},
      resume() {},
    }
    this.outbox = new Outbox(format, policy, host, {
      overflowed: () => {
        this.isOverflowed = true
      },
      cut: () => {
        this.isCut = true
        this.outbox.shut()
      },
      dropped: (count) => {
        this.droppedCount += count
      },
      finished: () => {
        this.isFinished = true
      },
    })
    this.outbox.open(this.link, [])
  }

  get messages() {
    return this.lines.flatMap(({ message }) => (message === undefined ? [] : [message]))
  }

  get told(): number {
    return this.lines.reduce((sum, { dropped }) => sum + (dropped?.count ?? 0), 0)
  }
}

function setup(maxBacklogBytes: number, maxTotalBacklogBytes = 2 ** 30) {
  const turn = new Turn()
  const limits = resolveLimits({ maxBacklogBytes, maxTotalBacklogBytes })
  const writeBytes = Math.min(64 * 1024, Math.floor(maxBacklogBytes / 2))
  const host: OutboxHost = { turn, limits, backlog: new Backlog(maxTotalBacklogBytes), writeBytes }
  let n = 0
  return {
    host,
    /** How many were sent. */
    count: () => n,
    client: (policy: SlowPolicy) => new FakeClient(host, policy),
    send(clients: readonly FakeClient[], fields: object = {}, slow: SlowPolicy | null = null) {
      const json = JSON.stringify({ type: 'n', n: n++, ...fields })
      const publication = new Publication('g', json, null, slow)
      const frame = publication.frame(format)
      for (const client of clients) client.outbox.append(new FrameRun([frame]), turn.root(format))
      return frame.bytes.length
    },
  }
}

/** Reads on until all that waits has come. */
function readAll(reader: FakeClient): void {
  reader.isWritable = true
  reader.takesOneWrite = false
  for (let drains = 0; drains < 20; drains++) reader.outbox.flush()
}

const endOfTurn = () => new Promise((resolve) => setImmediate(resolve))

describe('close', () => {
  test('gives up exactly when more than the bound waits, and says so after the turn', async () => {
    const { client, send, host } = setup(4_000)
    const slow = client('close')
    slow.isWritable = false
    let waiting = 0
    while (waiting <= 4_000) {
      expect(slow.isOverflowed).toBe(false)
      waiting += send([slow])
    }
    expect(slow.isOverflowed).toBe(false)
    await endOfTurn()
    expect(slow.isOverflowed).toBe(true)
    expect(host.backlog.totalBytes).toBe(0)
    send([slow])
    slow.isWritable = true
    slow.outbox.flush()
    expect(slow.lines).toEqual([])
  })
})

describe('drop', () => {
  test('drops the oldest, tells how many before what follows, and never closes', async () => {
    const { client, send } = setup(4_000)
    const slow = client('drop')
    slow.isWritable = false
    let frameBytes = 0
    for (let i = 0; i < 1_000; i++) frameBytes = send([slow])
    await endOfTurn()
    slow.isWritable = true
    for (let drains = 0; drains < 10; drains++) slow.outbox.flush()
    expect(slow.isOverflowed).toBe(false)
    expect(slow.lines[0]).toEqual({ dropped: { count: slow.droppedCount } })
    const numbers = slow.messages.map(({ n }) => n)
    expect(numbers.length + slow.told).toBe(1_000)
    expect(numbers).toEqual(Array.from({ length: numbers.length }, (_, i) => 1_000 - numbers.length + i))
    // Not more than it must: the bound, less the quarter that makes room.
    expect(numbers.length * frameBytes).toBeGreaterThan(2_900)
  })

  test('of a group leaves messages of other groups alone', async () => {
    const { client, send } = setup(4_000)
    const slow = client('close')
    slow.isWritable = false
    send([slow], { name: 'precious' })
    for (let i = 0; i < 500; i++) send([slow], {}, 'drop')
    send([slow], { name: 'precious too' })
    await endOfTurn()
    slow.isWritable = true
    for (let drains = 0; drains < 10; drains++) slow.outbox.flush()
    expect(slow.messages.filter((message) => 'name' in message)).toHaveLength(2)
    expect(slow.messages.length + slow.told).toBe(502)
  })
})

describe('latest', () => {
  test('a slow reader always ends on the newest value of each key, in the order in which they were sent', async () => {
    const { client, send } = setup(20_000)
    const slow = client('latest')
    slow.isWritable = false
    for (let i = 0; i < 5_000; i++) send([slow], { key: `k${i % 20}`, value: i })
    await endOfTurn()
    slow.isWritable = true
    for (let drains = 0; drains < 10; drains++) slow.outbox.flush()
    expect(slow.messages.map(({ n }) => n)).toEqual(Array.from({ length: 20 }, (_, i) => 4_980 + i))
    expect(slow.told).toBe(0)
  })

  // Symptom: 50 values of 16 KB, well below the bound of 1 MiB, and the client was told of dropped messages. At the bound everything was
  // cut down to three quarters of it, also where newer values had replaced enough.
  test('no value is dropped while the newest of all keys fit', async () => {
    const { client, send } = setup(20_000)
    const slow = client('latest')
    slow.isWritable = false
    for (let i = 0; i < 500; i++) send([slow], { key: `k${i % 17}`, text: 'x'.repeat(1_000) })
    await endOfTurn()
    slow.isWritable = true
    for (let drains = 0; drains < 10; drains++) slow.outbox.flush()
    expect(slow.told).toBe(0)
    expect(slow.messages.map(({ n }) => n)).toEqual(Array.from({ length: 17 }, (_, i) => 483 + i))
  })

  // Symptom: a price that came before a flood of chat messages was dropped with them, being the oldest, and the reader showed an older one.
  test('no newest value is dropped for messages without a key, of which the oldest go', async () => {
    const { client, send } = setup(20_000)
    const slow = client('latest')
    slow.isWritable = false
    for (let i = 0; i < 3_000; i++) send([slow], i % 500 === 0 ? { key: `k${i / 500}` } : { text: 'chat' })
    await endOfTurn()
    readAll(slow)
    expect(slow.messages.flatMap(({ n, key }) => (key === undefined ? [] : [n]))).toEqual([
      0, 500, 1_000, 1_500, 2_000, 2_500,
    ])
    const chat = slow.messages.flatMap(({ n, key }) => (key === undefined ? [n] : []))
    const sent = Array.from({ length: 3_000 }, (_, n) => n).filter((n) => n % 500 !== 0)
    expect(chat).toEqual(sent.slice(-chat.length))
    expect(chat.length).toBeGreaterThan(200)
    expect(slow.told).toBe(sent.length - chat.length)
    expect(slow.isOverflowed).toBe(false)
  })

  test('is told once of all that was dropped while it did not read, before anything that is newer', () => {
    const { client, send } = setup(20_000)
    const slow = client('latest')
    slow.isWritable = false
    // A value between any two gaps: what is kept must not keep the notices apart.
    for (let i = 0; i < 20_000; i++) send([slow], i % 500 === 0 ? { key: `k${i / 500}` } : { text: 'chat' })
    readAll(slow)
    const notices = slow.lines.flatMap(({ dropped }, index) => (dropped === undefined ? [] : [index]))
    expect(notices).toEqual([1])
    expect(slow.messages.length + slow.told).toBe(20_000)
  })

  // A client that is told to come back knows that it has missed something; one that stays without a value does not know which.
  test('gives up when the newest values alone are too much: none is dropped, and none of what might be', async () => {
    const { client, send, host } = setup(20_000)
    const slow = client('latest')
    slow.isWritable = false
    send([slow], { text: 'no key' })
    for (let i = 0; !slow.isOverflowed && i < 100; i++) {
      send([slow], { key: `k${i}`, text: 'x'.repeat(1_000) })
      await endOfTurn()
    }
    expect(slow.isOverflowed).toBe(true)
    expect(slow.droppedCount).toBe(0)
    expect(slow.lines).toEqual([])
    expect(host.backlog.totalBytes).toBe(0)
  })

  test('a reader that keeps up gets everything', async () => {
    const { client, send } = setup(20_000)
    const fast = client('latest')
    for (let i = 0; i < 100; i++) {
      send([fast], { key: 'same' })
      await endOfTurn()
    }
    expect(fast.messages.map(({ n }) => n)).toEqual(Array.from({ length: 100 }, (_, i) => i))
  })

  test('is written a little at a time, so that what waits can still be replaced', async () => {
    const { client, send } = setup(200_000)
    const slow = client('latest')
    slow.isWritable = false
    for (let i = 0; i < 100; i++) send([slow], { key: `k${i}`, text: 'x'.repeat(1_000) })
    await endOfTurn()
    slow.isWritable = true
    slow.takesOneWrite = true
    slow.outbox.flush()
    expect(slow.messages.length).toBeGreaterThan(0)
    expect(slow.messages.length).toBeLessThan(100)
    send([slow], { key: 'k99', text: 'newer' })
    slow.isWritable = true
    slow.takesOneWrite = false
    for (let drains = 0; drains < 10; drains++) slow.outbox.flush()
    expect(slow.messages).toHaveLength(100)
    expect(slow.messages.at(-1)).toMatchObject({ key: 'k99', text: 'newer' })
  })
})

// Symptom: a value that had waited came after the past of a group that was joined later. Cause: the message that marked where the past was to go had
// been dropped.
test('what waited before a past goes out before it, also when the last of it has been dropped meanwhile', () => {
  const { client, send } = setup(20_000)
  const slow = client('latest')
  slow.isWritable = false
  send([slow], { key: 'early' })
  send([slow])
  slow.outbox.hold()
  while (slow.droppedCount === 0) send([slow])
  const past = new Publication('h', '{"type":"n","n":-1}', null)
  slow.outbox.release({ past: [past], before: null, placeOf: () => 'later' })
  readAll(slow)
  expect(slow.messages.slice(0, 2).map(({ n }) => n)).toEqual([0, -1])
  expect(slow.told).toBe(slow.droppedCount)
})

/** Says how often it is looked at. */
class WatchedFrame extends Frame {
  static looks = 0

  override get publication() {
    WatchedFrame.looks++
    return super.publication
  }
}

// What a message costs must not depend on how many wait: else a stopped reader stops the hub.
test.each([
  ['drop', 'no keys', () => null],
  ['latest', 'no keys', () => null],
  ['latest', 'keys that take most of the room', (n: number, keys: number) => (n * 7) % keys],
  [
    'latest',
    'keys that take most of the room, and others',
    (n: number, keys: number) => (n % 2 === 0 ? null : (n * 7) % keys),
  ],
] as const)('%s, %s: the work for a message does not grow with what waits', async (policy, _what, keyOf) => {
  const looks: number[] = []
  for (const scale of [1, 8]) {
    const { client, host } = setup(scale * 100_000)
    const slow = client(policy)
    slow.isWritable = false
    WatchedFrame.looks = 0
    const messages = scale * 5_000
    for (let n = 0; n < messages; n++) {
      const key = keyOf(n, scale * 660)
      const json = JSON.stringify({
        type: 'n',
        n,
        ...(key !== null && { key: `k${key}` }),
        text: 'x'.repeat(50),
      })
      const publication = new Publication('g', json, null)
      const frame = new WatchedFrame(format.frame(publication), publication)
      slow.outbox.append(new FrameRun([frame]), host.turn.root(format))
      if (n % 50 === 0) await endOfTurn()
    }
    expect(slow.isOverflowed).toBe(false)
    looks.push(WatchedFrame.looks / messages)
  }
  const [few = 0, many = 0] = looks
  expect(few).toBeGreaterThan(0)
  expect(few).toBeLessThan(100)
  expect(many).toBeLessThan(1.5 * few)
})

test('slow readers with equal backlogs share what is left of them', async () => {
  const { client, send, host } = setup(10_000)
  const clients = Array.from({ length: 50 }, () => client('drop'))
  for (const slow of clients) slow.isWritable = false
  for (let i = 0; i < 2_000; i++) send(clients)
  // Fifty backlogs of the same frames are one.
  expect(host.backlog.totalBytes).toBeLessThanOrEqual(10_000)
  await endOfTurn()
  for (const slow of clients) {
    slow.isWritable = true
    for (let drains = 0; drains < 10; drains++) slow.outbox.flush()
    expect(slow.lines).toEqual(clients[0]?.lines)
  }
  expect(host.backlog.totalBytes).toBe(0)
})

// Symptom: a hundred readers that shared 900 KB held 90 MB after they drained in different turns. Cause: at the first drain each
// handed its whole backlog to its own socket.
test('slow readers share what waits although they drain in different turns, and write a little at a time', async () => {
  const { client, send, host } = setup(2 ** 20)
  const clients = Array.from({ length: 20 }, () => client('close'))
  for (const slow of clients) slow.isWritable = false
  let bytes = 0
  // A private frame, as after a join, moves none of what is shared.
  for (const [index, slow] of clients.entries()) send([slow], { text: 'x'.repeat(index) })
  while (bytes < 900_000) bytes += send(clients, { text: 'x'.repeat(1_000) })
  expect(host.backlog.totalBytes).toBeLessThan(bytes + 20 * 100)
  for (const slow of clients) {
    slow.isWritable = true
    slow.takesOneWrite = true
    slow.outbox.flush()
    await endOfTurn()
    expect(slow.messages.length).toBeLessThan(100)
  }
  expect(host.backlog.totalBytes).toBeLessThan(bytes + 20 * 100)
  for (const slow of clients) {
    slow.takesOneWrite = false
    slow.isWritable = true
    slow.outbox.flush()
    await endOfTurn()
    slow.outbox.flush()
    expect(slow.messages.map(({ n }) => n)).toEqual([
      slow.messages[0]?.n,
      ...Array.from({ length: slow.messages.length - 1 }, (_, i) => 20 + i),
    ])
  }
  expect(host.backlog.totalBytes).toBe(0)
})

test('a reader that keeps up gets every message of a turn, although newer ones have its key', async () => {
  const { client, send } = setup(20_000)
  const fast = client('latest')
  for (let i = 0; i < 5; i++) send([fast], { key: 'same' })
  await endOfTurn()
  expect(fast.messages).toHaveLength(5)
})

test('the first message of all is bounded too', async () => {
  const { client, send } = setup(4_000)
  const slow = client('close')
  slow.isWritable = false
  send([slow], { text: 'x'.repeat(5_000) })
  await endOfTurn()
  expect(slow.isOverflowed).toBe(true)
})

test('what was dropped is told before the end, also when the connection closes while it is congested', () => {
  const { client, send, host } = setup(4_000)
  const slow = client('drop')
  slow.isWritable = false
  for (let i = 0; i < 200; i++) send([slow])
  slow.outbox.finish(Buffer.from('{"close":{}}\n'))
  readAll(slow)
  expect(slow.told).toBe(slow.droppedCount)
  expect(slow.messages.length + slow.told).toBe(200)
  expect(slow.lines.at(-1)).toEqual({ close: {} })
  expect(host.backlog.totalBytes).toBe(0)
})

// Symptom: four hundred readers that had stopped shared a backlog of 0.84 MiB; the hub closed, and held 330 MiB. Cause: what waited was written to
// the links of all, congested or not, and uWebSockets.js copies what it is given.
test('who closes goes on sharing what waits: it is written as the links take it, and the last frame after it', async () => {
  const { client, send, host } = setup(2 ** 20)
  const clients = Array.from({ length: 20 }, () => client('close'))
  for (const slow of clients) slow.isWritable = false
  let bytes = 0
  while (bytes < 800_000) bytes += send(clients, { text: 'x'.repeat(1_000) })
  const sent = clients[0]?.lines.length
  await endOfTurn()
  const last = Buffer.from('{"close":{}}\n')
  for (const slow of clients) expect(slow.outbox.finish(last)).toBe(false)
  // Not even what was sent before it closed may grow.
  send(clients)
  await endOfTurn()
  for (const slow of clients) expect(slow.lines).toHaveLength(sent ?? 0)
  expect(host.backlog.totalBytes).toBe(bytes)
  for (const slow of clients) {
    slow.isWritable = true
    slow.takesOneWrite = true
    slow.outbox.flush()
    await endOfTurn()
    expect(slow.isFinished).toBe(false)
    expect(slow.messages.length).toBeLessThan(100)
  }
  expect(host.backlog.totalBytes).toBeLessThanOrEqual(bytes)
  for (const slow of clients) {
    readAll(slow)
    expect(slow.isFinished).toBe(true)
    expect(slow.messages.map(({ n }) => n)).toEqual(slow.messages.map((_, n) => n))
    expect(slow.lines.at(-1)).toEqual({ close: {} })
    expect(slow.lines.filter((line) => 'close' in line)).toHaveLength(1)
  }
  expect(host.backlog.totalBytes).toBe(0)
})

test('who closes with nothing waiting is finished at once, also where the link is congested', () => {
  const { client, host } = setup(20_000)
  const slow = client('close')
  slow.isWritable = false
  expect(slow.outbox.finish(Buffer.from('{"close":{}}\n'))).toBe(true)
  expect(slow.lines).toEqual([{ close: {} }])
  expect(host.backlog.totalBytes).toBe(0)
})

// Symptom: forty readers stopped, each in a group of its own. With messages of 2 MiB there were 80 MiB in their sockets, under bounds of 1 MiB for
// each and 4 MiB for all, and nothing was counted. Cause: what a link had accepted was nobody's.
describe('what a link has accepted and not sent', () => {
  /** Readers that have stopped, each with a message in its link. */
  async function filled(
    { client, send }: ReturnType<typeof setup>,
    policies: readonly SlowPolicy[],
    {
      size,
      isShared = false,
      sharesBytes = true,
    }: { size: number; isShared?: boolean; sharesBytes?: boolean },
  ) {
    const clients = policies.map((policy) => client(policy))
    for (const slow of clients) Object.assign(slow, { takesOneWrite: true, keepsUnsent: true, sharesBytes })
    const text = 'x'.repeat(size)
    let bytes = 0
    if (isShared) bytes = send(clients, { text })
    else for (const slow of clients) bytes += send([slow], { text })
    await endOfTurn()
    await endOfTurn()
    return { clients, bytes }
  }

  test.each([true, false])(
    'counts until it is sent, or the link ends (shared bytes: %s)',
    async (sharesBytes) => {
      const all = setup(2 ** 20)
      const { clients, bytes } = await filled(all, ['close', 'drop', 'latest'], { size: 50_000, sharesBytes })
      expect(all.host.backlog.totalBytes).toBe(bytes)
      for (const [index, slow] of clients.entries()) {
        if (index === 0) slow.outbox.shut()
        else readAll(slow)
        await endOfTurn()
        expect(all.host.backlog.totalBytes).toBe((bytes * (2 - index)) / 3)
      }
    },
  )

  test('counts once where links share it, also with those who wait for the same', async () => {
    const all = setup(2 ** 20)
    const policies = Array.from({ length: 20 }, () => 'close' as const)
    const waiting = all.client('close')
    waiting.isWritable = false
    const { clients, bytes } = await filled(all, policies, { size: 50_000, isShared: true })
    expect(all.host.backlog.totalBytes).toBe(bytes)
    // A run of several is a copy of them: those who wait for the frames have others. It is made once, whenever it is written.
    for (const slow of clients) slow.isWritable = true
    for (const slow of clients) slow.outbox.flush()
    expect(all.host.backlog.totalBytes).toBe(0)
    for (const slow of clients) slow.isWritable = false
    let run = 0
    for (let i = 0; i < 10; i++) run += all.send([...clients, waiting], { text: 'x'.repeat(5_000) })
    await endOfTurn()
    expect(all.host.backlog.totalBytes).toBe(run)
    for (const slow of clients) {
      slow.isWritable = true
      slow.outbox.flush()
      await endOfTurn()
      await endOfTurn()
    }
    expect(all.host.backlog.totalBytes).toBe(2 * run)
    for (const slow of [...clients, waiting]) readAll(slow)
    expect(all.host.backlog.totalBytes).toBe(0)
  })

  test('does not count where the link is free again by the next turn', async () => {
    const all = setup(2 ** 20)
    const quick = all.client('close')
    Object.assign(quick, { takesOneWrite: true, keepsUnsent: true })
    for (let i = 0; i < 10; i++) {
      all.send([quick], { text: 'x'.repeat(50_000) })
      setImmediate(() => {
        quick.isWritable = true
        quick.outbox.flush()
      })
      await endOfTurn()
      expect(all.host.backlog.totalBytes).toBe(0)
    }
    expect(quick.messages).toHaveLength(10)
  })

  test.each(['close', 'drop', 'latest'] as const)('%s: leaves less room for what waits', async (policy) => {
    const all = setup(100_000)
    const { clients, bytes } = await filled(all, [policy], { size: 50_000 })
    const [slow] = clients as [FakeClient]
    let waiting = 0
    while (!slow.isOverflowed && slow.droppedCount === 0) {
      expect(waiting).toBeLessThanOrEqual(100_000 - bytes)
      waiting += all.send([slow], { text: 'x'.repeat(900) })
      await endOfTurn()
    }
    expect(waiting).toBeGreaterThan(100_000 - bytes)
    expect(slow.isOverflowed).toBe(policy === 'close')
    expect(all.host.backlog.totalBytes).toBeLessThanOrEqual(100_000)
  })

  test('leaves a quarter of the bound, however large it is: what is read next must not be lost for it', async () => {
    const all = setup(100_000)
    const { clients, bytes } = await filled(all, ['close', 'drop'], { size: 300_000 })
    let waiting = 0
    while (waiting < 24_000) waiting += all.send(clients, { text: 'x'.repeat(900) })
    await endOfTurn()
    expect(clients.map(({ isOverflowed, droppedCount }) => [isOverflowed, droppedCount])).toEqual([
      [false, 0],
      [false, 0],
    ])
    for (let i = 0; i < 5; i++) all.send(clients, { text: 'x'.repeat(900) })
    await endOfTurn()
    const [closing, dropping] = clients as [FakeClient, FakeClient]
    expect(closing.isOverflowed).toBe(true)
    expect(dropping.isOverflowed).toBe(false)
    // As large as the first: it does not fit, and the policy says what becomes of it.
    all.send([dropping], { text: 'x'.repeat(300_000) })
    await endOfTurn()
    expect(dropping.isOverflowed).toBe(false)
    expect(all.host.backlog.totalBytes).toBeLessThanOrEqual(bytes + 25_000)
    readAll(dropping)
    expect(dropping.messages.length + dropping.told).toBe(all.count() - 1)
  })

  test('in all links together it is bounded: who has most is cut, since nothing else frees it', async () => {
    const all = setup(1_000_000, 400_000)
    const policies = (['close', 'drop', 'latest'] as const).flatMap((policy) => [policy, policy, policy])
    const { clients, bytes } = await filled(all, policies, { size: 100_000 })
    expect(bytes).toBeGreaterThan(900_000)
    expect(all.host.backlog.totalBytes).toBeLessThanOrEqual(400_000)
    await endOfTurn()
    const cut = clients.filter(({ isCut }) => isCut)
    expect(cut).toHaveLength(6)
    // It could not be told anything.
    for (const { isOverflowed, lines } of cut) expect([isOverflowed, lines.length]).toEqual([false, 1])
    for (const slow of clients) readAll(slow)
    expect(all.host.backlog.totalBytes).toBe(0)
  })

  test('who closes counts until it is gone, and is cut when room is needed', async () => {
    const all = setup(1_000_000, 400_000)
    const { clients } = await filled(all, ['drop', 'drop'], { size: 150_000 })
    const [closing, staying] = clients as [FakeClient, FakeClient]
    all.send([closing], { text: 'x'.repeat(50_000) })
    await endOfTurn()
    const before = all.host.backlog.totalBytes
    expect(closing.outbox.finish(Buffer.from('{"close":{}}\n'))).toBe(false)
    await endOfTurn()
    expect(all.host.backlog.totalBytes).toBe(before)
    for (let i = 0; i < 60; i++) all.send([staying], { text: 'x'.repeat(900) })
    await endOfTurn()
    await endOfTurn()
    expect([closing.isCut, staying.isCut, staying.droppedCount]).toEqual([true, false, 0])
    expect(all.host.backlog.totalBytes).toBeLessThan(before)
  })

  test('what a link has for itself is counted anew before its client must give way', async () => {
    const all = setup(1_000_000, 400_000)
    const { clients } = await filled(all, ['drop', 'drop'], { size: 190_000, sharesBytes: false })
    const [reading] = clients as [FakeClient]
    reading.unsentBytes = 1_000
    for (let i = 0; i < 60; i++) all.send([reading], { text: 'x'.repeat(900) })
    await endOfTurn()
    expect(clients.map(({ isCut, droppedCount }) => [isCut, droppedCount])).toEqual([
      [false, 0],
      [false, 0],
    ])
    expect(all.host.backlog.totalBytes).toBeLessThan(270_000)
    for (const slow of clients) readAll(slow)
    expect(all.host.backlog.totalBytes).toBe(0)
  })
})

test('all backlogs together are bounded too: who reads too slowly then gives way', async () => {
  const { client, send, host } = setup(100_000, 150_000)
  const readers = Array.from({ length: 10 }, () => client('drop'))
  const patient = client('close')
  for (const slow of [...readers, patient]) slow.isWritable = false
  for (let i = 0; i < 1_000; i++)
    for (const slow of [...readers, patient]) send([slow], { text: 'x'.repeat(50) })
  await endOfTurn()
  expect(host.backlog.totalBytes).toBeLessThanOrEqual(150_000)
  expect(readers.every(({ isOverflowed }) => !isOverflowed)).toBe(true)
  for (const slow of readers) {
    slow.isWritable = true
    for (let drains = 0; drains < 10; drains++) slow.outbox.flush()
    expect(slow.messages.length + slow.told).toBe(1_000)
  }
})

describe('when all backlogs together are too much', () => {
  const TOTAL = 200_000

  /** Stopped readers under a policy, each with so many bytes of its own. */
  function stopped({ client, send }: ReturnType<typeof setup>, policy: SlowPolicy, bytes: readonly number[]) {
    return bytes.map((most) => {
      const slow = client(policy)
      slow.isWritable = false
      for (let sum = 0; sum < most; ) sum += send([slow], { text: 'x'.repeat(900) })
      return slow
    })
  }

  // Symptom: a reader that had ten messages waiting lost them all, because others that had stopped long ago filled the hub, and it was the next to be
  // sent something.
  test('the one with most gives way, not the one that is sent something', async () => {
    const all = setup(150_000, TOTAL)
    const [large, small] = stopped(all, 'drop', [140_000, 40_000]) as [FakeClient, FakeClient]
    await endOfTurn()
    const sent = all.count()
    for (let i = 0; i < 40; i++) all.send([small], { text: 'x'.repeat(900) })
    expect(all.host.backlog.totalBytes).toBeLessThanOrEqual(TOTAL)
    expect(small.droppedCount).toBe(0)
    expect(large.droppedCount).toBeGreaterThan(0)
    readAll(large)
    readAll(small)
    expect(large.messages.length + large.told + small.messages.length).toBe(sent + 40)
  })

  test.each(['drop', 'latest', 'close'] as const)('%s: it gives way by its policy', async (policy) => {
    const all = setup(150_000, TOTAL)
    const [large] = stopped(all, policy, [140_000]) as [FakeClient]
    const others = stopped(all, 'close', [50_000, 40_000])
    await endOfTurn()
    // Who gives up says so after the turn.
    await endOfTurn()
    expect(large.isOverflowed).toBe(policy === 'close')
    expect(large.droppedCount > 0).toBe(policy !== 'close')
    for (const other of others) expect(other.isOverflowed).toBe(false)
  })

  test('newest values are not dropped: who has most of them comes back for them', async () => {
    const all = setup(150_000, TOTAL)
    const boards = [3, 2, 1].map((board) => {
      const slow = all.client('latest')
      slow.isWritable = false
      for (let i = 0; i < 45 + 25 * board; i++)
        all.send([slow], { key: `${board} ${i}`, text: 'x'.repeat(900) })
      return slow
    })
    await endOfTurn()
    await endOfTurn()
    expect(all.host.backlog.totalBytes).toBeLessThanOrEqual(TOTAL)
    expect(boards.map(({ isOverflowed }) => isOverflowed)).toEqual([true, false, false])
    expect(boards.map(({ droppedCount }) => droppedCount)).toEqual([0, 0, 0])
    for (const board of boards) readAll(board)
    expect(boards.map(({ messages }) => messages.length)).toEqual([0, 95, 70])
  })

  test('what many wait for is a small part of each: who has most for itself gives way', async () => {
    const all = setup(150_000, TOTAL)
    const sharing = Array.from({ length: 20 }, () => all.client('drop'))
    for (const [index, slow] of sharing.entries()) {
      slow.isWritable = false
      // A frame of its own: their batches are not the same, only what is in them.
      if (index % 2 === 0) all.send([slow], { text: 'x'.repeat(10 * index) })
    }
    for (let sum = 0; sum < 130_000; ) sum += all.send(sharing, { text: 'x'.repeat(900) })
    const [alone] = stopped(all, 'drop', [90_000]) as [FakeClient]
    await endOfTurn()
    expect(all.host.backlog.totalBytes).toBeLessThanOrEqual(TOTAL)
    expect(alone.droppedCount).toBeGreaterThan(0)
    for (const slow of sharing) expect(slow.droppedCount).toBe(0)
  })

  test('where all is shared, those who share it give way together', async () => {
    const all = setup(150_000, TOTAL)
    const pairs = [1, 2, 3].map(() => [all.client('drop'), all.client('drop')])
    for (const pair of pairs) {
      for (const slow of pair) slow.isWritable = false
      for (let sum = 0; sum < 90_000; ) sum += all.send(pair, { text: 'x'.repeat(900) })
    }
    await endOfTurn()
    expect(all.host.backlog.totalBytes).toBeLessThanOrEqual(TOTAL)
    expect(all.host.backlog.totalBytes).toBeGreaterThan(TOTAL / 2)
    for (const slow of pairs.flat()) {
      expect(slow.isOverflowed).toBe(false)
      readAll(slow)
    }
    expect(all.host.backlog.totalBytes).toBe(0)
  })

  // Symptom: five thousand readers that had stopped held 145 MB, and the hub counted nothing. Cause: of each the newest 64 KiB were not counted.
  test('what has come since the link was congested counts, too, but for the newest 8 KiB of each', async () => {
    const all = setup(2 ** 20)
    const readers = Array.from({ length: 20 }, () => all.client('close'))
    for (const slow of readers) slow.isWritable = false
    let bytes = 0
    for (let i = 0; i < 40; i++) {
      for (const slow of readers) bytes += all.send([slow], { text: 'x'.repeat(900) })
      await endOfTurn()
      expect(all.host.backlog.totalBytes).toBeLessThanOrEqual(bytes)
      expect(all.host.backlog.totalBytes).toBeGreaterThanOrEqual(bytes - readers.length * 8 * 1024)
    }
    expect(all.host.backlog.totalBytes).toBeGreaterThan(500_000)
    for (const [index, slow] of readers.entries()) {
      if (index % 3 === 0) slow.outbox.shut()
      else if (index % 3 === 1) slow.outbox.finish(null)
      if (index % 3 !== 0) readAll(slow)
      await endOfTurn()
      expect(slow.messages).toHaveLength(index % 3 === 0 ? 0 : 40)
    }
    expect(all.host.backlog.totalBytes).toBe(0)
  })

  // Symptom: the property below failed once in 400 runs, two bytes above the bound. Cause: what was pending of who closes was counted to its
  // end, and nobody gave way for it.
  test('who closes has the rest of what is pending counted: somebody gives way', async () => {
    const all = setup(2 ** 20, 90_000)
    const [staying, closing] = [all.client('close'), all.client('close')]
    for (const slow of [staying, closing]) slow.isWritable = false
    for (let i = 0; i < 85; i++) all.send([staying], { text: 'x'.repeat(950) })
    all.send([closing], { text: 'x'.repeat(6_000) })
    await endOfTurn()
    expect(all.host.backlog.totalBytes).toBeLessThanOrEqual(90_000)
    expect(closing.outbox.finish(null)).toBe(false)
    expect(all.host.backlog.totalBytes).toBeLessThanOrEqual(90_000)
    await endOfTurn()
    expect([staying.isOverflowed, closing.isOverflowed, closing.isCut]).toEqual([true, false, false])
  })

  test('a run of one turn counts, however long, and is shared by those who get the same', async () => {
    const all = setup(2 ** 20)
    const readers = Array.from({ length: 20 }, () => all.client('close'))
    for (const slow of readers) slow.isWritable = false
    let bytes = 0
    while (bytes < 60_000) bytes += all.send(readers, { text: 'x'.repeat(900) })
    await endOfTurn()
    expect(all.host.backlog.totalBytes).toBe(bytes)
  })

  test('the bound holds at each step, whoever shares what, and all is let go of in the end', async () => {
    const clients = 6
    const step = fc.oneof(
      {
        weight: 8,
        arbitrary: fc.record({
          do: fc.constant('send' as const),
          to: fc.uniqueArray(fc.nat(clients - 1), { minLength: 1 }),
          key: fc.option(fc.nat(3)),
          slow: fc.option(fc.constantFrom('close' as const, 'drop' as const, 'latest' as const)),
          size: fc.nat(6_000),
          times: fc.integer({ min: 1, max: 8 }),
        }),
      },
      {
        weight: 2,
        arbitrary: fc.record({ do: fc.constant('toggle' as const), client: fc.nat(clients - 1) }),
      },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('end' as const), client: fc.nat(clients - 1) }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('close' as const), client: fc.nat(clients - 1) }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('turn' as const) }) },
    )
    const perClient = { minLength: clients, maxLength: clients }
    const policies = fc.array(
      fc.constantFrom('close' as const, 'drop' as const, 'latest' as const),
      perClient,
    )
    const link = fc.record({
      takesOneWrite: fc.boolean(),
      keepsUnsent: fc.boolean(),
      sharesBytes: fc.boolean(),
    })
    const links = fc.array(link, perClient)
    await fc.assert(
      fc.asyncProperty(policies, links, fc.array(step, { maxLength: 80 }), async (given, kinds, steps) => {
        const { client, send, host } = setup(60_000, 90_000)
        const readers = given.map((policy, index) => Object.assign(client(policy), kinds[index]))
        const ended = new Set<FakeClient>()
        const newest = readers.map(() => new Map<number, number>())
        let n = 0
        for (const action of steps) {
          if (action.do === 'send') {
            for (let i = 0; i < action.times; i++) {
              const { key, slow, size } = action
              const to = action.to.map((index) => readers[index] as FakeClient)
              send(to, { ...(key !== null && { key: `k${key}` }), text: 'x'.repeat(size) }, slow)
              for (const index of action.to)
                if (key !== null && (slow ?? given[index]) === 'latest') newest[index]?.set(key, n)
              n++
              expect(host.backlog.totalBytes).toBeLessThanOrEqual(90_000)
            }
          } else if (action.do === 'turn') {
            await endOfTurn()
          } else {
            const reader = readers[action.client] as FakeClient
            if (action.do === 'end') {
              ended.add(reader)
              reader.outbox.shut()
            } else if (action.do === 'close') {
              ended.add(reader)
              reader.outbox.finish(Buffer.from('{"close":{}}\n'))
            } else {
              reader.isWritable = !reader.isWritable
              if (reader.isWritable) reader.outbox.flush()
            }
          }
          expect(host.backlog.totalBytes).toBeLessThanOrEqual(90_000)
        }
        await endOfTurn()
        for (const [index, reader] of readers.entries()) {
          readAll(reader)
          await endOfTurn()
          if (reader.isOverflowed || reader.isCut || ended.has(reader)) continue
          const got = reader.messages.map((message) => message.n)
          expect(got).toEqual(got.toSorted((a, b) => a - b))
          expect(reader.told).toBe(reader.droppedCount)
          for (const value of newest[index]?.values() ?? []) expect(got).toContain(value)
        }
        expect(host.backlog.totalBytes).toBe(0)
      }),
      { numRuns: Number(process.env.GROUPCAST_RUNS ?? 200) },
    )
  })
})

/** Random sends, congestion and turns; what arrives is what a plain list with the same policy would give. */
test.each(['close', 'drop', 'latest'] as const)(
  '%s: order, completeness and bounds hold whatever happens',
  async (policy) => {
    const step = fc.oneof(
      {
        weight: 8,
        arbitrary: fc.record({
          do: fc.constant('send' as const),
          key: fc.option(fc.nat(3)),
          size: fc.nat(300),
        }),
      },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('toggle' as const), client: fc.nat(2) }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('turn' as const) }) },
    )
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 150 }), async (steps) => {
        const { client, send } = setup(2_000)
        const clients = [client(policy), client(policy), client(policy)]
        const sent: { n: number; key: string | undefined }[] = []
        for (const action of steps) {
          if (action.do === 'send') {
            const key = action.key === null ? undefined : `k${action.key}`
            sent.push({ n: sent.length, key })
            send(clients, { ...(key !== undefined && { key }), text: 'x'.repeat(action.size) })
          } else if (action.do === 'turn') {
            await endOfTurn()
          } else {
            const toggled = clients[action.client] as FakeClient
            toggled.isWritable = !toggled.isWritable
            if (toggled.isWritable) toggled.outbox.flush()
          }
        }
        await endOfTurn()
        for (const reader of clients) {
          reader.isWritable = true
          for (let drains = 0; drains < 20; drains++) reader.outbox.flush()
          await endOfTurn()
          const got = reader.messages.map(({ n }) => n)
          expect(got).toEqual(got.toSorted((a, b) => a - b))
          expect(new Set(got).size).toBe(got.length)
          expect(reader.told).toBe(reader.droppedCount)
          if (policy === 'close') {
            expect(reader.told).toBe(0)
            // Everything, or everything up to where it was given up.
            if (!reader.isOverflowed) expect(got).toEqual(sent.map(({ n }) => n))
            else expect(got).toEqual(sent.slice(0, got.length).map(({ n }) => n))
          } else {
            expect(reader.isOverflowed).toBe(false)
          }
          if (policy === 'drop') expect(got.length + reader.told).toBe(sent.length)
          if (policy === 'latest') {
            const newest = new Map(sent.flatMap(({ n, key }) => (key === undefined ? [] : [[key, n]])))
            for (const n of newest.values()) expect(got).toContain(n)
            const replaced = sent.filter(
              ({ key }, i) => key !== undefined && sent.slice(i + 1).some((later) => later.key === key),
            )
            // What is missing was replaced by a newer one of its key, or dropped and told.
            const missing = sent.filter(({ n }) => !got.includes(n))
            const unexplained = missing.filter((message) => !replaced.includes(message))
            expect(unexplained.length).toBeLessThanOrEqual(reader.told)
          }
        }
      }),
      { numRuns: 150 },
    )
  },
)
