import fc from 'fast-check'
import { expect, test } from 'vitest'
import { StreamOrder } from '../../../src/layers/nats/stream-order.ts'

test('publications have their turn in the order of the stream, however they came and were fed', () => {
  fc.assert(
    fc.property(
      // Of each number of the stream: whether it is of a group that this node hears, and when it comes.
      fc.array(fc.tuple(fc.boolean(), fc.nat(12)), { maxLength: 40 }),
      (stream) => {
        const order = new StreamOrder()
        const log: number[] = []
        let reached = 0
        // Each comes some steps before or after the stream has its number.
        const steps = stream.flatMap(([isHeard, delay], index) => {
          const sequence = index + 1
          const fed = {
            at: index,
            act: () =>
              order.fed(
                sequence,
                () => isHeard,
                () => {
                  reached = sequence
                },
              ),
          }
          const came = {
            at: index + delay - 6,
            act: () => order.came(sequence, () => void log.push(sequence)),
          }
          return isHeard ? [fed, came] : [fed]
        })
        for (const { act } of steps.sort((a, b) => a.at - b.at)) {
          act()
          expect(log).toEqual([...log].sort((a, b) => a - b))
          // Nothing up to where it is said to be is still to come.
          expect(
            stream.flatMap(([isHeard], index) => (isHeard && index < reached ? [index + 1] : [])),
          ).toEqual(log.filter((sequence) => sequence <= reached))
        }
        expect(log).toEqual(stream.flatMap(([isHeard], index) => (isHeard ? [index + 1] : [])))
        expect(reached).toBe(stream.length)
        expect(order.size).toBe(0)
      },
    ),
  )
})

test('one that the stream dropped before it was fed has its turn before the next', () => {
  const order = new StreamOrder()
  const log: string[] = []
  order.came(2, () => log.push('two'))
  order.came(3, () => log.push('three'))
  order.fed(
    3,
    () => true,
    () => log.push('passed'),
  )
  expect(log).toEqual(['two', 'three', 'passed'])
})

test('what is not awaited any more holds nothing up', () => {
  const order = new StreamOrder()
  const log: string[] = []
  let isAwaited = true
  order.fed(
    1,
    () => isAwaited,
    () => log.push('passed 1'),
  )
  order.came(2, () => log.push('two'))
  order.fed(
    2,
    () => true,
    () => log.push('passed 2'),
  )
  expect(log).toEqual([])
  isAwaited = false
  order.settle()
  expect(log).toEqual(['passed 1', 'two', 'passed 2'])
})

test('one that nobody awaited has its turn when it comes', () => {
  const order = new StreamOrder()
  const log: number[] = []
  order.fed(
    1,
    () => false,
    () => {},
  )
  order.came(1, () => log.push(1))
  expect(log).toEqual([1])
})
