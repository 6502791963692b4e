/** Obligation 18: limits, and what they leave out. */
import assert from 'node:assert/strict'
import { FEW } from '../../kept-groups.ts'
import { type CaseSpec, range } from '../../trial.ts'
import { assertWhole, type Kept, keptIn, publishInTurn, publishKept } from './log.ts'

export const limitCases: readonly CaseSpec[] = [
  {
    title: '18.1 a limit gives the oldest after a cursor, page by page to the end',
    needs: 'history',
    async run(trial) {
      const [start, ...sent] = (await publishInTurn(trial, 'kept.a', 11)) as [Kept, ...Kept[]]
      let after = start.cursor
      for (const page of [sent.slice(0, 4), sent.slice(4, 8), sent.slice(8)]) {
        const replay = await trial.last.replay(after, ['kept.a', 4])
        assert.deepEqual(keptIn(replay), page)
        assert.deepEqual(replay.lost, [])
        assert.equal(replay.hasMore, page.length === 4, 'hasMore says whether a limit left some out')
        after = page.at(-1)?.cursor as string
      }
    },
  },
  {
    title: '18.2 without a cursor a limit gives the newest, in their order',
    needs: 'history',
    async run(trial) {
      const sent = await publishInTurn(trial, 'kept.a', 10)
      const replay = await trial.last.replay(null, ['kept.a', 4])
      assert.deepEqual(keptIn(replay), sent.slice(-4))
      assert.deepEqual(replay.lost, [])
      assert.equal(replay.hasMore, true, 'hasMore says whether a limit left some out')
    },
  },
  {
    title: '18.3 a limit that leaves nothing out changes nothing',
    needs: 'history',
    async run(trial) {
      const sent = await publishInTurn(trial, 'kept.a', 8)
      for (const limit of [8, 9, 1000]) {
        assertWhole(await trial.last.replay(null, ['kept.a', limit]), sent, `at most ${limit}`)
        const rest = sent.slice(8 - Math.min(limit, 8) + 1)
        assertWhole(
          await trial.last.replay(sent[0]?.cursor as string, ['kept.a', limit]),
          rest,
          'after the first',
        )
      }
      assertWhole(
        await trial.last.replay(sent[3]?.cursor as string, ['kept.a', 4]),
        sent.slice(4),
        'the last four',
      )
      assertWhole(await trial.last.replay(sent[7]?.cursor as string, ['kept.a', 1]), [], 'after the last')
    },
  },
  {
    title: '18.4 each group has a limit of its own',
    needs: 'history',
    async run(trial) {
      const start = await publishKept(trial.first, 'kept.a', -1)
      const sent: Kept[] = []
      for (const n of range(0, 9)) sent.push(await publishKept(trial.first, `kept.${n % 3}`, n))
      const replay = await trial.last.replay(start.cursor, ['kept.0', 1], ['kept.1', 2], 'kept.2')
      assert.deepEqual(
        keptIn(replay).map(({ n }) => n),
        [0, 1, 2, 4, 5, 8],
      )
      assert.equal(replay.hasMore, true)
      const newest = await trial.last.replay(null, 'kept.0', ['kept.1', 2], ['kept.2', 1])
      assert.deepEqual(
        keptIn(newest).map(({ n }) => n),
        [0, 3, 4, 6, 7, 8],
      )
      assert.equal(newest.hasMore, true)
      assertWhole(await trial.last.replay(start.cursor, ['kept.0', 3], ['kept.1', 3], 'kept.2'), sent, 'all')
    },
  },
  {
    title: '18.5 what was dropped before is not what a limit leaves out',
    needs: 'history',
    async run(trial) {
      const sent = await publishInTurn(trial, 'kept.few.a', FEW * 2)
      for (const limit of [FEW, FEW + 1]) {
        assertWhole(
          await trial.last.replay(null, ['kept.few.a', limit]),
          sent.slice(-FEW),
          `at most ${limit}`,
        )
      }
      const [oldest] = sent.slice(-FEW - 1) as [Kept]
      const replay = await trial.last.replay(oldest.cursor, ['kept.few.a', FEW])
      assertWhole(replay, sent.slice(-FEW), 'all that is kept')
      assert.equal((await trial.last.replay(oldest.cursor, ['kept.few.a', FEW - 1])).hasMore, true)
    },
  },
]
