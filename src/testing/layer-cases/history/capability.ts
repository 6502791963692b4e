/** Obligation 23: layers without history. */
import assert from 'node:assert/strict'
import type { CaseSpec } from '../../trial.ts'
import { assertWithoutHistory } from '../../without-history.ts'

export const capabilityCases: readonly CaseSpec[] = [
  {
    title: '23.1 a layer that cannot replay says so, and gives no cursors; one that can does',
    async run(trial) {
      if (!trial.keepsHistory) return assertWithoutHistory(trial.nodes)
      for (const node of trial.nodes) assert.deepEqual((await node.replay(null, 'kept.a')).publications, [])
    },
  },
]
