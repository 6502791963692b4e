/** Obligation 8: messages that waited too long are gone. */
import assert from 'node:assert/strict'
import { type CaseSpec, range } from '../trial.ts'

const CASES: readonly CaseSpec[] = [
  {
    title: '8.1 a message that waited longer than the expiry is never delivered',
    expires: true,
    async run(trial) {
      await trial.first.send('jobs', 1)
      await trial.advance(trial.expiryMs * 1.2)
      await trial.assertEmpty('jobs', 'the message expired')
    },
  },
  {
    title: '8.2 messages that waited less are delivered',
    expires: true,
    async run(trial) {
      for (const n of range(0, 3)) {
        await trial.first.send('jobs', n)
        await trial.advance(trial.expiryMs * 0.2)
      }
      assert.deepEqual(await trial.last.takeMany('jobs', 3), [0, 1, 2])
    },
  },
  {
    title: '8.3 one of several expires',
    expires: true,
    async run(trial) {
      for (const n of range(0, 3)) {
        if (n > 0) await trial.advance(trial.expiryMs * 0.6)
        await trial.first.send('jobs', n)
      }
      assert.deepEqual(await trial.last.takeMany('jobs', 2), [1, 2])
      await trial.assertEmpty('jobs', 'two of the three were left')
    },
  },
  {
    title: '8.4 several expire and a later one survives',
    expires: true,
    async run(trial) {
      for (const n of range(0, 3)) await trial.first.send('jobs', n)
      await trial.advance(trial.expiryMs * 0.7)
      await trial.first.send('jobs', 3)
      await trial.advance(trial.expiryMs * 0.5)
      assert.equal(await trial.last.take('jobs'), 3)
      await trial.assertEmpty('jobs', 'the last was left')
    },
  },
  {
    title: '8.5 expired messages take no room',
    capacity: 3,
    expires: true,
    async run(trial) {
      for (const n of range(0, 3)) await trial.first.send('jobs', n)
      await trial.advance(trial.expiryMs * 1.2)
      for (const n of range(3, 6)) await trial.first.send('jobs', n)
      await trial.assertFull(trial.first.send('jobs', 6), 'jobs')
      assert.deepEqual(await trial.last.takeMany('jobs', 3), [3, 4, 5])
    },
  },
  {
    title: '8.6 those that did not expire go on taking room',
    capacity: 3,
    expires: true,
    async run(trial) {
      for (const n of range(0, 2)) await trial.first.send('jobs', n)
      await trial.advance(trial.expiryMs * 0.7)
      await trial.first.send('jobs', 2)
      await trial.advance(trial.expiryMs * 0.5)
      for (const n of range(3, 5)) await trial.first.send('jobs', n)
      await trial.assertFull(trial.first.send('jobs', 5), 'jobs')
      assert.deepEqual(await trial.last.takeMany('jobs', 3), [2, 3, 4])
    },
  },
  {
    title: '8.7 what expires in one channel does not touch another',
    expires: true,
    async run(trial) {
      await trial.first.send('a', 1)
      await trial.advance(trial.expiryMs * 0.7)
      await trial.first.send('b', 2)
      await trial.advance(trial.expiryMs * 0.5)
      await trial.assertEmpty('a', 'the message of a expired')
      assert.equal(await trial.last.take('b'), 2)
    },
  },
  {
    title: '8.8 reading does not prolong what stays in the queue',
    expires: true,
    async run(trial) {
      for (const n of range(0, 2)) await trial.first.send('jobs', n)
      await trial.advance(trial.expiryMs * 0.7)
      assert.equal(await trial.last.take('jobs'), 0)
      await trial.advance(trial.expiryMs * 0.5)
      await trial.assertEmpty('jobs', 'the second expired')
    },
  },
  {
    title: '8.9 a reader who waits longer than the expiry gets what comes then',
    expires: true,
    async run(trial) {
      const reading = trial.last.read('jobs')
      await trial.advance(trial.expiryMs * 2)
      await trial.first.send('jobs', 1)
      assert.equal(await trial.patience.within(reading, 'the waiting reader to get the message'), 1)
    },
  },
  {
    title: '8.10 messages wait for 60 seconds unless configured',
    needs: 'manual clock',
    async run(trial) {
      await trial.first.send('jobs', 1)
      await trial.advance(59_000)
      assert.equal(await trial.last.take('jobs'), 1)
      await trial.first.send('jobs', 2)
      await trial.advance(61_000)
      await trial.assertEmpty('jobs', 'the message expired')
    },
  },
]

/** Without queues nothing waits, and there is nothing to check here. */
export const expiryCases: readonly CaseSpec[] = CASES.map((spec) => ({ needs: 'queues', ...spec }))
