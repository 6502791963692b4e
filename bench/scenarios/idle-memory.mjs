// @ts-check
/** Resident memory of a connection on which nothing happens, beside as many others. Each repeat has a process of its own: memory given back is not counted twice. */
import { connectFleet, withSubjects } from '../lib/clients.mjs'
import { Measured } from '../lib/interleave.mjs'
import { median, plainTarget } from '../lib/statistics.mjs'

const PAIRS = /** @type {const} */ ([
  [
    'websocket',
    [
      ['hub', 'ws-send'],
      ['hub-uws', 'uws'],
    ],
  ],
  [
    'sse',
    [
      ['hub', 'node-sse'],
      ['hub-uws', 'uws-sse'],
    ],
  ],
])
const EXTRA_KB = 2
const CLIENTS = { smoke: 20, quick: 2_500, full: 5_000 }

/** @type {import('../types.d.ts').Scenario} */
export const scenario = {
  name: 'idle-memory',
  title: 'Idle connections: resident memory of the server for each further one',
  async run(context) {
    const rows = []
    const targets = []
    const { pace, subscribers } = context.options
    const clients = Math.max(subscribers, CLIENTS[pace])
    if (clients > subscribers)
      context.note(
        `${clients} clients and as many before them, not ${subscribers}: fewer would drown in the noise.`,
      )
    const repeats = Math.min(3, Math.ceil(context.options.repeats / 3))
    for (const [transport, pairs] of PAIRS) {
      const measured = new Measured()
      const subjects = await context.choose(pairs.flat())
      for (let repeat = 1; repeat <= repeats; repeat++) {
        for (const subject of subjects) {
          context.progress(`${transport}: ${subject.name} (${repeat} of ${repeats})`)
          const figures = await memory(context, subject, transport, clients)
          measured.add({ label: subject.name, kind: subject.kind, measure: async () => figures }, figures)
        }
      }
      rows.push(...measured.rows(transport, 'kilobytes', 'KB/connection', ['heapKilobytes']))
      for (const [hub, bare] of pairs) {
        if (!measured.has(hub) || !measured.has(bare)) continue
        const value = median(measured.values(hub, 'kilobytes')) - median(measured.values(bare, 'kilobytes'))
        const text = `${hub} − ${bare} ≤ ${EXTRA_KB} KB`
        targets.push(plainTarget({ case: transport, text, value, limit: EXTRA_KB }))
      }
    }
    return { settings: { clients }, rows, targets }
  },
}

/**
 * @param {import('../types.d.ts').Context} context
 * @param {import('../types.d.ts').Subject} subject
 * @param {'websocket' | 'sse'} transport
 * @param {number} clients
 */
async function memory(context, subject, transport, clients) {
  return withSubjects(context, [subject], transport, async ([running]) => {
    if (running === undefined) throw new Error(`${subject.name} did not start.`)
    const { server } = running
    // Code, tables and a young generation as large as the garbage of handshakes makes it are not of the connections: only a runtime with a
    // collector has them, and it has them after the first thousands. So what is measured is what as many further ones cost.
    const first = await connectFleet(context, server, { transport, clients })
    const before = await server.usage({ collect: true })
    const { fleet } = await connectFleet(context, server, { transport, clients })
    const after = await server.usage({ collect: true })
    await fleet.leave()
    await first.fleet.leave()
    const heapGrowth = (after.heapBytes ?? 0) - (before.heapBytes ?? 0)
    return {
      kilobytes: (after.rssBytes - before.rssBytes) / 1024 / clients,
      heapKilobytes: heapGrowth / 1024 / clients,
    }
  })
}
