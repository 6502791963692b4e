// @ts-check
import { scenario as connectStorm } from './connect-storm.mjs'
import { scenario as crossNode } from './cross-node.mjs'
import { scenario as fanOut } from './fan-out.mjs'
import { scenario as httpPublish } from './http-publish.mjs'
import { scenario as idleMemory } from './idle-memory.mjs'
import { scenario as ingest } from './ingest.mjs'
import { scenario as latency } from './latency.mjs'
import { scenario as manyGroups } from './many-groups.mjs'
import { scenario as mixed } from './mixed.mjs'
import { scenario as overlapping } from './overlapping.mjs'
import { scenario as slowReaders } from './slow-readers.mjs'
import { scenario as soak } from './soak.mjs'
import { scenario as storm } from './storm.mjs'

/** All scenarios, in the order in which they run. @type {readonly import('../types.d.ts').Scenario[]} */
export const scenarios = [
  fanOut,
  mixed,
  manyGroups,
  overlapping,
  connectStorm,
  idleMemory,
  slowReaders,
  httpPublish,
  ingest,
  latency,
  storm,
  crossNode,
  soak,
]
