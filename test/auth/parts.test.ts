/** The parts behind a hub's identities, alone: whatever comes, they are empty in the end. */
import fc from 'fast-check'
import { type AuthenticationRequest, type Identity, Refusal } from 'groupcast'
import { manualClock } from 'groupcast/testing'
import { expect, test } from 'vitest'
import { Authenticator } from '../../src/hub/authenticator.ts'
import { Meters, type RefusalCounts } from '../../src/hub/meters.ts'
import type { NodeMessage } from '../../src/hub/node-message.ts'
import { Tickets } from '../../src/hub/tickets.ts'
import { DEFAULT_LIMITS } from '../../src/options.ts'
import { REFUSED_FOR, resolveRates } from '../../src/rates.ts'
import { requestOf } from './asking.ts'

const REQUEST = { ...requestOf({}), remoteAddress: '203.0.113.1' }
const NOTHING_REFUSED = () => Object.fromEntries(REFUSED_FOR.map((name) => [name, 0])) as RefusalCounts

const identity = (id: string) => ({ id, claims: {}, expiresAt: null, issuedAt: null })

test('the authenticator gives back every place when its hook has ended, and runs no more of them than it may', async () => {
  type Ending =
    | 'answer'
    | 'refuse'
    | 'throw'
    | 'nonsense'
    | 'refused later'
    | 'hang'
    | 'leave'
    | 'leave and hang'
    | 'unreadable'
  const endings = fc.constantFrom<Ending>(
    'answer',
    'refuse',
    'throw',
    'nonsense',
    'refused later',
    'hang',
    'leave',
    'leave and hang',
    'unreadable',
  )
  await fc.assert(
    fc.asyncProperty(
      fc.array(endings, { maxLength: 20 }),
      fc.integer({ min: 1, max: 3 }),
      async (list, most) => {
        const clock = manualClock()
        const limits = { ...DEFAULT_LIMITS, maxAuthentications: most }
        const meters = new Meters(resolveRates(), clock, NOTHING_REFUSED())
        const authenticator = new Authenticator({ limits, clock, meters, allowedOrigins: [], report() {} })
        const running = new Set<object>()
        let highest = 0
        const asked = list.map((ending) => {
          const asker = {}
          const hook = async ({ signal }: AuthenticationRequest) => {
            running.add(asker)
            // One that ends neither by itself nor by its signal goes on, but does not count after so long.
            clock.after(limits.authenticateTimeoutMs - 1, () => running.delete(asker))
            highest = Math.max(highest, running.size)
            try {
              await Promise.resolve()
              if (ending === 'leave')
                await new Promise((_, reject) => signal.addEventListener('abort', reject))
              if (ending === 'hang' || ending === 'leave and hang') await new Promise(() => {})
            } finally {
              running.delete(asker)
            }
            if (ending === 'refuse') throw new Refusal('forbidden')
            if (ending === 'throw') throw new Error('no')
            return (ending === 'nonsense' ? undefined : { id: 'ann' }) as never
          }
          const request = ending === 'unreadable' ? { ...REQUEST, header: () => 'Bearer' } : REQUEST
          const accept = (identity: Identity | null) => {
            if (ending === 'refused later') throw new Refusal('revoked')
            return identity?.id
          }
          const answer = authenticator
            .ask({ asker, hook, where: '', request, identity: null, accept })
            .catch((error) => error.code ?? error.message)
          return { ending, asker, answer }
        })
        for (const { ending, asker } of asked) if (ending.startsWith('leave')) authenticator.left(asker)
        // Those that hang are given up one after another; others wait behind them.
        while (authenticator.size > 0) {
          await new Promise(setImmediate)
          clock.advance(1_000)
        }
        const outcomes = await Promise.all(asked.map(({ answer }) => answer))
        const expected: Record<Ending, string[]> = {
          answer: ['ann', 'authentication-timeout'],
          refuse: ['forbidden', 'authentication-timeout'],
          throw: ['no', 'authentication-timeout'],
          nonsense: ['invalid-option', 'authentication-timeout'],
          'refused later': ['revoked', 'authentication-timeout'],
          hang: ['authentication-timeout'],
          leave: ['bad-request'],
          'leave and hang': ['bad-request'],
          unreadable: ['bad-request', 'authentication-timeout'],
        }
        for (const [n, { ending }] of asked.entries()) expect(expected[ending]).toContain(outcomes[n])
        expect(highest).toBeLessThanOrEqual(most)
        // No attempt is under way.
        expect(meters.size).toBe(0)
        // Timers of this test.
        clock.advance(limits.authenticateTimeoutMs)
        expect(clock.pending).toBe(0)
      },
    ),
  )
})

test('tickets on two nodes: each is good once, and in the end there are none', async () => {
  const clock = manualClock()
  const nodes = new Map<string, Tickets>()
  const limits = { maxTickets: 5 }
  for (const nodeId of ['aaaaaaaaaaaa', 'bbbbbbbbbbbb']) {
    const tellNode = async (to: string, message: NodeMessage) => {
      await Promise.resolve()
      if (message.type === 'groupcast.redeem') nodes.get(to)?.asked(message)
      if (message.type === 'groupcast.redeemed') nodes.get(to)?.answered(message)
    }
    nodes.set(nodeId, new Tickets({ nodeId, clock, limits, tellNode, report() {} }))
  }
  const [a, b] = [...nodes.values()] as [Tickets, Tickets]
  for (let round = 0; round < 20; round++) {
    const { ticket } = a.issue({ identity: identity(`u${round}`), askedAt: 1 })
    const outcomes = await Promise.allSettled([a, b, b, a, b].map((node) => node.redeem(ticket)))
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
  }
  for (let n = 0; n < 5; n++) a.issue({ identity: identity(`v${n}`), askedAt: 1 })
  expect(() => a.issue({ identity: identity('w'), askedAt: 1 })).toThrow(Refusal)
  const late = b.redeem('cccccccccccc.'.padEnd(45, 'x'))
  clock.advance(30_000)
  await expect(late).rejects.toThrow('The ticket was used')
  expect([a.size, b.size, clock.pending]).toEqual([0, 0, 0])
})
