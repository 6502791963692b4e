// @ts-check
/** Latency at a fixed rate, from the time at which each message was meant to be sent (open loop). */
import { withCrews } from '../lib/crew.mjs'
import { interleaved } from '../lib/interleave.mjs'

const RATE = 50

/** What they need for each delivery, `fan-out` shows. */
const CONTROLS = ['hub-uws', 'socket-write', 'ws-send', 'uws', 'node-sse']
const OTHERS = ['hub', 'c-loop', 'socket.io', 'better-sse', 'nchan', 'centrifugo', 'mercure', 'channels']

const TIMES = {
  smoke: { durationMs: 300, repeats: 1 },
  quick: { durationMs: 1_000, repeats: 1 },
  full: { durationMs: 5_000, repeats: 3 },
}

/** @type {import('../types.d.ts').Scenario} */
export const scenario = {
  name: 'latency',
  title: `Latency at ${RATE} messages a second, from the intended time of sending`,
  async run(context) {
    const { subscribers, size, pace } = context.options
    const { durationMs, repeats } = TIMES[pace]
    const rows = []
    for (const transport of /** @type {const} */ (['websocket', 'sse'])) {
      const subjects = await context.choose([...CONTROLS, ...OTHERS], OTHERS)
      const limited = { ...context, options: { ...context.options, repeats } }
      rows.push(
        ...(await withCrews(limited, subjects, { transport }, async (crews) => {
          const contenders = crews.flatMap((crew) => {
            const { name, kind } = crew.subject
            const alone = { label: name, kind, measure: () => crew.openLoop({ rate: RATE, durationMs }) }
            if (kind !== 'hub') return [alone]
            // As peers are published to: a request for each message.
            const measure = () => crew.openLoop({ rate: RATE, durationMs, overHttp: true })
            return [alone, { label: `${name} over HTTP`, kind, measure }]
          })
          const shown = ['p50', 'p90', 'p999', 'max', 'lastP50', 'lastP99', 'serverBusy', 'generatorBusy']
          return (await interleaved(limited, transport, contenders)).rows(transport, 'p99', 'ms p99', shown)
        })),
      )
    }
    return { settings: { subscribers, size, rate: RATE, durationMs, repeats }, rows, targets: [] }
  },
}
