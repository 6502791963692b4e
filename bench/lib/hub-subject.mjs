// @ts-check
/** The hub as a subject, on either back end. */
import { loadGenerator } from './dist.mjs'
import { startNodeSubject } from './node-subject.mjs'

/**
 * @param {'node' | 'uws'} backend
 * @param {Pick<import('../types.d.ts').Subject, 'name' | 'title' | 'missing'>} facts
 * @returns {import('../types.d.ts').Subject}
 */
export function hubSubject(backend, facts) {
  return {
    ...facts,
    kind: 'hub',
    transports: ['websocket', 'sse', 'mixed'],
    hasGroups: true,
    start: (settings) => start(backend, settings),
  }
}

/** @param {string} backend @param {import('../types.d.ts').SubjectSettings} settings @returns {Promise<import('../types.d.ts').RunningSubject>} */
async function start(backend, settings) {
  const running = await startNodeSubject('hub.mjs', { ...settings, extra: { backend, ...settings.extra } })
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
}
