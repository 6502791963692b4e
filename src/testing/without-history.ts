import assert from 'node:assert/strict'
import { errorCodeOf } from '../errors.ts'
import type { TestNode } from './test-node.ts'

/** Fails unless layers that cannot replay say so whatever they are asked (obligation 23). */
export async function assertWithoutHistory(nodes: readonly TestNode[]): Promise<void> {
  for (const node of nodes) {
    assert.equal(node.layer.position, null, 'position must be null')
    await node.add('kept.a')
    assert.equal(await node.publish('kept.a', 1), null, 'groupSend must resolve with null')
    for (const after of [null, 'x.1', '']) {
      for (const groups of [['kept.a'], ['a'], []]) {
        await assert.rejects(
          node.replay(after, ...groups),
          (error) => errorCodeOf(error) === 'history-not-available',
          'replay must reject with a GroupcastError of code history-not-available',
        )
      }
    }
    assert.equal(node.layer.position, null, 'position must stay null')
    await node.refresh()
    assert.equal(node.layer.position, null, 'refresh must resolve and change nothing')
    await node.arrived('kept.a', 1)
    for (const { cursor } of node.sink.delivered)
      assert.equal(cursor, null, 'sinks must get null for a cursor')
  }
}
