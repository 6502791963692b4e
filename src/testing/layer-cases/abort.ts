/** Obligation 9: a `receive` that is aborted takes no message with it. */
import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import { randomNumbers } from '../random.ts'
import { type CaseSpec, range, rejection, type Trial } from '../trial.ts'

const CASES: readonly CaseSpec[] = [
  {
    title: '9.1 a receive that is aborted rejects with the reason, and the next reader gets the message',
    async run(trial) {
      const stop = new AbortController()
      const reason = new Error('enough')
      const reading = trial.first.read('jobs', stop.signal)
      stop.abort(reason)
      assert.equal(await rejected(trial, reading), reason)
      await trial.first.send('jobs', 1)
      assert.equal(await trial.last.take('jobs'), 1)
    },
  },
  {
    title: '9.2 a receive whose signal was aborted before takes nothing',
    async run(trial) {
      await trial.first.send('jobs', 1)
      const signal = AbortSignal.abort()
      assert.equal(await rejected(trial, trial.first.read('jobs', signal)), signal.reason)
      assert.equal(await trial.last.take('jobs'), 1)
    },
  },
  {
    title: '9.3 of two readers who wait, the other gets the message when one is aborted',
    async run(trial) {
      const stop = new AbortController()
      const aborted = trial.first.read('jobs', stop.signal)
      const other = trial.last.read('jobs')
      stop.abort(new Error('enough'))
      await trial.first.send('jobs', 1)
      assert.equal(await trial.patience.within(other, 'the other reader to get the message'), 1)
      assert.equal(await rejected(trial, aborted), stop.signal.reason)
    },
  },
  {
    title: '9.4 an abort after a receive has resolved changes nothing',
    async run(trial) {
      const stop = new AbortController()
      const reading = trial.first.read('jobs', stop.signal)
      await trial.first.send('jobs', 1)
      assert.equal(await trial.patience.within(reading, 'the reader to get the message'), 1)
      stop.abort(new Error('enough'))
      await trial.first.send('jobs', 2)
      assert.equal(await trial.first.take('jobs'), 2)
    },
  },
  {
    title: '9.5 many readers who gave up leave nothing behind',
    async run(trial) {
      const given = range(0, 60).map((turn) => {
        const stop = new AbortController()
        return { stop, reading: trial.node(turn).read('jobs', stop.signal) }
      })
      for (const { stop } of given) stop.abort(new Error('enough'))
      for (const { stop, reading } of given) {
        assert.equal(await rejected(trial, reading), stop.signal.reason)
      }
      for (const n of range(0, 20)) await trial.first.send('jobs', n)
      assert.deepEqual(await trial.last.takeMany('jobs', 20), range(0, 20))
    },
  },
  {
    title: '9.6 one signal ends receives on several channels, and no others',
    async run(trial) {
      const stop = new AbortController()
      const ended = ['a', 'b', 'c'].map((channel) => trial.first.read(channel, stop.signal))
      const other = trial.first.read('d')
      stop.abort(new Error('enough'))
      for (const reading of ended) assert.equal(await rejected(trial, reading), stop.signal.reason)
      await trial.last.send('d', 1)
      assert.equal(await trial.patience.within(other, 'the reader without a signal to get the message'), 1)
    },
  },
  {
    title: '9.7 aborts at random moments never lose a message, nor deliver one twice, nor block',
    capacity: 30,
    async run(trial) {
      const random = randomNumbers(trial.seed)
      for (const n of range(0, 100)) {
        const got = await receiveWithAbort(trial, n, random)
        assert.equal(got, n, `message ${n}, with seed ${trial.seed}`)
      }
      await trial.assertEmpty('jobs', `each message was read once, with seed ${trial.seed}`)
    },
  },
]

/** Without queues nothing waits, and there is nothing to check here. */
export const abortCases: readonly CaseSpec[] = CASES.map((spec) => ({ needs: 'queues', ...spec }))

/**
 * Sends `n` while a reader waits, aborts that reader at some moment, and returns the number that it or the
 * next reader got.
 */
async function receiveWithAbort(trial: Trial, n: number, random: () => number): Promise<number> {
  const stop = new AbortController()
  const reading = trial.node(Math.floor(random() * 3)).read('jobs', stop.signal)
  const abort = () => stop.abort(n)
  const moment = random() * 6
  if (moment < 1) abort()
  const sending = trial.node(Math.floor(random() * 3)).send('jobs', n)
  if (moment < 2) abort()
  else if (moment < 3) queueMicrotask(abort)
  else if (moment < 4) setImmediate(abort)
  else void delay(random() * 4).then(abort)
  await sending
  try {
    return await trial.patience.within(reading, `receive ${n} to settle, with seed ${trial.seed}`)
  } catch (error) {
    assert.equal(error, stop.signal.reason)
  }
  return trial.node(n).take('jobs')
}

function rejected(trial: Trial, reading: Promise<unknown>): Promise<unknown> {
  return trial.patience.within(rejection(reading), 'the aborted receive to reject')
}
