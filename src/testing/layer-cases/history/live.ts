/** Obligations 19 and 20: how a replay and what nodes get meanwhile fit together. */
import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import { randomNumbers } from '../../random.ts'
import { numberIn, type TestNode } from '../../test-node.ts'
import { type CaseSpec, range, type Trial } from '../../trial.ts'
import { assertWhole, type Kept, keptIn, logOf, publishAtOnce, publishKept, settledLog } from './log.ts'

export const liveCases: readonly CaseSpec[] = [
  {
    title: '19.1 replay sees what any node had accepted before it was called',
    needs: 'history',
    async run(trial) {
      const start = await publishKept(trial.first, 'kept.a', -1)
      const sent: Kept[] = []
      for (const n of range(0, 20)) {
        sent.push(await publishKept(trial.node(n), 'kept.a', n))
        assertWhole(await trial.node(n + 1).replay(start.cursor, 'kept.a'), sent, `after ${n} was accepted`)
      }
    },
  },
  {
    title:
      '19.2 covers is true for all that was accepted before the replay, asked for or not, and for nothing later',
    needs: 'history',
    async run(trial) {
      const before = await publishAtOnce(trial, ['kept.a', 'kept.b'], 20)
      const replay = await trial.last.replay(before[14]?.cursor as string, 'kept.a')
      const log = await publishAtOnce(trial, ['kept.a', 'kept.b'], 20)
      for (const [index, { cursor }] of log.entries()) {
        assert.equal(
          replay.covers(cursor),
          index < before.length,
          `covers publication ${index} of ${log.length}`,
        )
      }
    },
  },
  {
    title: '19.3 replay after the cursor of a replay gives what came since, of all groups',
    needs: 'history',
    async run(trial) {
      const before = await publishAtOnce(trial, ['kept.a', 'kept.b'], 20)
      const some = await trial.last.replay(before[3]?.cursor as string, 'kept.a')
      const none = await trial.last.replay('no cursor', 'kept.a')
      const newest = await trial.last.replay(null, ['kept.b', 1])
      const log = await publishAtOnce(trial, ['kept.a', 'kept.b'], 20)
      for (const { cursor } of [some, none, newest]) {
        const replay = await trial.first.replay(cursor, 'kept.a', 'kept.b')
        assertWhole(replay, log.slice(before.length), 'after the cursor of a replay')
      }
    },
  },
  {
    title: '19.4 a replay while nodes publish, and what a node gets meanwhile, give each publication once',
    needs: 'history',
    async run(trial) {
      const random = randomNumbers(trial.seed)
      for (const round of range(0, 12)) await joinWhilePublishing(trial, `kept.${round}`, random)
    },
  },
  {
    title: '19.5 a replay before a flush covers nothing that came after it',
    needs: 'history',
    async run(trial) {
      for (const n of range(0, 10)) await publishKept(trial.first, 'kept.a', n)
      const replay = await trial.last.replay(null, 'kept.a')
      await trial.last.flush()
      const { cursor } = await publishKept(trial.first, 'kept.a', 10)
      assert.equal(replay.covers(cursor), false)
    },
  },
  {
    title: '19.6 when a replay resolves, the sink has been called with all that it covers',
    needs: 'history',
    async run(trial) {
      const random = randomNumbers(trial.seed)
      await trial.addAll('kept.a', 'kept.b')
      const publishing = publishSlowly(trial, ['kept.a', 'kept.b'], 60, random)
      const late: Kept[] = []
      for (const turn of range(0, 30)) {
        const node = trial.node(turn)
        const { covers } = await node.replay(null, ['kept.a', 1])
        const known = logOf(node).length
        await pause(random)
        late.push(
          ...logOf(node)
            .slice(known)
            .filter((one) => covers(one.cursor)),
        )
      }
      await publishing
      assert.deepEqual(late, [], `what came after a replay that covers it, with seed ${trial.seed}`)
    },
  },
  {
    title: '20.1 whatever a node gets after it was at a position is in a replay after that position',
    needs: 'history',
    async run(trial) {
      const random = randomNumbers(trial.seed)
      const groups = ['kept.a', 'kept.b']
      await trial.addAll(...groups)
      const stops: Stop[] = []
      const publishing = publishSlowly(trial, groups, 60, random)
      for (const turn of range(0, 40)) {
        stops.push(stopAt(trial.node(turn)))
        await pause(random)
      }
      await publishing
      await assertNothingMissed(trial, groups, stops)
    },
  },
  {
    title: '20.2 a position that is taken while a sink is called misses nothing that the sink sends',
    needs: 'history',
    async run(trial) {
      const groups = ['kept.a', 'kept.b']
      await trial.addAll(...groups)
      const stops: Stop[] = []
      trial.first.sink.onDeliver = (group, { json }) => {
        const n = numberIn(json)
        if (!groups.includes(group) || n > 9) return
        void trial.first.publish('kept.a', n + 1)
        void trial.first.publish('kept.b', 100)
        for (const node of trial.nodes) stops.push(stopAt(node))
      }
      await trial.first.publish('kept.a', 0)
      await trial.first.arrived('kept.b', 10)
      await assertNothingMissed(trial, groups, stops)
    },
  },
  {
    title: '20.3 the position goes on with what a node gets',
    needs: 'history',
    async run(trial) {
      await trial.addAll('kept.a')
      for (const n of range(0, 5)) {
        await trial.node(n).publish('kept.a', n)
        for (const node of trial.nodes) await node.arrived('kept.a', n + 1)
      }
      for (const node of trial.nodes) {
        const isAtEnd = async () => {
          const { position } = node.layer
          return position !== null && (await node.replay(position, 'kept.a')).publications.length === 0
        }
        await trial.patience.until(isAtEnd, 'position to be after what the node got')
      }
    },
  },
  {
    title: '20.4 refresh brings the position up to what any node had accepted before, of any group',
    needs: 'history',
    async run(trial) {
      for (const turn of range(0, 10)) {
        // No node has added it.
        await publishKept(trial.node(turn), 'kept.elsewhere', turn)
        const node = trial.node(turn + 1)
        await node.refresh()
        const { position } = node.layer
        assert.ok(position !== null, 'position is known after refresh')
        assertWhole(await node.replay(position, 'kept.elsewhere'), [], `after refresh ${turn}`)
      }
    },
  },
]

