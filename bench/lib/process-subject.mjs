// @ts-check
/** A subject that is somebody else's program: started, watched in `/proc`, published to over HTTP. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, constants, readdirSync, readFileSync, statSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { delimiter, join } from 'node:path'
import { loadGenerator } from './dist.mjs'
import { poster } from './poster.mjs'

const PATIENCE_MS = 10_000

/** Programs that would outlive this process. @type {Set<number>} */
const running = new Set()

process.on('exit', () => {
  for (const pid of running) process.kill(-pid, 'SIGKILL')
})

/** Linux gives clients ports from 32768 up: one of thousands could get the port before the program that it was found for. */
const PORTS = { first: 20_000, end: 32_768 }

/** A port that is free now, for programs that cannot choose one. @returns {Promise<number>} */
export async function freePort() {
  for (;;) {
    const port = PORTS.first + Math.floor(Math.random() * (PORTS.end - PORTS.first))
    const server = createServer()
    const isFree = await new Promise((resolve) => {
      server.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true))
    })
    if (!isFree) continue
    server.close()
    await once(server, 'close')
    return port
  }
}

/**
 * The path of a program: what the variable of its name in capitals says (`redis-server`: `REDIS_SERVER`), else what is found on the `PATH`, or where
 * Debian has servers: the `PATH` of an ordinary user does not lead there.
 *
 * @param {string} name @returns {string | null}
 */
export function programPath(name) {
  const given = process.env[variableOf(name)]
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin']
  const candidates = given === undefined ? folders.map((folder) => join(folder, name)) : [given]
  return candidates.find(isProgram) ?? null
}

/** @param {string} name of a program */
function variableOf(name) {
  return name.toUpperCase().replaceAll('-', '_')
}

/** What is missing, or `null`. @param {string} name @param {string} versions that the subject is written for @param {string} from where it is had */
export function missingProgram(name, versions, from) {
  if (programPath(name) !== null) return null
  const variable = variableOf(name)
  const place = process.env[variable] === undefined ? 'on the PATH' : `at ${process.env[variable]}`
  return `no ${name} ${place} (${versions} from ${from}; or ${variable}=path of the program)`
}

/** @param {string} path */
function isProgram(path) {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false
  }
}

/**
 * @typedef {object} Publishing how messages are handed to a program
 * @property {string} target path and query to post to
 * @property {Readonly<Record<string, string>>} [headers]
 * @property {(texts: string[]) => string[]} bodies of the requests for the messages of a turn
 */

/**
 * @param {object} program
 * @param {readonly string[]} program.command
 * @param {number} program.port
 * @param {string} [program.path] of the streams; `/events` unless given
 * @param {string} [program.hello] see {@link import('../types.d.ts').RunningSubject}
 * @param {Publishing} program.publishing
 * @param {import('../types.d.ts').SubjectSettings} settings
 * @returns {Promise<import('../types.d.ts').RunningSubject>}
 */
export async function startProgram(program, { prefix, size }) {
  const { command, port, path = '/events', hello, publishing } = program
  const { numberedMessage } = await loadGenerator()
  const [name = '', ...args] = [...prefix, ...command]
  // A group of its own, so that helpers of the program end with it.
  const child = spawn(name, args, { stdio: 'ignore', detached: true })
  const { pid = 0 } = child
  running.add(pid)
  child.once('exit', () => running.delete(pid))
  const url = `http://127.0.0.1:${port}`
  await accepting(port, child)
  const publisher = await poster(url, publishing.target, publishing.headers)
  return {
    url,
    path,
    ...(hello !== undefined && { hello }),
    async burst({ turns, perTurn, first }) {
      for (let turn = 0; turn < turns; turn++) {
        const start = first + turn * perTurn
        const texts = Array.from({ length: perTurn }, (_, i) => numberedMessage(start + i, size))
        await publisher.post(publishing.bodies(texts))
      }
    },
    usage: async () => usageOf(pid),
    async stop() {
      publisher.close()
      if (child.exitCode !== null || pid === 0) return
      const exited = once(child, 'exit')
      process.kill(-pid, 'SIGKILL')
      await exited
    },
  }
}

/** Resolves when a program listens. @param {number} port @param {import('node:child_process').ChildProcess} child */
export async function accepting(port, child) {
  const untilMs = performance.now() + PATIENCE_MS
  while (performance.now() < untilMs && child.exitCode === null) {
    const socket = connect(port, '127.0.0.1')
    const isOpen = await new Promise((resolve) => {
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    })
    socket.destroy()
    if (isOpen) return
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  throw new Error('the program did not begin to listen')
}

/** Of a process and all below it. @param {number} root */
function usageOf(root) {
  const parents = new Map()
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    // After the name, which may hold anything: state, parent.
    const parent = read(`/proc/${name}/stat`).split(') ').at(-1)?.split(' ')[1]
    parents.set(Number(name), Number(parent))
  }
  const isBelow = (/** @type {number} */ pid) => {
    for (let at = pid; at > 1; at = parents.get(at) ?? 0) if (at === root) return true
    return false
  }
  let cpuUs = 0
  let rssBytes = 0
  for (const pid of [...parents.keys()].filter(isBelow)) {
    for (const task of list(`/proc/${pid}/task`)) {
      // Nanoseconds on a core: `stat` counts in hundredths of a second.
      cpuUs += Number(read(`/proc/${pid}/task/${task}/schedstat`).split(' ')[0]) / 1000
    }
    rssBytes += Number(/VmRSS:\s*(\d+)/.exec(read(`/proc/${pid}/status`))?.[1] ?? 0) * 1024
  }
  return { cpuUs, rssBytes }
}

/** @param {string} path */
function read(path) {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    // The process has ended meanwhile.
    return ''
  }
}

/** @param {string} path */
function list(path) {
  try {
    return readdirSync(path)
  } catch {
    return []
  }
}
