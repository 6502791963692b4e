/** When the client comes back, when it does not, and how long it waits: on a fake network, with time turned by hand. */
import { type ClientOptions, connect } from 'groupcast/client'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { isComeBackCode } from '../../src/client/client-error.ts'
import { systemClock } from '../../src/client/platform.ts'
import { isComeBackCode as isComeBackCodeOfTable } from '../../src/errors.ts'
import { until } from '../support/until.ts'
import type { StreamAttempt } from './fake-network.ts'
import { setUp, TRANSPORTS } from './support.ts'

/** Cuts one attempt after the other and measures how long the client waits after each. */
async function measureWaits(
  { clock, network, reaches }: ReturnType<typeof setUp>,
  count: number,
): Promise<number[]> {
  const waits: number[] = []
  for (let n = 0; n < count; n++) {
    ;(await network.next()).cut()
    await reaches('waiting')
    const { length } = network.attempts
    const from = clock.now()
    while (network.attempts.length === length) {
      clock.advance(100)
      await new Promise(setImmediate)
    }
    waits.push(clock.now() - from)
  }
  return waits
}

test('it knows the close codes as the table of errors does', () => {
  for (let code = 1_000; code < 5_000; code++)
    expect([code, isComeBackCode(code)]).toEqual([code, isComeBackCodeOfTable(code)])
})

