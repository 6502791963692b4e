// @ts-check
/** What the results depend on besides the code. */
import { spawnSync } from 'node:child_process'
import { arch, availableParallelism, cpus, loadavg, release, totalmem, type } from 'node:os'

/** @param {string} command @param {string[]} args */
function output(command, args) {
  const { status, stdout } = spawnSync(command, args, { encoding: 'utf8' })
  return status === 0 ? stdout.trim() : null
}

export function machine() {
  return {
    commit: output('git', ['rev-parse', '--short', 'HEAD']) ?? 'unknown',
    isModified: (output('git', ['status', '--porcelain', 'src']) ?? '') !== '',
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    kernel: `${type()} ${release()} ${arch()}`,
    node: process.version,
    /** Other programs' work falls on all subjects, but not quite alike. */
    loadAverage: loadavg()[0] ?? 0,
  }
}

/** One core for the subject and the others for the load, where the system can. @returns {import('../types.d.ts').Pinning} */
export function pinning() {
  const cores = availableParallelism()
  if (cores < 2) return { subject: [], load: [], text: 'not pinned: one core for all' }
  if (output('taskset', ['--version']) === null)
    return { subject: [], load: [], text: 'not pinned: no taskset' }
  const rest = cores === 2 ? '1' : `1-${cores - 1}`
  return {
    subject: ['taskset', '-c', '0'],
    load: ['taskset', '-c', rest],
    text: `subject on core 0, load on ${rest === '1' ? 'core 1' : `cores ${rest}`}`,
  }
}
