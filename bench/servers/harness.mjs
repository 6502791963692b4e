// @ts-check
/** What all subjects in Node share: the messages of the runner, and turns of the event loop. */
import { loadGenerator } from '../lib/dist.mjs'

/**
 * @typedef {object} Server
 * @property {number} port
 * @property {() => number} [backlogBytes] what waits for slow readers
 * @property {() => number} [ingested] messages of clients that were handled
 * @property {(messages: { n: number, group: string, text: string }[]) => unknown} turn sends all in this turn; may return a promise
 */

/** @typedef {import('../types.d.ts').SubjectSettings} Settings */

/** @param {(settings: Settings) => Promise<Server>} start */
export async function serve(start) {
  const { numberedMessage } = await loadGenerator()
  /** @type {Settings} */
  let settings
  /** @type {Server} */
  let server
  let peakRssBytes = 0
  /** @type {NodeJS.Timeout | undefined} */
  let watching
  /** @type {Record<string, (args: any) => Promise<unknown>>} */
  const operations = {
    async start(given) {
      settings = given
      server = await start(given)
      return server.port
    },
    async burst({ turns, perTurn, first }) {
      let n = first
      for (let turn = 0; turn < turns; turn++) {
        const messages = Array.from({ length: perTurn }, () => {
          const message = {
            n,
            group: `g${n % settings.groups}`,
            text: numberedMessage(n, settings.size, settings.keys),
          }
          n++
          return message
        })
        await server.turn(messages)
        // What was set off to be written at the end of the turn is written now.
        await new Promise((resolve) => setImmediate(resolve))
      }
    },
    async usage() {
      const { user, system } = process.cpuUsage()
      return {
        cpuUs: user + system,
        rssBytes: process.memoryUsage.rss(),
        heapBytes: process.memoryUsage().heapUsed,
        peakRssBytes,
        ...(server.backlogBytes !== undefined && { backlogBytes: server.backlogBytes() }),
        ...(server.ingested !== undefined && { ingested: server.ingested() }),
      }
    },
    async watch() {
      peakRssBytes = process.memoryUsage.rss()
      clearInterval(watching)
      watching = setInterval(() => {
        peakRssBytes = Math.max(peakRssBytes, process.memoryUsage.rss())
      }, 50)
    },
    async collect() {
      // Twice, with a pause: what the first collection lets go of is given back to the system by the second.
      for (let i = 0; i < 2; i++) {
        globalThis.gc?.()
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
    },
  }
  answer(operations)
}

/** Carries out what the runner calls, until it is gone. @param {Record<string, (args: any) => Promise<unknown>>} operations */
export function answer(operations) {
  process.on('message', async (/** @type {any} */ { id, operation, args }) => {
    try {
      process.send?.({ id, result: await operations[operation]?.(args) })
    } catch (error) {
      process.send?.({ id, error: error instanceof Error ? error.stack : String(error) })
    }
  })
  process.on('disconnect', () => process.exit())
  process.on('SIGINT', () => {})
  process.send?.({ ready: true })
}

/** Members of groups, for servers that know nothing of groups. @template Member */
export class Members {
  /** @type {Map<string, Member[]>} */
  #groups = new Map()

  /** @param {string} url @param {Member} member */
  join(url, member) {
    for (const group of new URL(url, 'http://localhost').searchParams.getAll('group')) {
      const members = this.#groups.get(group)
      if (members === undefined) this.#groups.set(group, [member])
      else members.push(member)
    }
  }

  /** @param {string} group @returns {readonly Member[]} */
  of(group) {
    return this.#groups.get(group) ?? []
  }
}

/** @param {import('node:http').Server} server @param {number} port a free one unless given @returns {Promise<number>} its port on the loopback address */
export async function listen(server, port = 0) {
  await new Promise((resolve, reject) => {
    server.once('error', reject)
    // The default backlog of 511 would make a storm of handshakes wait for retries of the kernel.
    server.listen({ port, host: '127.0.0.1', backlog: 4096 }, () => resolve(undefined))
  })
  return /** @type {import('node:net').AddressInfo} */ (server.address()).port
}

/** One run of messages when all of a turn go to one group, else `null`. @param {{ group: string, text: string }[]} messages */
export function onlyGroup(messages) {
  const group = messages[0]?.group ?? ''
  return messages.every((message) => message.group === group) ? group : null
}