describe.each(TRANSPORTS)('over %s', (transport) => {
  const only = { transports: [transport] }

  test('the bound of the wait is 1 s, doubles up to 30 s', async () => {
    const waits = await measureWaits(setUp(only), 8)
    expect(waits).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000])
  })

  test('a close that says when to come back is waited for, before the wait as usual', async () => {
    const { network, clock, opened, reaches, states } = setUp(only)
    ;(await opened()).close(4028, 'Too many messages: retry in 5100 ms')
    await reaches('waiting')
    expect(states.at(-1)?.reason).toMatchObject({
      code: 'connection-closed',
      closeCode: 4028,
      retryAfterMs: 5_100,
    })
    clock.advance(5_100 + 999)
    await network.quiet()
    clock.advance(1)
    await network.next()
  })

  test.each(['retry in 5100 s', 'in ms', 'Silent 35000 ms'])(
    'a reason like %j asks for no wait',
    async (reason) => {
      const { opened, reaches, states } = setUp(only)
      ;(await opened()).close(4000, reason)
      await reaches('waiting')
      expect(states.at(-1)?.reason?.retryAfterMs).toBe(0)
    },
  )

  test('the wait is anything from nothing to the bound', async () => {
    expect(await measureWaits(setUp({ ...only, random: () => 0.25 }), 4)).toEqual([300, 500, 1_000, 2_000])
    const impatient = setUp({ ...only, random: () => 0 })
    ;(await impatient.network.next()).cut()
    await impatient.reaches('waiting')
    impatient.clock.advance(0)
    await impatient.network.next()
  })

  test('says how long it waits', async () => {
    const { client, network, clock, opened, reaches } = setUp({ ...only, random: () => 0.25 })
    const told: unknown[] = []
    client.onState((state, reason, waitMs) => told.push([state, reason?.code, waitMs]))
    ;(await network.next()).cut()
    await reaches('waiting')
    clock.advance(250)
    await opened()
    expect(told).toEqual([
      ['waiting', 'connection-lost', 250],
      ['connecting', undefined, 0],
      ['open', undefined, 0],
    ])
  })

  test('both bounds can be set', async () => {
    expect(await measureWaits(setUp({ ...only, firstWaitMs: 300, maxWaitMs: 900 }), 4)).toEqual([
      300, 600, 900, 900,
    ])
  })

  test('a connection that lasted makes the next wait short again, one that did not does not', async () => {
    const subject = setUp(only)
    await measureWaits(subject, 3)
    const { clock, opened, network, reaches } = subject
    const brief = await opened()
    clock.advance(9_999)
    brief.close(1_012)
    await reaches('waiting')
    clock.advance(7_999)
    await network.quiet()
    clock.advance(1)
    const lasting = await opened()
    clock.advance(10_000)
    lasting.close(1_012)
    await reaches('waiting')
    clock.advance(999)
    await network.quiet()
    clock.advance(1)
    await network.next()
  })

  test.each([1_001, 1_011, 1_012, 1_013, 3_000, 4_000, 4_008, 4_499])('%i: it comes back', async (code) => {
    const { network, opened, clock, states, reaches } = setUp(only)
    ;(await opened()).close(code, 'for now')
    await reaches('waiting')
    expect(states.at(-1)?.reason).toMatchObject({
      code: 'connection-closed',
      closeCode: code,
      comeBack: true,
    })
    clock.advance(1_000)
    await network.next()
  })

  test.each([1_000, 1_002, 1_003, 1_007, 1_008, 1_009, 1_010, 4_500, 4_503, 4_999])(
    '%i: it does not',
    async (code) => {
      const { network, opened, clock, client, states, reaches } = setUp(only)
      ;(await opened()).close(code, 'for good')
      await reaches('closed')
      expect(states.map(({ state }) => state)).toEqual(['open', 'closed'])
      expect(states.at(-1)?.reason).toMatchObject({
        code: 'connection-closed',
        closeCode: code,
        comeBack: false,
      })
      expect(clock.pending).toBe(0)
      await network.quiet()
      expect(client.transport).toBeNull()
    },
  )

  test('a hub that refuses for now is tried again, over the same transport', async () => {
    const { network, clock, states, reaches } = setUp()
    if (transport === 'sse') (await network.next()).cut()
    const attempt = await network.next()
    attempt.close(1_013, 'busy')
    await reaches('waiting')
    expect(states.at(-1)?.reason).toMatchObject({ closeCode: 1_013 })
    clock.advance(1_000)
    expect((await network.next()).transport).toBe('websocket')
  })

  test('an attempt that leads nowhere is given up after openTimeoutMs, whatever else comes', async () => {
    const { network, clock, states, reaches } = setUp({ ...only, openTimeoutMs: 7_000 })
    const attempt = await network.next()
    clock.advance(6_000)
    attempt.heartbeat()
    await network.quiet()
    clock.advance(999)
    expect(attempt.isOver).toBe(false)
    clock.advance(1)
    await reaches('waiting')
    expect(attempt.isOver).toBe(true)
    expect(states.at(-1)?.reason).toMatchObject({ code: 'connection-lost', comeBack: true })
  })

  test.each(['{"group":', 'null', '{"message":null,"reset":null,"reset":7,"open":[]'])(
    'what is no envelope ends the connection, for a message may be lost: %s',
    async (text) => {
      const { opened, states, reaches } = setUp(only)
      const attempt = await opened()
      attempt.text(transport === 'sse' ? `data: ${text}\n\n` : text)
      await reaches('waiting')
      expect(states.at(-1)?.reason).toMatchObject({ code: 'connection-lost', cause: expect.any(Error) })
      expect(attempt.isOver).toBe(true)
    },
  )

  test('silence is measured from the last sign of life, and off where the hub has no heartbeats', async () => {
    const { opened, clock, reaches, network, client } = setUp({ ...only, silenceMs: 3_000 })
    const attempt = await opened({ heartbeatMs: 2_000 })
    for (let beats = 0; beats < 5; beats++) {
      clock.advance(4_999)
      attempt.heartbeat()
      await network.quiet()
    }
    clock.advance(4_999)
    expect(client.state).toBe('open')
    clock.advance(1)
    await reaches('waiting')
    clock.advance(1_000)
    await opened({ heartbeatMs: 0 })
    expect(clock.pending).toBe(0)
  })

  test('closed while it waits, or at the very moment it begins to, it stays closed', async () => {
    const waiting = setUp(only)
    ;(await waiting.network.next()).cut()
    await waiting.reaches('waiting')
    waiting.client.close()
    expect(waiting.clock.pending).toBe(0)
    await waiting.network.quiet()

    const hasty = setUp(only)
    hasty.client.onState((state) => state === 'waiting' && hasty.client.close())
    ;(await hasty.network.next()).cut()
    await hasty.reaches('closed')
    await hasty.network.quiet()
    expect(hasty.clock.pending).toBe(0)
    expect(hasty.states.map(({ state }) => state)).toEqual(['waiting', 'closed'])
  })

  test('closed while it connects, it ends the attempt', async () => {
    const { client, network, clock } = setUp(only)
    const attempt = await network.next()
    client.close()
    client.close()
    expect(attempt.isOver).toBe(true)
    await network.quiet()
    expect(clock.pending).toBe(0)
  })
})

