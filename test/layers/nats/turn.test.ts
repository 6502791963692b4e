/** Whose turn it is to make a stream: nodes that begin together, late, or again, and nodes that go in the middle. */
import { afterEach, expect, test, vi } from 'vitest'
import { Turn, type TurnWire } from '../../../src/layers/nats/turn.ts'
import { manualClock } from '../../../src/testing/manual-clock.ts'
import { Bus } from '../../support/bus.ts'

afterEach(() => void vi.restoreAllMocks())

const clock = manualClock()
const turnOn = (wire: TurnWire) => new Turn(wire, 'm', clock)

/** With an id that decides. */
function turnNamed(id: string, wire: TurnWire): Turn {
  vi.spyOn(crypto, 'randomUUID').mockReturnValueOnce(id as ReturnType<typeof crypto.randomUUID>)
  return turnOn(wire)
}

/** Lets time go on until the promise has settled. */
async function inTime<T>(promise: Promise<T>): Promise<T> {
  let isSettled = false
  const settle = () => {
    isSettled = true
  }
  promise.then(settle, settle)
  while (!isSettled) {
    await new Promise(setImmediate)
    await new Promise(setImmediate)
    clock.advance(1)
  }
  return promise
}

const later = (ms: number) => new Promise<void>((resolve) => void clock.after(ms, resolve))

test('alone, it comes; and at the end nothing is left', async () => {
  const bus = new Bus()
  const turn = turnOn(bus.wire())
  await inTime(turn.come())
  expect(turn.isOurs).toBe(true)
  turn.end()
  expect([bus.listeners, clock.pending]).toEqual([0, 0])
})

test('of many who begin together one has it, and the others hear when it is over', async () => {
  const bus = new Bus()
  const turns = Array.from({ length: 20 }, () => turnOn(bus.wire()))
  const log: string[] = []
  await inTime(
    Promise.all(
      turns.map(async (turn) => {
        await turn.come()
        log.push(turn.isOurs ? 'ours' : 'theirs')
        if (turn.isOurs) turn.end()
      }),
    ),
  )
  expect(log).toEqual(['ours', ...Array.from({ length: 19 }, () => 'theirs')])
  for (const turn of turns) turn.end()
  expect([bus.listeners, clock.pending]).toEqual([0, 0])
})

test('servers that do not know yet who listens elsewhere do no harm', async () => {
  const bus = new Bus()
  bus.deafFor = 3
  const turns = [turnNamed('a', bus.wire()), turnNamed('b', bus.wire()), turnNamed('c', bus.wire())]
  const [first, ...others] = turns.map((turn) => turn.come())
  await inTime(first ?? Promise.reject())
  turns[0]?.end()
  await inTime(Promise.all(others))
  expect(turns.map(({ isOurs }) => isOurs)).toEqual([true, false, false])
  for (const turn of turns) turn.end()
})

test('who comes while another makes the stream waits, whatever its id', async () => {
  const bus = new Bus()
  const maker = turnNamed('b', bus.wire())
  await inTime(maker.come())
  const late = turnNamed('a', bus.wire())
  const coming = late.come()
  await inTime(Promise.race([coming.then(() => expect.fail('it came')), later(500)]))
  maker.end()
  await inTime(coming)
  expect(late.isOurs).toBe(false)
  late.end()
})

test('who has it keeps it until the end', async () => {
  const turn = turnOn(new Bus().wire())
  await inTime(turn.come())
  await turn.come()
  expect(turn.isOurs).toBe(true)
  turn.end()
})

test('it comes to another when the node that had it is gone', async () => {
  const bus = new Bus()
  const wire = bus.wire()
  const gone = turnNamed('a', wire)
  await inTime(gone.come())
  const next = turnNamed('b', bus.wire())
  const coming = next.come()
  await inTime(later(100))
  wire.cut()
  await inTime(coming)
  expect(next.isOurs).toBe(false)
  await inTime(next.come())
  expect(next.isOurs).toBe(true)
  next.end()
})

test('what another program sends there is no word', async () => {
  const bus = new Bus()
  const turn = turnOn(bus.wire())
  const coming = turn.come()
  for (const text of ['', ' ', 'want', 'make ', '__proto__ 0', 'toString 0', '\u0000', '{"want":0}'])
    bus.wire().publish('m', text)
  await inTime(coming)
  expect(turn.isOurs).toBe(true)
  turn.end()
})

test('a connection that is lost ends the waiting, and the end does not throw', async () => {
  const lost = new Error('lost')
  const turn = turnOn({
    publish: () => {
      throw lost
    },
    subscribe: () => ({ unsubscribe: () => {} }),
    flush: () => Promise.reject(lost),
  })
  await expect(inTime(turn.come())).rejects.toBe(lost)
  turn.end()
})

test('who ends while it waits says nothing more', async () => {
  const bus = new Bus()
  const turn = turnOn(bus.wire())
  void turn.come()
  await new Promise(setImmediate)
  turn.end()
  const said = bus.said.length
  await inTime(later(2_000))
  expect(bus.said).toHaveLength(said)
  expect([bus.listeners, clock.pending]).toEqual([0, 0])
})
