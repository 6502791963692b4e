/** What keeps the quick pass short: what no target compares is measured once or left out, and what is not timed is done at once. */
import { expect, test } from 'vitest'
import { parse } from '../../bench/lib/arguments.mjs'
import { atOnce } from '../../bench/lib/at-once.mjs'
import { createContext } from '../../bench/lib/context.mjs'
import { interleaved } from '../../bench/lib/interleave.mjs'
import { freePort } from '../../bench/lib/process-subject.mjs'
import { timeText } from '../../bench/lib/progress.mjs'
import { fittingBursts } from '../../bench/lib/rounds.mjs'
import { Sequence } from '../../bench/lib/sequence.mjs'

const SCENARIOS = [{ name: 'fan-out' }]
const PINNING = { subject: [], load: [], text: 'not pinned' }

/** Who was measured, in turn, with these arguments of the command. */
async function measuredBy(argv: readonly string[]) {
  const { options } = parse(argv, SCENARIOS, [])
  const shown: string[] = []
  const { context, notes } = createContext(options, PINNING, (text) => shown.push(text))
  const order: string[] = []
  const contender = (label: string, kind: 'hub' | 'control' | 'peer') => ({
    ...{ label, kind, isCompared: kind !== 'peer' },
    async measure() {
      order.push(label)
      if (label === 'broken') throw new Error('it fell over')
      return { cpuUs: order.length }
    },
  })
  const contenders = [
    contender('hub', 'hub'),
    contender('peer', 'peer'),
    contender('c', 'control'),
    contender('broken', 'peer'),
  ]
  const measured = await interleaved(context, 'case', contenders)
  return { order, shown, notes, measured }
}

test('the quick pass measures once what no target compares, and the others in turns', async () => {
  const { order, shown, notes, measured } = await measuredBy([])
  expect(order).toEqual(['hub', 'peer', 'c', 'broken', 'c', 'hub', 'c', 'hub'])
  expect(shown).toContain('case: peer (1 of 1)')
  expect(shown).toContain('case: hub (3 of 3)')
  expect([...notes]).toEqual(['case, broken failed: it fell over'])
  expect(measured.rows('case', 'cpuUs', 'µs').map(({ subject }) => subject)).toEqual(['hub', 'peer', 'c'])
})

test('a scenario by its name, and repeats that are asked for, measure all alike', async () => {
  const count = (order: readonly string[], label: string) => order.filter((name) => name === label).length
  const named = await measuredBy(['fan-out'])
  expect(count(named.order, 'peer')).toBe(15)
  const asked = await measuredBy(['--repeats', '2'])
  expect([count(asked.order, 'peer'), count(asked.order, 'hub')]).toEqual([2, 2])
})

test('the quick pass leaves subjects out, and says which; by name they are there', async () => {
  const chosen = async (argv: readonly string[]) => {
    const { options } = parse(argv, SCENARIOS, ['hub', 'ws-send', 'node-sse'])
    const { context, notes } = createContext(options, PINNING, () => {})
    const found = await context.choose(['hub', 'ws-send', 'node-sse'], ['hub'])
    return { names: found.map(({ name }) => name), notes: [...notes] }
  }
  expect(await chosen([])).toEqual({
    names: ['hub'],
    notes: ['A quick pass has no time for ws-send, node-sse.'],
  })
  expect(await chosen(['--subject', 'hub,ws-send'])).toEqual({ names: ['hub', 'ws-send'], notes: [] })
  expect(await chosen(['fan-out'])).toEqual({ names: ['hub', 'ws-send', 'node-sse'], notes: [] })
})

// `--subject hub-uws` printed an empty table and ended well.
test('a scenario that has none of the subjects that were asked for says so', async () => {
  const absence = async (argv: readonly string[], ...offers: string[][]) => {
    const { options } = parse(argv, SCENARIOS, ['hub', 'ws-send', 'node-http'])
    const state = createContext(options, PINNING, () => {})
    for (const offer of offers) await state.context.choose(offer)
    return state.absence
  }
  const asked = ['--subject', 'node-http,ws-send']
  expect(await absence(asked, ['hub'], ['hub', 'node-sse'])).toBe(
    'Nothing was measured: node-http, ws-send are not among its subjects, hub, node-sse.',
  )
  expect(await absence(asked, ['hub'], ['hub', 'ws-send'])).toBeNull()
  // It looks at none, or has no choice.
  expect(await absence(asked)).toBeNull()
  expect(await absence([], ['hub'])).toBeNull()
})

