/** Obligation 28: connections on which nothing moves. */
import assert from 'node:assert/strict'
import { assertHonest, type BrokerSpec, publishOn } from '../broker-trial.ts'

export const stallCases: readonly BrokerSpec[] = [
  stallCase('28.1 a connection that is stalled both ways is noticed within 10 s', 'both'),
  stallCase('28.2 a connection on which nothing comes back is noticed within 10 s', 'from broker'),
  {
    title:
      '28.3 a broker that stands still for 15 s is noticed, and then everything goes on, with what was missed',
    async run({ trial, broker }) {
      const groups = ['g', ...(trial.keepsHistory ? ['kept.a'] : [])]
      await trial.addAll(...groups)
      const load = publishOn(trial, groups)
      await trial.patience.until(() => load.count >= 100, 'some load')
      broker.pause()
      await new Promise((resolve) => setTimeout(resolve, STANDSTILL_MS))
      for (const { sink } of trial.nodes) assert.equal(sink.isReady, false, 'it must be noticed by then')
      broker.resume()
      for (const node of trial.nodes) await node.ready()
      const enough = load.count + 100
      await trial.patience.until(() => load.count >= enough, 'some load')
      const sent = await load.stop()
      for (const node of trial.nodes) await node.ready()
      for (const node of trial.nodes) await trial.fence(node)
      for (const node of trial.nodes) assertHonest(node, sent, trial.seed)
      for (const { sink } of trial.nodes)
        assert.deepEqual(
          sink.recoveries.flatMap(({ lost }) => lost),
          [],
          'the broker forgot nothing',
        )
    },
  },
]

const STANDSTILL_MS = 15_000

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
