// @ts-check
/** Running subjects, and fleets of clients on them. */
import { loadGenerator } from './dist.mjs'

/** @typedef {import('../types.d.ts').Subject} Subject */
/** @typedef {import('../types.d.ts').Context} Context */

/**
 * Connects clients to a running subject.
 *
 * @param {Context} context
 * @param {import('../types.d.ts').RunningSubject} server
 * @param {{ transport: import('../types.d.ts').SubjectSettings['transport'], groupName?: string, groups?: number, groupsEach?: number, messageBytes?: number, keys?: number, slow?: import('../../src/load/crowd.ts').SlowOptions, clients?: number, concurrency?: number }} settings
 */
export async function connectFleet(context, server, settings) {
  const { Fleet } = await loadGenerator()
  const {
    transport,
    groupName = 'g',
    groups = 1,
    groupsEach = 1,
    messageBytes = 0,
    keys = 0,
    slow,
    concurrency = 64,
  } = settings
  const clients = settings.clients ?? context.options.subscribers
  const fleet = new Fleet({
    url: server.url,
    path: server.path,
    groups: Array.from({ length: groups }, (_, i) => `${groupName}${i}`),
    ...{ transport, groupsEach, clients, messageBytes, keys, concurrency },
    // A smoke run, which measures nothing, saves the time that a process takes to start.
    ...{ workers: context.options.pace === 'smoke' ? 0 : 1, prefix: context.pinning.load },
    ...(slow !== undefined && { slow }),
    ...(server.hello !== undefined && { hello: server.hello }),
  })
  // So that the process has started before the clock does.
  await fleet.startBusy()
  const tookMs = await fleet.connect()
  // A handshake on top of the transport's is not waited for by the fleet.
  if (server.hello !== undefined) await new Promise((resolve) => setTimeout(resolve, 1000))
  const { connected } = await fleet.progress()
  if (connected === clients) return { fleet, tookMs, connected }
  const { reasons } = await fleet.report(0)
  await fleet.leave()
  throw new Error(`${connected} of ${clients} clients are in: ${reasons.join(', ')}`)
}

/**
 * Starts subjects without clients, hands them to `work`, and stops them, whatever happens.
 *
 * @template T
 * @param {Context} context
 * @param {readonly Subject[]} subjects
 * @param {'websocket' | 'sse'} transport
 * @param {(running: { subject: Subject, server: import('../types.d.ts').RunningSubject }[]) => Promise<T>} work
 */
export async function withSubjects(context, subjects, transport, work) {
  /** @type {{ subject: Subject, server: import('../types.d.ts').RunningSubject }[]} */
  const running = []
  const { pinning, options } = context
  try {
    for (const subject of subjects) {
      const server = await subject.start({
        transport,
        groups: 1,
        size: options.size,
        prefix: pinning.subject,
      })
      running.push({ subject, server })
    }
    return await work(running)
  } finally {
    await Promise.all(running.map(({ server }) => server.stop()))
  }
}
