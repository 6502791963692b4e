/**
 * Every rate, exceeded on every transport: an error that says when to come back, then a close; and nobody else notices. Time stands still unless
 * a test turns it, so that nothing is earned back.
 */
import { memoryBroker, memoryLayer, type Rates, Refusal } from 'groupcast'
import { manualClock } from 'groupcast/testing'
import { describe, expect, test } from 'vitest'
import { ERRORS } from '../../src/errors.ts'
import { REFUSED_FOR } from '../../src/rates.ts'
import { CLIENT_KINDS, type ClientKind, type TestClient } from '../support/clients.ts'
import { startTestHub, type TestHub } from '../support/hub-server.ts'
import { trackingConsumer } from '../support/tracking-consumer.ts'
import { until, within } from '../support/until.ts'

const STREAMS = ['sse', 'sse+envelope', 'ndjson'] as const
const CLOSE_CODE = ERRORS['rate-exceeded'].closeCode
/** Only the rate under test, so that no other is in the way. */
const NO_RATES: Partial<Rates> = Object.fromEntries(REFUSED_FOR.map((name) => [name, false]))

async function start(rates: Partial<Rates>, options: Parameters<typeof startTestHub>[0] = {}) {
  const clock = manualClock()
  const testHub = await startTestHub({ clock, rates: { ...NO_RATES, ...rates }, ...options })
  const consumer = trackingConsumer()
  testHub.hub.consumer('/track', consumer)
  return { ...testHub, clock, consumer }
}

type Started = Awaited<ReturnType<typeof start>>

/** What a client heard about one thing that it asked for: nothing (`taken`), or an error and when to retry. */
interface Heard {
  readonly code: string
  readonly retryAfterMs?: number
}

const TAKEN: Heard = { code: 'taken' }
const errorsOf = (client: TestClient) => client.controls.filter((control) => 'error' in control)

/** Sends a message as the client's transport does, and waits for what comes of it. */
async function say({ url, consumer }: Started, client: TestClient, message: object): Promise<Heard> {
  const { length } = consumer.received
  if (client.kind.startsWith('websocket')) {
    const refusals = errorsOf(client).length
    let closed: Heard | null = null
    void client.ended.then(({ code, reason }) => {
      closed = { code: String(code), retryAfterMs: Number(/retry in (\d+) ms$/.exec(reason)?.[1]) }
    })
    await client.send(client.kind === 'websocket' ? message : { send: message, reply: 1 })
    const isAnswered = () => consumer.received.length > length || errorsOf(client).length > refusals
    await until('something comes of it', () => isAnswered() || closed !== null)
    if (closed !== null) return closed
    return consumer.received.length > length ? TAKEN : (errorsOf(client).at(-1)?.error as Heard)
  }
  await until('its id has come', () => client.id !== null)
  const headers = { 'Groupcast-Connection': client.id ?? '', 'Content-Type': 'application/json' }
  const answer = await fetch(`${url}/track`, { method: 'POST', headers, body: JSON.stringify(message) })
  if (answer.status === 202) {
    await until('it has come', () => consumer.received.length > length)
    return TAKEN
  }
  const problem = (await answer.json()) as Required<Heard> & { status: number }
  expect([answer.status, problem.status]).toEqual([429, 429])
  expect(answer.headers.get('retry-after')).toBe(String(Math.ceil(problem.retryAfterMs / 1000)))
  return { code: problem.code, retryAfterMs: problem.retryAfterMs }
}

/** What a client is told that is refused, on its transport. A plain WebSocket can be told nothing but by its close. */
const refusedAs = (kind: ClientKind) => (kind === 'websocket' ? String(CLOSE_CODE) : 'rate-exceeded')

