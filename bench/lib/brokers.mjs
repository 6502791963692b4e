// @ts-check
/** Brokers for the time of a run: a Redis and a NATS on free ports, which keep nothing when it is over. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { accepting, freePort, missingProgram, programPath } from './process-subject.mjs'

/** @typedef {{ readonly url: string, stop(): Promise<void> }} Broker */

/** @typedef {{ program: string, versions: string, scheme: string, prepare(folder: string, port: number): string[] }} Kind */

/** @type {Record<'redis' | 'nats', Kind>} */
const KINDS = {
  redis: {
    program: 'redis-server',
    versions: '7 or newer',
    scheme: 'redis',
    prepare: (folder, port) => [
      ...['--port', `${port}`, '--bind', '127.0.0.1', '--dir', folder],
      // As docs/redis.md wants it, but for the disk: what an append-only file costs is the disk's.
      ...['--save', '', '--appendonly', 'no', '--maxmemory-policy', 'noeviction'],
    ],
  },
  nats: {
    program: 'nats-server',
    versions: '2.9 or newer',
    scheme: 'nats',
    prepare(folder, port) {
      const file = join(folder, 'nats.conf')
      writeFileSync(file, `listen: "127.0.0.1:${port}"\njetstream { store_dir: "${folder}/store" }\n`)
      return ['-c', file]
    },
  },
}

/** What is missing for a broker, or `null`. @param {'redis' | 'nats'} name */
export function missingBroker(name) {
  const { program, versions } = KINDS[name]
  return missingProgram(program, versions, `Debian: apt-get install ${program}`)
}

/** Starts a broker; whoever starts it stops it. @param {'redis' | 'nats'} name @returns {Promise<Broker>} */
export async function startBroker(name) {
  const { program, scheme, prepare } = KINDS[name]
  const folder = mkdtempSync(join(tmpdir(), `groupcast-bench-${name}-`))
  const port = await freePort()
  const child = spawn(programPath(program) ?? program, prepare(folder, port), { stdio: 'ignore' })
  const end = () => void child.kill('SIGKILL')
  process.once('exit', end)
  const stop = async () => {
    process.off('exit', end)
    if (child.exitCode === null && child.signalCode === null && child.pid !== undefined) {
      const exited = once(child, 'exit')
      end()
      await exited
    }
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    await accepting(port, child)
  } catch (error) {
    await stop()
    throw error
  }
  return { url: `${scheme}://127.0.0.1:${port}`, stop }
}
