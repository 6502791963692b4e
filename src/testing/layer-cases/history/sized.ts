import type { TestNode } from '../../test-node.ts'
import { assertCursor, type Kept } from './log.ts'

/** Publishes a number in a message of so many bytes of UTF-8, which has fewer characters. */
export async function publishSized(node: TestNode, group: string, n: number, bytes: number): Promise<Kept> {
  const empty = JSON.stringify({ type: 'conformance.sized', n, text: '' })
  const rest = bytes - Buffer.byteLength(empty)
  const text = 'é'.repeat(Math.floor(rest / 2)) + 'e'.repeat(rest % 2)
  const cursor = await node.publishJson(group, JSON.stringify({ type: 'conformance.sized', n, text }))
  return { group, n, cursor: assertCursor(cursor) }
}