describe('over sse, with what HTTP adds', () => {
  const only = { transports: ['sse'] } as const
  const next = async ({ network }: ReturnType<typeof setUp>) => (await network.next()) as StreamAttempt

  test.each([400, 401, 403, 404, 406, 204])('status %i is final', async (status) => {
    const subject = setUp(only)
    ;(await next(subject)).answer(status, {}, '{"code":"forbidden","detail":"Members only."}')
    await subject.reaches('closed')
    expect(subject.states.at(-1)?.reason).toMatchObject({ status, comeBack: false })
    await subject.network.quiet()
  })

  test.each([408, 425, 429, 500, 502, 503, 504])('status %i passes', async (status) => {
    const subject = setUp(only)
    ;(await next(subject)).answer(status, {}, '<html>')
    await subject.reaches('waiting')
    expect(subject.states.at(-1)?.reason).toMatchObject({ code: 'refused', status, comeBack: true })
    subject.clock.advance(1_000)
    await next(subject)
  })

  test.each(['null', '7', '"gone"', '[]', '', '{"code":null}'])(
    'a refusal whose body is no problem is a refusal: %s',
    async (body) => {
      // A 404 with `null`, which is JSON, was retried for ever as `connection-lost`: a code was looked for in the `null`.
      const subject = setUp(only)
      ;(await next(subject)).answer(404, {}, body)
      await until('it has ended', () => subject.states.length > 0)
      expect(subject.states.at(-1)).toMatchObject({
        state: 'closed',
        reason: { code: 'refused', status: 404, comeBack: false },
      })
    },
  )

  test('the problem document says why', async () => {
    const subject = setUp(only)
    ;(await next(subject)).answer(
      403,
      {},
      '{"code":"origin-not-allowed","title":"No.","detail":"Not this page."}',
    )
    await subject.reaches('closed')
    expect(subject.states.at(-1)?.reason).toMatchObject({
      code: 'origin-not-allowed',
      status: 403,
      message: expect.stringContaining('Not this page.'),
    })
  })

  test.each([
    ['7', 7_000],
    ['0', 0],
    ['soon', 0],
    ['Wed, 21 Oct 2015 07:28:00 GMT', 0],
    ['99999999', 3_600_000],
  ])('Retry-After: %s is added to the wait', async (value, ms) => {
    const subject = setUp(only)
    ;(await next(subject)).answer(503, { 'Retry-After': value })
    await subject.reaches('waiting')
    const full = Math.min(ms + 1_000, 3_600_000)
    subject.clock.advance(full - 1)
    await subject.network.quiet()
    subject.clock.advance(1)
    await next(subject)
  })

  test('Retry-After may be a date', async () => {
    const subject = setUp(only)
    ;(await next(subject)).answer(429, { 'Retry-After': new Date(Date.now() + 60_000).toUTCString() })
    await subject.reaches('waiting')
    const { retryAfterMs = 0 } = subject.states.at(-1)?.reason ?? {}
    // Dates have whole seconds.
    expect(retryAfterMs).toBeGreaterThan(50_000)
    expect(retryAfterMs).toBeLessThanOrEqual(60_000)
  })

  test('retry: raises the bound of the next wait, that of a later connection counts for itself', async () => {
    const subject = setUp(only)
    const first = await subject.opened()
    first.text('retry: 4000\n\n')
    await subject.network.quiet()
    first.cut()
    await subject.reaches('waiting')
    subject.clock.advance(3_999)
    await subject.network.quiet()
    subject.clock.advance(1)
    const second = await next(subject)
    second.cut()
    await subject.reaches('waiting')
    // The second failure in a row, with the bound of its own.
    subject.clock.advance(1_999)
    await subject.network.quiet()
    subject.clock.advance(1)
    await next(subject)
  })

  test('retry: above the highest bound counts too', async () => {
    const subject = setUp(only)
    const attempt = await subject.opened()
    attempt.text('retry: 60000\n\n')
    await subject.network.quiet()
    attempt.close(1_012)
    await subject.reaches('waiting')
    subject.clock.advance(59_999)
    await subject.network.quiet()
    subject.clock.advance(1)
    await next(subject)
  })

  test.each(['Text/Event-Stream', 'TEXT/EVENT-STREAM;charset=utf-8'])(
    'media types have no case: %s',
    async (type) => {
      // A proxy that wrote it so was retried for ever: the type was compared letter by letter.
      const subject = setUp(only)
      const stream = 'data: {"open":{"connection":"c","heartbeatMs":0}}\n\n'
      ;(await next(subject)).answer(200, { 'Content-Type': type }, stream)
      await until('it has ended', () => subject.client.state === 'waiting')
      expect(subject.states.map(({ state }) => state)).toEqual(['open', 'waiting'])
    },
  )

  test('an answer of another type is not read, and may pass: a login page of a hotel', async () => {
    const subject = setUp(only)
    ;(await next(subject)).answer(200, { 'Content-Type': 'text/html' }, 'data: {"open":{}}\n\n')
    await subject.reaches('waiting')
    expect(subject.states.at(-1)?.reason).toMatchObject({
      code: 'connection-lost',
      message: expect.stringContaining('text/html'),
    })
  })
})

