/** Obligation 6: queues that any node writes and reads, each message for one reader. */
import assert from 'node:assert/strict'
import { isAllowed } from '../test-node.ts'
import { type CaseSpec, range } from '../trial.ts'

const CASES: readonly CaseSpec[] = [
  {
    title: '6.1 what any node sends, any node reads',
    async run(trial) {
      let n = 0
      for (const sender of trial.nodes) {
        for (const reader of trial.nodes) {
          await sender.send('jobs', ++n)
          assert.equal(await reader.take('jobs'), n)
        }
      }
    },
  },
  {
    title: '6.2 messages wait for a reader that comes later, in the order sent',
    async run(trial) {
      for (const n of range(0, 20)) await trial.first.send('jobs', n)
      assert.deepEqual(await trial.last.takeMany('jobs', 20), range(0, 20))
      await trial.assertEmpty('jobs', 'every message was read')
    },
  },
  {
    title: '6.3 a reader who waits gets the message that comes',
    async run(trial) {
      const reading = trial.last.read('jobs')
      await trial.first.send('jobs', 1)
      assert.equal(await trial.patience.within(reading, 'the reader to get the message'), 1)
    },
  },
  {
    title: '6.4 readers who wait get one message each',
    async run(trial) {
      const readings = trial.nodes.flatMap((node) => range(0, 3).map(() => node.read('jobs')))
      for (const n of readings.keys()) await trial.first.send('jobs', n)
      const numbers = await trial.patience.within(Promise.all(readings), 'each reader to get a message')
      assert.deepEqual(numbers.sort(ascending), range(0, readings.length))
      await trial.assertEmpty('jobs', 'no message is left over')
    },
  },
  {
    title: '6.5 of readers on all nodes, exactly one gets each message',
    async run(trial) {
      const stop = new AbortController()
      const got: number[] = []
      const read = async (turn: number) => {
        for (;;) got.push(await trial.node(turn).read('jobs', stop.signal))
      }
      const readers = range(0, 3 * trial.nodes.length).map((turn) => read(turn).catch(() => {}))
      await Promise.all(range(0, 90).map((n) => trial.node(n).send('jobs', n)))
      await trial.patience.until(() => got.length >= 90, 'the readers to get 90 messages')
      // A message that somebody gets a second time would come before these.
      for (const n of range(90, 100)) await trial.first.send('jobs', n)
      await trial.patience.until(() => got.length >= 100, 'the readers to get 10 messages more')
      stop.abort()
      await trial.patience.within(Promise.all(readers), 'the readers to stop')
      assert.deepEqual(got.sort(ascending), range(0, 100))
    },
  },
  {
    title: '6.6 channels are separate, however alike their names',
    async run(trial) {
      const names: string[] = []
      for (const name of ['a', 'A', 'aa', 'ab', 'a.b', 'a/b', 'a-', '-a']) {
        if (await isAllowed(trial.first.send(name, names.length))) names.push(name)
      }
      for (const [n, name] of [...names.entries()].reverse()) {
        assert.equal(await trial.last.take(name), n, `the message of ${name}`)
      }
      for (const name of names) await trial.assertEmpty(name, `${name} had one message`)
    },
  },
  {
    title: '6.7 messages whose sending is not awaited are read in the order of the calls',
    async run(trial) {
      const names = ['a', 'b', 'c']
      await Promise.all(range(0, 90).map((n) => trial.first.send(names[n % 3] as string, n)))
      for (const [turn, name] of names.entries()) {
        const expected = range(0, 90).filter((n) => n % 3 === turn)
        assert.deepEqual(await trial.last.takeMany(name, 30), expected)
      }
    },
  },
  {
    title: '6.8 a channel goes on after it was empty',
    async run(trial) {
      for (const n of range(0, 30)) {
        await trial.node(n).send('jobs', n)
        assert.equal(await trial.node(n + 1).take('jobs'), n)
      }
    },
  },
  {
    title: '6.9 one node waits on many channels at once',
    async run(trial) {
      const names = range(0, 20).map((n) => `jobs.${n}`)
      const readings = names.map((name) => trial.last.read(name))
      for (const [n, name] of [...names.entries()].reverse()) {
        await trial.first.send(name, n)
        assert.equal(await trial.patience.within(readings[n] as Promise<number>, `a message of ${name}`), n)
      }
    },
  },
]

/** Without queues nothing waits, and there is nothing to check here. */
export const channelCases: readonly CaseSpec[] = CASES.map((spec) => ({ needs: 'queues', ...spec }))

function ascending(a: number, b: number): number {
  return a - b
}
