/** Obligation 1: `groupSend` reaches every node that has added the group, once. */
import assert from 'node:assert/strict'
import { type CaseSpec, range } from '../trial.ts'

export const deliveryCases: readonly CaseSpec[] = [
  {
    title: '1.1 groupSend reaches the sink of the node that sends',
    async run({ first }) {
      await first.add('g')
      await first.publish('g', 1)
      await first.arrived('g', 1)
      assert.deepEqual(first.numbers('g'), [1])
    },
  },
  {
    title: '1.2 groupSend on any node reaches all nodes that have added the group',
    async run(trial) {
      await trial.addAll('g')
      for (const [turn, node] of trial.nodes.entries()) await node.publish('g', turn)
      for (const node of trial.nodes) await trial.fence(node)
      for (const node of trial.nodes) {
        assert.deepEqual(node.numbers('g').sort(ascending), range(0, trial.nodes.length))
      }
    },
  },
  {
    title: '1.3 each of many publications arrives once',
    async run(trial) {
      await trial.addAll('g')
      await Promise.all(range(0, 200).map((n) => trial.first.publish('g', n)))
      await trial.fence(trial.first)
      for (const node of trial.nodes) assert.deepEqual(node.numbers('g').sort(ascending), range(0, 200))
    },
  },
  {
    title: '1.4 each publication arrives under the name of its group',
    async run(trial) {
      const groups = range(0, 30).map((n) => `g.${n}`)
      await trial.addAll(...groups)
      for (const [n, group] of groups.entries()) await trial.first.publish(group, n)
      await trial.fence(trial.first)
      for (const node of trial.nodes) {
        for (const [n, group] of groups.entries()) assert.deepEqual(node.numbers(group), [n])
      }
    },
  },
  {
    title: '1.5 sinks get the cursor that groupSend resolves with: null from a group without history',
    async run(trial) {
      await trial.addAll('g')
      assert.equal(await trial.first.publish('g', 1), null)
      for (const node of trial.nodes) {
        await node.arrived('g', 1)
        assert.equal(node.sink.delivered[0]?.cursor, null)
      }
    },
  },
]

function ascending(a: number, b: number): number {
  return a - b
}