describe.each(CLIENT_KINDS)('%s', (kind) => {
  const message = { type: 'm', text: 'x'.repeat(82) }

  test.each<[string, Partial<Rates>]>([
    ['messagesPerConnection', { messagesPerConnection: 2, messagesPerConnectionBurst: 3 }],
    // 100 bytes, and the envelope of those that have one.
    ['bytesPerConnection', { bytesPerConnection: 200, bytesPerConnectionBurst: 390 }],
  ])('%s: refused with a time, taken after it; the neighbour notices nothing', async (name, rates) => {
    const started = await start(rates)
    const { hub, open, clock } = started
    const client = await open(kind, '/track')
    const neighbour = await open(kind, '/track')
    for (let n = 0; n < 3; n++) expect(await say(started, client, message)).toEqual(TAKEN)
    const refused = await say(started, client, message)
    expect(refused).toMatchObject({ code: refusedAs(kind), retryAfterMs: expect.any(Number) })
    expect(refused.retryAfterMs).toBeGreaterThan(0)
    expect(await say(started, neighbour, message)).toEqual(TAKEN)
    expect(Reflect.get(hub.stats.rateRefusals, name)).toBe(1)
    if (kind === 'websocket') return
    clock.advance(refused.retryAfterMs ?? 0)
    expect(await say(started, client, message)).toEqual(TAKEN)
  })

  test('whoever goes on after as many refusals as the burst is closed, to come back later', async () => {
    const started = await start({ messagesPerConnection: 1, messagesPerConnectionBurst: 3 })
    const { hub, open, consumer, errors } = started
    const client = await open(kind, '/track?group=a')
    const neighbour = await open(kind, '/track?group=a')
    const heard: string[] = []
    for (let n = 0; n < 7 && !heard.includes(String(CLOSE_CODE)); n++) {
      heard.push((await say(started, client, message)).code)
    }
    const { code, reason } = await within('the end', client.ended)
    expect([code, reason]).toEqual([CLOSE_CODE, expect.stringMatching(/retry in \d+ ms$/)])
    const refusals = kind === 'websocket' ? [] : Array(3).fill('rate-exceeded')
    const last = kind.startsWith('websocket') ? [String(CLOSE_CODE)] : ['rate-exceeded']
    expect(heard).toEqual([...Array(3).fill('taken'), ...refusals, ...last])
    // An event stream says it in `retry`, too; the others in what `close` says.
    if (kind.startsWith('sse')) expect(client.retries.at(-1)).toBeGreaterThan(3_000)
    if (!kind.startsWith('websocket')) {
      expect(client.controls.at(-1)).toMatchObject({
        close: { code: CLOSE_CODE, retryAfterMs: expect.any(Number) },
      })
    }
    await until('its disconnect has run', () => consumer.ended.length === 1)
    await hub.groupSend('a', { type: 'after' })
    await until('the neighbour has it', () => neighbour.messages.length === 1)
    expect(errors).toEqual([])
  })

  test.each<[string, Partial<Rates>]>([
    ['messagesPerIdentity', { messagesPerIdentity: 2, messagesPerIdentityBurst: 3 }],
    ['bytesPerIdentity', { bytesPerIdentity: 200, bytesPerIdentityBurst: 390 }],
  ])('%s: counted over all connections of an identity, and for no other', async (name, rates) => {
    const authenticate = ({ query }: { query: URLSearchParams }) => ({ id: query.get('id') ?? '' })
    const started = await start(rates, { authenticate })
    const { hub, open, clock } = started
    const clients = [await open(kind, '/track?id=ann'), await open(kind, '/track?id=ann')] as const
    const bob = await open(kind, '/track?id=bob')
    for (const client of [...clients, clients[0]]) {
      expect(await say(started, client, message)).toEqual(TAKEN)
    }
    const refused = await say(started, clients[1], message)
    expect(refused).toMatchObject({ code: refusedAs(kind), retryAfterMs: expect.any(Number) })
    expect(await say(started, bob, message)).toEqual(TAKEN)
    expect(Reflect.get(hub.stats.rateRefusals, name)).toBe(1)
    clock.advance(refused.retryAfterMs ?? 0)
    expect(await say(started, clients[0], message)).toEqual(TAKEN)
  })

  test('joinsPerIdentity: the groups of the URL count, and a client that asks for too many is told when to come back', async () => {
    const authenticate = ({ query }: { query: URLSearchParams }) => ({ id: query.get('id') ?? '' })
    const { hub, open, clock } = await start(
      { joinsPerIdentity: 1, joinsPerIdentityBurst: 3 },
      { authenticate },
    )
    hub.consumer('/checked', {
      connect: (connection) => connection.join('a', { checked: true }),
      authorize: () => true,
    })
    for (let n = 0; n < 3; n++) await open(kind, '/checked?id=ann')
    await expectTurnedAway(await open(kind, '/checked?id=ann'))
    expect((await open(kind, '/checked?id=bob')).status).toBe(kind.startsWith('websocket') ? 101 : 200)
    clock.advance(2_000)
    const later = await open(kind, '/checked?id=ann')
    await until('it is in', () => hub.stats.opened === 5)
    later.close()
  })
})

