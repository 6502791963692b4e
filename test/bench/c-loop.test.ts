/** The C loop, which is the limit that the hub is held against. */
import { expect, onTestFinished, test } from 'vitest'
import { subject } from '../../bench/subjects/c-loop.mjs'

// On a busy machine a run of `latency` waited for ever: several commands came before the loop read one, it read all of them into a
// buffer, answered the first, and slept, since nothing more was to be read.
test('commands that come together are all answered, in their order', async () => {
  const running = await subject.start({ transport: 'websocket', groups: 1, size: 128, prefix: [] })
  onTestFinished(() => running.stop())
  const { pid = 0 } = running
  const order: string[] = []
  const asked = (name: string, answer: Promise<unknown>) => answer.then(() => order.push(name))
  process.kill(pid, 'SIGSTOP')
  const answers = [
    asked('first', running.burst({ turns: 1, perTurn: 1, first: 0 })),
    asked('usage', running.usage()),
    // More than a read brings at once.
    ...Array.from({ length: 3_000 }, (_, i) =>
      asked(`${i}`, running.burst({ turns: 1, perTurn: 1, first: i + 1 })),
    ),
  ]
  process.kill(pid, 'SIGCONT')
  await Promise.all(answers)
  expect(order).toEqual(['first', 'usage', ...Array.from({ length: 3_000 }, (_, i) => `${i}`)])
})
