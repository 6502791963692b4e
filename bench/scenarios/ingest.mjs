// @ts-check
/** Clients that send over WebSockets: messages a second, and what one costs the server. Each is parsed as JSON and counted. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { interleaved } from '../lib/interleave.mjs'
import { startNodeSubject } from '../lib/node-subject.mjs'

const SENDERS = fileURLToPath(new URL('../lib/senders.mjs', import.meta.url))
const SUBJECTS = ['hub', 'hub-uws', 'ws-send', 'uws']
const CONNECTIONS = 50
/** Messages of a client under way at once: fewer than the hub lets wait. */
const BLOCK = 20

/** @type {import('../types.d.ts').Scenario} */
export const scenario = {
  name: 'ingest',
  title: 'Ingest: messages from clients over WebSockets',
  async run(context) {
    const { size, pace } = context.options
    const { subject: prefix } = context.pinning
    const subjects = await context.choose(SUBJECTS)
    /** @type {{ label: string, kind: import('../types.d.ts').Subject['kind'], server: import('../types.d.ts').RunningSubject }[]} */
    const running = []
    try {
      for (const { name, kind } of subjects) {
        const settings = { transport: /** @type {const} */ ('websocket'), groups: 1, size, prefix }
        const server = await startNodeSubject('ingest.mjs', { ...settings, extra: { on: name } })
        running.push({ label: name, kind, server })
      }
      const contenders = running.map(({ label, kind, server }) => ({
        ...{ label, kind },
        measure: () => send(context, server, pace === 'smoke' ? 50 : context.options.durationMs * 4),
      }))
      const measured = await interleaved(context, 'websocket', contenders)
      const rows = measured.rows('websocket', 'perSecond', 'messages/s', [
        'cpuUsEach',
        'serverBusy',
        'generatorBusy',
      ])
      return { settings: { size, connections: CONNECTIONS, block: BLOCK }, rows, targets: [] }
    } finally {
      await Promise.all(running.map(({ server }) => server.stop()))
    }
  },
}

/**
 * @param {import('../types.d.ts').Context} context @param {import('../types.d.ts').RunningSubject} server
 * @param {number} durationMs
 */
async function send(context, server, durationMs) {
  const [command = '', ...args] = [...context.pinning.load, process.execPath, SENDERS]
  const { size } = context.options
  const before = await server.usage()
  const given = [`${server.url}${server.path}`, size, BLOCK, CONNECTIONS, durationMs].map(String)
  const { stdout } = await promisify(execFile)(command, [...args, ...given])
  const after = await server.usage()
  const { messages, tookMs, busy } = JSON.parse(stdout)
  const counted = (after.ingested ?? 0) - (before.ingested ?? 0)
  if (counted !== messages) context.fault(`${messages} messages were answered for, ${counted} were handled`)
  const cpuUs = after.cpuUs - before.cpuUs
  return {
    perSecond: (messages * 1000) / tookMs,
    cpuUsEach: cpuUs / messages,
    serverBusy: cpuUs / 1000 / tookMs,
    generatorBusy: busy,
  }
}
