/** Obligation 24: nodes that start before their broker does. */
import assert from 'node:assert/strict'
import { errorCodeOf } from '../../errors.ts'
import type { BrokerSpec } from '../broker-trial.ts'
import { rejection } from '../trial.ts'

export const startCases: readonly BrokerSpec[] = [
  {
    title:
      '24.1 a node starts while its broker is down, says why it is not ready, and is ready by itself when it is there',
    begins: 'down',
    async run({ trial, broker }) {
      for (const node of trial.nodes) {
        const status = node.sink.statuses.at(-1)
        assert.equal(status?.state, 'connecting')
        assert.ok((status?.reason ?? '') !== '', 'status() must say why')
        assert.equal(errorCodeOf(await rejection(node.publish('g', 0))), 'layer-unavailable')
        assert.equal(errorCodeOf(await rejection(node.add('g'))), 'layer-unavailable')
        node.sink.groups.delete('g')
      }
      await broker.start()
      for (const node of trial.nodes) await node.ready()
      await trial.addAll('g')
      await trial.first.publish('g', 1)
      for (const node of trial.nodes) await node.arrived('g', 1)
    },
  },
  {
    title: '24.2 a node closes while its broker is down',
    begins: 'down',
    async run({ trial }) {
      await trial.close()
    },
  },
]
