/** Obligations 14 to 23: history. */
import type { CaseSpec } from '../trial.ts'
import { boundCases } from './history/bounds.ts'
import { capabilityCases } from './history/capability.ts'
import { cursorCases } from './history/cursors.ts'
import { limitCases } from './history/limits.ts'
import { liveCases } from './history/live.ts'
import { lostCases } from './history/lost.ts'
import { replayCases } from './history/replay.ts'

export const historyCases: readonly CaseSpec[] = [
  ...cursorCases,
  ...replayCases,
  ...lostCases,
  ...limitCases,
  ...liveCases,
  ...boundCases,
  ...capabilityCases,
]
