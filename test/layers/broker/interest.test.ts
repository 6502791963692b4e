import { describe, expect, test } from 'vitest'
import { Interest } from '../../../src/layers/broker/interest.ts'
import { manualClock } from '../../../src/testing/index.ts'

/** A broker that writes down what it is asked, and confirms when it is told to. */
function fakeBroker({ isPrompt = true, lingerMs = 1000 } = {}) {
  const clock = manualClock()
  const asked: string[] = []
  const held: (() => void)[] = []
  let failure: Error | null = null
  const ask = async (what: string) => {
    asked.push(what)
    if (!isPrompt) await new Promise<void>((resolve) => held.push(resolve))
    if (failure !== null) throw failure
  }
  const interest = new Interest({
    subscribe: (group) => ask(`+${group}`),
    unsubscribe: (group) => ask(`-${group}`),
    clock,
    lingerMs,
  })
  const settled = () => new Promise<void>((resolve) => setImmediate(resolve))
  return {
    ...{ clock, asked, interest, settled },
    fail(error: Error | null) {
      failure = error
    },
    async confirm() {
      held.shift()?.()
      await settled()
    },
  }
}

describe('the groups of a node', () => {
  test('cost one subscription each, however often they are added', async () => {
    const { interest, asked } = fakeBroker()
    await Promise.all([interest.add('a'), interest.add('a'), interest.add('b')])
    await interest.add('a')
    expect(asked).toEqual(['+a', '+b'])
    expect(interest.has('a')).toBe(true)
    expect(interest.added()).toEqual(['a', 'b'])
  })

  test('are handed nothing once they are discarded, and stay subscribed for a while', async () => {
    const { interest, asked, clock, settled } = fakeBroker()
    await interest.add('a')
    interest.discard('a')
    expect(interest.has('a')).toBe(false)
    clock.advance(999)
    await settled()
    expect(asked).toEqual(['+a'])
    clock.advance(2)
    await settled()
    expect(asked).toEqual(['+a', '-a'])
    expect(interest.size).toBe(0)
    expect(clock.pending).toBe(0)
  })

  // They stayed subscribed for ever: a second `add` had nothing to do, and was over before it was remembered as under way. It was then
  // remembered for good, and nothing was done after it.
  test('that were added twice are given up like others', async () => {
    const { interest, asked, clock, settled } = fakeBroker()
    await interest.add('a')
    await interest.add('a')
    interest.discard('a')
    clock.advance(1001)
    await settled()
    expect(asked).toEqual(['+a', '-a'])
    expect(interest.size).toBe(0)
  })

  test('are given up at once where nothing lingers', async () => {
    const { interest, asked, settled } = fakeBroker({ lingerMs: 0 })
    await interest.add('a')
    interest.discard('a')
    await settled()
    expect(asked).toEqual(['+a', '-a'])
    expect(interest.size).toBe(0)
  })

  test('that flap cost nothing', async () => {
    const { interest, asked, clock } = fakeBroker()
    for (let turn = 0; turn < 100; turn++) {
      await interest.add('a')
      interest.discard('a')
      clock.advance(10)
    }
    expect(asked).toEqual(['+a'])
  })

  test('come back while they are given up: the broker has the last word of both', async () => {
    const { interest, asked, clock, confirm } = fakeBroker({ isPrompt: false })
    const first = interest.add('a')
    await confirm()
    await first
    interest.discard('a')
    clock.advance(1001)
    const second = interest.add('a')
    let isAdded = false
    void second.then(() => {
      isAdded = true
    })
    await confirm()
    expect(isAdded).toBe(false)
    await confirm()
    await second
    expect(asked).toEqual(['+a', '-a', '+a'])
  })

  test('are not added when the broker refuses, and can be tried again', async () => {
    const { interest, asked, fail } = fakeBroker()
    fail(new Error('no permission'))
    const adding = [interest.add('a'), interest.add('a')]
    for (const result of await Promise.allSettled(adding)) expect(result.status).toBe('rejected')
    expect(interest.has('a')).toBe(false)
    expect(interest.size).toBe(0)
    fail(null)
    await interest.add('a')
    expect(asked).toEqual(['+a', '+a'])
  })
})

