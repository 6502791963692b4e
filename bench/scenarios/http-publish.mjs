// @ts-check
/**
 * `POST /api/groups/{group}/messages` without subscribers, against handlers of `node:http` and of
 * uWebSockets.js that parse the same JSON.
 */
import { withSubjects } from '../lib/clients.mjs'
import { loadGenerator } from '../lib/dist.mjs'
import { interleaved } from '../lib/interleave.mjs'
import { shoot } from '../lib/shots.mjs'
import { target } from '../lib/statistics.mjs'

const CONNECTIONS = 20
const SHOWN = ['cpuUsEach', 'p99', 'serverBusy', 'generatorBusy']

const TIMES = {
  smoke: { length: { amount: 200 }, repeats: 1 },
  quick: { length: { duration: 1 }, repeats: 2 },
  full: { length: { duration: 3 }, repeats: 5 },
}

/** @type {import('../types.d.ts').Scenario} */
export const scenario = {
  name: 'http-publish',
  title: 'HTTP publish: POST of one message, no subscribers (autocannon)',
  async run(context) {
    const { pace, size } = context.options
    const { length, repeats } = TIMES[pace]
    const limited = { ...context, options: { ...context.options, repeats } }
    const { numberedMessage } = await loadGenerator()
    const body = numberedMessage(0, size)
    const subjects = await context.choose(['hub', 'hub-uws', 'node-http', 'uws-http'])
    return withSubjects(limited, subjects, 'websocket', async (running) => {
      const measured = await interleaved(
        limited,
        'keep-alive',
        running.map(({ subject, server }) => ({
          label: subject.name,
          kind: subject.kind,
          measure: () => {
            const url = `${server.url}/api/groups/g0/messages`
            return shoot(context, server, { url, body, connections: CONNECTIONS, length })
          },
        })),
      )
      const rows = measured.rows('keep-alive', 'perSecond', 'requests/s', SHOWN)
      const targets = /** @type {const} */ ([
        ['hub', 'node-http', 0.6],
        ['hub-uws', 'uws-http', 0.7],
      ])
        .filter(([hub, bare]) => measured.has(hub) && measured.has(bare))
        .map(([hub, bare, limit]) =>
          target({
            case: 'keep-alive',
            text: `${hub} ≥ ${limit} × ${bare}`,
            of: measured.values(hub, 'perSecond'),
            against: measured.values(bare, 'perSecond'),
            limit,
            isAtMost: false,
          }),
        )
      return { settings: { size, connections: CONNECTIONS, ...length, repeats }, rows, targets }
    })
  },
}
