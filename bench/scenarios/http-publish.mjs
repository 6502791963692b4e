// @ts-check
/**
 * `POST /api/groups/{group}/messages` without subscribers, against handlers of `node:http` and of
 * uWebSockets.js that parse the same JSON.
 */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { withSubjects } from '../lib/clients.mjs'
import { loadGenerator } from '../lib/dist.mjs'
import { interleaved } from '../lib/interleave.mjs'
import { target } from '../lib/statistics.mjs'

const CANNON = fileURLToPath(new URL('../lib/cannon.mjs', import.meta.url))
const CONNECTIONS = 20

const TIMES = {
  smoke: { seconds: 1, repeats: 1 },
  quick: { seconds: 1, repeats: 2 },
  full: { seconds: 3, repeats: 5 },
}

/** @type {import('../types.d.ts').Scenario} */
export const scenario = {
  name: 'http-publish',
  title: 'HTTP publish: POST of one message, no subscribers (autocannon)',
  async run(context) {
    const { pace, size } = context.options
    const { seconds, repeats } = TIMES[pace]
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
          measure: () => shoot(context, server, body, seconds),
        })),
      )
      const rows = measured.rows('keep-alive', 'perSecond', 'requests/s', ['cpuUsEach', 'p99', 'serverBusy'])
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
      return { settings: { size, connections: CONNECTIONS, seconds, repeats }, rows, targets }
    })
  },
}

/**
 * @param {import('../types.d.ts').Context} context
 * @param {import('../types.d.ts').RunningSubject} server
 * @param {string} body
 * @param {number} seconds
 */
async function shoot(context, server, body, seconds) {
  const [command = '', ...args] = [...context.pinning.load, process.execPath, CANNON]
  const before = await server.usage()
  const url = `${server.url}/api/groups/g0/messages`
  const { stdout } = await promisify(execFile)(command, [
    ...args,
    url,
    body,
    String(seconds),
    String(CONNECTIONS),
  ])
  const after = await server.usage()
  const { requests, perSecond, p99, failed, tookMs } = JSON.parse(stdout)
  if (failed > 0) context.fault(`${failed} requests failed`)
  const cpuUs = after.cpuUs - before.cpuUs
  return { perSecond, cpuUsEach: cpuUs / requests, p99, serverBusy: cpuUs / 1000 / tookMs }
}
