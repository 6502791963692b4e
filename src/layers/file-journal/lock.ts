/**
 * One process at a time: a socket in the directory. A file with a process id would outlive a `kill -9`, and its id be given to another process
 * (in a container, to the very same one); whether somebody listens on a socket the system knows, also across containers that share the directory.
 */
import { randomUUID } from 'node:crypto'
import { renameSync, unlinkSync } from 'node:fs'
import { createConnection, createServer, type Server } from 'node:net'
import { join, relative } from 'node:path'
import { GroupcastError } from '../../errors.ts'

const NAME = 'journal.lock'
/** Of `sun_path`, with the zero at its end; some systems have a few more. */
const MOST_BYTES = 104
const TRIES = 5

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
  const path = socketPath(directory)
  for (let tries = 0; tries < TRIES; tries++) {
    const server = await listen(path)
    if (server !== null) return { release: () => close(server) }
    if (await isAlive(path)) break
    await removeStale(path)
  }
  throw new GroupcastError(
    'journal-in-use',
    `Another process has the journal in ${directory}: end it, or choose another directory.`,
  )
}

function socketPath(directory: string): string {
  const paths = [join(directory, NAME), relative(process.cwd(), join(directory, NAME))]
  const path = paths.find((path) => Buffer.byteLength(path) < MOST_BYTES)
  if (path !== undefined) return path
  throw Object.assign(
    new Error(`${paths[0]} is longer than the ${MOST_BYTES - 1} bytes of a socket's name`),
    {
      code: 'ENAMETOOLONG',
    },
  )
}

/** `null`: there is such a file. */
function listen(path: string): Promise<Server | null> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy())
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(null)
      else reject(error)
    })
    server.listen({ path }, () => {
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

/** Two processes may come here at once: the later one would remove the lock that the earlier one has taken since. */
async function removeStale(path: string): Promise<void> {
  const aside = `${path}.${randomUUID().slice(0, 8)}`
  try {
    renameSync(path, aside)
    if (await isAlive(aside)) renameSync(aside, path)
    else unlinkSync(aside)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()))
}
