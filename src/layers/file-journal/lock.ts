/**
 * One process at a time: a socket in the directory. A file with a process id would outlive a `kill -9`, and its id be given to another process
 * (in a container, to the very same one); whether somebody listens on a socket the system knows, also across containers that share the directory.
 *
 * Each process that wants the directory listens on a socket of its own first, and looks for others after that. Of two, the later one sees the earlier
 * one; nobody ever has to remove a name that another may have taken meanwhile.
 */
import { randomBytes } from 'node:crypto'
import { readdirSync, unlinkSync } from 'node:fs'
import { createConnection, createServer, type Server } from 'node:net'
import { join, relative } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { GroupcastError } from '../../errors.ts'

const LOCK = /^journal-[0-9a-f]{8}\.lock$/
/** Of `sun_path`, with the zero at its end; some systems have a few more. */
const MOST_BYTES = 104
/** Two that begin at the same moment see each other, and begin again at two moments. */
const TRIES = 6
const TRY_MS = 40

/** A directory that this process has. */
export interface Lock {
  release(): Promise<void>
}

/**
 * Takes a directory.
 *
 * @throws {GroupcastError} `journal-in-use`
 * @throws the file system's error where it can hold no socket
 */
export async function lock(directory: string): Promise<Lock> {
  for (let tries = 0; tries < TRIES; tries++) {
    if (tries > 0) await delay(Math.random() * TRY_MS)
    const taken = await tryLock(directory)
    if (taken !== null) return taken
  }
  throw new GroupcastError(
    'journal-in-use',
    `Another process has the journal in ${directory}: end it, or choose another directory.`,
  )
}

async function tryLock(directory: string): Promise<Lock | null> {
  const name = `journal-${randomBytes(4).toString('hex')}.lock`
  const server = await listen(socketPath(directory, name))
  try {
    const locks = readdirSync(directory).filter((other) => LOCK.test(other))
    const others = locks.filter((other) => other !== name)
    const alive = await Promise.all(others.map((other) => isAlive(socketPath(directory, other))))
    // Ours is gone when somebody looked between its two steps, to be there and to be listened on.
    if (locks.length === others.length || alive.includes(true)) {
      await close(server)
      return null
    }
    for (const dead of others) unlinkSync(join(directory, dead))
    return { release: () => close(server) }
  } catch (error) {
    await close(server)
    throw error
  }
}

function socketPath(directory: string, name: string): string {
  const path = join(directory, name)
  const fitting = [path, relative(process.cwd(), path)].find((one) => Buffer.byteLength(one) < MOST_BYTES)
  if (fitting !== undefined) return fitting
  throw Object.assign(new Error(`${path} is longer than the ${MOST_BYTES - 1} bytes of a socket's name`), {
    code: 'ENAMETOOLONG',
  })
}

function listen(path: string): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy())
    server.once('error', reject)
    // The workers of a cluster would otherwise ask the primary process to listen, which does not end with them.
    server.listen({ path, exclusive: true }, () => {
      server.unref()
      resolve(server)
    })
  })
}

function isAlive(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection({ path })
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    // Refused, or gone meanwhile. Anything else (no permission, its queue full) tells of a process that may be alive.
    socket.once('error', ({ code }: NodeJS.ErrnoException) => {
      resolve(code !== 'ECONNREFUSED' && code !== 'ENOENT')
    })
  })
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()))
}
