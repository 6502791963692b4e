// @ts-check
/** System calls that send, counted from outside by strace, which slows the process down: never while time is measured. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'

const SENDING = 'write,writev,sendto,sendmsg'
/** A line of the summary: share, seconds, microseconds each, calls, perhaps errors, name. The last sums up. */
const TOTAL = /^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:(\d+)\s+)?total$/m

/** What is missing, or `null`. */
export function missingStrace() {
  return spawnSync('strace', ['-V']).status === 0
    ? null
    : 'no strace (Debian: apt-get install strace), so system calls were not counted'
}

/**
 * How often a process and its threads sent something while `work` went on; failed calls are left out.
 *
 * @param {number} pid @param {readonly string[]} prefix pins strace to a core @param {() => Promise<void>} work
 */
export async function countSends(pid, prefix, work) {
  const strace = ['strace', '-f', '-c', '-e', `trace=${SENDING}`, '-p', String(pid)]
  const [command = '', ...args] = [...prefix, ...strace]
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'] })
  const closed = once(child, 'close')
  let text = ''
  const attached = new Promise((resolve) => {
    child.stderr.setEncoding('utf8').on('data', (/** @type {string} */ chunk) => {
      text += chunk
      if (text.includes(' attached')) resolve(undefined)
    })
  })
  try {
    await Promise.race([attached, closed])
    if (child.exitCode !== null) throw new Error(`strace: ${text.trim()}`)
    await work()
  } finally {
    child.kill('SIGINT')
    await closed
  }
  const [, calls, errors = '0'] = TOTAL.exec(text) ?? []
  if (calls === undefined) throw new Error(`strace: ${text.trim()}`)
  return Number(calls) - Number(errors)
}