describe('joins', () => {
  test.each(['websocket+envelope', ...STREAMS] as const)(
    '%s: refused with a time and not done; whoever goes on is closed',
    async (kind) => {
      const { hub, open, clock } = await start({ joinsPerConnection: 1, joinsPerConnectionBurst: 2 })
      const client = await open(kind, '/events?group=a')
      const neighbour = await open(kind, '/events?group=a')
      const replies = () => client.controls.filter((control) => 'reply' in control)
      const join = async (group: string) => {
        const { length } = replies()
        await client.send({ join: group, reply: length + 1 })
        await until('it is answered', () => replies().length > length)
        return replies().at(-1)
      }
      // Groups of the URL do not count: they are bounded by themselves.
      expect(await join('b')).toMatchObject({ result: { group: 'b' } })
      expect(await join('c')).toMatchObject({ result: { group: 'c' } })
      const { error } = (await join('d')) as { error: Required<Heard> }
      expect(error).toMatchObject({ code: 'rate-exceeded', retryAfterMs: expect.any(Number) })
      expect(hub.groups().map(({ name }) => name)).toEqual(['a', 'b', 'c'])
      clock.advance(error.retryAfterMs)
      expect(await join('d')).toMatchObject({ result: { group: 'd' } })
      for (let n = 0; n < 2; n++) await join(`e${n}`)
      await client.send({ join: 'f' })
      expect((await within('the end', client.ended)).code).toBe(CLOSE_CODE)
      await hub.groupSend('a', { type: 'after' })
      await until('the neighbour has it', () => neighbour.messages.length === 1)
    },
  )
})

/** What a client hears that is turned away at the door, in the words of its transport; returns when it may come back. */
async function expectTurnedAway(client: TestClient, code: keyof typeof ERRORS = 'rate-exceeded') {
  const end = await within('the end', client.ended)
  const { closeCode } = ERRORS[code]
  if (client.kind.startsWith('sse')) {
    // An EventSource would give up for good on any other status.
    expect([client.status, end.code]).toEqual([200, closeCode])
    expect(client.retries.at(-1)).toBeGreaterThanOrEqual(1_000)
    return
  }
  // Of a consumer's refusal a WebSocket hears by its close frame.
  if (client.status === 101) {
    expect(end.code).toBe(closeCode)
    return
  }
  expect(client.status).toBe(429)
  const problem = JSON.parse(client.body) as Required<Heard>
  expect(problem).toMatchObject({ status: 429, code, retryAfterMs: expect.any(Number) })
}

const PROXY = { trustedProxies: ['127.0.0.1'] }
const from = (address: string) => ({ headers: { 'X-Forwarded-For': address } })

