/** `groupcast serve`: runs the server until a signal ends it. */
import type { Command } from 'commander'
import { pino } from 'pino'
import { errorCodeOf } from '../errors.ts'
import type { Config } from '../server/config/schema.ts'
import type { RunningServer } from '../server/server.ts'
import { addConfigFlags, configOf } from './config-flags.ts'
import { EXIT, Failure } from './failure.ts'
import { print } from './output.ts'

const STDERR = 2

/** Adds the command to the program. */
export function addServe(program: Command): void {
  const command = program
    .command('serve')
    .description('Run the server; prints its URL when it accepts connections.')
  addConfigFlags(command)
  command.action(() => serve(configOf(command)))
}

async function serve(config: Config): Promise<void> {
  // Synchronous: lines keep their order, and the last one is written before the program ends.
  const log = pino(
    { name: 'groupcast', level: config.logLevel },
    pino.destination({ dest: STDERR, sync: true }),
  )
  // The one line on stdout is for whoever waits for it; when nobody does, the server runs all the same.
  process.stdout.on('error', () => {})
  const signal = firstSignal()
  const running = await start(config, log)
  await print(`groupcast listening on ${running.url}`)
  log.info({ signal: await signal }, 'stopping')
  await running.close()
  log.info('stopped')
}

/** Resolves with the first signal to stop. A second one ends the program at once. */
function firstSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let isStopping = false
    const stop = (signal: NodeJS.Signals) => {
      if (isStopping) process.exit(EXIT.failed)
      isStopping = true
      resolve(signal)
    }
    process.on('SIGINT', stop)
    process.on('SIGTERM', stop)
  })
}

async function start(config: Config, log: pino.Logger): Promise<RunningServer> {
  // Loaded here, so that the other commands do not load the server.
  const { startServer } = await import('../server/server.ts')
  try {
    return await startServer(config, { log })
  } catch (error) {
    throw new Failure(EXIT.failed, [startFault(error, config)])
  }
}

const START_FAULTS: ReadonlyMap<unknown, (config: Config) => string> = new Map([
  [
    'EADDRINUSE',
    ({ host, port }) =>
      `port ${port} of ${host} is in use: stop the program that has it, or choose another with --port (0 takes any free one).`,
  ],
  [
    'EACCES',
    ({ host, port }) =>
      `this user may not listen on port ${port} of ${host}: choose one from 1024 up with --port.`,
  ],
  [
    'journal-in-use',
    ({ journal }) =>
      `another process has the journal in ${journal}: stop it, or choose another directory with --journal.`,
  ],
  ['EADDRNOTAVAIL', notThisMachine],
  ['ENOTFOUND', notThisMachine],
  ['EAI_AGAIN', notThisMachine],
  ['EAFNOSUPPORT', notThisMachine],
])

function notThisMachine({ host }: Config): string {
  return `${host} is no address of this machine: choose one with --host, such as 127.0.0.1 (this machine only) or 0.0.0.0 (all).`
}

/** @throws the error itself when it is none that a user can mend */
function startFault(error: unknown, config: Config): string {
  const code = error instanceof Error && 'code' in error ? error.code : null
  const text = START_FAULTS.get(code)
  if (text !== undefined) return text(config)
  if (error instanceof Error && (errorCodeOf(error) !== null || 'syscall' in error)) {
    return `the server cannot start: ${error.message}`
  }
  throw error
}
