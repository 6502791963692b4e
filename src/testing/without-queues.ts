import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import type { Patience } from './patience.ts'
import type { TestNode } from './test-node.ts'

/** Enough to fill any queue. */
const MANY = 120

/** Fails unless layers that keep nothing for later readers neither keep nor refuse anything, and reach all who read (obligation 6). */
export async function assertWithoutQueues(nodes: readonly TestNode[], patience: Patience): Promise<void> {
  const [first, last] = [nodes[0] as TestNode, nodes.at(-1) as TestNode]
  for (let n = 0; n < MANY; n++) await first.send('jobs', n)
  const readings = [first.read('jobs'), last.read('jobs')]
  // Nothing says when readers can be reached.
  let isOver = false
  const sending = (async () => {
    for (let n = MANY; !isOver; n++) {
      await first.send('jobs', n)
      await delay(5)
    }
  })()
  try {
    for (const n of await patience.within(Promise.all(readings), 'both readers to get a message'))
      assert.ok(n >= MANY, 'a reader must not get what was sent before it came')
  } finally {
    isOver = true
    await sending
  }
}