describe('times that no timer can wait for', () => {
  /** The platform's clock, with its time turned by hand. Its timers fire after 1 ms where they should wait for more than 24.8 days. */
  async function onSystemClock(options: ClientOptions) {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] })
    onTestFinished(() => void vi.useRealTimers())
    const subject = setUp({ transports: ['websocket'], clock: systemClock, ...options })
    await subject.network.attempted()
    const timers = vi.spyOn(globalThis, 'setTimeout')
    onTestFinished(() => timers.mockRestore())
    return { ...subject, timers }
  }

  test('openTimeoutMs: it looks once in a long while whether it has come, not every millisecond', async () => {
    const { timers, opened, client } = await onSystemClock({ openTimeoutMs: Number.POSITIVE_INFINITY })
    vi.advanceTimersByTime(60_000)
    expect(timers).not.toHaveBeenCalled()
    await opened({ heartbeatMs: 0 })
    expect(client.state).toBe('open')
  })

  test('replyTimeoutMs: an answer has time', async () => {
    // Every `send` was rejected with `reply-timeout` after a millisecond.
    const { opened, client } = await onSystemClock({ replyTimeoutMs: Number.POSITIVE_INFINITY })
    const attempt = await opened({ heartbeatMs: 0 })
    const sent = client.send({ type: 'x' })
    vi.advanceTimersByTime(60_000)
    attempt.reply(1, { result: 'late' })
    expect(await sent).toBe('late')
  })

  test('heartbeatMs: a hub that hardly ever beats keeps no client busy, and is missed all the same', async () => {
    // The longest that a hub may have; with `silenceMs` it is more than a timer can wait.
    const heartbeatMs = 2 ** 31 - 1
    const { timers, opened, network, states } = await onSystemClock({})
    await opened({ heartbeatMs })
    vi.advanceTimersByTime(heartbeatMs + 9_999)
    expect(timers.mock.calls.length).toBeLessThan(4)
    await network.quiet()
    expect(states.map(({ state }) => state)).toEqual(['open'])
    vi.advanceTimersByTime(1)
    await network.quiet()
    expect(states.map(({ state }) => state)).toEqual(['open', 'waiting'])
  })
})