test('the quick pass leaves out what takes too long, which a smoke run and its name bring', () => {
  const scenarios = [...SCENARIOS, { name: 'cross-node', isByNameOnly: true }]
  const wanted = (...argv: string[]) => parse(argv, scenarios, []).wanted
  expect(wanted()).toEqual(['fan-out'])
  expect(wanted('--smoke')).toEqual(['fan-out', 'cross-node'])
  expect(wanted('cross-node')).toEqual(['cross-node'])
})

test.each([
  ['all', [0, 1, 2], null],
  ['one lost', [0, 2], /lost, doubled or out of order, 1 times/],
  ['one doubled', [0, 1, 1, 2], /lost, doubled or out of order, 1 times/],
  ['two exchanged', [1, 0, 2], /lost, doubled or out of order/],
  ['the last is missing', [0, 1], /the last message is 1 instead of 2/],
  ['one too many', [0, 1, 2, 3], /the last message is 3 instead of 2/],
])('a sequence of messages: %s', (_what, numbers, fault) => {
  const sequence = new Sequence()
  for (const n of numbers) sequence.take(n)
  if (fault === null) expect(sequence.fault(3)).toBeNull()
  else expect(sequence.fault(3)).toMatch(fault)
})

test('some at once: all are done, in their order, and a failure does not keep the others', async () => {
  let running = 0
  let most = 0
  const outcomes = await atOnce(3, [1, 2, 3, 4, 5, 6, 7], async (n) => {
    running++
    most = Math.max(most, running)
    // The later ones end first.
    for (let i = 0; i < 20 - n; i++) await Promise.resolve()
    running--
    if (n === 2) throw new Error('two')
    return n * 10
  })
  expect(outcomes.map(({ value }) => value)).toEqual([10, undefined, 30, 40, 50, 60, 70])
  expect(outcomes[1]?.error).toEqual(new Error('two'))
  expect(most).toBe(3)
  expect(await atOnce(3, [], async () => 1)).toEqual([])
})

// `fan-out --size 65536` reported messages as lost: clients that did not read were sent megabytes, and the hub gave them up.
test('what a turn brings must fit, or is left out; a single message is read meanwhile', () => {
  const fitting = (size: number, membership = {}) => {
    const { options } = parse(['fan-out', '--size', `${size}`], SCENARIOS, [])
    const { context, notes } = createContext(options, PINNING, () => {})
    const bursts = fittingBursts(context, [{ perTurn: 1 }, { perTurn: 10 }, { perTurn: 100 }], membership)
    return { perTurn: bursts.map(({ perTurn }) => perTurn), notes: [...notes] }
  }
  expect(fitting(128)).toEqual({ perTurn: [1, 10, 100], notes: [] })
  expect(fitting(1_000)).toEqual({
    perTurn: [1, 10],
    notes: [
      expect.stringMatching(/^100 a turn brings each client 98 KiB, over 48 KiB, .*: it was left out\.$/),
    ],
  })
  expect(fitting(65_536)).toEqual({
    perTurn: [1],
    notes: [
      expect.stringMatching(/^1 a turn .* 64 KiB, .*: they read meanwhile\.$/),
      expect.stringMatching(/^10 a turn .* 640 KiB, .*: it was left out\.$/),
      expect.stringMatching(/^100 a turn .* 6400 KiB, .*: it was left out\.$/),
    ],
  })
  // Each gets a message of a hundred.
  expect(fitting(49_152, { groups: 100, groupsEach: 1 }).perTurn).toEqual([1, 10, 100])
  expect(fitting(49_153, { groups: 100, groupsEach: 1 }).perTurn).toEqual([1, 10])
})

// Thousands of clients connect while programs start: the system gives them ports, and once in a while gave one of them a program's.
test('a port for a program is none that the system gives to clients', async () => {
  const port = await freePort()
  expect(port).toBeGreaterThan(1_024)
  expect(port).toBeLessThan(32_768)
})

test.each([
  [0, '0 s'],
  [59_400, '59 s'],
  [59_600, '1 min 0 s'],
  [151_000, '2 min 31 s'],
])('%i ms are %s', (ms, text) => {
  expect(timeText(ms)).toBe(text)
})
