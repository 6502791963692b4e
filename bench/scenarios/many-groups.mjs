// @ts-check
/**
 * Ten times as many groups as subscribers, ten members in each, every message to one of them. Then one group, alone and beside ten times as many
 * connections in many groups to which nothing is sent: they must cost nothing.
 */
import { withCrews } from '../lib/crew.mjs'
import { interleaved } from '../lib/interleave.mjs'
import { fittingBursts } from '../lib/rounds.mjs'
import { target } from '../lib/statistics.mjs'

const BURSTS = [{ perTurn: 1 }, { perTurn: 100 }]
/** Within the hub's default of 128 groups for a connection. */
const GROUPS_EACH = 100
const MEMBERS = 10
/** Connections to which nothing is sent, as those to which everything is. */
const TIMES_AS_MANY = 10

/** @type {import('../types.d.ts').Scenario} */
export const scenario = {
  name: 'many-groups',
  title: 'Many groups: ten members each, every message to one group',
  // The members of a group are not the same subscriber twice.
  leastSubscribers: MEMBERS,
  async run(context) {
    const { subscribers, size, pace } = context.options
    const groups = (subscribers * GROUPS_EACH) / MEMBERS
    const subjects = await context.choose(
      ['hub', 'hub-uws', 'c-loop', 'socket-write', 'ws-send', 'uws'],
      ['hub', 'c-loop'],
    )
    const settings = { transport: /** @type {const} */ ('websocket'), groups, groupsEach: GROUPS_EACH }
    const inMany = await withCrews(context, subjects, settings, async (crews) => {
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
      return { rows, targets }
    })
    const hubs = subjects.filter(({ kind }) => kind === 'hub')
    // What is not measured is not worth processes on each back end.
    const others = { clients: subscribers, groups, groupsEach: GROUPS_EACH }
    const beside = await besideOthers(context, pace === 'smoke' ? hubs.slice(0, 1) : hubs, others)
    return {
      settings: { subscribers, size, groups, members: MEMBERS },
      rows: [...inMany.rows, ...beside.rows],
      targets: [...inMany.targets, ...beside.targets],
    }
  },
}

/**
 * @param {import('../types.d.ts').Context} context @param {readonly import('../types.d.ts').Subject[]} hubs
 * @param {{ clients: number, groups: number, groupsEach: number }} others
 */
async function besideOthers(context, hubs, others) {
  const transport = /** @type {const} */ ('websocket')
  const settings = { transport, subscribers: Math.max(1, Math.floor(others.clients / TIMES_AS_MANY)) }
  return withCrews(context, hubs, settings, (alone) =>
    withCrews(context, hubs, settings, async (beside) => {
      for (const crew of beside) await crew.addBystanders({ transport, ...others })
      const name = `${settings.subscribers} in one group, 1 a turn`
      const measured = await interleaved(context, name, [
        ...alone.map((crew) => crew.contender('alone', { perTurn: 1 })),
        ...beside.map((crew) => crew.contender('beside others', { perTurn: 1 })),
      ])
      const targets = hubs
        .map((hub) => ({ of: `${hub.name} beside others`, against: `${hub.name} alone` }))
        .filter(({ of, against }) => measured.has(of) && measured.has(against))
        .map(({ of, against }) =>
          target({
            case: name,
            text: `${of} ≤ 1.1 × ${against}`,
            of: measured.values(of, 'cpuUs'),
            against: measured.values(against, 'cpuUs'),
            limit: 1.1,
          }),
        )
      return {
        rows: measured.rows(name, 'cpuUs', 'µs/delivery', ['generatorUs', 'inTurnsPerSecond']),
        targets,
      }
    }),
  )
}
