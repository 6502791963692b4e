/** Obligation 28: connections on which nothing moves. */
import assert from 'node:assert/strict'
import type { BrokerSpec } from '../broker-trial.ts'

export const stallCases: readonly BrokerSpec[] = [
  stallCase('28.1 a connection that is stalled both ways is noticed within 10 s', 'both'),
  stallCase('28.2 a connection on which nothing comes back is noticed within 10 s', 'from broker'),
]

function stallCase(title: string, direction: 'both' | 'from broker'): BrokerSpec {
  return {
    title,
    async run({ trial, wires }) {
      await trial.addAll('g')
      const before = performance.now()
      wires.at(-1)?.stall(direction)
      await trial.last.lost()
      const noticedMs = performance.now() - before
      assert.ok(noticedMs < 10_000, `it took ${Math.round(noticedMs)} ms`)
      wires.at(-1)?.mend()
      await trial.last.ready()
      await trial.first.publish('g', 1)
      await trial.last.arrived('g', 1)
    },
  }
}
