/** Obligation 14: what gets a cursor, and what cursors look like. */
import assert from 'node:assert/strict'
import { type CaseSpec, range } from '../../trial.ts'
import { assertCursor, assertWhole, logOf, publishInTurn, publishKept } from './log.ts'

export const cursorCases: readonly CaseSpec[] = [
  {
    title: '14.1 groupSend to a group that keeps history resolves with a cursor, and sinks get the same',
    needs: 'history',
    async run(trial) {
      await trial.addAll('kept.a')
      const sent = await publishInTurn(trial, 'kept.a', 20)
      // Clients carry cursors in headers and queries: see the protocol.
      for (const { cursor } of sent) assert.match(cursor, /^[A-Za-z0-9._~-]{1,128}$/)
      await trial.fence(trial.first)
      for (const node of trial.nodes) assert.deepEqual(logOf(node), sent)
    },
  },
  {
    title: '14.2 cursors are all different, whichever node sends to whichever group',
    needs: 'history',
    async run(trial) {
      const sending = range(0, 120).map((n) => trial.node(n).publish(`kept.${n % 4}`, n))
      const cursors = (await Promise.all(sending)).map(assertCursor)
      assert.equal(new Set(cursors).size, cursors.length)
    },
  },
  {
    title: '14.3 a publication is kept where no node has added the group',
    needs: 'history',
    async run(trial) {
      const sent = await publishInTurn(trial, 'kept.a', 3)
      for (const node of trial.nodes) assertWhole(await node.replay(null, 'kept.a'), sent, 'without members')
    },
  },
  {
    title: '14.4 groups that keep no history get null, and nothing of them is kept',
    needs: 'history',
    async run(trial) {
      await trial.addAll('a', 'kept')
      const [before] = await publishInTurn(trial, 'kept.a', 1)
      for (const group of ['a', 'kept']) assert.equal(await trial.first.publish(group, 1), null)
      await trial.fence(trial.first)
      for (const node of trial.nodes) {
        assert.deepEqual(logOf(node), [], 'sinks must get null for a cursor')
        for (const after of [null, before?.cursor as string]) {
          assertWhole(await node.replay(after, 'a', 'kept'), [], 'groups without history')
        }
      }
    },
  },
  {
    title: '14.5 __proto__ and constructor are names of groups with history like others',
    needs: 'history',
    async run(trial) {
      const first = await publishKept(trial.first, '__proto__', 1)
      const second = await publishKept(trial.first, 'constructor', 2)
      const third = await publishKept(trial.first, 'kept.__proto__', 3)
      const { last } = trial
      assertWhole(await last.replay(null, '__proto__'), [first], '__proto__')
      assertWhole(await last.replay(first.cursor, '__proto__', 'constructor'), [second], 'constructor')
      assertWhole(await last.replay(first.cursor, 'kept.__proto__', 'constructor'), [second, third], 'both')
      assertWhole(
        await last.replay(null, 'kept.constructor', 'toString'),
        [],
        'names of which nothing is kept',
      )
    },
  },
]