/** All nodes publish while one adds the group and asks for what it missed: what it has then must be the whole. */
async function joinWhilePublishing(trial: Trial, group: string, random: () => number): Promise<void> {
  const node = trial.node(Math.floor(random() * trial.nodes.length))
  const start = await publishKept(trial.first, group, -1)
  const after = random() < 0.3 ? null : start.cursor
  const publishing = publishSlowly(trial, [group], 30, random)
  for (let pauses = random() * 8; pauses > 0; pauses--) await pause(random)
  await node.add(group)
  for (let pauses = random() * 4; pauses > 0; pauses--) await pause(random)
  const replay = await node.replay(after, group)
  await publishing
  for (const sender of trial.nodes) await trial.fence(sender)

  assert.deepEqual(replay.lost, [])
  const held = logOf(node).filter((one) => one.group === group && !replay.covers(one.cursor))
  const whole = keptIn(await node.replay(after, group))
  assert.equal(whole.length, after === null ? 31 : 30)
  const got = [...keptIn(replay), ...held]
  assert.deepEqual(got, whole, `replay and what covers() is false for, with seed ${trial.seed}`)
}

/** Nodes publish numbers by turns, with pauses; not each waits for the one before. */
async function publishSlowly(
  trial: Trial,
  groups: readonly string[],
  count: number,
  random: () => number,
): Promise<void> {
  const sending: Promise<unknown>[] = []
  for (const n of range(0, count)) {
    const group = groups[Math.floor(random() * groups.length)] as string
    const sent = trial.node(Math.floor(random() * trial.nodes.length)).publish(group, n)
    sending.push(sent)
    if (random() < 0.3) await sent
    else if (random() < 0.6) await pause(random)
  }
  await Promise.all(sending)
}

async function pause(random: () => number): Promise<void> {
  const kind = random() * 4
  if (kind < 1) return
  if (kind < 3) await new Promise(setImmediate)
  else await delay(random() * 2)
}

/** Where a node was, and how much it had got. */
interface Stop {
  readonly node: TestNode
  readonly position: string | null
  readonly count: number
}

function stopAt(node: TestNode): Stop {
  return { node, position: node.layer.position, count: logOf(node).length }
}

async function assertNothingMissed(
  trial: Trial,
  groups: readonly string[],
  stops: readonly Stop[],
): Promise<void> {
  const log = await settledLog(trial)
  for (const { node, position, count } of stops) {
    // Nothing was known yet.
    if (position === null) continue
    const replay = await node.replay(position, ...groups)
    const rest = log.slice(count)
    assert.deepEqual(replay.lost, [])
    assert.deepEqual(
      rest.length === 0 ? [] : keptIn(replay).slice(-rest.length),
      rest,
      `after position ${position}, taken when the node had got ${count}, with seed ${trial.seed}`,
    )
  }
}
