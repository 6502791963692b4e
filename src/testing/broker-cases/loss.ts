/** Obligations 25, 26 and 29: while the broker is gone, and what was under way when it went. */
import assert from 'node:assert/strict'
import { errorCodeOf } from '../../errors.ts'
import { assertHonest, attempt, type BrokerSpec, publishOn } from '../broker-trial.ts'
import { messageOf } from '../test-node.ts'
import { rejection } from '../trial.ts'

export const lossCases: readonly BrokerSpec[] = [
  {
    title: '25.1 while the broker is gone all calls reject, and nothing comes of them later',
    async run({ trial, broker }) {
      await trial.addAll('g', 'left', ...(trial.keepsHistory ? ['kept.a'] : []))
      await broker.kill()
      for (const node of trial.nodes) {
        await node.lost()
        const { layer } = node
        const calls: [name: string, call: () => Promise<unknown>][] = [
          ['groupAdd', () => layer.groupAdd('new')],
          ['groupSend', () => layer.groupSend('g', messageOf(1))],
          ['send', () => layer.send('jobs', messageOf(1))],
          ['flush', () => layer.flush()],
        ]
        if (trial.keepsHistory) {
          calls.push(['replay', () => layer.replay({ groups: new Map([['kept.a', null]]), after: null })])
          calls.push(['refresh', () => layer.refresh()])
        }
        for (const [name, call] of calls) {
          const reason = await trial.patience.within(rejection(call()), `${name} to reject`)
          assert.equal(errorCodeOf(reason), 'layer-unavailable', `${name}: ${reason}`)
        }
        await node.discard('left')
      }
      await broker.start()
      for (const node of trial.nodes) await node.ready()
      await trial.first.publish('new', 2)
      await trial.first.publish('left', 2)
      await trial.fence(trial.first)
      for (const node of trial.nodes) {
        for (const group of ['g', 'new', 'left']) assert.deepEqual(node.numbers(group), [], group)
      }
      if (trial.keepsQueues) await trial.assertEmpty('jobs', 'what was not sent was sent later')
    },
  },
  {
    title: '25.2 a receive waits through a break',
    async run({ trial, broker }) {
      const before = trial.last.read('jobs')
      await broker.kill()
      await trial.last.lost()
      const during = trial.last.read('jobs')
      await broker.start()
      for (const node of trial.nodes) await node.ready()
      if (!trial.keepsQueues) {
        // Nothing says when its readers can be reached.
        const both = Promise.all([before, during])
        let isOver = false
        void both.finally(() => {
          isOver = true
        })
        await trial.patience.until(async () => {
          await trial.first.send('jobs', 1)
          return isOver
        }, 'both receives')
        return
      }
      for (const n of [1, 2]) await trial.first.send('jobs', n)
      const got = await trial.patience.within(Promise.all([before, during]), 'both receives')
      assert.deepEqual(got.sort(), [1, 2])
    },
  },
  {
    title: '26.1 what is sent while the broker stands still rejects, and comes at most once',
    async run({ trial, broker }) {
      const groups = ['g', ...(trial.keepsHistory ? ['kept.a'] : [])]
      await trial.addAll(...groups)
      broker.pause()
      const sending = groups.flatMap((group, index) =>
        trial.nodes.map((node, turn) => attempt(trial, node, group, 10 * index + turn)),
      )
      const sent = await Promise.all(sending)
      for (const { outcome } of sent)
        assert.notEqual(outcome, 'sent', 'a broker that stands still accepts nothing')
      broker.resume()
      for (const node of trial.nodes) await node.ready()
      for (const node of trial.nodes) await trial.fence(node)
      for (const node of trial.nodes) assertHonest(node, sent, trial.seed)
    },
  },
  {
    title:
      '26.2 when the broker dies under load, what was sent came, what was not did not, and nothing came twice',
    async run({ trial, broker }) {
      const groups = ['g', ...(trial.keepsHistory ? ['kept.a', 'kept.b'] : [])]
      await trial.addAll(...groups)
      const load = publishOn(trial, groups)
      for (let turn = 1; turn <= 2; turn++) {
        const enough = load.count + 150
        await trial.patience.until(() => load.count >= enough, 'some load')
        await broker.kill()
        for (const node of trial.nodes) await node.lost()
        await broker.start()
        for (const node of trial.nodes) await node.ready()
      }
      const enough = load.count + 150
      await trial.patience.until(() => load.count >= enough, 'some load')
      const sent = await load.stop()
      for (const node of trial.nodes) await node.ready()
      for (const node of trial.nodes) await trial.fence(node)
      if (broker.keepsHistory) {
        for (const node of trial.nodes)
          assert.deepEqual(
            node.sink.recoveries.flatMap(({ lost }) => lost),
            [],
          )
      }
      for (const node of trial.nodes) assertHonest(node, sent, trial.seed)
    },
  },
  {
    title: '29.1 a loss is said once: by status, with a reason, and by report',
    async run({ trial, broker }) {
      await broker.kill()
      for (const node of trial.nodes) await node.lost()
      // Long enough for several attempts.
      await new Promise((resolve) => setTimeout(resolve, 1500))
      for (const { sink } of trial.nodes) {
        const reasons = sink.statuses.slice(sink.statuses.findLastIndex(({ state }) => state === 'ready') + 1)
        assert.ok(
          reasons.every(({ reason }) => (reason ?? '') !== ''),
          'status() must say why',
        )
        const texts = reasons.map(({ reason }) => reason)
        assert.equal(new Set(texts).size, texts.length, 'status() must not repeat itself')
        const codes = sink.reports.map(errorCodeOf)
        assert.ok(codes.length >= 1, 'report() must say that the broker is gone')
        assert.ok(codes.length <= 3, `report() said it ${codes.length} times`)
        assert.ok(codes.every((code) => code === 'layer-unavailable'))
      }
      await broker.start()
      for (const node of trial.nodes) await node.ready()
    },
  },
]
