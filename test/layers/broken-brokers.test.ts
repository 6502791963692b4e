/** The suite about failing brokers is worth what it catches: drivers with one fault each, and the cases that must fail for them. */
import { describe, expect, test } from 'vitest'
import { brokerConformance, type ConformanceCase } from '../../src/testing/index.ts'
import { type Fault, faultyMemory } from './broken/faulty-memory.ts'

const CAUGHT_BY: Record<Fault, readonly string[]> = {
  'rejects at the start': ['24.1'],
  'gives no reason': ['24.1', '29.1'],
  'sends later': ['25.1'],
  'ends receives': ['25.2'],
  'sends again': ['26.1'],
  'says that it was not sent, and it was': ['26.2'],
  'says that it was sent, and it was not': ['26.2', '27.6'],
  'forgets its groups': ['27.1'],
  'remembers groups that were discarded': ['27.1'],
  'recovers nothing': ['27.2', '27.3', '27.6'],
  'recovers what trimming left': ['27.3'],
  'recovers after it is ready': ['27.2'],
  'recovers from the beginning': ['27.2'],
  'takes an empty broker for the same': ['27.5'],
  'never notices a stall': ['28.1', '28.2'],
  'says nothing of the loss': ['29.1'],
  'reports each attempt': ['29.1'],
}

function casesFor(fault: Fault | null, deadlineMs: number): ConformanceCase[] {
  return brokerConformance({ deadlineMs, seed: 1, create: async (count) => faultyMemory(count, fault) })
}

const numberOf = ({ title }: ConformanceCase) => title.split(' ')[0] as string

describe('a driver without a fault', () => {
  for (const { title, run } of casesFor(null, 10_000)) test.concurrent(title, run)
})

describe('the suite catches a driver that', { concurrent: true }, () => {
  for (const [fault, caughtBy] of Object.entries(CAUGHT_BY) as [Fault, readonly string[]][]) {
    test(fault, async ({ expect }) => {
      const cases = casesFor(fault, 1_000).filter((one) => caughtBy.includes(numberOf(one)))
      const results = await Promise.allSettled(cases.map(({ run }) => run()))
      const failed = cases.filter((_, index) => results[index]?.status === 'rejected').map(numberOf)
      expect(failed).toEqual(caughtBy)
    })
  }
})

test('every obligation about failure has cases', () => {
  const obligations = new Set(casesFor(null, 1).map(({ obligation }) => obligation))
  expect([...obligations].sort((a, b) => a - b)).toEqual([24, 25, 26, 27, 28, 29])
})
