// @ts-check
/** One group in which every second subscriber is on SSE: what that costs against WebSockets alone, at 1, 10 and 100 messages a turn. */
import { BURSTS } from '../lib/bursts.mjs'
import { withCrews } from '../lib/crew.mjs'
import { interleaved } from '../lib/interleave.mjs'
import { fittingBursts } from '../lib/rounds.mjs'
import { target } from '../lib/statistics.mjs'

/** @type {import('../types.d.ts').Scenario} */
export const scenario = {
  name: 'mixed',
  title: 'Mixed transports: half WebSocket, half SSE in one group',
  leastSubscribers: 2,
  async run(context) {
    const subjects = await context.choose(['hub', 'hub-uws', 'c-loop', 'socket-write'], ['hub'])
    return withCrews(context, subjects, { transport: 'websocket' }, (webSockets) =>
      withCrews(context, subjects, { transport: 'mixed' }, (mixed) => measure(context, webSockets, mixed)),
    )
  },
}

/**
 * @param {import('../types.d.ts').Context} context
 * @param {import('../lib/crew.mjs').Crew[]} webSockets
 * @param {import('../lib/crew.mjs').Crew[]} mixed
 */
async function measure(context, webSockets, mixed) {
  const rows = []
  const targets = []
  for (const burst of fittingBursts(context, BURSTS)) {
    const name = `${burst.perTurn} a turn`
    const contenders = [
      ...webSockets.map((crew) => crew.contender('websocket', burst)),
      ...mixed.map((crew) => crew.contender('mixed', burst)),
    ]
    const measured = await interleaved(context, name, contenders)
    rows.push(...measured.rows(name, 'cpuUs', 'µs/delivery', ['generatorUs', 'inTurnsPerSecond']))
    if (!measured.has('hub mixed')) continue
    targets.push(
      target({
        case: name,
        text: 'hub mixed ≤ 1.15 × hub websocket',
        of: measured.values('hub mixed', 'cpuUs'),
        against: measured.values('hub websocket', 'cpuUs'),
        limit: 1.15,
      }),
    )
  }
  const { subscribers, size } = context.options
  return { settings: { subscribers, size, groups: 1 }, rows, targets }
}
