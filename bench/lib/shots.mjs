// @ts-check
/** Requests of autocannon at a server, and what they cost it. */
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const CANNON = fileURLToPath(new URL('./cannon.mjs', import.meta.url))

/** For so many seconds, or so many requests. @typedef {{ duration: number } | { amount: number }} Length */

/**
 * Posts a body again and again. CPU time counts from when autocannon has warmed up, as requests do.
 *
 * @param {Pick<import('../types.d.ts').Context, 'pinning' | 'fault'>} context
 * @param {Pick<import('../types.d.ts').RunningSubject, 'usage'>} server
 * @param {{ url: string, body: string, connections: number, length: Length }} shots
 */
export async function shoot(context, server, { url, body, connections, length }) {
  const [command = '', ...args] = [...context.pinning.load, process.execPath, CANNON]
  const child = spawn(command, [...args, url, body, String(connections), JSON.stringify(length)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  await lines.next()
  const before = await server.usage()
  child.stdin.end()
  const { value } = await lines.next()
  const after = await server.usage()
  if (value === undefined) throw new Error('autocannon ended without figures')
  const { requests, perSecond, p99, failed, tookMs, busy } = JSON.parse(value)
  if (failed > 0) context.fault(`${failed} requests failed`)
  const cpuUs = after.cpuUs - before.cpuUs
  return {
    perSecond,
    cpuUsEach: cpuUs / requests,
    p99,
    serverBusy: cpuUs / 1000 / tookMs,
    generatorBusy: busy,
  }
}
