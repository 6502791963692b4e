/** Who may connect, over real sockets on every transport: each refusal, each place for a token, expiry, revocation, tickets. */
import { type AuthenticationRequest, memoryBroker, memoryLayer, Refusal } from 'groupcast'
import { tokens } from 'groupcast/auth'
import { manualClock } from 'groupcast/testing'
import { describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { ERRORS, type ErrorCode } from '../../src/errors.ts'
import { encodeNodeMessage } from '../../src/hub/node-message.ts'
import { NODES_GROUP } from '../../src/names.ts'
import { CLIENT_KINDS, type TestClient } from '../support/clients.ts'
import { startTestHub } from '../support/hub-server.ts'
import { connectRaw, handshake } from '../support/raw.ts'
import { until, within } from '../support/until.ts'
import { now, SECRET, token } from './forge.ts'

const authenticate = tokens({
  key: { algorithm: 'HS256', secret: SECRET },
  cookie: 'session',
  query: 'token',
})
const bearer = (text = token()) => ({ Authorization: `Bearer ${text}` })

/** What a client hears that is refused, in the words of its transport (docs/protocol.md, section 5). */
async function expectRefused(client: TestClient, code: ErrorCode): Promise<void> {
  const { closeCode, httpStatus, comeBack } = ERRORS[code]
  if (client.kind.startsWith('websocket')) {
    expect((await within('the end', client.ended)).code).toBe(closeCode)
  } else if (client.kind !== 'ndjson' && comeBack) {
    expect(client.status).toBe(200)
    expect((await within('the end', client.ended)).code).toBe(closeCode)
  } else {
    await within('the end', client.ended)
    expect(client.status).toBe(httpStatus)
    expect(JSON.parse(client.body)).toMatchObject({ code })
  }
}

const control = (client: TestClient, name: string) => client.controls.find((object) => name in object)?.[name]

describe.each(CLIENT_KINDS)('%s', (kind) => {
  test.each<[string, Readonly<Record<string, string>>, ErrorCode]>([
    ['without a token', {}, 'unauthorized'],
    ['with a token that is none', bearer('nonsense'), 'invalid-token'],
    ['with an expired token', bearer(token({ exp: 1 })), 'invalid-token'],
    ['with a token of another kind of credentials', { Authorization: 'Basic YTpi' }, 'unauthorized'],
    ['with a scheme and no token', { Authorization: 'Bearer' }, 'bad-request'],
    ['with a token that no header may hold', { Authorization: 'Bearer a b' }, 'bad-request'],
    ['with a bad token in a cookie', { Cookie: 'session=nonsense' }, 'invalid-token'],
    ['with another cookie', { Cookie: `csession=${token()}; session2=x` }, 'unauthorized'],
    [
      'with the cookie of a page that only * lets in',
      { Cookie: `session=${token()}`, Origin: 'https://evil.example' },
      'unauthorized',
    ],
  ])('a client %s is refused, and its consumer does not hear of it', async (_what, headers, code) => {
    const { hub, open, errors } = await startTestHub({ authenticate, allowedOrigins: ['*'] })
    const heard: string[] = []
    hub.consumer('/c', {
      connect: () => void heard.push('connect'),
      disconnect: () => void heard.push('disconnect'),
    })
    await expectRefused(await open(kind, '/c', { headers }), code)
    // Another is let in beside it.
    const other = await open(kind, '/c', { headers: bearer() })
    expect(other.status).toBe(kind.startsWith('websocket') ? 101 : 200)
    await until('it is in', () => heard.length > 0)
    expect(heard).toEqual(['connect'])
    expect(errors).toEqual([])
  })

  test.each<[string, Readonly<Record<string, string>>, string]>([
    ['Authorization', bearer(), '/c'],
    ['Authorization in another case', { authorization: `bEARER   ${token()}` }, '/c'],
    ['a cookie', { Cookie: `a=b; session=${token()}; c=d` }, '/c'],
    ['a cookie of the same origin', { Cookie: `session=${token()}`, Origin: 'SAME' }, '/c'],
    ['the query, where that is allowed', {}, `/c?token=${token()}`],
  ])('a token in %s is good', async (_where, given, path) => {
    const { hub, open, url } = await startTestHub({ authenticate, allowedOrigins: ['*'] })
    const seen: unknown[] = []
    hub.consumer('/c', { connect: ({ identity }) => void seen.push(identity) })
    const headers = given.Origin === 'SAME' ? { ...given, Origin: url } : given
    await open(kind, path, { headers })
    await until('it is in', () => seen.length === 1)
    expect(seen).toEqual([
      expect.objectContaining({ id: 'ann', claims: expect.objectContaining({ sub: 'ann' }) }),
    ])
  })

  test('a hook that throws, or says what is no identity, refuses and is reported once', async () => {
    const { hub, open, errors } = await startTestHub()
    const answers: unknown[] = [
      new Error('database'),
      undefined,
      true,
      { id: '' },
      { id: 'ann', claims: 'x' },
    ]
    answers.push({ id: 'ann', expiresAt: now() + 60 }, { id: 'ann', claims: { groupcast: [] } })
    for (const [n, answer] of answers.entries()) {
      hub.consumer(`/c${n}`, {
        authenticate() {
          if (answer instanceof Error) throw answer
          return answer as never
        },
      })
      await expectRefused(await open(kind, `/c${n}`), 'internal-error')
      expect(errors).toHaveLength(n + 1)
    }
  })

  test('a hook may refuse with any code of the table, at once or later', async () => {
    const { hub, open, errors } = await startTestHub()
    for (const code of ['forbidden', 'unauthorized', 'revoked', 'restarting'] as const) {
      hub.consumer(`/now/${code}`, {
        authenticate() {
          throw new Refusal(code, 'So it is.')
        },
      })
      hub.consumer(`/later/${code}`, { authenticate: async () => Promise.reject(new Refusal(code)) })
      await expectRefused(await open(kind, `/now/${code}`), code)
      await expectRefused(await open(kind, `/later/${code}`), code)
    }
    expect(errors).toEqual([])
  })

  test('a hook that does not settle is given up, told so, and reported', async () => {
    const { hub, open, errors } = await startTestHub({
      limits: { authenticateTimeoutMs: 20, handshakeTimeoutMs: 5_000 },
    })
    const signals: AbortSignal[] = []
    hub.consumer('/slow', {
      authenticate({ signal }) {
        signals.push(signal)
        return new Promise(() => {})
      },
      connect() {
        throw new Error('nobody was let in')
      },
    })
    await expectRefused(await open(kind, '/slow'), 'authentication-timeout')
    expect(signals.map(({ aborted }) => aborted)).toEqual([true])
    expect(errors.map(({ error }) => (error as { code: string }).code)).toEqual(['authentication-timeout'])
  })

  test('a connection ends when its token expires, and is told before', async () => {
    const clock = manualClock()
    const { hub, open } = await startTestHub({ clock, authenticate, limits: { heartbeatMs: false } })
    hub.consumer('/c', {})
    const client = await open(kind, '/c', { headers: bearer(token({ exp: now() + 100 })) })
    const other = await open(kind, '/c', { headers: bearer(token({ exp: now() + 1000 })) })
    await until('both are in', () => hub.stats.opened === 2)
    clock.advance(90_000)
    const plainNotice = () => client.messages.find((text) => text.includes('groupcast.expiring'))
    await until('it is told', () => (control(client, 'expiring') ?? plainNotice()) !== undefined)
    expect(control(other, 'expiring')).toBeUndefined()
    clock.advance(20_000)
    expect((await within('its end', client.ended)).code).toBe(ERRORS['token-expired'].closeCode)
    const transport = other.kind.split('+')[0] as 'sse'
    await until('the other is left', () => hub.stats.connections[transport] === 1)
  })

  test('revoking closes an identity’s connections on every node, and refuses its older tokens there', async () => {
    const broker = memoryBroker()
    const hubs = [
      await startTestHub({ authenticate, layer: memoryLayer({ broker }) }),
      await startTestHub({ authenticate, layer: memoryLayer({ broker }) }),
    ] as const
    const old = token({ iat: now() - 10 })
    const clients = [
      await hubs[0].open(kind, '/events', { headers: bearer(old) }),
      await hubs[1].open(kind, '/events', { headers: bearer(old) }),
    ]
    const bob = await hubs[1].open(kind, '/events', { headers: bearer(token({ sub: 'bob' })) })
    await hubs[0].hub.revoke('ann')
    for (const client of clients) {
      expect((await within('its end', client.ended)).code).toBe(ERRORS.revoked.closeCode)
    }
    // A node that starts later knows of it, too.
    const late = await startTestHub({ authenticate, layer: memoryLayer({ broker }) })
    for (const { open } of [...hubs, late]) {
      await expectRefused(await open(kind, '/events', { headers: bearer(old) }), 'revoked')
      await expectRefused(
        await open(kind, '/events', { headers: bearer(token({ iat: undefined })) }),
        'revoked',
      )
    }
    expect(hubs[1].hub.stats.connections[bob.kind.split('+')[0] as 'sse']).toBe(1)
  })

  test('tokens of after a revocation are good, but for those that a clock within the leeway may have made before', async () => {
    // A token whose issuer's clock was four seconds ahead counted as made in the future, and so outlived a revocation of the moment.
    const { hub, open } = await startTestHub({ authenticate })
    const ahead = bearer(token({ iat: now() + 4 }))
    const client = await open(kind, '/events', { headers: ahead })
    await until('it is in', () => hub.stats.opened === 1)
    await hub.revoke('ann')
    await within('its end', client.ended)
    await expectRefused(await open(kind, '/events', { headers: ahead }), 'revoked')
    // One of ten seconds ago.
    const layer = memoryLayer()
    const late = await startTestHub({ authenticate, layer })
    await layer.groupSend(NODES_GROUP, revocation('ann', Date.now() - 10_000))
    await until('it is heard of', () => late.hub.stats.revocations === 1)
    for (const age of [12, 7]) {
      const headers = bearer(token({ iat: now() - age }))
      await expectRefused(await late.open(kind, '/events', { headers }), 'revoked')
    }
    const newer = await late.open(kind, '/events', { headers: bearer(token({ iat: now() - 1 })) })
    await until('it is in', () => late.hub.stats.opened === 1)
    expect(newer.status).toBe(kind.startsWith('websocket') ? 101 : 200)
  })

  test('a ticket is good once, on any node, also when two ask for it at the same time', async () => {
    const broker = memoryBroker()
    const here = await startTestHub({ authenticate, layer: memoryLayer({ broker }) })
    const there = await startTestHub({ authenticate, layer: memoryLayer({ broker }) })
    const ids: (string | undefined)[] = []
    for (const { hub } of [here, there]) {
      hub.consumer('/c', { connect: ({ identity }) => void ids.push(identity?.id) })
    }
    for (const asked of [here, there]) {
      const { ticket } = await asked.hub.createTicket(requestWith(token()))
      const both = await Promise.all([
        here.open(kind, `/c?ticket=${ticket}`),
        there.open(kind, `/c?ticket=${ticket}`),
      ])
      const isOpen = (client: TestClient) =>
        Promise.race([
          client.ended.then(() => false),
          until('it is in', () => ids.length > 0).then(() => true),
        ])
      await until('one is in', () => ids.length === 1)
      const ended = await within(
        'the other',
        Promise.race(both.map((client, n) => client.ended.then(() => n))),
      )
      await expectRefused(both[ended] as TestClient, 'invalid-token')
      expect(await isOpen(both[1 - ended] as TestClient)).toBe(true)
      await expectRefused(await here.open(kind, `/c?ticket=${ticket}`), 'invalid-token')
      expect(ids.splice(0)).toEqual(['ann'])
    }
  })

  test.each(['', 'x', '__proto__', `${'a'.repeat(12)}.${'b'.repeat(32)}`, '../../x', 'é'])(
    'the ticket %j is none',
    async (ticket) => {
      const clock = manualClock()
      const { open } = await startTestHub({ authenticate, clock })
      const opening = open(kind, `/events?ticket=${encodeURIComponent(ticket)}`)
      // It may name a node that is not there, and does not answer.
      const turning = setInterval(() => clock.advance(1_000), 5)
      await expectRefused(await opening, 'invalid-token')
      clearInterval(turning)
    },
  )

  test('a ticket and a token at once are too much', async () => {
    const { hub, open } = await startTestHub({ authenticate })
    const { ticket } = await hub.createTicket(requestWith(token()))
    await expectRefused(await open(kind, `/events?ticket=${ticket}`, { headers: bearer() }), 'bad-request')
  })

  // Each took one of the places in which hooks run for as long as another node may take to answer: a handful of clients kept everybody out.
  test('tickets that are made up take no place of those who have a token', async () => {
    const clock = manualClock()
    const limits = { maxAuthentications: 1 }
    const { open } = await startTestHub({ authenticate, clock, limits })
    const madeUp = Array.from({ length: 20 }, (_, n) =>
      open(kind, `/events?ticket=${String(n).padStart(12, 'n')}.${'x'.repeat(32)}`),
    )
    const honest = await within('the honest', open(kind, '/events', { headers: bearer() }))
    expect(honest.status).toBe(kind.startsWith('websocket') ? 101 : 200)
    await until('it is let in', () => honest.controls.length > 0 || !honest.kind.endsWith('envelope'))
    clock.advance(5_000)
    for (const one of madeUp) {
      const turning = setInterval(() => clock.advance(1_000), 5)
      await expectRefused(await one, 'invalid-token')
      clearInterval(turning)
    }
  })
})

/** What nodes tell each other. */
const revocation = (identity: string, at: number) =>
  encodeNodeMessage({ type: 'groupcast.revoke', identity, at })

function requestWith(text: string | null) {
  return {
    method: 'POST',
    url: '/api/tickets',
    path: '/api/tickets',
    query: new URLSearchParams(),
    remoteAddress: '127.0.0.1',
    encrypted: false,
    header: (name: string) =>
      text !== null && name.toLowerCase() === 'authorization' ? `Bearer ${text}` : undefined,
  }
}

describe('tickets', () => {
  test('end after 30 seconds', async () => {
    const clock = manualClock()
    const { hub, open } = await startTestHub({ authenticate, clock })
    const { ticket, expiresInMs } = await hub.createTicket(requestWith(token()))
    expect(expiresInMs).toBe(30_000)
    clock.advance(30_000)
    await expectRefused(await open('sse', `/events?ticket=${ticket}`), 'invalid-token')
  })

  test('are bounded, for one identity and for all', async () => {
    const { hub, open } = await startTestHub({ authenticate, limits: { maxTickets: 20 } })
    const mine: string[] = []
    for (let n = 0; n < 17; n++) mine.push((await hub.createTicket(requestWith(token()))).ticket)
    await expectRefused(await open('sse', `/events?ticket=${mine[0]}`), 'invalid-token')
    for (let n = 0; n < 4; n++) await hub.createTicket(requestWith(token({ sub: `u${n}` })))
    await expect(hub.createTicket(requestWith(token({ sub: 'one-more' })))).rejects.toMatchObject({
      code: 'authentication-unavailable',
    })
  })

  test('are for those with an identity', async () => {
    const { hub } = await startTestHub({ authenticate })
    await expect(hub.createTicket(requestWith(null))).rejects.toMatchObject({ code: 'unauthorized' })
    await expect(hub.createTicket(requestWith('x'))).rejects.toMatchObject({ code: 'invalid-token' })
    const open = await startTestHub()
    await expect(open.hub.createTicket(requestWith(token()))).rejects.toMatchObject({ code: 'not-supported' })
  })

  test('of a revoked identity are good for nothing', async () => {
    const { hub, open } = await startTestHub({ authenticate })
    const { ticket } = await hub.createTicket(requestWith(token()))
    await hub.revoke('ann')
    await expectRefused(await open('sse', `/events?ticket=${ticket}`), 'revoked')
    await expect(hub.createTicket(requestWith(token()))).rejects.toMatchObject({ code: 'revoked' })
  })
})

describe('the token as a subprotocol', () => {
  test.each([
    [['groupcast.v1', `groupcast.token.${token()}`], 'groupcast.v1'],
    [[`groupcast.token.${token()}`, 'groupcast.v1'], 'groupcast.v1'],
    [[`groupcast.token.${token()}`], ''],
  ])('is never the one that is chosen (%#)', async (protocols, chosen) => {
    const { url } = await startTestHub({ authenticate })
    const client = await connectRaw(url)
    client.write(handshake('/events', { 'Sec-WebSocket-Protocol': protocols.join(', ') }))
    await client.upgraded()
    const answer = /sec-websocket-protocol: *(.*)\r\n/i.exec(client.text)?.[1] ?? ''
    expect(answer).toBe(chosen)
    expect(client.text).not.toContain('groupcast.token')
  })

  test('ws, which checks the answer, is content', async () => {
    const { url } = await startTestHub({ authenticate })
    const socket = new WebSocket(`${url.replace('http', 'ws')}/events`, [
      'groupcast.v1',
      `groupcast.token.${token()}`,
    ])
    const opened = new Promise((resolve, reject) => socket.on('open', resolve).on('error', reject))
    await within('its opening', opened)
    expect(socket.protocol).toBe('groupcast.v1')
    socket.close()
  })

  // A ticket was held against the header alone, and won over a token among the protocols.
  test.each(['a header', 'a ticket'])('and another in %s are too much', async (where) => {
    const { hub, url } = await startTestHub({ authenticate })
    const client = await connectRaw(url)
    const protocols = `groupcast.v1, groupcast.token.${token()}`
    const isTicket = where === 'a ticket'
    const query = isTicket ? `?ticket=${(await hub.createTicket(requestWith(token()))).ticket}` : ''
    const headers = { 'Sec-WebSocket-Protocol': protocols, ...(!isTicket && bearer()) }
    client.write(handshake(`/events${query}`, headers))
    await client.upgraded()
    await until('it is closed', () => client.closeFrame !== null)
    expect(client.closeFrame?.code).toBe(ERRORS['bad-request'].closeCode)
  })
})

describe('an answer of 401', () => {
  test.each<[string, Readonly<Record<string, string>>, string]>([
    ['says how to come in (RFC 6750, section 3)', {}, 'Bearer'],
    [
      'says what is wrong to whoever gave a token (section 3.1)',
      bearer(token({ exp: 1 })),
      'Bearer error="invalid_token", error_description="The token has expired."',
    ],
    [
      'quotes nothing that a quoted string cannot hold',
      bearer(token({ aud: 'x', exp: 'soon' })),
      'Bearer error="invalid_token", error_description="The token\'s exp is not what it must be."',
    ],
  ])('%s', async (_what, headers, expected) => {
    const { url } = await startTestHub({ authenticate })
    const answer = await fetch(`${url}/events`, { headers })
    expect(answer.status).toBe(401)
    expect(answer.headers.get('www-authenticate')).toBe(expected)
  })
})

describe('hooks', () => {
  test('see headers, cookies and the query; a consumer’s own comes before the hub’s, or none at all', async () => {
    const asked: string[] = []
    const look = (where: string) => (request: AuthenticationRequest) => {
      const { path, query, token: given } = request
      asked.push([where, path, query.get('x'), request.header('X-Y'), request.cookie('c'), given].join(' '))
      return { id: where }
    }
    const { hub, open } = await startTestHub({ authenticate: look('hub') })
    const ids: unknown[] = []
    const connect = ({ identity }: { identity: { id: string } | null }) => void ids.push(identity?.id ?? null)
    hub.consumer('/hub', { connect })
    hub.consumer('/own', { connect, authenticate: look('own') })
    hub.consumer('/none', { connect, authenticate: false })
    const headers = { 'X-Y': 'y', Cookie: 'b=1; c="q=1"; c=2', Authorization: 'Bearer t' }
    for (const path of ['/hub', '/own', '/none']) await open('sse', `${path}?x=1`, { headers })
    expect(ids).toEqual(['hub', 'own', null])
    expect(asked).toEqual(['hub /hub 1 y "q=1" t', 'own /own 1 y "q=1" t'])
  })

  test('so many run at once, the others wait in order, and beyond that clients are told to come back', async () => {
    const running: (() => void)[] = []
    let most = 0
    let now = 0
    const { hub, open, errors } = await startTestHub({ limits: { maxAuthentications: 2 } })
    hub.consumer('/c', {
      async authenticate() {
        most = Math.max(most, ++now)
        await new Promise<void>((resolve) => running.push(resolve))
        now--
        return null
      },
    })
    // Two run, 32 wait.
    const opening = Array.from({ length: 36 }, () => open('ndjson', '/c'))
    await until('two are too many', () => hub.stats.denied === 2)
    for (let ended = 0; ended < 34; ended++) {
      await until('another runs', () => running.length > 0)
      running.shift()?.()
    }
    const statuses = (await Promise.all(opening)).map(({ status }) => status)
    expect(statuses.filter((status) => status === 200)).toHaveLength(34)
    expect(statuses.filter((status) => status === 503)).toHaveLength(2)
    expect(most).toBe(2)
    expect(errors).toEqual([])
  })

  test('requests that cannot be read take no places', async () => {
    // A header `Authorization: Bearer` without a token was refused before the hook was called, and its place never given back: as many of
    // them as places, and nobody was let in any more.
    const { open } = await startTestHub({ authenticate, limits: { maxAuthentications: 2 } })
    for (let n = 0; n < 5; n++) {
      const refused = await open('ndjson', '/events', { headers: { Authorization: 'Bearer' } })
      expect(refused.status).toBe(400)
    }
    expect((await open('ndjson', '/events', { headers: bearer() })).status).toBe(200)
  })

  test('clients that come and leave have no more hooks run than may at once', async () => {
    // A place was given back when its client left, while its hook went on: 1,500 clients that connected and reset had 1,500 hooks running, with
    // a limit of 64.
    const { hub, url, open } = await startTestHub({ limits: { maxAuthentications: 2 } })
    const signals: AbortSignal[] = []
    const ends: (() => void)[] = []
    let running = 0
    let most = 0
    const heard: string[] = []
    hub.consumer('/c', {
      async authenticate({ signal }) {
        signals.push(signal)
        most = Math.max(most, ++running)
        await new Promise<void>((resolve) => ends.push(resolve))
        running--
        return null
      },
      connect: () => void heard.push('connect'),
      disconnect: () => void heard.push('disconnect'),
    })
    hub.consumer('/open', { authenticate: false })
    for (let n = 0; n < 2; n++) {
      const client = await connectRaw(url)
      client.write('GET /c HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n')
      await until('it is asked', () => signals.length === n + 1)
      client.reset()
      await until('it has left', () => signals[n]?.aborted === true)
    }
    const opening = Array.from({ length: 3 }, () => open('ndjson', '/c'))
    await open('ndjson', '/open')
    expect([running, signals.length]).toEqual([2, 2])
    for (let n = 2; n < 5; n++) {
      ends.shift()?.()
      await until('the next is asked', () => signals.length === n + 1)
    }
    for (const end of ends) end()
    expect((await Promise.all(opening)).map(({ status }) => status)).toEqual([200, 200, 200])
    expect([most, running]).toEqual([2, 0])
    await until('they are in', () => heard.length === 3)
    expect(heard).toEqual(['connect', 'connect', 'connect'])
  })

  test('a hook that ends when its client has left gives its place to the next at once', async () => {
    const { hub, url } = await startTestHub({ limits: { maxAuthentications: 1 } })
    const signals: AbortSignal[] = []
    hub.consumer('/c', {
      authenticate({ signal }) {
        signals.push(signal)
        return new Promise((_resolve, reject) =>
          signal.addEventListener('abort', () => reject(signal.reason)),
        )
      },
    })
    for (let n = 0; n < 3; n++) {
      const client = await connectRaw(url)
      client.write('GET /c HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n')
      await until('it is asked', () => signals.length === n + 1)
      client.reset()
    }
  })

  test('an identity that is older than revocations are remembered is refused, and its hook is told what to raise', async () => {
    // A hook whose sessions are good for a week, and which says when they were made: a revocation was forgotten after a day, as nobody had said
    // that more was needed, and whoever had been revoked was let in again.
    const DAY = 86_400_000
    const session = { id: 'ann', issuedAt: Date.now() - 2 * DAY, expiresAt: Date.now() + 5 * DAY }
    const short = await startTestHub({ authenticate: () => session })
    await expectRefused(await short.open('ndjson', '/events'), 'internal-error')
    expect(short.errors.map(({ error }) => (error as Error).message)).toEqual([
      expect.stringMatching(/"ann" were made 172800 s ago.*for 86400 s: raise maxLifetimeMs/),
    ])
    await expect(short.hub.createTicket(requestWith(null))).rejects.toThrow('raise maxLifetimeMs')
    const long = Object.assign(() => session, { maxLifetimeMs: 7 * DAY })
    const { hub, open, errors } = await startTestHub({ authenticate: long })
    const client = await open('ndjson', '/events')
    expect(client.status).toBe(200)
    await hub.revoke('ann')
    await within('its end', client.ended)
    await expectRefused(await open('ndjson', '/events'), 'revoked')
    expect(errors).toEqual([])
  })

  test('an identity of before all times comes in until it is revoked', async () => {
    const { hub, open } = await startTestHub({ authenticate: () => ({ id: 'ann', issuedAt: 0 }) })
    expect((await open('ndjson', '/events')).status).toBe(200)
    await hub.revoke('ann')
    await expectRefused(await open('ndjson', '/events'), 'revoked')
  })

  test.each([[0], [-1], [Number.NaN], [Number.POSITIVE_INFINITY], ['1d'], [null]])(
    'a maxLifetimeMs of %j is none',
    async (maxLifetimeMs) => {
      // Not a number was more than any time: nothing was remembered, and every revocation forgotten at once.
      const hook = Object.assign(() => null, { maxLifetimeMs: maxLifetimeMs as number })
      await expect(startTestHub({ authenticate: hook })).rejects.toThrow('maxLifetimeMs of authenticate is')
      const { hub } = await startTestHub()
      expect(() => hub.consumer('/c', { authenticate: hook })).toThrow('maxLifetimeMs of authenticate is')
    },
  )

  test.each([['x'], [{}], [1]])('%j is no hook', async (hook) => {
    const { hub } = await startTestHub()
    expect(() => hub.consumer('/c', { authenticate: hook as never })).toThrow('must be a function, or false')
    await expect(startTestHub({ authenticate: hook as never })).rejects.toThrow('it must be a function')
  })
})

test('many connections that come and go leave no session, timer or ticket behind', async () => {
  const clock = manualClock()
  const { hub, open } = await startTestHub({ authenticate, clock })
  const core = () => clock.pending
  const before = core()
  for (let round = 0; round < 5; round++) {
    const clients = await Promise.all(
      CLIENT_KINDS.map((kind) => open(kind, '/events', { headers: bearer() })),
    )
    for (const client of clients) client.close()
    await until('all are gone', () => Object.values(hub.stats.connections).every((count) => count === 0))
  }
  clock.advance(40_000)
  await until('nothing waits', () => core() <= before)
})
