// @ts-check
/**
 * Some subscribers stop reading under load: what the others notice of it, what it costs in memory, and what the slow ones get. Phases in
 * which all read and in which some have stopped take turns in one server process with the same subscribers: two processes would differ by
 * where their heaps happened to be.
 */
import { Crew } from '../lib/crew.mjs'
import { Measured } from '../lib/interleave.mjs'
import { settled } from '../lib/policies.mjs'
import { slowCases } from '../lib/slow-cases.mjs'
import { median, plainTarget, target } from '../lib/statistics.mjs'

/** @typedef {import('../types.d.ts').Context} Context */
/** @typedef {'close' | 'drop' | 'latest'} SlowPolicy */
/** @typedef {{ subscribers: number, size: number, rate: number, phaseMs: number, pauses: number, repeats: number }} Pace */
/** @typedef {Pace & { slow: number }} Load */

/**
 * The stopped ones must fall behind by more than the kernel's buffers and the hub's bound, 6 MB: so few large messages for few, or many
 * small. Memory is looked at in pauses.
 *
 * @type {Record<import('../types.d.ts').Options['pace'], Pace & { policies: readonly SlowPolicy[] }>}
 */
const LOADS = {
  smoke: {
    ...{ subscribers: 2, size: 16_384, rate: 400, phaseMs: 1_200, pauses: 1, repeats: 1 },
    policies: ['drop'],
  },
  quick: {
    ...{ subscribers: 100, size: 16_384, rate: 200, phaseMs: 2_000, pauses: 2, repeats: 1 },
    policies: ['drop'],
  },
  full: {
    ...{ subscribers: 1_000, size: 2_048, rate: 75, phaseMs: 60_000, pauses: 6, repeats: 3 },
    policies: ['close', 'drop', 'latest'],
  },
}
const ONE_OF = 100
/** Their newest messages are a part of the bound. */
const KEYS = 20
const MIB = 2 ** 20
const READING = 'all read'
const STOPPED = 'some stopped'

/** @type {import('../types.d.ts').Scenario} */
export const scenario = {
  name: 'slow-readers',
  title: `Slow readers: 1 of ${ONE_OF} stops reading, latency of the others`,
  // One stops, and there are others.
  leastSubscribers: 2,
  async run(context) {
    const { policies, ...given } = LOADS[context.options.pace]
    const { options } = context
    const subscribers = Math.min(given.subscribers, options.subscribers)
    const slow = Math.max(1, Math.round(subscribers / ONE_OF))
    context.note(
      `It has a load of its own, whatever --subscribers and --size say: ${subscribers} subscribers, messages of ${given.size} bytes.`,
    )
    if (slow * ONE_OF > subscribers)
      context.note(`${slow} of ${subscribers} stopped reading, which is more than 1 of ${ONE_OF}.`)
    const load = { ...given, subscribers, slow, repeats: Math.min(given.repeats, options.repeats) }
    const hubs = await context.choose(options.subjects === null ? ['hub'] : ['hub', 'hub-uws'])
    const rows = []
    const targets = []
    for (const [i, hub] of hubs.entries()) {
      // Latencies that are not measured are not worth a process on each back end.
      for (const policy of options.pace === 'smoke' && i > 0 ? [] : policies) {
        const measured = await phases(context, hub, load, policy)
        const name = `${policy}, ${load.slow} of ${load.subscribers}`
        const shown = ['p50', 'p999', 'max', 'rssMiB', 'backlogMiB', 'peakMiB', 'serverBusy', 'generatorBusy']
        rows.push(...measured.rows(name, 'p99', 'ms p99', shown))
        targets.push(...targetsOf(name, hub.name, measured))
      }
      rows.push(...(await slowCases(context, hub)))
    }
    return { settings: load, rows, targets }
  },
}

