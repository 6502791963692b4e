/** Obligation 27: the way back. */
import assert from 'node:assert/strict'
import { assertHonest, type BrokerSpec, publishOn } from '../broker-trial.ts'
import { FEW } from '../kept-groups.ts'
import { logOf } from '../layer-cases/history/log.ts'
import { randomNumbers } from '../random.ts'
import { range } from '../trial.ts'

export const backCases: readonly BrokerSpec[] = [
  {
    title:
      '27.1 after the broker was away, nodes get what is sent to the groups that they had added, and to no others',
    async run({ trial, broker }) {
      await trial.addAll('g', 'left')
      await broker.kill()
      for (const node of trial.nodes) await node.lost()
      await trial.last.discard('left')
      await broker.start()
      for (const node of trial.nodes) await node.ready()
      for (const n of range(0, 3)) {
        await trial.node(n).publish('g', n)
        await trial.node(n).publish('left', n)
      }
      for (const node of trial.nodes) await trial.fence(node)
      for (const node of trial.nodes) {
        assert.deepEqual(node.numbers('g').sort(), [0, 1, 2])
        assert.deepEqual(node.numbers('left').sort(), node === trial.last ? [] : [0, 1, 2])
      }
    },
  },
  {
    title:
      '27.2 a node that was cut off gets what it missed of groups with history, in order, before what is live',
    async run({ trial, wires }) {
      if (!trial.keepsHistory) return
      await trial.addAll('kept.a', 'kept.b')
      for (const n of range(0, 4)) await trial.first.publish(n % 2 === 0 ? 'kept.a' : 'kept.b', n)
      await trial.last.arrived('kept.b', 2)
      wires.at(-1)?.cut()
      await trial.last.lost()
      for (const n of range(4, 20)) await trial.first.publish(n % 3 === 0 ? 'kept.a' : 'kept.b', n)
      await trial.first.publish('kept.elsewhere', 0)
      wires.at(-1)?.mend()
      await trial.last.ready()
      for (const n of range(20, 24)) await trial.first.publish('kept.a', n)
      await trial.fence(trial.first)
      assert.deepEqual(logOf(trial.last), logOf(trial.first))
      assert.deepEqual(
        trial.last.sink.recoveries.map(({ lost, publications }) => [lost, publications.length]),
        [[[], 16]],
      )
    },
  },
  {
    title:
      '27.3 of a group that was trimmed meanwhile a node hears that it is lost; of the others it gets all',
    async run({ trial, wires }) {
      if (!trial.keepsHistory) return
      await trial.addAll('kept.few.a', 'kept.few.b', 'kept.a')
      await trial.first.publish('kept.few.a', 0)
      await trial.last.arrived('kept.few.a', 1)
      wires.at(-1)?.cut()
      await trial.last.lost()
      for (const n of range(1, FEW + 3)) await trial.first.publish('kept.few.a', n)
      for (const n of range(0, FEW)) await trial.first.publish('kept.few.b', n)
      await trial.first.publish('kept.a', 0)
      wires.at(-1)?.mend()
      await trial.last.ready()
      await trial.fence(trial.first)
      const [recovery] = trial.last.sink.recoveries
      assert.deepEqual(recovery?.lost, ['kept.few.a'])
      assert.deepEqual(trial.last.numbers('kept.few.a'), [0])
      assert.deepEqual(trial.last.numbers('kept.few.b'), range(0, FEW))
      assert.deepEqual(trial.last.numbers('kept.a'), [0])
    },
  },
  {
    title: '27.4 a recovery goes on from where the node was, to where it is',
    async run({ trial, wires }) {
      if (!trial.keepsHistory) return
      await trial.addAll('kept.a')
      await trial.first.publish('kept.a', 0)
      await trial.last.arrived('kept.a', 1)
      const before = trial.last.layer.position
      wires.at(-1)?.cut()
      await trial.last.lost()
      await trial.first.publish('kept.a', 1)
      wires.at(-1)?.mend()
      await trial.last.ready()
      const [recovery] = trial.last.sink.recoveries
      assert.equal(recovery?.after, before)
      assert.ok(recovery !== undefined && recovery.cursor !== before)
      assert.deepEqual((await trial.first.replay(recovery.cursor, 'kept.a')).publications, [])
      assert.deepEqual((await trial.first.replay(recovery.after, 'kept.a')).publications.length, 1)
    },
  },
  {
    title:
      '27.5 when the broker forgets everything, nodes hear that their groups with history are lost, and go on',
    async run({ trial, broker }) {
      if (!trial.keepsHistory) return
      await trial.addAll('kept.a', 'kept.b')
      for (const n of range(0, 5)) await trial.node(n).publish('kept.a', n)
      for (const node of trial.nodes) await node.arrived('kept.a', 5)
      const before = trial.first.layer.position
      await broker.forget()
      for (const { sink } of trial.nodes) {
        const isTold = () =>
          sink.recoveries.some(({ lost }) => lost.includes('kept.a') && lost.includes('kept.b'))
        await trial.patience.until(isTold, 'recovered() to say what is lost')
      }
      for (const node of trial.nodes) await node.ready()
      assert.deepEqual((await trial.last.replay(before, 'kept.a')).lost, ['kept.a'])
      for (const n of range(5, 8)) await trial.node(n).publish('kept.a', n)
      for (const node of trial.nodes) await trial.fence(node)
      for (const node of trial.nodes) assert.deepEqual(node.numbers('kept.a').slice(5).sort(), [5, 6, 7])
    },
  },
  {
    title:
      '27.7 a wire that is cut after every n-th byte, in the handshake and behind it, ends in a node that misses nothing',
    async run({ trial, wires }) {
      const group = trial.keepsHistory ? 'kept.a' : 'g'
      await trial.addAll(group)
      const [wire, node] = [wires.at(-1), trial.last]
      let n = 0
      for (let bytes = 1; bytes < 5_000; bytes = Math.ceil(bytes * 1.25)) {
        wire?.cutAfter(bytes)
        // Some publications for those connections that outlive the handshake; and a break for those that would.
        for (let turn = 0; turn < 3; turn++) await trial.first.publish(group, n++)
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
      wire?.mend()
      await node.ready()
      await trial.first.publish(group, n++)
      await trial.fence(trial.first)
      const got = node.numbers(group)
      assert.equal(new Set(got).size, got.length, 'a publication came twice')
      if (trial.keepsHistory) assert.deepEqual(got, range(0, n))
      else assert.equal(got.at(-1), n - 1)
    },
  },
  {
    title: '27.6 wires that are cut after any number of bytes, under load, lose and double nothing',
    async run({ trial, wires }) {
      const groups = ['g', ...(trial.keepsHistory ? ['kept.a', 'kept.b'] : [])]
      await trial.addAll(...groups)
      const random = randomNumbers(trial.seed)
      const load = publishOn(trial, groups)
      for (const turn of range(0, 12)) {
        const index = turn % wires.length
        // From inside the handshake to some hundred publications.
        wires[index]?.cutAfter(Math.floor(random() ** 3 * 60_000) + 1)
        const enough = load.count + 60
        await trial.patience.until(() => load.count >= enough, 'some load')
        wires[index]?.mend()
        if (random() < 0.5) await trial.node(index).ready()
      }
      const sent = await load.stop()
      for (const node of trial.nodes) await node.ready()
      for (const node of trial.nodes) await trial.fence(node)
      for (const node of trial.nodes) assertHonest(node, sent, trial.seed)
      if (!trial.keepsHistory) return
      const losses = trial.nodes.flatMap(({ sink }) => sink.recoveries.flatMap(({ lost }) => lost))
      assert.deepEqual(losses, [], 'the broker was there all the time, and kept everything')
      for (const node of trial.nodes)
        assert.deepEqual(logOf(node), logOf(trial.first), `with seed ${trial.seed}`)
    },
  },
]