test.each([
  'ftp://hub.test/events',
  'file:///events',
  'mailto:hub@hub.test',
  'httpx://hub.test/',
  'xws://hub.test/',
])('what is no URL of http or ws is refused at once: %s', (url) => {
  // They were retried for ever: only the attempt found that nothing can be fetched there.
  expect(() => connect(url, { transports: ['sse'] })).toThrow(TypeError)
  expect(() => connect(url, { transports: ['sse'] })).toThrow(url)
})

describe('tokens', () => {
  test('are fetched before each attempt and travel as each transport can', async () => {
    const tokens = ['one', 'two', 'three']
    const { network, clock, opened, reaches } = setUp({ getToken: async () => tokens.shift() })
    const socket = await network.next()
    expect(socket.protocols).toEqual(['groupcast.v1', 'groupcast.token.one'])
    expect(socket.url.search).not.toContain('one')
    socket.cut()
    const stream = await opened()
    expect(stream.headers.get('authorization')).toBe('Bearer two')
    stream.close(4_000)
    await reaches('waiting')
    clock.advance(1_000)
    expect((await network.next()).headers.get('authorization')).toBe('Bearer three')
  })

  test('travel with posts', async () => {
    const { client, network, opened } = setUp({ transports: ['sse'], getToken: () => 'secret' })
    const attempt = await opened()
    const posts: RequestInit[] = []
    network.answerPost = (request) => {
      posts.push(request)
      return new Response('{}', { status: 202 })
    }
    const sent = client.send({ type: 'x' })
    await until('it was posted', () => posts.length === 1)
    expect(new Headers(posts[0]?.headers).get('authorization')).toBe('Bearer secret')
    attempt.reply(1, { result: 1 })
    await sent
  })

  test('none is none', async () => {
    for (const token of [null, undefined, '']) {
      const { network } = setUp({ getToken: () => token })
      const attempt = await network.next()
      expect(attempt.protocols).toEqual(['groupcast.v1'])
      attempt.cut()
      expect((await network.next()).headers.has('authorization')).toBe(false)
    }
  })

  test('a getToken that fails is a failed attempt, and no fault of the transport', async () => {
    let isDown = true
    const failure = new Error('The login service is down.')
    const { network, clock, states, reaches } = setUp({
      getToken() {
        if (isDown) throw failure
        return Promise.resolve('t')
      },
    })
    await reaches('waiting')
    expect(states.at(-1)?.reason).toMatchObject({ code: 'no-token', cause: failure, comeBack: true })
    expect(network.attempts).toEqual([])
    isDown = false
    clock.advance(1_000)
    expect((await network.next()).transport).toBe('websocket')
  })

  test('a client that is closed while it waits for one connects no more', async () => {
    let answer: (token: string) => void = () => {}
    const { client, network } = setUp({
      getToken: () =>
        new Promise((resolve) => {
          answer = resolve
        }),
    })
    client.close()
    answer('late')
    await network.quiet()
    expect(network.attempts).toEqual([])
  })
})