/** @param {string} name @param {string} hub @param {Measured} measured */
function targetsOf(name, hub, measured) {
  const [reading, stopped] = [`${hub}, ${READING}`, `${hub}, ${STOPPED}`]
  const of = hub === 'hub' ? '' : `${hub}: `
  const usual = aroundEach(measured.values(reading, 'beyondMiB'))
  const growth = measured.values(stopped, 'beyondMiB').map((value, i) => value - (usual[i] ?? Number.NaN))
  return [
    target({
      case: name,
      text: `${of}p99 with stopped readers ≤ 1.2 × without`,
      of: measured.values(stopped, 'p99'),
      against: aroundEach(measured.values(reading, 'p99')),
      limit: 1.2,
    }),
    plainTarget({
      case: name,
      text: `${of}memory grows by ≤ 2 MiB more than the shared backlog`,
      value: median(growth),
      limit: 2,
    }),
  ]
}

/**
 * The mean of each value and the next: what was usual before and after a phase that stood between. A process that drifts, as a heap
 * does for minutes, must not look like one that the slow readers cost something.
 *
 * @param {readonly number[]} values
 */
function aroundEach(values) {
  return values.slice(1).map((value, i) => (value + (values[i] ?? Number.NaN)) / 2)
}

/** @param {Context} context @param {import('../types.d.ts').Subject} hub @param {Load} load @param {SlowPolicy} policy */
async function phases(context, hub, load, policy) {
  const measured = new Measured()
  const extra = { groups: [{ match: '*', slow: policy }] }
  const subscribers = load.subscribers - load.slow
  const settings = { transport: /** @type {const} */ ('websocket'), size: load.size, keys: KEYS }
  const crew = await Crew.start(context, hub, { ...settings, subscribers, extra })
  try {
    const order = turns(load.repeats)
    // The first of each brings compiled code and a grown heap, and is not counted.
    const uncounted = context.options.pace === 'smoke' ? [] : [READING, STOPPED]
    for (const [index, label] of [...uncounted, ...order].entries()) {
      context.progress(
        `${policy}, ${hub.name}, ${label} (${index + 1} of ${uncounted.length + order.length})`,
      )
      const figures = await phase(context, crew, load, label === STOPPED ? policy : 'reads')
      const counted = { label: `${hub.name}, ${label}`, kind: hub.kind, measure: async () => figures }
      if (index >= uncounted.length) measured.add(counted, figures)
    }
    await crew.check()
    return measured
  } finally {
    await crew.stop()
  }
}

/** Each phase with stopped readers stands between two without. @param {number} repeats */
function turns(repeats) {
  const pairs = Array.from({ length: repeats }, () => [STOPPED, READING])
  return [READING, ...pairs.flat()]
}

/** @param {Context} context @param {Crew} crew @param {Load} load @param {import('../lib/policies.mjs').Policy} policy */
async function phase(context, crew, { slow, size, rate, phaseMs, pauses }, policy) {
  const first = crew.next
  const readers = await crew.slowReaders({ transport: 'websocket', clients: slow })
  try {
    if (policy !== 'reads') await readers.stop()
    await crew.running.watch?.()
    const samples = []
    let latency = null
    for (let pause = 0; pause < pauses; pause++) {
      latency = await crew.openLoop({ rate, durationMs: phaseMs / pauses, isContinued: pause > 0 })
      samples.push(await crew.running.usage({ collect: true }))
    }
    await readers.resume()
    await settled(context, readers, policy, { first, end: crew.next, size, keys: KEYS, stoppedMs: phaseMs })
    return { ...latency, ...memory(samples) }
  } finally {
    await readers.leave()
  }
}

/** Of the second half: until then the kernel still takes what is written to those that stopped. @param {readonly import('../types.d.ts').Usage[]} samples */
function memory(samples) {
  const late = samples.slice(samples.length >> 1)
  return {
    rssMiB: median(late.map(({ rssBytes }) => rssBytes)) / MIB,
    backlogMiB: median(late.map(({ backlogBytes = 0 }) => backlogBytes)) / MIB,
    beyondMiB: median(late.map(({ rssBytes, backlogBytes = 0 }) => rssBytes - backlogBytes)) / MIB,
    peakMiB: Math.max(...samples.map(({ peakRssBytes = 0 }) => peakRssBytes)) / MIB,
  }
}