describe('an add that is given up before the broker has confirmed', () => {
  const tooLate = async (adding: () => Promise<void>) => {
    void adding().catch(() => {})
    throw new Error('too late')
  }

  // The caller was told that it had failed, so nobody ever discarded the group: it stayed subscribed for ever, and went to the next session, too.
  test('leaves no subscription behind', async () => {
    const { interest, asked, clock, confirm } = fakeBroker({ isPrompt: false })
    await expect(interest.add('a', tooLate)).rejects.toThrow('too late')
    expect(interest.added()).toEqual([])
    await confirm()
    expect(interest.has('a')).toBe(false)
    clock.advance(1001)
    await confirm()
    expect(asked).toEqual(['+a', '-a'])
    expect(interest.size).toBe(0)
    expect(clock.pending).toBe(0)
  })

  test('nor where nothing lingers, or the broker refuses after all', async () => {
    const { interest, asked, confirm, fail } = fakeBroker({ isPrompt: false, lingerMs: 0 })
    await expect(interest.add('a', tooLate)).rejects.toThrow('too late')
    await confirm()
    await confirm()
    expect(asked).toEqual(['+a', '-a'])
    expect(interest.size).toBe(0)
    await expect(interest.add('a', tooLate)).rejects.toThrow('too late')
    fail(new Error('no permission'))
    await confirm()
    expect(interest.size).toBe(0)
  })

  test('does not take the group from whoever has it, or waits for it', async () => {
    const { interest, asked, confirm } = fakeBroker({ isPrompt: false })
    const patient = interest.add('a')
    await expect(interest.add('a', tooLate)).rejects.toThrow('too late')
    await confirm()
    await patient
    await expect(interest.add('a', tooLate)).rejects.toThrow('too late')
    expect(interest.has('a')).toBe(true)
    expect(asked).toEqual(['+a'])
    const notBegun = interest.add('a', () => Promise.reject(new Error('not ready')))
    await expect(notBegun).rejects.toThrow('not ready')
    expect(interest.has('a')).toBe(true)
  })

  test('however many are given up, the last leaves nothing behind', async () => {
    const { interest, clock, confirm } = fakeBroker({ isPrompt: false })
    const adding = [interest.add('a', tooLate), interest.add('a', tooLate)]
    for (const { status } of await Promise.allSettled(adding)) expect(status).toBe('rejected')
    expect(interest.added()).toEqual([])
    await confirm()
    clock.advance(1001)
    await confirm()
    expect(interest.size).toBe(0)
  })
})

describe('when the session is lost', () => {
  test('what is added is to be subscribed again, and what lingers is forgotten', async () => {
    const { interest, asked, clock, settled } = fakeBroker()
    await Promise.all(['a', 'b', 'c'].map((group) => interest.add(group)))
    interest.discard('b')
    expect(interest.lost()).toEqual(['a', 'c'])
    interest.restored(['a', 'c'])
    clock.advance(5000)
    await settled()
    expect(asked).toEqual(['+a', '+b', '+c'])
    expect(interest.size).toBe(2)
    await interest.add('a')
    expect(asked).toHaveLength(3)
  })

  test('a group that is discarded meanwhile is given up after the next one has subscribed it', async () => {
    const { interest, asked, clock, settled } = fakeBroker()
    await interest.add('a')
    const groups = interest.lost()
    interest.discard('a')
    interest.restored(groups)
    clock.advance(1001)
    await settled()
    expect(asked).toEqual(['+a', '-a'])
    expect(interest.size).toBe(0)
  })

  test('an add that was under way fails, and leaves no subscription behind', async () => {
    const { interest, asked, clock, confirm, fail, settled } = fakeBroker({ isPrompt: false })
    const adding = interest.add('a')
    const groups = interest.lost()
    expect(groups).toEqual(['a'])
    adding.catch(() => {})
    fail(new Error('lost'))
    await confirm()
    await expect(adding).rejects.toThrow('lost')
    fail(null)
    interest.restored(groups)
    clock.advance(1001)
    await settled()
    expect(asked).toEqual(['+a', '-a'])
    await confirm()
    expect(interest.size).toBe(0)
  })
})

describe('a group that comes back while it is still subscribed', () => {
  // Its node got what had been published while the group was discarded: the subscription was still there, and nothing told the two apart.
  function lingering() {
    const clock = manualClock()
    const fences: (() => void)[] = []
    const asked: string[] = []
    const interest = new Interest({
      subscribe: async (group) => void asked.push(`+${group}`),
      unsubscribe: async (group) => void asked.push(`-${group}`),
      fence: (group) => {
        asked.push(`|${group}`)
        return new Promise((resolve) => fences.push(resolve))
      },
      clock,
      lingerMs: 1000,
    })
    const settled = () => new Promise<void>((resolve) => setImmediate(resolve))
    return { clock, fences, asked, interest, settled }
  }

  test('hears nothing before its fence has come', async () => {
    const { interest, asked, fences, settled } = lingering()
    await interest.add('a')
    expect(interest.has('a')).toBe(true)
    interest.discard('a')
    const adding = interest.add('a')
    await settled()
    expect(asked).toEqual(['+a', '|a'])
    expect(interest.has('a')).toBe(false)
    fences.shift()?.()
    await adding
    expect(interest.has('a')).toBe(true)
  })

  test('needs another fence when it was discarded and added once more meanwhile', async () => {
    const { interest, asked, fences, settled, clock } = lingering()
    await interest.add('a')
    interest.discard('a')
    const first = interest.add('a')
    await settled()
    interest.discard('a')
    const second = interest.add('a')
    fences.shift()?.()
    await settled()
    expect(interest.has('a')).toBe(false)
    expect(asked).toEqual(['+a', '|a', '|a'])
    fences.shift()?.()
    await Promise.all([first, second])
    expect(interest.has('a')).toBe(true)
    expect(clock.pending).toBe(0)
  })

  test('stays away when it is discarded before its fence has come', async () => {
    const { interest, asked, fences, settled, clock } = lingering()
    await interest.add('a')
    interest.discard('a')
    const adding = interest.add('a')
    await settled()
    interest.discard('a')
    fences.shift()?.()
    await adding
    expect(interest.has('a')).toBe(false)
    clock.advance(1001)
    await settled()
    expect(asked).toEqual(['+a', '|a', '-a'])
    expect(interest.size).toBe(0)
  })
})
