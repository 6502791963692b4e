// @ts-check
/** Ten times as many groups as subscribers, ten members in each, every message to one of them. */
import { withCrews } from '../lib/crew.mjs'
import { interleaved } from '../lib/interleave.mjs'
import { fittingBursts } from '../lib/rounds.mjs'
import { target } from '../lib/statistics.mjs'

const BURSTS = [{ perTurn: 1 }, { perTurn: 100 }]
/** Within the hub's default of 128 groups for a connection. */
const GROUPS_EACH = 100
const MEMBERS = 10

/** @type {import('../types.d.ts').Scenario} */
export const scenario = {
  name: 'many-groups',
  title: 'Many groups: ten members each, every message to one group',
  // The members of a group are not the same subscriber twice.
  leastSubscribers: MEMBERS,
  async run(context) {
    const { subscribers, size } = context.options
    const groups = (subscribers * GROUPS_EACH) / MEMBERS
    const subjects = await context.choose(
      ['hub', 'hub-uws', 'c-loop', 'socket-write', 'ws-send', 'uws'],
      ['hub', 'c-loop'],
    )
    const settings = { transport: /** @type {const} */ ('websocket'), groups, groupsEach: GROUPS_EACH }
    return withCrews(context, subjects, settings, async (crews) => {
      const rows = []
      const targets = []
      for (const { perTurn } of fittingBursts(context, BURSTS, settings)) {
        const name = `${perTurn} a turn`
        const contenders = crews.map((crew) => crew.contender('websocket', { perTurn }))
        const measured = await interleaved(context, name, contenders)
        rows.push(...measured.rows(name, 'cpuUs', 'µs/delivery', ['generatorUs', 'inTurnsPerSecond']))
        if (!measured.has('hub websocket') || !measured.has('c-loop websocket')) continue
        targets.push(
          target({
            case: name,
            text: 'hub ≤ 2 × c-loop',
            of: measured.values('hub websocket', 'cpuUs'),
            against: measured.values('c-loop websocket', 'cpuUs'),
            limit: 2,
          }),
        )
      }
      return { settings: { subscribers, size, groups, members: MEMBERS }, rows, targets }
    })
  },
}
