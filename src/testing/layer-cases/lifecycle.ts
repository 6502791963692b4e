/** Obligations 12 and 13: flush, close, and sinks that throw. */
import assert from 'node:assert/strict'
import { errorCodeOf } from '../../errors.ts'
import { messageOf } from '../test-node.ts'
import { type CaseSpec, range, rejection } from '../trial.ts'

export const lifecycleCases: readonly CaseSpec[] = [
  {
    title: '12.1 flush forgets all messages of all channels, whichever node sent them',
    needs: 'queues',
    async run(trial) {
      const channels = ['a', 'b', 'c']
      for (const node of trial.nodes) {
        for (const channel of channels) await node.send(channel, 1)
      }
      await trial.patience.within(trial.last.layer.flush(), 'flush()')
      for (const channel of channels) await trial.assertEmpty(channel, `${channel} was flushed`)
    },
  },
  {
    title: '12.2 flush makes room',
    needs: 'queues',
    capacity: 2,
    async run(trial) {
      for (const n of range(0, 2)) await trial.first.send('jobs', n)
      await trial.patience.within(trial.first.layer.flush(), 'flush()')
      for (const n of range(2, 4)) await trial.first.send('jobs', n)
      await trial.assertFull(trial.first.send('jobs', 4), 'jobs')
      assert.deepEqual(await trial.last.takeMany('jobs', 2), [2, 3])
    },
  },
  {
    title: '12.3 flush leaves groups and waiting readers as they are',
    needs: 'queues',
    async run(trial) {
      await trial.addAll('g')
      const reading = trial.last.read('jobs')
      await trial.patience.within(trial.first.layer.flush(), 'flush()')
      await trial.first.publish('g', 1)
      for (const node of trial.nodes) await node.arrived('g', 1)
      await trial.first.send('jobs', 2)
      assert.equal(await trial.patience.within(reading, 'the waiting reader to get the message'), 2)
    },
  },
  {
    title: '12.4 close rejects the receives that wait',
    async run(trial) {
      const readings = ['a', 'a', 'b'].map((channel) => trial.first.read(channel))
      await trial.first.close()
      for (const reading of readings) {
        const reason = await trial.patience.within(rejection(reading), 'the receive to reject')
        assert.equal(errorCodeOf(reason), 'hub-closed')
      }
    },
  },
  {
    title: '12.5 the sink is not called after close',
    async run(trial) {
      await trial.addAll('g')
      const sending = range(0, 50).flatMap((n) => [
        trial.first.publish('g', n),
        trial.first.send(trial.last.channel('a'), n),
      ])
      await trial.last.close()
      const { delivered, received } = trial.last.sink
      const counts = [delivered.length, received.length]
      await Promise.allSettled(sending)
      if (trial.first !== trial.last) {
        await trial.first.publish('g', 50)
        await trial.first.send(trial.last.channel('a'), 50)
        await trial.fence(trial.first)
      }
      await new Promise(setImmediate)
      assert.deepEqual([delivered.length, received.length], counts)
    },
  },
  {
    title: '12.6 a second close resolves, at once or later',
    async run(trial) {
      const both = [trial.first.layer.close(), trial.first.layer.close()]
      await trial.patience.within(Promise.all(both), 'both calls of close()')
      await trial.patience.within(trial.first.layer.close(), 'the third close()')
    },
  },
  {
    title: '12.7 after close everything else rejects',
    async run({ first: { layer }, first, keepsHistory, patience }) {
      await first.close()
      const calls = {
        groupAdd: () => layer.groupAdd('g'),
        groupDiscard: () => layer.groupDiscard('g'),
        groupSend: () => layer.groupSend('g', messageOf(1)),
        send: () => layer.send('jobs', messageOf(1)),
        receive: () => layer.receive('jobs'),
        flush: () => layer.flush(),
        ...(keepsHistory ? { replay: () => first.replay(null, 'kept.a') } : {}),
      }
      for (const [name, call] of Object.entries(calls)) {
        const reason = await patience.within(rejection(call()), `${name} to reject`)
        assert.equal(errorCodeOf(reason), 'hub-closed', `${name} after close`)
      }
    },
  },
  {
    title: '12.8 close of one node leaves the others, and the messages that it sent',
    needs: 'queues',
    minNodes: 2,
    async run(trial) {
      await trial.addAll('g')
      await trial.first.send('jobs', 1)
      await trial.first.close()
      await trial.last.publish('g', 2)
      for (const node of trial.nodes.slice(1)) await node.arrived('g', 1)
      assert.equal(await trial.last.take('jobs'), 1)
    },
  },
  {
    title: '12.9 a receive that close ended takes no message',
    needs: 'queues',
    minNodes: 2,
    async run(trial) {
      const readings = range(0, 3).map(() => trial.first.read('jobs'))
      await trial.first.close()
      for (const n of range(0, 3)) await trial.last.send('jobs', n)
      assert.deepEqual(await trial.last.takeMany('jobs', 3), [0, 1, 2])
      await trial.patience.within(Promise.allSettled(readings), 'the receives to end')
    },
  },
  {
    title: '12.10 close leaves a client open that the driver was given, and closes one that it opened',
    async run(trial) {
      await trial.close()
      for (const { isGiven, isOpen } of await trial.clients()) {
        assert.equal(
          isOpen,
          isGiven,
          isGiven ? 'a given client must stay open' : 'its own client must be closed',
        )
      }
    },
  },
  {
    title: '13.1 a sink that throws at a publication changes nothing for others, nor for what comes next',
    async run(trial) {
      await trial.addAll('g')
      trial.first.sink.onDeliver = (group) => {
        if (group === 'g') throw new Error('the sink of the first node is broken')
      }
      for (const n of range(0, 3)) await trial.node(n).publish('g', n)
      for (const node of trial.nodes) {
        await node.arrived('g', 3)
        assert.deepEqual(node.numbers('g').sort(), [0, 1, 2])
      }
    },
  },
  {
    title: '13.2 a sink that throws at a message changes nothing for others, nor for what comes next',
    async run(trial) {
      await trial.addAll('g')
      trial.first.sink.onReceive = () => {
        throw new Error('the sink of the first node is broken')
      }
      // Whether this resolves is not said: the message reached the sink.
      await Promise.allSettled(trial.nodes.map((node) => node.send(trial.first.channel('a'), 0)))
      trial.first.sink.onReceive = () => true
      for (const node of trial.nodes) {
        await trial.last.send(node.channel('b'), 1)
        await node.reached(node.channel('b'), 1)
      }
      if (trial.keepsQueues) {
        await trial.first.send('jobs', 2)
        assert.equal(await trial.last.take('jobs'), 2)
      }
      await trial.last.publish('g', 3)
      for (const node of trial.nodes) await node.arrived('g', 1)
    },
  },
]
