// @ts-check
/** The hub on the node back end. */
import { loadGenerator } from '../lib/dist.mjs'
import { startNodeSubject } from '../lib/node-subject.mjs'

/** @type {import('../types.d.ts').Subject} */
export const subject = {
  name: 'hub',
  title: 'groupcast, node back end',
  kind: 'hub',
  transports: ['websocket', 'sse', 'mixed'],
  hasGroups: true,
  missing: () => null,
  async start(settings) {
    const running = await startNodeSubject('hub.mjs', settings)
    const { Publisher } = await loadGenerator()
    const groups = Array.from({ length: settings.groups }, (_, i) => `g${i}`)
    const publisher = new Publisher({ url: running.url, groups, size: settings.size, apiKey: null })
    const send = async (/** @type {number} */ first, /** @type {number} */ end) => {
      publisher.send(first, end)
      await publisher.settled(30_000)
      if (publisher.failure !== null) throw new Error(`the hub refused messages: ${publisher.failure}`)
    }
    return {
      ...running,
      async burst(burst) {
        if (burst.overHttp !== true) return running.burst(burst)
        // A request is read in one turn; the next one waits for its answer.
        for (let turn = 0; turn < burst.turns; turn++) {
          const first = burst.first + turn * burst.perTurn
          await send(first, first + burst.perTurn)
        }
      },
      async stop() {
        publisher.close()
        await running.stop()
      },
    }
  },
}
