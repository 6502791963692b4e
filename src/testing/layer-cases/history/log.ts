/** What cases about history compare: publications in short, as nodes got them and as a layer replays them. */
import assert from 'node:assert/strict'
import type { Replay } from '../../../layers/layer.ts'
import { numberIn, type TestNode } from '../../test-node.ts'
import { range, type Trial } from '../../trial.ts'

/** A publication of a group that keeps history. */
export interface Kept {
  readonly group: string
  readonly n: number
  readonly cursor: string
}

/** What a node got of groups that keep history, in order. */
export function logOf(node: TestNode): Kept[] {
  return node.sink.delivered.flatMap(({ group, json, cursor }) =>
    cursor === null ? [] : [{ group, n: numberIn(json), cursor }],
  )
}

/** What a layer replays, in order. */
export function keptIn({ publications }: Replay): Kept[] {
  return publications.map(({ group, publication: { json, cursor } }) => {
    assert.ok(cursor !== null, 'what is replayed has a cursor')
    return { group, n: numberIn(json), cursor }
  })
}

/** Fails unless a replay gives exactly these, and nothing is lost or left out. */
export function assertWhole(replay: Replay, expected: readonly Kept[], why: string): void {
  assert.deepEqual(keptIn(replay), expected, why)
  assert.deepEqual(replay.lost, [], `${why}: nothing is lost`)
  assert.equal(replay.hasMore, false, `${why}: nothing is left out`)
}

/** Fails unless a replay gives nothing and says that these groups are lost. */
export function assertLost(replay: Replay, groups: readonly string[], why: string): void {
  assert.deepEqual([...replay.lost].sort(), [...groups].sort(), why)
  assert.deepEqual(keptIn(replay), [], `${why}: nothing is given of what is lost`)
}

/** Publishes numbers on the first node, one after another. @returns them as they were kept */
export async function publishInTurn(trial: Trial, group: string, count: number): Promise<Kept[]> {
  const kept: Kept[] = []
  for (const n of range(0, count)) kept.push(await publishKept(trial.first, group, n))
  return kept
}

/** Publishes one number. @returns it as it was kept */
export async function publishKept(node: TestNode, group: string, n: number): Promise<Kept> {
  return { group, n, cursor: assertCursor(await node.publish(group, n)) }
}

export function assertCursor(cursor: string | null): string {
  assert.ok(cursor !== null, 'groupSend to a group that keeps history must resolve with a cursor')
  return cursor
}

/** All nodes add the groups and publish numbers in them, at the same time. @returns what nodes got, all in one order */
export async function publishAtOnce(trial: Trial, groups: readonly string[], count: number): Promise<Kept[]> {
  await trial.addAll(...groups)
  const groupOf = (n: number) => groups[Math.floor(n / 2) % groups.length] as string
  await Promise.all(range(0, count).map((n) => trial.node(n).publish(groupOf(n), n)))
  return settledLog(trial)
}

/** What nodes got of groups that keep history, when all of it has arrived. */
export async function settledLog(trial: Trial): Promise<Kept[]> {
  for (const node of trial.nodes) await trial.fence(node)
  const log = logOf(trial.first)
  for (const node of trial.nodes) {
    assert.deepEqual(
      logOf(node),
      log,
      'all nodes must get what groups keep in one order, with the same cursors',
    )
  }
  return log
}
