// @ts-check
/** What slow readers get, on WebSocket and on SSE: whether it is what their policy says, not how fast. */
import { atOnce } from './at-once.mjs'
import { Crew } from './crew.mjs'
import { settled } from './policies.mjs'
import { spread } from './statistics.mjs'

/** @typedef {import('../types.d.ts').Context} Context */
/** @typedef {import('../types.d.ts').Subject} Subject */
/** @typedef {import('./policies.mjs').Policy} Policy */
/** @typedef {{ size: number, keys: number, rate: number, durationMs: number, slow: number, bytesPerSecond?: number }} Load */

const OTHERS = { smoke: 2, quick: 10, full: 10 }
/** More than the kernel's buffers for a connection and the hub's bound together; the newest of all keys are well below the bound. */
const STOPPED = { size: 16_384, keys: 20, rate: 400, durationMs: 1_200, slow: 4 }
const CRAWLING = { size: 12_288, keys: 50, rate: 200, slow: 2, bytesPerSecond: 1_024 }
const CRAWLING_MS = { smoke: 2_500, quick: 5_000, full: 60_000 }

/**
 * Readers that stop and read on later, under each policy; and readers at 1 KB/s under `latest`, which read the rest at once when the publishing
 * has stopped: what the kernel holds for them would take an hour. No time is measured, so all are at once.
 *
 * @param {Context} context @param {Subject} hub
 */
export async function slowCases(context, hub) {
  const policies = /** @type {const} */ (['close', 'drop', 'latest'])
  const crawling = { ...CRAWLING, durationMs: CRAWLING_MS[context.options.pace] }
  const cases = [
    ...policies.map((policy) => () => slowCase(context, hub, `${policy}, stopped`, policy, STOPPED)),
    () => slowCase(context, hub, 'latest, 1 KB/s', 'latest', crawling),
  ]
  const outcomes = await atOnce(cases.length, cases, (run) => run())
  for (const { error } of outcomes) if (error !== undefined) throw error
  return outcomes.flatMap(({ value }) => value ?? [])
}

/** @param {Context} context @param {Subject} hub @param {string} label @param {Policy} policy @param {Load} load */
async function slowCase(context, hub, label, policy, { size, keys, rate, durationMs, slow, bytesPerSecond }) {
  const extra = { groups: [{ match: '*', slow: policy }] }
  const transport = /** @type {const} */ ('mixed')
  const crew = await Crew.start(context, hub, {
    transport,
    subscribers: OTHERS[context.options.pace],
    size,
    keys,
    extra,
  })
  try {
    context.progress(`${hub.name} ${label}`)
    const pace = bytesPerSecond === undefined ? {} : { bytesPerSecond }
    const readers = await crew.slowReaders({ transport, clients: slow, ...pace })
    await (bytesPerSecond === undefined ? readers.stop() : readers.crawl())
    const first = crew.next
    await crew.openLoop({ rate, durationMs })
    await readers.resume()
    const reports = await settled(context, readers, policy, {
      first,
      end: crew.next,
      size,
      keys,
      stoppedMs: durationMs,
    })
    await readers.leave()
    await crew.check()
    return rowsOf(`${hub.name} ${label}`, reports, crew.next - first)
  } finally {
    await crew.stop()
  }
}

/** @param {string} label @param {readonly import('./policies.mjs').SlowReport[]} reports @param {number} sent */
function rowsOf(label, reports, sent) {
  return /** @type {const} */ (['websocket', 'sse']).map((transport) => {
    const own = reports.filter((report) => report.transport === transport)
    return {
      case: 'what slow readers got',
      subject: `${label}, ${transport}`,
      kind: /** @type {const} */ ('hub'),
      unit: 'messages',
      ...spread(own.map(({ received }) => received)),
      more: { told: Math.max(...own.map(({ told }) => told)), sent },
    }
  })
}
