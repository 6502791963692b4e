/** Obligation 15: what a replay after a cursor gives. */
import assert from 'node:assert/strict'
import { type CaseSpec, range, type Trial } from '../../trial.ts'
import { assertCursor, assertWhole, type Kept, publishAtOnce, publishKept, settledLog } from './log.ts'

const GROUPS = ['kept.a', 'kept.b', 'kept.c', 'kept.d']

export const replayCases: readonly CaseSpec[] = [
  {
    title:
      '15.1 replay gives every node what a group accepted after the cursor, in the order in which nodes got it',
    needs: 'history',
    async run(trial) {
      const log = await publishAtOnce(trial, ['kept.a'], 30)
      assert.equal(log.length, 30)
      for (const node of trial.nodes) {
        const replay = await node.replay(log[9]?.cursor as string, 'kept.a')
        assertWhole(replay, log.slice(10), 'after the tenth')
      }
    },
  },
  {
    title: '15.2 publications of several groups come in one order, the one in which nodes got them',
    needs: 'history',
    async run(trial) {
      const log = await publishAtOnce(trial, GROUPS, 60)
      for (const node of trial.nodes) {
        const replay = await node.replay(log[0]?.cursor as string, ...[...GROUPS].reverse())
        assertWhole(replay, log.slice(1), 'all groups')
      }
    },
  },
  {
    title: '15.3 replay after each single cursor of a long log gives exactly the rest, of whichever groups',
    needs: 'history',
    async run(trial) {
      const log = await publishAtOnce(trial, GROUPS, 120)
      for (const [index, { cursor }] of log.entries()) {
        // All sets of groups, by turns: a bit for each group.
        const groups = GROUPS.filter((_, bit) => ((index >> bit) & 1) === 0)
        const rest = log.slice(index + 1).filter(({ group }) => groups.includes(group))
        assertWhole(await trial.node(index).replay(cursor, ...groups), rest, `${groups} after ${index}`)
      }
    },
  },
  {
    title: '15.4 the cursor of one group serves for all others',
    needs: 'history',
    async run(trial) {
      const before = await publishKept(trial.first, 'kept.a', 1)
      const between = await publishKept(trial.last, 'kept.b', 2)
      const after = await publishKept(trial.first, 'kept.a', 3)
      assertWhole(
        await trial.last.replay(between.cursor, 'kept.a'),
        [after],
        'kept.a after a cursor of kept.b',
      )
      assertWhole(
        await trial.last.replay(before.cursor, 'kept.b'),
        [between],
        'kept.b after a cursor of kept.a',
      )
    },
  },
  {
    title: '15.5 nothing comes after the newest cursor, and nothing is lost',
    needs: 'history',
    async run(trial) {
      for (const n of range(0, 5)) {
        const { cursor } = await publishKept(trial.node(n), 'kept.a', n)
        for (const node of trial.nodes) {
          assertWhole(await node.replay(cursor, 'kept.a', 'kept.b'), [], 'after the newest')
        }
      }
    },
  },
  {
    title: '15.6 messages are kept as equal JSON',
    needs: 'history',
    async run(trial) {
      await assertKeptEqual(trial, MESSAGES)
    },
  },
  {
    title: '15.7 a message of 1 MiB is kept',
    needs: 'history',
    async run(trial) {
      await assertKeptEqual(trial, [`{"type":"conformance.large","text":"${'abcdefgh'.repeat(131_066)}"}`])
    },
  },
  {
    title: '15.8 what a node sent is kept when it has closed',
    minNodes: 2,
    needs: 'history',
    async run(trial) {
      const groups = ['kept.a', 'kept.b']
      const log: Kept[] = await publishAtOnce(trial, groups, 20)
      await trial.first.close()
      const replay = await trial.last.replay(log[4]?.cursor as string, ...groups)
      assertWhole(replay, log.slice(5), 'after the close of the first node')
    },
  },
  {
    title: '15.9 publications after a replay come in the next one, and only those',
    needs: 'history',
    async run(trial) {
      await trial.addAll('kept.a')
      let after = assertCursor(await trial.first.publish('kept.a', -1))
      for (const round of range(0, 10)) {
        const sent = [await publishKept(trial.node(round), 'kept.a', round)]
        sent.push(await publishKept(trial.node(round + 1), 'kept.a', round + 100))
        assertWhole(await trial.node(round).replay(after, 'kept.a'), sent, `round ${round}`)
        after = sent.at(-1)?.cursor as string
      }
      assert.equal((await settledLog(trial)).length, 21)
    },
  },
]

const MESSAGES: readonly string[] = [
  '{"type":"conformance.values","a":true,"b":null,"c":[[],{},"",1.5,1e21,-0.5,9007199254740991],"":0}',
  '{"type":"conformance.keys","__proto__":{"a":1},"constructor":null,"nested":{"__proto__":[]}}',
  JSON.stringify({
    type: 'conformance.ünïcödé.日本',
    text: '😀 👩‍👩‍👧‍👦 e\u0301 \u2028 \u2029 \u0000 \u001f \ufeff \uffff',
  }),
  String.raw`{"type":"conformance.surrogates","high":"a\ud800b","low":"a\udc00b","swapped":"\udc00\ud800"}`,
  '\r\n{ "type" : "\\u0063onformance" ,\n\t"a" : [ 1.0 , 1E2 ] , "b" : "\\/ \\u00e9 \\ud83d\\ude00" }\n',
]

async function assertKeptEqual(trial: Trial, messages: readonly string[]): Promise<void> {
  for (const json of messages) assertCursor(await trial.first.publishJson('kept.a', json))
  const { publications } = await trial.last.replay(null, 'kept.a')
  assert.deepEqual(
    publications.map(({ publication }) => JSON.parse(publication.json)),
    messages.map((json) => JSON.parse(json)),
  )
}
