import { describe, expect, test } from 'vitest'
import { errorCodeOf, MisuseError } from '../../../src/errors.ts'
import { Backoff } from '../../../src/layers/broker/backoff.ts'
import { deferred } from '../../../src/layers/broker/deferred.ts'
import { type Attempt, Lifeline, type Session } from '../../../src/layers/broker/lifeline.ts'
import type { LayerStatus } from '../../../src/layers/layer.ts'
import { manualClock } from '../../../src/testing/index.ts'

const settled = () => new Promise<void>((resolve) => setImmediate(resolve))

class FakeSession implements Session {
  readonly attempt: Attempt
  isDestroyed = false
  isClosed = false
  answers = true

  constructor(attempt: Attempt) {
    this.attempt = attempt
  }

  async probe(): Promise<void> {
    if (!this.answers) await new Promise(() => {})
  }

  destroy(): void {
    this.isDestroyed = true
  }

  async close(): Promise<void> {
    this.isClosed = true
  }
}

class Refused extends Error {}

/** A lifeline to a broker that is up unless `outage` says why not. */
function fakeLifeline() {
  const clock = manualClock()
  const statuses: LayerStatus[] = []
  const reports: unknown[] = []
  const sessions: FakeSession[] = []
  const state: { outage: unknown; isSilent: boolean } = { outage: null, isSilent: false }
  const lifeline = new Lifeline<FakeSession>({
    broker: 'Fake',
    async open(attempt) {
      await settled()
      if (state.isSilent) await new Promise(() => {})
      if (state.outage !== null) throw state.outage
      const session = new FakeSession(attempt)
      sessions.push(session)
      return session
    },
    status: (status) => statuses.push(status),
    report: (error) => reports.push(error),
    refusalOf: (error) => (error instanceof Refused ? error.message : null),
    clock,
    timeoutMs: 1000,
    backoff: new Backoff({ random: () => 0.5 }),
  })
  /** Lets time go on in steps in which an attempt succeeds or fails. */
  const pass = async (ms: number) => {
    for (let passed = 0; passed < ms; passed += 50) {
      clock.advance(50)
      await settled()
    }
  }
  return { clock, statuses, reports, sessions, state, lifeline, pass }
}

