import { describe, test } from 'vitest'
import { memoryBroker, memoryLayer } from '../../src/layers/memory.ts'
import { layerConformance } from '../../src/testing/index.ts'

for (const nodes of [1, 2, 3]) {
  describe(`memory layer, nodes: ${nodes}`, () => {
    const cases = layerConformance({
      clock: 'manual',
      nodes,
      create(count, setup) {
        const broker = memoryBroker(setup)
        return { layers: Array.from({ length: count }, () => memoryLayer({ broker })) }
      },
    })
    for (const { title, run } of cases) test(title, run)
  })
}
