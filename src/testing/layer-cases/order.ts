/** Obligations 4 and 5: the order of one sender, and sends that nobody gets. */
import assert from 'node:assert/strict'
import { errorCodeOf } from '../../errors.ts'
import { numberIn, type TestNode } from '../test-node.ts'
import { type CaseSpec, range, rejection } from '../trial.ts'

export const orderCases: readonly CaseSpec[] = [
  {
    title: '4.1 publications that are awaited one after another arrive in order',
    async run(trial) {
      await trial.addAll('g')
      for (const n of range(0, 50)) await trial.first.publish('g', n)
      await trial.fence(trial.first)
      for (const node of trial.nodes) assert.deepEqual(node.numbers('g'), range(0, 50))
    },
  },
  {
    title: '4.2 publications that are not awaited arrive in the order of the calls',
    async run(trial) {
      await trial.addAll('g')
      await Promise.all(range(0, 200).map((n) => trial.first.publish('g', n)))
      await trial.fence(trial.first)
      for (const node of trial.nodes) assert.deepEqual(node.numbers('g'), range(0, 200))
    },
  },
  {
    title: '4.3 the order of one sender holds across groups, or in each of them where the layer says so',
    async run(trial) {
      await trial.addAll('a', 'b', 'c')
      await Promise.all(range(0, 90).map((n) => trial.first.publish(['a', 'b', 'c'][n % 3] as string, n)))
      await trial.fence(trial.first)
      for (const node of trial.nodes) {
        if (trial.keepsOrderAcrossGroups) assert.deepEqual(allNumbers(node), range(0, 90))
        for (const [index, group] of ['a', 'b', 'c'].entries()) {
          assert.deepEqual(
            node.numbers(group),
            range(0, 30).map((n) => 3 * n + index),
          )
        }
      }
    },
  },
  {
    title: '4.4 senders at the same time each keep their order',
    async run(trial) {
      await trial.addAll('g')
      await Promise.all(
        trial.nodes.flatMap((node, turn) => range(0, 50).map((n) => node.publish('g', turn * 1000 + n))),
      )
      for (const node of trial.nodes) await trial.fence(node)
      for (const node of trial.nodes) {
        for (const turn of trial.nodes.keys()) {
          const ofOne = node.numbers('g').filter((n) => Math.floor(n / 1000) === turn)
          assert.deepEqual(ofOne, range(turn * 1000, turn * 1000 + 50))
        }
      }
    },
  },
  {
    title: '4.5 what a sink sends while it is called arrives after what it was called with, on every node',
    minNodes: 2,
    async run(trial) {
      await trial.addAll('g')
      trial.first.sink.onDeliver = (group, { json }) => {
        const n = numberIn(json)
        if (group === 'g' && n < 5) void trial.first.publish('g', n + 1)
      }
      await trial.first.publish('g', 1)
      for (const node of trial.nodes) await node.arrived('g', 5)
      await trial.fence(trial.first)
      for (const node of trial.nodes) assert.deepEqual(node.numbers('g'), range(1, 6))
    },
  },
  {
    title: '4.6 a publication that groupSend rejected reaches nobody',
    minNodes: 2,
    async run(trial) {
      await trial.addAll('g')
      await trial.last.close()
      assert.equal(errorCodeOf(await rejection(trial.last.publish('g', 1))), 'hub-closed')
      await trial.first.publish('g', 2)
      await trial.fence(trial.first)
      assert.deepEqual(trial.first.numbers('g'), [2])
    },
  },
  {
    title: '5.1 groupSend to a group without members resolves, and nothing is kept for later ones',
    async run(trial) {
      for (const n of range(0, 10)) await trial.first.publish('g', n)
      await trial.addAll('g')
      await trial.fence(trial.first)
      for (const node of trial.nodes) assert.deepEqual(node.numbers('g'), [])
    },
  },
  {
    title: '5.2 groupSend never rejects for a full queue, nor counts against one',
    capacity: 2,
    needs: 'queues',
    async run(trial) {
      await trial.addAll('x')
      await trial.first.send('x', 100)
      await Promise.all(range(0, 20).map((n) => trial.first.publish('x', n)))
      await trial.first.send('x', 101)
      await trial.assertFull(trial.first.send('x', 102), 'x')
      await Promise.all(range(20, 40).map((n) => trial.first.publish('x', n)))
      await trial.fence(trial.first)
      for (const node of trial.nodes) assert.deepEqual(node.numbers('x'), range(0, 40))
      assert.deepEqual(await trial.last.takeMany('x', 2), [100, 101])
    },
  },
]

/** The numbers of all groups in the order in which they came. */
function allNumbers(node: TestNode): number[] {
  return node.sink.delivered.map(({ json }) => numberIn(json))
}