describe.each(CLIENT_KINDS)('addresses: %s', (kind) => {
  const isIn = (client: TestClient) => [101, 200].includes(client.status ?? 0) && client.body === ''

  test('handshakesPerAddress: too many are turned away without a connection; others get in', async () => {
    const { open, consumer, clock, hub } = await start(
      { handshakesPerAddress: 1, handshakesPerAddressBurst: 2 },
      PROXY,
    )
    for (let n = 0; n < 2; n++) await open(kind, '/track', from('203.0.113.1'))
    for (let n = 0; n < 3; n++) await expectTurnedAway(await open(kind, '/track', from('203.0.113.1')))
    expect(isIn(await open(kind, '/track', from('203.0.113.2')))).toBe(true)
    // A refusal costs nothing: whoever waits is let in.
    clock.advance(1_000)
    expect(isIn(await open(kind, '/track', from('203.0.113.1')))).toBe(true)
    await until('all are in', () => consumer.began === 4)
    expect(hub.stats.rateRefusals.handshakesPerAddress).toBe(3)
  })

  test('an address of IPv6 is counted with its network, one of IPv4 in any form', async () => {
    const { open } = await start({ handshakesPerAddress: 1, handshakesPerAddressBurst: 1 }, PROXY)
    await open(kind, '/track', from('2001:db8::1'))
    await expectTurnedAway(await open(kind, '/track', from('2001:db8::ffff:1')))
    expect(isIn(await open(kind, '/track', from('2001:db8:0:1::1')))).toBe(true)
    await open(kind, '/track', from('203.0.113.1'))
    await expectTurnedAway(await open(kind, '/track', from('::ffff:203.0.113.1')))
  })

  test('without a named proxy headers count for nothing; loopback is exempt unless it is not', async () => {
    const rates = { handshakesPerAddress: 1, handshakesPerAddressBurst: 1 }
    const exempt = await start(rates)
    for (let n = 0; n < 3; n++) expect(isIn(await exempt.open(kind, '/track'))).toBe(true)
    const { open } = await start({ ...rates, exemptAddresses: [] })
    await open(kind, '/track', from('203.0.113.1'))
    await expectTurnedAway(await open(kind, '/track', from('203.0.113.2')))
  })

  test('connectionsPerAddress: so many at a time', async () => {
    const { open, hub } = await start({ connectionsPerAddress: 2 }, PROXY)
    const first = await open(kind, '/track', from('203.0.113.1'))
    await open(kind, '/track', from('203.0.113.1'))
    await expectTurnedAway(await open(kind, '/track', from('203.0.113.1')), 'too-many-connections')
    expect(isIn(await open(kind, '/track', from('203.0.113.2')))).toBe(true)
    await until('all are in', () => hub.stats.opened === 3)
    first.close()
    await until('it has left', () => Object.values(hub.stats.connections).includes(2))
    expect(isIn(await open(kind, '/track', from('203.0.113.1')))).toBe(true)
  })

  test('failedAuthenticationsPerAddress: beyond it nobody from there is asked who it is', async () => {
    const asked: string[] = []
    const { open, clock, hub } = await start(
      { failedAuthenticationsPerAddress: 1, failedAuthenticationsPerAddressBurst: 2 },
      {
        ...PROXY,
        authenticate: ({ query, remoteAddress }) => {
          asked.push(remoteAddress)
          if (query.get('token') !== 'good') throw new Refusal('invalid-token')
          return { id: 'ann' }
        },
      },
    )
    const bad = () => open(kind, '/track?token=bad', from('203.0.113.1'))
    const good = (address: string) => open(kind, '/track?token=good', from(address))
    // Those that succeed do not count.
    for (let n = 0; n < 3; n++) await good('203.0.113.1')
    for (let n = 0; n < 2; n++) await within('the end', (await bad()).ended)
    asked.length = 0
    await expectTurnedAway(await bad())
    await expectTurnedAway(await good('203.0.113.1'))
    expect(asked).toEqual([])
    expect(isIn(await good('203.0.113.2'))).toBe(true)
    clock.advance(1_000)
    expect(isIn(await good('203.0.113.1'))).toBe(true)
    await until('they are in', () => hub.stats.opened === 5)
    expect(hub.stats).toMatchObject({
      failedAuthentications: 2,
      rateRefusals: { failedAuthenticationsPerAddress: 2 },
      authenticationSeconds: { count: 7 },
    })
  })

  test('attempts to authenticate that are made at once are no more than those one after another', async () => {
    // The rate was looked at before, and counted after the answer: of 600 attempts at once all were asked about, with a burst of 5.
    const ends: (() => void)[] = []
    const { open, clock, hub } = await start(
      { failedAuthenticationsPerAddress: 1, failedAuthenticationsPerAddressBurst: 2 },
      {
        ...PROXY,
        limits: { authenticateTimeoutMs: 60_000, handshakeTimeoutMs: 60_000 },
        authenticate: async ({ query }) => {
          await new Promise<void>((resolve) => ends.push(resolve))
          if (query.get('token') !== 'good') throw new Refusal('invalid-token')
          return { id: 'ann' }
        },
      },
    )
    const attempt = (token: string, address = '203.0.113.1') =>
      open(kind, `/track?token=${token}`, from(address))
    const opening = Array.from({ length: 10 }, () => attempt('bad'))
    const outcomes = Promise.all(
      opening.map(async (client) => (await within('the end', (await client).ended)).code),
    )
    await until('the others are refused', () => hub.stats.denied === 8)
    // Somebody else does not wait for that.
    const other = attempt('good', '203.0.113.2')
    await until('three are asked', () => ends.length === 3)
    for (const end of ends.splice(0)) end()
    expect(isIn(await other)).toBe(true)
    await outcomes
    expect(hub.stats).toMatchObject({
      denied: 10,
      failedAuthentications: 2,
      rateRefusals: { failedAuthenticationsPerAddress: 8 },
    })
    // What has succeeded is not held against anybody.
    for (const seconds of [1, 0, 0]) {
      clock.advance(seconds * 1_000)
      const good = attempt('good')
      await until('it is asked', () => ends.length === 1)
      ends.pop()?.()
      expect(isIn(await good)).toBe(true)
    }
  })

  test('nothing is left of those who came and went', async () => {
    const { open, hub, consumer } = await start({ connectionsPerAddress: 2 }, PROXY)
    for (let n = 0; n < 5; n++) {
      const client = await open(kind, '/track', from('203.0.113.1'))
      await until('it is in', () => hub.stats.opened === n + 1)
      client.close()
      await until('it has left', () => consumer.ended.length === n + 1)
    }
    expect(hub.stats.rateRefusals.connectionsPerAddress).toBe(0)
  })
})

