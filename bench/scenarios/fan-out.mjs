// @ts-check
/** One group, all subscribers in it: what a delivery costs at 1, 10 and 100 messages a turn, on WebSocket and on SSE. */
import { BURSTS } from '../lib/bursts.mjs'
import { withCrews } from '../lib/crew.mjs'
import { interleaved } from '../lib/interleave.mjs'
import { fittingBursts } from '../lib/rounds.mjs'
import { target } from '../lib/statistics.mjs'
import { missingStrace } from '../lib/system-calls.mjs'

const SUBJECTS = [
  'hub',
  'hub-uws',
  'c-loop',
  'socket-write',
  'ws-send',
  'uws',
  'uws-sse',
  'node-sse',
  'socket.io',
  'better-sse',
  'nchan',
  'centrifugo',
  'mercure',
  'channels',
]

/** What targets are about. */
const COMPARED = ['hub websocket', 'hub sse', 'c-loop websocket', 'ws-send websocket']

/** What strace slows down is short: about so many messages, and at least one turn. */
const TRACED_MESSAGES = 20

/** @type {import('../types.d.ts').Scenario} */
export const scenario = {
  name: 'fan-out',
  title: 'Fan-out: one group, server CPU time per delivery',
  async run(context) {
    const subjects = await context.choose(SUBJECTS)
    return withCrews(context, subjects, { transport: 'websocket' }, (webSockets) =>
      withCrews(context, subjects, { transport: 'sse' }, (streams) => measure(context, webSockets, streams)),
    )
  },
}

/**
 * @param {import('../types.d.ts').Context} context
 * @param {import('../lib/crew.mjs').Crew[]} webSockets
 * @param {import('../lib/crew.mjs').Crew[]} streams
 */
async function measure(context, webSockets, streams) {
  const rows = []
  const targets = []
  const bursts = fittingBursts(context, BURSTS)
  for (const burst of bursts) {
    const name = `${burst.perTurn} a turn`
    const isFit = (/** @type {import('../lib/crew.mjs').Crew} */ { subject }) =>
      burst.perTurn <= (subject.mostPerTurn ?? 1000)
    const contenders = [
      ...webSockets.filter(isFit).map((crew) => crew.contender('websocket', burst)),
      ...streams.filter(isFit).map((crew) => crew.contender('sse', burst)),
    ].map((contender) => ({ ...contender, isCompared: COMPARED.includes(contender.label) }))
    const measured = await interleaved(context, name, contenders)
    const shown = ['generatorUs', 'inTurnsPerSecond']
    rows.push(...measured.rows(name, 'cpuUs', 'µs/delivery', shown))
    targets.push(...targetsOf(name, burst.perTurn, measured))
  }
  rows.push(
    ...(await systemCalls(context, bursts, webSockets, 'websocket')),
    ...(await systemCalls(context, bursts, streams, 'sse')),
  )
  const { subscribers, size } = context.options
  return { settings: { subscribers, size, groups: 1 }, rows, targets }
}

/** Counted in a short run of its own. @param {import('../types.d.ts').Context} context @param {typeof BURSTS} bursts @param {import('../lib/crew.mjs').Crew[]} crews @param {string} label */
async function systemCalls(context, bursts, crews, label) {
  const { pace } = context.options
  if (pace === 'quick') return []
  const missing = missingStrace()
  if (missing !== null) {
    context.note(missing)
    return []
  }
  const rows = []
  for (const burst of pace === 'smoke' ? bursts.filter(({ perTurn }) => perTurn === 10) : bursts) {
    const turns = Math.ceil(TRACED_MESSAGES / burst.perTurn)
    for (const crew of crews.filter(({ running }) => running.pid !== undefined)) {
      const { name, kind } = crew.subject
      context.progress(`system calls: ${name} ${label}`)
      // Not permitted in every container.
      const calls = await crew.sends(burst, turns).catch((error) => context.note(String(error)))
      if (calls === undefined) return rows
      rows.push({
        ...{ case: `system calls, ${burst.perTurn} a turn`, subject: `${name} ${label}`, kind },
        ...{ unit: 'calls/connection and turn', median: calls, low: calls, high: calls },
      })
    }
  }
  return rows
}

/** @param {string} name @param {number} perTurn @param {import('../lib/interleave.mjs').Measured} measured */
function targetsOf(name, perTurn, measured) {
  /** @type {[of: string, against: string, limit: number][]} */
  const wanted = [
    ['hub websocket', 'c-loop websocket', perTurn === 100 ? 1.6 : 1.5],
    ['hub sse', 'hub websocket', 1.15],
  ]
  if (perTurn === 1) wanted.push(['hub websocket', 'ws-send websocket', 0.85])
  if (perTurn <= 10) wanted.push(['hub-uws websocket', 'uws websocket', 1.2])
  return wanted
    .filter(([of, against]) => measured.has(of) && measured.has(against))
    .map(([of, against, limit]) =>
      target({
        case: name,
        text: `${of} ≤ ${limit} × ${against}`,
        of: measured.values(of, 'cpuUs'),
        against: measured.values(against, 'cpuUs'),
        limit,
      }),
    )
}
