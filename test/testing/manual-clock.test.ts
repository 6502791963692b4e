import { expect, test, vi } from 'vitest'
import { manualClock } from '../../src/testing/index.ts'

test('stands still until it is advanced', () => {
  const clock = manualClock()
  expect(clock.now()).toBe(0)
  clock.advance(1.5)
  clock.advance(0)
  expect(clock.now()).toBe(1.5)
})

test('runs what has come due in the order of time, each task at its moment', () => {
  const clock = manualClock()
  const log: string[] = []
  const note = (text: string) => () => void log.push(`${text}@${clock.now()}`)
  clock.after(30, note('late'))
  clock.after(10, note('first'))
  clock.after(10, note('second'))
  clock.every(15, note('every'))
  clock.after(100, note('never'))
  clock.advance(9)
  expect(log).toEqual([])
  clock.advance(30)
  expect(log).toEqual(['first@10', 'second@10', 'every@15', 'late@30', 'every@30'])
  expect(clock.now()).toBe(39)
})

test('runs what tasks set, within one advance', () => {
  const clock = manualClock()
  const log: number[] = []
  clock.after(10, () => clock.after(10, () => log.push(clock.now())))
  clock.advance(25)
  expect(log).toEqual([20])
})

test('cancels, also from within a task', () => {
  const clock = manualClock()
  const task = vi.fn()
  const cancelAfter = clock.after(10, task)
  const cancelEvery = clock.every(10, task)
  clock.after(25, () => cancelEvery())
  cancelAfter()
  cancelAfter()
  clock.advance(100)
  expect(task).toHaveBeenCalledTimes(2)
  expect(clock.pending).toBe(0)
})

test('survives an interval of 0 ms and a task that advances the clock', () => {
  const clock = manualClock()
  const task = vi.fn()
  const cancel = clock.every(0, task)
  clock.advance(3)
  expect(task).toHaveBeenCalledTimes(3)
  cancel()
  clock.after(1, () => clock.advance(100))
  clock.advance(2)
  expect(clock.now()).toBe(104)
})

test('goes on after a task that threw', () => {
  const clock = manualClock()
  const task = vi.fn()
  clock.after(1, () => {
    throw new Error('broken task')
  })
  clock.after(2, task)
  expect(() => clock.advance(5)).toThrow('broken task')
  clock.advance(4)
  expect(task).toHaveBeenCalledOnce()
})

test.each([-1, Number.NaN, Infinity])('advance(%d) is refused', (ms) => {
  expect(() => manualClock().advance(ms)).toThrow(RangeError)
})
