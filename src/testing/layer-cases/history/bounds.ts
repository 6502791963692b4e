/** Obligations 21 and 22: how much is kept, and `flush`. */
import assert from 'node:assert/strict'
import { FEW } from '../../kept-groups.ts'
import { type CaseSpec, range } from '../../trial.ts'
import { assertLost, assertWhole, type Kept, logOf, publishInTurn, publishKept } from './log.ts'
import { publishSized } from './sized.ts'

export const boundCases: readonly CaseSpec[] = [
  {
    title: '21.1 a group keeps the newest, as many as its count',
    needs: 'history',
    async run(trial) {
      const sent: Kept[] = []
      for (const n of range(0, FEW * 3)) {
        sent.push(await publishKept(trial.node(n), 'kept.few.a', n))
        assertWhole(await trial.last.replay(null, 'kept.few.a'), sent.slice(-FEW), `after ${n}`)
      }
    },
  },
  {
    title: '21.2 a group keeps the newest, as many as its bytes of UTF-8 hold',
    needs: 'history',
    async run(trial) {
      const sent: Kept[] = []
      for (const n of range(0, 8)) {
        sent.push(await publishSized(trial.node(n), 'kept.small.a', n, 300))
        assertWhole(await trial.last.replay(null, 'kept.small.a'), sent.slice(-3), `after ${n}`)
      }
      sent.push(await publishSized(trial.first, 'kept.small.a', 8, 650))
      assertWhole(await trial.last.replay(null, 'kept.small.a'), sent.slice(-2), 'after a large one')
    },
  },
  {
    title: '21.3 a group keeps what is young enough, each publication for itself',
    needs: 'history',
    async run(trial) {
      const sent: Kept[] = []
      for (const n of range(0, 3)) {
        if (n > 0) await trial.advance(trial.expiryMs * 0.6)
        sent.push(await publishKept(trial.node(n), 'kept.brief.a', n))
      }
      assertWhole(await trial.last.replay(null, 'kept.brief.a'), sent.slice(1), 'the first is too old')
      await trial.advance(trial.expiryMs * 0.6)
      assertWhole(await trial.last.replay(null, 'kept.brief.a'), sent.slice(2), 'the second is too old')
      await trial.advance(trial.expiryMs * 0.6)
      assertWhole(await trial.last.replay(null, 'kept.brief.a'), [], 'the third is too old')
    },
  },
  {
    title:
      '21.4 a message that is larger than all its group may keep leaves nothing there, and who lacks it is told',
    needs: 'history',
    async run(trial) {
      await trial.addAll('kept.small.a')
      const before = await publishSized(trial.first, 'kept.small.a', 0, 300)
      const large = await publishSized(trial.first, 'kept.small.a', 1, 2000)
      assertWhole(await trial.last.replay(null, 'kept.small.a'), [], 'nothing is kept')
      assertLost(await trial.last.replay(before.cursor, 'kept.small.a'), ['kept.small.a'], 'before it')
      assertWhole(await trial.last.replay(large.cursor, 'kept.small.a'), [], 'after it')
      const next = await publishSized(trial.first, 'kept.small.a', 2, 300)
      assertWhole(await trial.last.replay(large.cursor, 'kept.small.a'), [next], 'after it, the next')
      await trial.fence(trial.first)
      for (const node of trial.nodes) assert.deepEqual(logOf(node), [before, large, next], 'nodes get all')
    },
  },
  {
    title: '21.5 each group keeps as much as its own bounds say',
    needs: 'history',
    async run(trial) {
      const sent: Kept[] = []
      for (const n of range(0, 8)) {
        for (const group of ['kept.few.a', 'kept.few.b', 'kept.a'])
          sent.push(await publishKept(trial.first, group, n))
      }
      const expected = sent.filter(({ group, n }) => group === 'kept.a' || n >= 8 - FEW)
      const replay = await trial.last.replay(null, 'kept.a', 'kept.few.a', 'kept.few.b')
      assertWhole(replay, expected, 'three groups')
    },
  },
  {
    title: '22.1 flush forgets all history, whichever node sent it',
    needs: 'history',
    async run(trial) {
      for (const n of range(0, 9)) await publishKept(trial.node(n), `kept.${n % 3}`, n)
      await trial.last.flush()
      for (const node of trial.nodes) {
        assertWhole(await node.replay(null, 'kept.0', 'kept.1', 'kept.2'), [], 'after the flush')
      }
    },
  },
  {
    title: '22.2 after a flush all earlier cursors are lost, of whatever comes',
    needs: 'history',
    async run(trial) {
      const sent = await publishInTurn(trial, 'kept.a', 5)
      const { cursor } = await trial.first.replay(null)
      await trial.last.flush()
      // As many as before: a number that begins anew comes past all the earlier ones.
      for (const n of range(0, 8)) {
        for (const after of [...sent.map((one) => one.cursor), cursor]) {
          const replay = await trial.node(n).replay(after, 'kept.a', 'kept.b')
          assertLost(replay, ['kept.a', 'kept.b'], `after ${after}, ${n} publications after the flush`)
        }
        await publishKept(trial.first, 'kept.a', n)
      }
    },
  },
  {
    title: '22.3 after a flush history goes on with new cursors',
    needs: 'history',
    async run(trial) {
      const before = await publishInTurn(trial, 'kept.a', 5)
      await trial.last.flush()
      const { cursor } = await trial.last.replay(null, 'kept.a')
      const sent = await publishInTurn(trial, 'kept.a', 5)
      assertWhole(await trial.last.replay(cursor, 'kept.a'), sent, 'after a cursor of the new epoch')
      for (const [index, one] of sent.entries()) {
        assertWhole(await trial.last.replay(one.cursor, 'kept.a'), sent.slice(index + 1), `after ${index}`)
      }
      assert.equal(
        new Set([...before, ...sent].map((one) => one.cursor)).size,
        10,
        'cursors never come again',
      )
    },
  },
]
