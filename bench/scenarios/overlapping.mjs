// @ts-check
/**
 * Every subscriber in 10 of 100 groups that overlap, against one group. The same number of deliveries for each write: 1 message a turn in
 * both; and 100 a turn over all groups, of which everybody gets 10, against 10 a turn to one group.
 */
import { withCrews } from '../lib/crew.mjs'
import { interleaved } from '../lib/interleave.mjs'
import { fittingBursts } from '../lib/rounds.mjs'
import { target } from '../lib/statistics.mjs'

const GROUPS = 100
const GROUPS_EACH = 10

const CASES = [
  { name: '1 for each write', perTurn: 1, overlapping: 1 },
  { name: '10 for each write', perTurn: 10, overlapping: 100 },
]

/** @type {import('../types.d.ts').Scenario} */
export const scenario = {
  name: 'overlapping',
  title: 'Overlapping groups: every subscriber in 10 of 100',
  async run(context) {
    const { subscribers, size } = context.options
    const transport = /** @type {const} */ ('websocket')
    const subjects = await context.choose(['hub', 'hub-uws', 'c-loop', 'ws-send', 'uws'], ['hub'])
    const groups = { transport, groups: GROUPS, groupsEach: GROUPS_EACH }
    return withCrews(context, subjects, { transport }, (one) =>
      withCrews(context, subjects, groups, async (overlapping) => {
        const rows = []
        const targets = []
        for (const { name, perTurn, overlapping: perTurnOfAll } of fittingBursts(context, CASES)) {
          const measured = await interleaved(context, name, [
            ...one.map((crew) => crew.contender('one group', { perTurn })),
            ...overlapping.map((crew) => crew.contender('overlapping', { perTurn: perTurnOfAll })),
          ])
          rows.push(...measured.rows(name, 'cpuUs', 'µs/delivery', ['generatorUs', 'inTurnsPerSecond']))
          if (!measured.has('hub overlapping')) continue
          targets.push(
            target({
              case: name,
              text: 'hub overlapping ≤ 1.3 × hub one group',
              of: measured.values('hub overlapping', 'cpuUs'),
              against: measured.values('hub one group', 'cpuUs'),
              limit: 1.3,
            }),
          )
        }
        return { settings: { subscribers, size, groups: GROUPS, groupsEach: GROUPS_EACH }, rows, targets }
      }),
    )
  },
}
