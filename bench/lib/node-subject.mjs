// @ts-check
/** A subject in Node: starts its server's process and talks to it over IPC. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

/** @typedef {import('../types.d.ts').RunningSubject} RunningSubject */

/** With the variable GROUPCAST_PROFILE=folder, each subject in Node leaves a CPU profile there. */
const { GROUPCAST_PROFILE: folder } = process.env
const profiling = folder === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${folder}`]

/**
 * @param {string} server file in `servers/`
 * @param {import('../types.d.ts').SubjectSettings} settings
 * @param {{ path?: string, hello?: string }} [client] what clients need to know
 * @returns {Promise<RunningSubject>}
 */
export async function startNodeSubject(server, settings, { path = '/events', hello } = {}) {
  const call = await startProcess(server, settings.prefix)
  const port = /** @type {number} */ (await call('start', settings))
  return {
    url: `http://127.0.0.1:${port}`,
    path,
    ...(hello !== undefined && { hello }),
    burst: async (burst) => {
      await call('burst', burst)
    },
    async usage({ collect = false } = {}) {
      if (collect) await call('collect', null)
      return /** @type {import('../types.d.ts').Usage} */ (await call('usage', null))
    },
    async watch() {
      await call('watch', null)
    },
    pid: call.pid,
    stop: call.stop,
  }
}

/**
 * Starts a process and resolves, when it is ready, with what calls its operations.
 *
 * @param {string} server file in `servers/`
 * @param {readonly string[]} prefix
 */
export async function startProcess(server, prefix) {
  const [command = process.execPath, ...args] = [...prefix, process.execPath]
  const child = fork(fileURLToPath(new URL(`../servers/${server}`, import.meta.url)), {
    execPath: command,
    // `gc` lets a scenario that measures memory ask for what is really used.
    execArgv: [...args, '--expose-gc', ...profiling],
  })
  /** @type {Map<number, { resolve: (result: unknown) => void, reject: (error: Error) => void }>} */
  const waiting = new Map()
  let lastId = 0
  child.on('message', (/** @type {any} */ { id, result, error }) => {
    const call = waiting.get(id)
    waiting.delete(id)
    if (error === undefined) call?.resolve(result)
    else call?.reject(new Error(`${server}: ${error}`))
  })
  child.on('exit', (code) => {
    for (const { reject } of waiting.values()) reject(new Error(`${server} ended with ${code}`))
  })
  const [first] = await Promise.race([once(child, 'message'), once(child, 'exit')])
  if (first?.ready !== true) throw new Error(`${server} did not start: see its message above.`)
  /** @param {string} operation @param {unknown} args */
  const call = (operation, args) =>
    new Promise((resolve, reject) => {
      waiting.set(++lastId, { resolve, reject })
      child.send({ id: lastId, operation, args })
    })
  call.pid = child.pid ?? 0
  call.stop = async () => {
    if (child.exitCode !== null) return
    const exited = once(child, 'exit')
    // A killed process writes no profile.
    if (profiling.length > 0) child.disconnect()
    else child.kill('SIGKILL')
    await exited
  }
  return call
}
