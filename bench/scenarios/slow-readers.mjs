// @ts-check
/** Some subscribers stop reading under load: what the others notice of it, and what it costs in memory. */
import { Crew } from '../lib/crew.mjs'
import { Measured } from '../lib/interleave.mjs'
import { plainTarget, target } from '../lib/statistics.mjs'

const LOADS = {
  smoke: { subscribers: 20, size: 16_384, rate: 50, durationMs: 1_000, repeats: 1 },
  // The stopped ones must fall behind by more than the kernel's buffers and the hub's bound: so few large messages for few, or many small.
  quick: { subscribers: 200, size: 16_384, rate: 100, durationMs: 7_000, repeats: 1 },
  full: { subscribers: 1_000, size: 1_024, rate: 150, durationMs: 60_000, repeats: 3 },
}
const SLOW_SHARE = 0.01
const LEAST_SLOW = 2
/** Until a stopped client that reads on has come to the end of what the system holds for it. */
const RESUME_MS = 1_000

/** @type {import('../types.d.ts').Scenario} */
export const scenario = {
  name: 'slow-readers',
  title: 'Slow readers: 1 of 100 stops reading, latency of the others',
  async run(context) {
    const { pace, subscribers } = context.options
    const given = LOADS[pace]
    const load = { ...given, subscribers: Math.min(given.subscribers, subscribers) }
    const slow = Math.max(LEAST_SLOW, Math.ceil(load.subscribers * SLOW_SHARE))
    const measured = new Measured()
    const [hub] = await context.choose(['hub'])
    for (let repeat = 1; repeat <= load.repeats && hub !== undefined; repeat++) {
      for (const label of ['all read', 'some stopped']) {
        context.progress(`${label} (${repeat} of ${load.repeats})`)
        const figures = await run(context, hub, load, slow, label === 'some stopped')
        measured.add({ label: `hub, ${label}`, kind: 'hub', measure: async () => figures }, figures)
      }
    }
    const name = `${slow} of ${load.subscribers}`
    const shown = [
      'p50',
      'p999',
      'max',
      'lastP99',
      'rssGrowthMiB',
      'slowEnded',
      'serverBusy',
      'generatorBusy',
    ]
    return {
      settings: { ...load, slow },
      rows: measured.rows(name, 'p99', 'ms p99', shown),
      targets: targetsOf(name, measured),
    }
  },
}

/** @param {string} name @param {Measured} measured */
function targetsOf(name, measured) {
  if (!measured.has('hub, some stopped')) return []
  const [without, withSlow] = ['hub, all read', 'hub, some stopped']
  const growth = measured
    .values(withSlow, 'rssGrowthMiB')
    .map((value, i) => value - (measured.values(without, 'rssGrowthMiB')[i] ?? 0))
  return [
    target({
      case: name,
      text: 'p99 with stopped readers ≤ 1.2 × without',
      of: measured.values(withSlow, 'p99'),
      against: measured.values(without, 'p99'),
      limit: 1.2,
    }),
    plainTarget({
      case: name,
      text: 'memory grows by ≤ 3 MiB more (2 and the shared backlog)',
      value: Math.max(...growth),
      limit: 3,
    }),
  ]
}

/**
 * @param {import('../types.d.ts').Context} context
 * @param {import('../types.d.ts').Subject} hub
 * @param {typeof LOADS.quick} load
 * @param {number} slow
 * @param {boolean} isStopped
 */
async function run(context, hub, { subscribers, size, rate, durationMs }, slow, isStopped) {
  // The same subscribers are left out of the account in both runs.
  const crew = await Crew.start(context, hub, { transport: 'websocket', subscribers, size, slow })
  try {
    await crew.openLoop({ rate, durationMs: 1_000 })
    if (isStopped) await crew.fleet.stopSlow()
    const figures = await crew.openLoop({ rate, durationMs })
    // Who does not read does not hear that it was closed either.
    await crew.fleet.resumeSlow()
    await new Promise((resolve) => setTimeout(resolve, RESUME_MS))
    const { slowEnded } = await crew.report()
    await crew.check()
    return { ...figures, slowEnded }
  } finally {
    await crew.stop()
  }
}
