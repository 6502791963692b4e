/** Obligations 2 and 3: who gets a group's publications, and since when. */
import assert from 'node:assert/strict'
import { type CaseSpec, range } from '../trial.ts'

export const membershipCases: readonly CaseSpec[] = [
  {
    title: '2.1 a node that has not added the group gets nothing',
    minNodes: 2,
    async run(trial) {
      await trial.first.add('g')
      await trial.last.publish('g', 1)
      await trial.fence(trial.last)
      for (const node of trial.nodes) assert.deepEqual(node.numbers('g'), node === trial.first ? [1] : [])
    },
  },
  {
    title: '2.2 a group gets nothing of other groups, however alike their names',
    async run(trial) {
      await trial.addAll('a')
      for (const other of ['A', 'aa', 'ab', 'a.b', 'a/b', 'a-', 'b', '-a'])
        await trial.first.publishIfAllowed(other, 1)
      await trial.fence(trial.first)
      for (const node of trial.nodes) {
        const others = node.sink.delivered
        assert.deepEqual(others, [])
      }
    },
  },
  {
    title: '2.3 a node that has discarded the group gets nothing more, and the other nodes do',
    async run(trial) {
      await trial.addAll('g')
      await trial.first.publish('g', 1)
      for (const node of trial.nodes) await node.arrived('g', 1)
      await trial.first.discard('g')
      await trial.last.publish('g', 2)
      await trial.fence(trial.last)
      for (const node of trial.nodes) assert.deepEqual(node.numbers('g'), node === trial.first ? [1] : [1, 2])
    },
  },
  {
    title: '2.4 discarding one group leaves the others',
    async run(trial) {
      await trial.addAll('a', 'b', 'c')
      for (const node of trial.nodes) await node.discard('b')
      for (const group of ['a', 'b', 'c']) await trial.last.publish(group, 1)
      await trial.fence(trial.last)
      for (const node of trial.nodes) {
        const came = ['a', 'b', 'c'].map((group) => node.numbers(group))
        assert.deepEqual(came, [[1], [], [1]])
      }
    },
  },
  {
    title: '2.5 a group that is added again gets what comes from then on',
    async run(trial) {
      await trial.addAll('g')
      for (const node of trial.nodes) await node.discard('g')
      await trial.last.publish('g', 1)
      await trial.addAll('g')
      await trial.last.publish('g', 2)
      await trial.fence(trial.last)
      for (const node of trial.nodes) assert.deepEqual(node.numbers('g'), [2])
    },
  },
  {
    title: '2.6 a group and a channel of one name are two things',
    needs: 'queues',
    async run(trial) {
      await trial.addAll('x')
      await trial.first.publish('x', 1)
      await trial.first.send('x', 2)
      assert.equal(await trial.last.take('x'), 2)
      await trial.fence(trial.first)
      for (const node of trial.nodes) {
        assert.deepEqual(node.numbers('x'), [1])
        assert.deepEqual(node.sink.received, [])
      }
    },
  },
  {
    title: '3.1 adding a group twice changes nothing',
    async run(trial) {
      await trial.addAll('g')
      await trial.addAll('g')
      await trial.last.publish('g', 1)
      await trial.fence(trial.last)
      for (const node of trial.nodes) assert.deepEqual(node.numbers('g'), [1])
    },
  },
  {
    title: '3.2 one discard undoes several adds',
    async run(trial) {
      await trial.first.add('g')
      await trial.first.add('g')
      await trial.first.discard('g')
      await trial.last.publish('g', 1)
      await trial.fence(trial.last)
      assert.deepEqual(trial.first.numbers('g'), [])
    },
  },
  {
    title: '3.3 discarding a group that was never added does nothing',
    async run(trial) {
      await trial.first.discard('g')
      await trial.addAll('g')
      await trial.last.publish('g', 1)
      await trial.fence(trial.last)
      for (const node of trial.nodes) assert.deepEqual(node.numbers('g'), [1])
    },
  },
  {
    title: '3.4 discarding a group twice does nothing more',
    async run(trial) {
      await trial.addAll('g')
      await trial.first.discard('g')
      await trial.first.discard('g')
      await trial.last.publish('g', 1)
      await trial.first.add('g')
      await trial.last.publish('g', 2)
      await trial.fence(trial.last)
      for (const node of trial.nodes) assert.deepEqual(node.numbers('g'), node === trial.first ? [2] : [1, 2])
    },
  },
  {
    title: '3.5 once groupAdd has resolved, the next groupSend on any node arrives',
    async run(trial) {
      for (const n of range(0, 20)) {
        const [reader, sender] = [trial.node(n), trial.node(n + 1)]
        await reader.add(`g.${n}`)
        await sender.publish(`g.${n}`, n)
        await trial.fence(sender)
        assert.deepEqual(reader.numbers(`g.${n}`), [n])
      }
    },
  },
  {
    title: '3.6 of many adds and discards, the last of each group decides',
    async run(trial) {
      const groups = range(0, 30).map((n) => `g.${n}`)
      await Promise.all(
        groups.map(async (group, n) => {
          for (const _ of range(0, 3)) {
            await trial.first.add(group)
            await trial.first.discard(group)
          }
          if (n % 2 === 0) await trial.first.add(group)
        }),
      )
      for (const [n, group] of groups.entries()) await trial.last.publish(group, n)
      await trial.fence(trial.last)
      for (const [n, group] of groups.entries()) {
        assert.deepEqual(trial.first.numbers(group), n % 2 === 0 ? [n] : [])
      }
    },
  },
]
