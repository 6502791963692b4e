/** Obligation 7: queues are bounded, each for itself. */
import assert from 'node:assert/strict'
import { ChannelFullError } from '../../errors.ts'
import { type CaseSpec, range } from '../trial.ts'

const CASES: readonly CaseSpec[] = [
  {
    title: '7.1 send beyond the capacity rejects with ChannelFullError',
    capacity: 3,
    async run(trial) {
      for (const n of range(0, 3)) await trial.first.send('jobs', n)
      await trial.assertFull(trial.first.send('jobs', 3), 'jobs')
    },
  },
  {
    title: '7.2 a send that was rejected changes nothing',
    capacity: 3,
    async run(trial) {
      for (const n of range(0, 3)) await trial.first.send('jobs', n)
      for (const n of range(3, 6)) await trial.assertFull(trial.first.send('jobs', n), 'jobs')
      assert.deepEqual(await trial.last.takeMany('jobs', 3), [0, 1, 2])
      await trial.assertEmpty('jobs', 'what was rejected was not sent')
    },
  },
  {
    title: '7.3 reading makes room again',
    capacity: 2,
    async run(trial) {
      for (const n of range(0, 2)) await trial.first.send('jobs', n)
      for (const n of range(2, 8)) {
        await trial.assertFull(trial.first.send('jobs', 99), 'jobs')
        assert.equal(await trial.last.take('jobs'), n - 2)
        await trial.first.send('jobs', n)
      }
    },
  },
  {
    title: '7.4 one full channel does not affect another',
    capacity: 2,
    async run(trial) {
      for (const channel of ['a', 'b', 'c']) {
        for (const n of range(0, 2)) await trial.first.send(channel, n)
      }
      await trial.assertFull(trial.first.send('a', 2), 'a')
      assert.deepEqual(await trial.last.takeMany('b', 2), [0, 1])
      await trial.first.send('b', 2)
      await trial.assertFull(trial.first.send('c', 2), 'c')
    },
  },
  {
    title: '7.5 what all nodes sent counts',
    minNodes: 2,
    capacity: 3,
    async run(trial) {
      for (const n of range(0, 3)) await trial.node(n).send('jobs', n)
      for (const node of trial.nodes) await trial.assertFull(node.send('jobs', 3), 'jobs')
      assert.deepEqual(await trial.last.takeMany('jobs', 3), [0, 1, 2])
    },
  },
  {
    title: '7.6 a queue holds 100 messages unless configured',
    async run(trial) {
      for (const n of range(0, 100)) await trial.first.send('jobs', n)
      await trial.assertFull(trial.first.send('jobs', 100), 'jobs')
      assert.deepEqual(await trial.last.takeMany('jobs', 100), range(0, 100))
    },
  },
  {
    title: '7.7 a message that a waiting reader got takes no room',
    capacity: 1,
    async run(trial) {
      for (const n of range(0, 10)) {
        const reading = trial.last.read('jobs')
        await trial.first.send('jobs', n)
        assert.equal(await trial.patience.within(reading, 'the waiting reader to get the message'), n)
      }
      await trial.first.send('jobs', 10)
      await trial.assertFull(trial.first.send('jobs', 11), 'jobs')
    },
  },
  {
    title: '7.8 of sends at the same time on all nodes, as many succeed as there is room',
    capacity: 3,
    async run(trial) {
      const results = await Promise.allSettled(range(0, 12).map((n) => trial.node(n).send('jobs', n)))
      const sent: number[] = []
      for (const [n, result] of results.entries()) {
        if (result.status === 'fulfilled') sent.push(n)
        else assert.ok(result.reason instanceof ChannelFullError, `not ChannelFullError: ${result.reason}`)
      }
      assert.equal(sent.length, 3)
      const taken = await trial.last.takeMany('jobs', 3)
      assert.deepEqual(taken.sort(), sent.sort())
      await trial.assertEmpty('jobs', 'three were sent')
    },
  },
]

/** Without queues nothing waits, and there is nothing to check here. */
export const capacityCases: readonly CaseSpec[] = CASES.map((spec) => ({ needs: 'queues', ...spec }))