describe('a lifeline', () => {
  test('starts while the broker is down, says why, and is ready by itself when it is there', async () => {
    const { lifeline, state, statuses, reports, pass } = fakeLifeline()
    state.outage = new Error('connection refused')
    await lifeline.start()
    expect(statuses).toEqual([
      { state: 'connecting' },
      { state: 'connecting', reason: 'Fake: connection refused' },
    ])
    await expect(lifeline.run(async () => 1)).rejects.toThrow(/nothing was sent: connection refused/)
    await pass(100_000)
    expect(statuses).toHaveLength(2)
    // Once, not once an attempt.
    expect(reports.map(errorCodeOf)).toEqual(['layer-unavailable'])
    state.outage = null
    await pass(5_000)
    expect(statuses.at(-1)).toEqual({ state: 'ready' })
    expect(await lifeline.run(async () => 1)).toBe(1)
  })

  test('pauses between attempts grow, and begin anew after a success', async () => {
    const backoff = new Backoff({ firstMs: 100, mostMs: 800, random: () => 0.5 })
    expect([1, 2, 3, 4, 5].map(() => backoff.next())).toEqual([75, 150, 300, 600, 600])
    backoff.reset()
    expect(backoff.next()).toBe(75)
  })

  test('fails what is under way as unknown when the session is lost, and what comes then as not sent', async () => {
    const { lifeline, sessions, clock, statuses } = fakeLifeline()
    await lifeline.start()
    const under = lifeline.run(() => new Promise(() => {}))
    sessions[0]?.attempt.lost(new Error('socket closed'))
    expect(sessions[0]?.isDestroyed).toBe(true)
    expect(errorCodeOf(await under.catch((error) => error))).toBe('layer-timeout')
    expect(errorCodeOf(await lifeline.run(async () => 1).catch((error) => error))).toBe('layer-unavailable')
    expect(statuses.at(-1)).toEqual({ state: 'connecting', reason: 'Fake: socket closed' })
    clock.advance(100)
    await settled()
    await settled()
    expect(sessions).toHaveLength(2)
    expect(statuses.at(-1)).toEqual({ state: 'ready' })
  })

  test('a loss of an old session changes nothing', async () => {
    const { lifeline, sessions, clock } = fakeLifeline()
    await lifeline.start()
    sessions[0]?.attempt.lost(new Error('first'))
    clock.advance(100)
    await settled()
    await settled()
    sessions[0]?.attempt.lost(new Error('again'))
    expect(lifeline.session).toBe(sessions[1])
  })

  test('a session that is lost while it opens is not used', async () => {
    const { lifeline, clock, statuses } = fakeLifeline()
    const lost: ((error: unknown) => void)[] = []
    const early = new Lifeline<FakeSession>({
      ...{ broker: 'Fake', clock, timeoutMs: 1000, refusalOf: () => null, report() {} },
      status: (status) => statuses.push(status),
      async open(attempt) {
        lost.push(attempt.lost)
        attempt.lost(new Error('gone already'))
        return new FakeSession(attempt)
      },
    })
    await early.start()
    expect(early.session).toBeNull()
    expect(statuses.at(-1)?.reason).toBe('Fake: gone already')
    await Promise.all([early.close(), lifeline.close()])
  })

  test('gives up on an operation that is not answered, and on an attempt', async () => {
    const { lifeline, state, clock, statuses } = fakeLifeline()
    await lifeline.start()
    const under = lifeline.run(() => new Promise(() => {}))
    clock.advance(1200)
    await expect(under).rejects.toThrow(/did not answer within 1000 ms/)
    expect(errorCodeOf(await under.catch((error) => error))).toBe('layer-timeout')
    state.isSilent = true
    lifeline.session?.attempt.lost(new Error('gone'))
    clock.advance(100)
    await settled()
    clock.advance(1001)
    await settled()
    expect(statuses.at(-1)?.reason).toBe('Fake: No answer within 1000 ms.')
  })

  test('notices within ten seconds that nothing comes through', async () => {
    const { lifeline, sessions, clock, statuses } = fakeLifeline()
    await lifeline.start()
    for (let second = 0; second < 30; second++) {
      clock.advance(1000)
      await settled()
    }
    expect(sessions).toHaveLength(1)
    for (const session of sessions) session.answers = false
    let seconds = 0
    while (statuses.at(-1)?.state === 'ready' && seconds < 60) {
      clock.advance(1000)
      await settled()
      seconds++
    }
    expect(seconds).toBeLessThanOrEqual(9)
    expect(statuses.at(-1)?.reason).toMatch(/a message of this node to itself took over 5000 ms/)
  })

  test('tells a refusal, of which nothing has happened, from a failure of which nobody knows', async () => {
    const { lifeline } = fakeLifeline()
    await lifeline.start()
    const refused = await lifeline.run(() => Promise.reject(new Refused('OOM'))).catch((error) => error)
    expect([errorCodeOf(refused), refused.message]).toEqual([
      'layer-unavailable',
      expect.stringContaining('OOM'),
    ])
    const failed = await lifeline.run(() => Promise.reject(new Error('odd'))).catch((error) => error)
    expect(errorCodeOf(failed)).toBe('layer-timeout')
    const own = new MisuseError('invalid-name', 'no')
    expect(await lifeline.run(() => Promise.reject(own)).catch((error) => error)).toBe(own)
  })

  test('what waits goes on with the next session', async () => {
    const { lifeline, state, sessions, pass } = fakeLifeline()
    state.outage = new Error('down')
    await lifeline.start()
    const stop = new AbortController()
    const waiting = lifeline.next()
    const stopped = lifeline.next(stop.signal)
    stop.abort(new Error('enough'))
    await expect(stopped).rejects.toThrow('enough')
    state.outage = null
    await pass(5_000)
    expect(await waiting).toBe(sessions[0])
  })

  test('ends with hub-closed for everybody, and leaves nothing behind', async () => {
    const { lifeline, sessions, clock } = fakeLifeline()
    await lifeline.start()
    const under = lifeline.run(() => new Promise(() => {})).catch(errorCodeOf)
    await lifeline.close()
    await lifeline.close()
    expect(await under).toBe('hub-closed')
    expect(await lifeline.run(async () => 1).catch(errorCodeOf)).toBe('hub-closed')
    expect(await lifeline.next().catch(errorCodeOf)).toBe('hub-closed')
    expect(sessions[0]).toMatchObject({ isClosed: true, isDestroyed: true })
    expect(clock.pending).toBe(0)
  })

  test('closes while it waits for its next attempt, and while it is in one', async () => {
    const { lifeline, state, clock, sessions } = fakeLifeline()
    state.outage = new Error('down')
    await lifeline.start()
    await lifeline.close()
    expect(clock.pending).toBe(0)
    const other = fakeLifeline()
    const starting = other.lifeline.start()
    await other.lifeline.close()
    await starting
    await settled()
    expect(other.sessions.every(({ isDestroyed }) => isDestroyed)).toBe(true)
    expect(sessions).toEqual([])
    expect(other.clock.pending).toBe(0)
  })

  test('misuse is thrown at the start, not tried again', async () => {
    const { lifeline, state, clock } = fakeLifeline()
    state.outage = new MisuseError('invalid-option', 'no such database')
    await expect(lifeline.start()).rejects.toThrow('no such database')
    expect(clock.pending).toBe(0)
  })
})

// Thousands of publications of one turn wait for one answer: each had a promise and a deadline of its own.
test('operations with the same answer share its outcome, those begun after it do not', async () => {
  const { lifeline, clock } = fakeLifeline()
  await lifeline.start()
  const answer = deferred<number>()
  const first = lifeline.run(() => answer.promise)
  expect(lifeline.run(() => answer.promise)).toBe(first)
  const other = lifeline.run(async () => 2)
  expect(await other).toBe(2)
  clock.advance(1_101)
  expect(errorCodeOf(await first.catch((error) => error))).toBe('layer-timeout')
  answer.resolve(1)
  expect(await lifeline.run(() => answer.promise)).toBe(1)
})
