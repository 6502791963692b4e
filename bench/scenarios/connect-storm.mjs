// @ts-check
/** All clients connect at once, again and again: handshakes a second, and what one costs the server. */
import { connectFleet, withSubjects } from '../lib/clients.mjs'
import { interleaved } from '../lib/interleave.mjs'
import { target } from '../lib/statistics.mjs'

const CONCURRENCY = 256

/** @type {import('../types.d.ts').Scenario} */
export const scenario = {
  name: 'connect-storm',
  title: 'Connect storm: handshakes a second',
  async run(context) {
    const rows = []
    const targets = []
    const pairs = /** @type {const} */ ([
      ['websocket', 'ws-send', 'uws'],
      ['sse', 'node-sse', 'uws-sse'],
    ])
    for (const [transport, bareNode, bareUws] of pairs) {
      const subjects = await context.choose(['hub', 'hub-uws', bareNode, bareUws])
      const measured = await withSubjects(context, subjects, transport, (running) =>
        interleaved(
          context,
          transport,
          running.map(({ subject, server }) => ({
            label: subject.name,
            kind: subject.kind,
            measure: () => storm(context, server, transport),
          })),
        ),
      )
      rows.push(...measured.rows(transport, 'perSecond', 'handshakes/s', ['cpuUsEach', 'generatorBusy']))
      for (const [hub, bare, limit] of /** @type {const} */ ([
        ['hub', bareNode, 0.8],
        ['hub-uws', bareUws, 0.7],
      ])) {
        if (!measured.has(hub) || !measured.has(bare)) continue
        const of = measured.values(hub, 'perSecond')
        const against = measured.values(bare, 'perSecond')
        const text = `${hub} ≥ ${limit} × ${bare}`
        targets.push(target({ case: transport, text, of, against, limit, isAtMost: false }))
      }
    }
    return { settings: { clients: context.options.subscribers, concurrency: CONCURRENCY }, rows, targets }
  },
}

/**
 * @param {import('../types.d.ts').Context} context
 * @param {import('../types.d.ts').RunningSubject} server
 * @param {'websocket' | 'sse'} transport
 */
async function storm(context, server, transport) {
  const before = await server.usage()
  const { fleet, tookMs, connected } = await connectFleet(context, server, {
    transport,
    concurrency: CONCURRENCY,
  })
  const after = await server.usage()
  const generatorBusy = fleet.busy
  await fleet.leave()
  // The server hears of the end of the connections, which belongs to none of the figures.
  await new Promise((resolve) => setTimeout(resolve, 100))
  return {
    perSecond: (connected * 1000) / tookMs,
    cpuUsEach: (after.cpuUs - before.cpuUs) / connected,
    generatorBusy,
  }
}
