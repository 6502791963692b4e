/** The memory layer keeps its contract with a journal, too. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test, vi } from 'vitest'
import { FileJournal } from '../../src/layers/file-journal/file-journal.ts'
import { memoryBroker, memoryLayer } from '../../src/layers/memory.ts'
import { layerConformance } from '../../src/testing/index.ts'
import { quickFiles } from './journal-support.ts'

describe.each([
  { isSynced: false, nodes: 1 },
  { isSynced: false, nodes: 3 },
  { isSynced: true, nodes: 2 },
])('the contract, with a journal (%o)', ({ isSynced, nodes }) => {
  const cases = layerConformance({
    clock: 'manual',
    nodes,
    create(count, setup) {
      const directory = mkdtempSync(join(tmpdir(), 'groupcast-journal-'))
      const journal = new FileJournal({
        directory,
        maxBytes: 16 * 1024 * 1024,
        isSynced,
        files: quickFiles,
        timeOfDay: Date.now,
        boot: 'boot',
      })
      // What only seems to be a journal would keep the contract as well.
      const abandon = vi.spyOn(journal, 'abandon')
      const broker = memoryBroker({ ...setup, journal })
      return {
        layers: Array.from({ length: count }, () => memoryLayer({ broker })),
        dispose() {
          rmSync(directory, { recursive: true })
          expect(abandon).not.toHaveBeenCalled()
        },
      }
    },
  })
  for (const { title, run } of cases) test(title, run)
})
