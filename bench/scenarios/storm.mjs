// @ts-check
/**
 * Clients that are cut at random while messages are published, of the library and of the bare protocol, over all transports: whether they
 * miss anything, and how long they take to catch up. Then the same with a hub that is killed, and keeps a journal.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startProcess } from '../lib/node-subject.mjs'
import { plainTarget } from '../lib/statistics.mjs'
import { HubProcess } from '../lib/storm/hub-process.mjs'
import { chooseSeed } from '../lib/storm/random.mjs'

/** @typedef {import('../types.d.ts').Context} Context */
/** @typedef {{ clients: number, rate: number, durationMs: number, lifeMs: readonly [number, number], kills: number }} Load */
/** @typedef {Awaited<ReturnType<import('../lib/storm/storm.mjs').Storm['end']>> & { complaints: string[], failures: number, tookMs: number, cpuUs: number }} Outcome */

/** @type {Record<import('../types.d.ts').Options['pace'], Load>} */
const LOADS = {
  smoke: { clients: 20, rate: 100, durationMs: 1_500, lifeMs: [100, 600], kills: 1 },
  quick: { clients: 100, rate: 200, durationMs: 4_000, lifeMs: [1_000, 3_000], kills: 3 },
  full: { clients: 500, rate: 200, durationMs: 60_000, lifeMs: [1_000, 3_000], kills: 3 },
}
const GROUPS = 10
/** Each group keeps more than anybody can miss. */
const HISTORY = 5_000

/** @type {import('../types.d.ts').Scenario} */
export const scenario = {
  name: 'storm',
  title: 'Storm: connections cut at random under load, nothing lost',
  async run(context) {
    const { options } = context
    const given = LOADS[options.pace]
    const load = { ...given, clients: Math.min(given.clients, options.subscribers) }
    const settings = { ...load, groups: GROUPS, lifeMs: load.lifeMs.join(' to '), seed: chooseSeed() }
    const [hub] = await context.choose(['hub'])
    if (hub === undefined) return { settings, rows: [], targets: [] }
    context.note(`The chance of this run can be had again with GROUPCAST_SEED=${settings.seed}.`)
    const rows = []
    const targets = []
    for (const kills of [0, load.kills]) {
      const name = kills === 0 ? `${load.clients} clients` : `${load.clients} clients, killed ${kills} times`
      context.progress(name)
      const { outcome, hubUs } = await weather(context, { ...load, kills }, settings.seed)
      rows.push(...rowsOf(name, outcome, hubUs))
      targets.push(targetOf(context, name, outcome))
    }
    return { settings, rows, targets }
  },
}

/** @param {Context} context @param {Load} load @param {number} seed @returns {Promise<{ outcome: Outcome, hubUs: number }>} */
async function weather({ pinning }, { clients, rate, durationMs, lifeMs, kills }, seed) {
  const directory = mkdtempSync(join(tmpdir(), 'groupcast-storm-'))
  const journal = kills === 0 ? {} : { directory: join(directory, 'journal') }
  const hub = await HubProcess.start({ prefix: pinning.subject, count: HISTORY, ...journal })
  const crowd = await startProcess('storm-crowd.mjs', pinning.load)
  try {
    const ran = crowd('run', { seed, port: hub.port, clients, groups: GROUPS, lifeMs, durationMs, rate })
    for (let kill = 0; kill < kills; kill++) {
      await new Promise((resolve) => setTimeout(resolve, durationMs / (kills + 1)))
      await hub.restart()
    }
    const outcome = /** @type {Outcome} */ (await ran)
    return { outcome, hubUs: await hub.cpuUs() }
  } finally {
    await crowd.stop()
    await hub.stop()
    rmSync(directory, { recursive: true })
  }
}

/** @param {string} name @param {Outcome} outcome @param {number} hubUs @returns {import('../types.d.ts').Row[]} */
function rowsOf(name, outcome, hubUs) {
  const { cuts, opens, resets, acknowledged, received, recoveries, failures, tookMs, cpuUs } = outcome
  const each = { case: name, kind: /** @type {const} */ ('hub') }
  const seconds = tookMs / 1000
  const counts = { cuts, opens, resets, unanswered: failures, recoveries: recoveries.length }
  return [
    {
      ...{ ...each, subject: 'hub, from the cut', unit: 'ms p99' },
      ...timesOf(recoveries.map(({ ms }) => ms)),
    },
    {
      ...{ ...each, subject: 'hub, from being open again', unit: 'ms p99' },
      ...timesOf(recoveries.map(({ reopenedMs }) => reopenedMs)),
    },
    {
      ...{ ...each, subject: 'hub', unit: 'messages/s' },
      ...single(acknowledged / seconds),
      more: {
        ...{ deliveriesPerSecond: received / seconds, ...counts },
        ...{ serverBusy: hubUs / 1000 / tookMs, generatorBusy: cpuUs / 1000 / tookMs },
      },
    },
  ]
}

/** @param {readonly number[]} values */
function timesOf(values) {
  const sorted = [...values].sort((a, b) => a - b)
  const at = (/** @type {number} */ share) => sorted[Math.ceil(sorted.length * share) - 1] ?? 0
  return { ...single(at(0.99)), more: { p50: at(0.5), max: at(1) } }
}

/** @param {number} value */
function single(value) {
  return { median: value, low: value, high: value }
}

/** What is wrong makes the run fail. @param {Context} context @param {string} name @param {Outcome} outcome */
function targetOf(context, name, { lost, doubled, outOfOrder, split, odd, resets, examples, complaints }) {
  const faults = { lost, doubled, outOfOrder, split, odd, resets, incomplete: complaints.length }
  const value = Object.values(faults).reduce((sum, count) => sum + count, 0)
  if (value > 0) {
    const counts = Object.entries(faults).map(([what, count]) => `${count} ${what}`)
    context.fault(`${name}: ${[...counts, ...examples, ...complaints.slice(0, 5)].join('; ')}`)
  }
  return plainTarget({ case: name, text: 'lost, doubled, out of order, reset: none', value, limit: 0 })
}