describe('the page', () => {
  test('reconnects at once when the network is back: while it waits', async () => {
    const events = new EventTarget()
    const { network, clock, reaches } = setUp({ transports: ['sse'], events })
    ;(await network.next()).cut()
    await reaches('waiting')
    events.dispatchEvent(new Event('online'))
    await network.next()
    expect(clock.now()).toBe(0)
  })

  test('… while a connection seems open, and while an attempt is under way', async () => {
    const events = new EventTarget()
    const { network, clock, client, opened, states } = setUp({ events })
    const first = await opened()
    const lost = client.send({ type: 'x' })
    events.dispatchEvent(new Event('online'))
    await expect(lost).rejects.toMatchObject({ code: 'disconnected' })
    const second = await network.next()
    expect(first.isOver).toBe(true)
    events.dispatchEvent(new Event('online'))
    const third = await opened()
    expect(second.isOver).toBe(true)
    // It was not the transport's fault.
    expect(third.transport).toBe('websocket')
    expect(states.map(({ state }) => state)).toEqual(['open', 'connecting', 'open'])
    expect(clock.now()).toBe(0)
    third.close(1_012)
    await until('it waits again as usual', () => client.state === 'waiting')
  })

  test('… but not without a wait ever after: the network came back while a token was fetched', async () => {
    const events = new EventTarget()
    let answer: (token: string) => void = () => {}
    const getToken = () =>
      new Promise<string>((resolve) => {
        answer = resolve
      })
    const { network, opened, reaches } = setUp({ events, getToken })
    events.dispatchEvent(new Event('online'))
    answer('t')
    ;(await opened()).close(1_012)
    await reaches('waiting')
    await network.quiet()
  })

  test('reconnects when it comes out of the back/forward cache', async () => {
    const events = new EventTarget()
    const { network, opened } = setUp({ events })
    const first = await opened()
    events.dispatchEvent(Object.assign(new Event('pageshow'), { persisted: false }))
    await network.quiet()
    expect(first.isOver).toBe(false)
    events.dispatchEvent(Object.assign(new Event('pageshow'), { persisted: true }))
    await network.next()
  })

  test('looks for silence when it is shown again: its timers stood still', async () => {
    const events = new EventTarget()
    let now = 0
    const { network, opened, reaches } = setUp({ events, clock: { now: () => now, after: () => () => {} } })
    await opened({ heartbeatMs: 25_000 })
    now = 34_000
    events.dispatchEvent(new Event('visibilitychange'))
    await network.quiet()
    now = 35_000
    events.dispatchEvent(new Event('visibilitychange'))
    await reaches('waiting')
    events.dispatchEvent(new Event('visibilitychange'))
    events.dispatchEvent(new Event('online'))
    await network.next()
  })

  test('is let alone once the client is closed', async () => {
    const added: string[] = []
    const removed: string[] = []
    const events = {
      addEventListener: (type: string) => added.push(type),
      removeEventListener: (type: string) => removed.push(type),
    }
    const { client } = setUp({ events })
    client.close()
    expect(added).toEqual(['online', 'pageshow', 'visibilitychange'])
    expect(removed).toEqual(added)
  })
})

