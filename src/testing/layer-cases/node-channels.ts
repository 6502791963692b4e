/** Obligation 10: channels of what lives on one node. */
import assert from 'node:assert/strict'
import { isChannelName } from '../../names.ts'
import { type CaseSpec, range, rejection } from '../trial.ts'

export const nodeChannelCases: readonly CaseSpec[] = [
  {
    title: '10.1 channelOf gives one valid name with a ! for each node and each thing on it',
    async run(trial) {
      const locals = ['a', 'b', 'V1StGXR8_Z5jdHi6B-myT']
      const names = trial.nodes.flatMap((node) => locals.map((local) => node.channel(local)))
      for (const name of names) {
        assert.ok(isChannelName(name), `${name} must be a valid channel name`)
        assert.ok(name.includes('!'), `${name} must contain a !`)
      }
      assert.equal(new Set(names).size, names.length, 'names must differ')
      for (const node of trial.nodes) {
        const again = trial.nodes.flatMap(({ id }) => locals.map((local) => node.layer.channelOf(id, local)))
        assert.deepEqual(again, names, 'every node must give the same names')
      }
    },
  },
  {
    title:
      '10.2 messages from any node are pushed to the sink of the node, in the order sent, and to no other',
    async run(trial) {
      const channel = trial.first.channel('a')
      for (const [turn, sender] of trial.nodes.entries()) {
        await Promise.all(range(0, 20).map((n) => sender.send(channel, turn * 20 + n)))
        await trial.first.reached(channel, turn * 20 + 20)
      }
      await trial.first.send(trial.first.channel('b'), 0)
      await trial.first.reached(trial.first.channel('b'), 1)
      assert.deepEqual(trial.first.pushed(channel), range(0, 20 * trial.nodes.length))
      for (const node of trial.nodes.slice(1)) assert.deepEqual(node.sink.received, [])
    },
  },
  {
    title: '10.3 such messages are not kept for receive',
    async run(trial) {
      const stop = new AbortController()
      const channel = trial.first.channel('a')
      const early = trial.nodes.map((node) => node.read(channel, stop.signal))
      await trial.last.send(channel, 1)
      await trial.first.reached(channel, 1)
      const late = trial.nodes.map((node) => node.read(channel, stop.signal))
      await trial.last.send(channel, 2)
      await trial.first.reached(channel, 2)
      stop.abort()
      const readings = await trial.patience.within(Promise.allSettled([...early, ...late]), 'receives to end')
      for (const { status } of readings) assert.equal(status, 'rejected', 'receive must not get the message')
    },
  },
  {
    title: '10.4 send rejects with ChannelFullError when the sink of its own node answers false',
    async run(trial) {
      const channel = trial.first.channel('a')
      trial.first.sink.onReceive = () => false
      await trial.assertFull(trial.first.send(channel, 1), channel)
      trial.first.sink.onReceive = () => true
      await trial.first.send(channel, 2)
      await trial.first.reached(channel, 2)
      assert.deepEqual(trial.first.pushed(channel), [1, 2], 'what was refused is not pushed again')
    },
  },
  {
    title: '10.5 one channel that is full does not affect the others of its node',
    async run(trial) {
      const [full, other] = [trial.first.channel('a'), trial.first.channel('b')]
      trial.first.sink.onReceive = (channel) => channel !== full
      await trial.assertFull(trial.first.send(full, 1), full)
      await trial.first.send(other, 1)
      // From elsewhere a layer may know that the channel is full, or drop the message.
      await trial.last.send(full, 2).catch(() => {})
      await trial.last.send(other, 2)
      await trial.first.reached(other, 2)
      assert.deepEqual(trial.first.pushed(other), [1, 2])
    },
  },
  {
    title: '10.6 messages to a node that never was are dropped',
    async run(trial) {
      const channel = trial.first.layer.channelOf('000000000000', 'a')
      for (const node of trial.nodes) await node.send(channel, 1)
      for (const node of trial.nodes) {
        await trial.first.send(node.channel('a'), 2)
        await node.reached(node.channel('a'), 1)
        assert.deepEqual(node.sink.received.length, 1)
      }
    },
  },
  {
    title: '10.7 messages to a node that is closed are dropped',
    minNodes: 2,
    async run(trial) {
      const channel = trial.last.channel('a')
      await trial.last.close()
      for (const n of range(0, 200)) await trial.first.send(channel, n)
      const stop = new AbortController()
      const reading = trial.first.read(channel, stop.signal)
      await trial.first.send(trial.first.channel('a'), 1)
      await trial.first.reached(trial.first.channel('a'), 1)
      stop.abort()
      await trial.patience.within(rejection(reading), 'the receive to end')
      assert.deepEqual(trial.last.sink.received, [])
    },
  },
]