describe('posts', () => {
  const post = ({ url }: TestHub, id: string, address: string) =>
    fetch(`${url}/track`, {
      method: 'POST',
      headers: { 'Groupcast-Connection': id, 'X-Forwarded-For': address },
      body: '{"type":"m"}',
    })

  test('for connections that are not here are counted by address, before their bodies are read', async () => {
    const started = await start({ postsPerAddress: 1, postsPerAddressBurst: 2 }, PROXY)
    const client = await started.open('sse', '/track')
    await until('its id has come', () => client.id !== null)
    for (const id of ['nonsense', `${started.hub.nodeId}.gone`]) {
      expect((await post(started, id, '203.0.113.1')).status).toBe(404)
    }
    const refused = await post(started, 'nonsense', '203.0.113.1')
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '1'])
    expect((await post(started, 'nonsense', '203.0.113.2')).status).toBe(404)
    // Those for a connection that is here have a rate of their own.
    for (let n = 0; n < 3; n++) {
      expect((await post(started, client.id ?? '', '203.0.113.1')).status).toBe(202)
    }
  })

  test.each(STREAMS)('%s: through another node they count where the connection is', async (kind) => {
    const broker = memoryBroker()
    const rates = { messagesPerConnection: 1, messagesPerConnectionBurst: 2 }
    const here = await start(rates, { layer: memoryLayer({ broker }) })
    const there = await start(rates, { layer: memoryLayer({ broker }) })
    const client = await here.open(kind, '/track')
    await until('its id has come', () => client.id !== null)
    for (let n = 0; n < 3; n++) expect((await post(there, client.id ?? '', '')).status).toBe(202)
    await until('the refusal has come', () => errorsOf(client).length === 1)
    expect(errorsOf(client)).toMatchObject([{ reply: null, error: { code: 'rate-exceeded' } }])
    expect(here.consumer.received).toHaveLength(2)
    expect(there.hub.stats.rateRefusals.messagesPerConnection).toBe(0)
    for (let n = 0; n < 3; n++) await post(there, client.id ?? '', '')
    expect((await within('the end', client.ended)).code).toBe(CLOSE_CODE)
  })
})

test.each(CLIENT_KINDS)('%s: with `rates: false` nothing is refused', async (kind) => {
  const { hub, open, url } = await startTestHub({ rates: false })
  const consumer = trackingConsumer()
  hub.consumer('/track', consumer)
  const client = await open(kind, '/track')
  const isSocket = kind.startsWith('websocket')
  // More than the burst of the defaults, of which nothing can be earned back in the turn in which they are read.
  const count = isSocket ? 3_000 : 50
  if (!isSocket) await until('its id has come', () => client.id !== null)
  for (let n = 0; n < count; n++) {
    if (kind === 'websocket') await client.send({ type: 'm', n })
    else if (isSocket) await client.send({ send: { type: 'm', n } })
    else await postTo(`${url}/track`, client.id ?? '', n)
  }
  await until('all have come', () => consumer.received.length === count)
})

async function postTo(url: string, id: string, n: number): Promise<void> {
  const init = { method: 'POST', headers: { 'Groupcast-Connection': id }, body: `{"type":"m","n":${n}}` }
  let answer = await fetch(url, init)
  // Its consumer has not come to those before: that is another limit.
  while (answer.status === 429) answer = await fetch(url, init)
  expect(answer.status).toBe(202)
}