describe('falling back', () => {
  test('events are tried at once, and stayed with for fallbackMs', async () => {
    const { network, clock, opened, reaches, client, states } = setUp({ fallbackMs: 60_000 })
    ;(await network.next()).cut()
    const stream = await opened()
    expect([stream.transport, client.transport, clock.now()]).toEqual(['sse', 'sse', 0])
    expect(states.map(({ state }) => state)).toEqual(['open'])
    clock.advance(20_000)
    stream.close(1_012)
    await reaches('waiting')
    clock.advance(1_000)
    const again = await opened()
    expect(again.transport).toBe('sse')
    again.heartbeat()
    clock.advance(30_000)
    again.heartbeat()
    await network.quiet()
    clock.advance(9_000)
    again.close(1_012)
    await reaches('waiting')
    clock.advance(1_000)
    expect((await network.next()).transport).toBe('websocket')
  })

  test('where both fail nothing is remembered', async () => {
    const { network, clock, reaches } = setUp()
    for (let round = 0; round < 2; round++) {
      for (const transport of TRANSPORTS) {
        const attempt = await network.next()
        expect(attempt.transport).toBe(transport)
        attempt.cut()
      }
      await reaches('waiting')
      clock.advance(2_000)
    }
    expect((await network.next()).transport).toBe('websocket')
  })

  test('a WebSocket that hangs is one that cannot be opened', async () => {
    const { network, clock } = setUp()
    await network.next()
    clock.advance(15_000)
    expect((await network.next()).transport).toBe('sse')
  })

  test('a WebSocket that cannot even be made is one that cannot be opened', async () => {
    const { network } = setUp({ getToken: () => 'a token' })
    network.socketError = new SyntaxError('no subprotocol')
    expect((await network.next()).transport).toBe('sse')
  })

  test('two quick cuts in a row are a proxy, one is not, nor are those after a while', async () => {
    const { opened, clock, reaches, network } = setUp()
    const lives = [4_000, 6_000, 4_000, 4_000]
    for (const ms of lives) {
      const attempt = await opened()
      expect(attempt.transport).toBe('websocket')
      clock.advance(ms)
      attempt.cut()
      await reaches('waiting')
      clock.advance(30_000)
    }
    expect((await network.next()).transport).toBe('sse')
  })

  test('a proxy that still cuts when WebSockets have their turn again is found out at once', async () => {
    const { opened, clock, reaches, network } = setUp({ fallbackMs: 60_000 })
    for (const [transport, ms] of [
      ['websocket', 0],
      ['websocket', 0],
      ['sse', 60_000],
      ['websocket', 0],
    ] as const) {
      const attempt = await opened({ heartbeatMs: 0 })
      expect(attempt.transport).toBe(transport)
      clock.advance(ms)
      attempt.cut()
      await reaches('waiting')
      clock.advance(30_000)
    }
    expect((await network.next()).transport).toBe('sse')
  })

  test('a hub that closes quickly is no proxy', async () => {
    const { opened, clock, reaches, network } = setUp()
    for (let n = 0; n < 3; n++) {
      ;(await opened()).close(1_012)
      await reaches('waiting')
      clock.advance(30_000)
    }
    expect((await network.next()).transport).toBe('websocket')
  })

  test('where events fail too, WebSockets are tried again, and preferred again when they work', async () => {
    const { network, clock, opened, reaches } = setUp()
    ;(await network.next()).cut()
    const stream = await opened()
    stream.cut()
    await reaches('waiting')
    clock.advance(1_000)
    const failing = await network.next()
    expect(failing.transport).toBe('sse')
    failing.cut()
    const socket = await opened()
    expect(socket.transport).toBe('websocket')
    clock.advance(20_000)
    socket.close(4_000)
    await reaches('waiting')
    clock.advance(1_000)
    expect((await network.next()).transport).toBe('websocket')
  })

  test('the order is the application’s', async () => {
    const { network } = setUp({ transports: ['sse', 'websocket'] })
    const stream = await network.next()
    expect(stream.transport).toBe('sse')
    stream.cut()
    expect((await network.next()).transport).toBe('websocket')
  })

  const KEY = 'groupcast websocket,sse http://hub.test/events?mine=1'

  function mapStorage() {
    const stored = new Map<string, string>()
    const storage = {
      getItem: (key: string) => stored.get(key) ?? null,
      setItem: (key: string, value: string) => void stored.set(key, value),
    }
    return { stored, storage }
  }

  test('the next page remembers', async () => {
    const { stored, storage } = mapStorage()
    const first = setUp({ storage })
    ;(await first.network.next()).cut()
    await first.opened()
    expect([...stored.entries()]).toEqual([[KEY, '300000']])
    const second = setUp({ storage })
    expect((await second.network.next()).transport).toBe('sse')
    for (const hostile of ['', 'x', '{}', 'NaN']) {
      stored.set(KEY, hostile)
      expect((await setUp({ storage }).network.next()).transport).toBe('websocket')
    }
  })

  test('what a client with one transport went through is nothing to another of the same page', async () => {
    // Both remembered under the URL alone: two quick cuts of a client that speaks events only kept the others, on the next page, from
    // WebSockets for five minutes.
    const { storage } = mapStorage()
    const { opened, reaches, clock } = setUp({ storage, transports: ['sse'] })
    for (let n = 0; n < 2; n++) {
      ;(await opened()).cut()
      await reaches('waiting')
      clock.advance(30_000)
    }
    expect((await setUp({ storage }).network.next()).transport).toBe('websocket')
  })

  test('storage that throws is storage that is not there', async () => {
    const fail = () => {
      throw new Error('denied')
    }
    const { network, opened } = setUp({ storage: { getItem: fail, setItem: fail } })
    ;(await network.next()).cut()
    expect((await opened()).transport).toBe('sse')
  })

  test('without a WebSocket on the platform there is only SSE, and with neither nothing can be done', async () => {
    const { network } = setUp({ WebSocket: undefined as never })
    const isThere = 'WebSocket' in globalThis
    if (!isThere) expect((await network.next()).transport).toBe('sse')
    expect(() => setUp({ transports: [] })).toThrow(TypeError)
    expect(() => setUp({ transports: ['pigeon' as never] })).toThrow(/sse/)
  })
})
