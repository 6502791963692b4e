/** What is counted of whom, and that nothing of it stays behind. */
import { manualClock } from 'groupcast/testing'
import { expect, test } from 'vitest'
import type { LiveConnection } from '../../src/hub/live-connection.ts'
import { Meters, type RefusalCounts } from '../../src/hub/meters.ts'
import { type Rates, REFUSED_FOR, resolveRates } from '../../src/rates.ts'

const counts = () => Object.fromEntries(REFUSED_FOR.map((name) => [name, 0])) as RefusalCounts

function setUp(rates: Partial<Rates> | false) {
  const clock = manualClock()
  const refused = counts()
  return { clock, refused, meters: new Meters(resolveRates(rates), clock, refused) }
}

const connection = (remoteAddress = '203.0.113.1', id?: string) =>
  ({
    request: { remoteAddress },
    identity: id === undefined ? null : { id },
    isOpen: true,
  }) as unknown as LiveConnection

test('connections that come and go leave nothing behind, whatever they spent', () => {
  const { meters, clock } = setUp({ messagesPerConnectionBurst: 3, messagesPerConnection: 1 })
  for (let n = 0; n < 1_000; n++) {
    const one = connection(`2001:db8:0:${(n % 10).toString(16)}::${n}`)
    meters.began(one)
    for (let m = 0; m < n % 8; m++) meters.message(one, 100)
    meters.join(one)
    meters.frames(one, 64)
    meters.ended(one)
  }
  expect(meters.size).toBe(0)
  expect(clock.pending).toBe(0)
})

test('connections that say nothing cost nothing but their place by address', () => {
  const { meters } = setUp({})
  const all = Array.from({ length: 100 }, (_, n) => connection(n % 2 === 0 ? '203.0.113.1' : '203.0.113.2'))
  for (const one of all) meters.began(one)
  expect(meters.size).toBe(2)
})

test('a message of an identity counts for both, and the connection is asked first', () => {
  const { meters, refused } = setUp({
    messagesPerConnection: 1,
    messagesPerConnectionBurst: 2,
    messagesPerIdentity: 1,
    messagesPerIdentityBurst: 3,
  })
  const [a, b] = [connection(undefined, 'ann'), connection(undefined, 'ann')] as const
  const spend = (one: LiveConnection) => meters.message(one, 1)?.refusal.reason ?? 'taken'
  // What its connection refuses is not held against the identity.
  expect([spend(a), spend(a), spend(a), spend(b), spend(b)]).toEqual([
    'taken',
    'taken',
    'Too many messages: retry in 2000 ms',
    'taken',
    'Too many messages of this identity: retry in 2000 ms',
  ])
  expect(refused).toEqual({ ...counts(), messagesPerConnection: 1, messagesPerIdentity: 1 })
})

test('attempts that are under way count as if they failed, and no longer', () => {
  const { meters, refused } = setUp({
    failedAuthenticationsPerAddress: 1,
    failedAuthenticationsPerAddressBurst: 3,
  })
  const address = '203.0.113.1'
  const begin = () => meters.authenticating(address)?.retryAfterMs ?? 'asked'
  expect([begin(), begin(), begin(), begin(), begin()]).toEqual(['asked', 'asked', 'asked', 1_000, 1_000])
  expect(meters.authenticating('203.0.113.2')).toBeNull()
  meters.authenticated('203.0.113.2')
  // One fails, two do not.
  meters.failed(address)
  for (let n = 0; n < 3; n++) meters.authenticated(address)
  expect(meters.size).toBe(0)
  expect([begin(), begin(), begin()]).toEqual(['asked', 'asked', 1_000])
  expect(refused.failedAuthenticationsPerAddress).toBe(3)
})

test('whatever is switched off refuses nobody and remembers nobody', () => {
  const { meters, refused } = setUp(false)
  const one = connection('203.0.113.1', 'ann')
  for (let n = 0; n < 50_000; n++) {
    expect(meters.message(one, 1_000_000)).toBeNull()
    if (n % 100 === 0) {
      meters.began(one)
      expect(meters.knock('203.0.113.1', true)).toBeNull()
    }
  }
  expect([meters.join(one), meters.frames(one, 1e6), meters.post('203.0.113.1')]).toEqual([null, null, null])
  expect(refused).toEqual(counts())
})

test('exempt addresses, and sockets that have none, are not counted', () => {
  const { meters } = setUp({
    handshakesPerAddress: 1,
    handshakesPerAddressBurst: 1,
    connectionsPerAddress: 1,
  })
  for (const address of ['127.0.0.1', '127.9.9.9', '::1', '::ffff:127.0.0.1', '']) {
    for (let n = 0; n < 3; n++) {
      expect(meters.knock(address, true)).toBeNull()
      meters.began(connection(address))
    }
  }
  expect(meters.size).toBe(0)
  expect(meters.knock('203.0.113.1', true)).toBeNull()
  expect(meters.knock('203.0.113.1', true)).toMatchObject({ code: 'rate-exceeded', retryAfterMs: 1_000 })
})
