#!/usr/bin/env node
/** The command line: parses, dispatches, and turns the outcome into an exit code (0 done, 1 failed, 2 wrong usage). */
import { Command, CommanderError } from 'commander'
import { VERSION } from '../version.ts'
import { EXIT, Failure } from './failure.ts'
import { oneLine, say } from './output.ts'

/**
 * What adds each command, in the order of the help. Loaded when it is named, since what some of them need takes longer to load than most of them
 * take to run.
 */
const COMMANDS: Readonly<Record<string, () => Promise<(program: Command) => void>>> = {
  serve: async () => (await import('./serve.ts')).addServe,
  publish: async () => (await import('./publish.ts')).addPublish,
  subscribe: async () => (await import('./subscribe.ts')).addSubscribe,
  bench: async () => (await import('./bench.ts')).addBench,
  token: async () => (await import('./token.ts')).addToken,
  'check-config': async () => (await import('./check-config.ts')).addCheckConfig,
}

async function createProgram(args: readonly string[]): Promise<Command> {
  const program = new Command('groupcast')
    .description(
      'Realtime fan-out hub: WebSocket, Server-Sent Events and HTTP-stream clients in the same groups.',
    )
    .version(VERSION)
    .helpCommand(false)
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(`groupcast: ${usageText(text)}\n`) })
  // They inherit how errors are told, so they are added last.
  const named = args[0] !== undefined && Object.hasOwn(COMMANDS, args[0]) ? [args[0]] : Object.keys(COMMANDS)
  for (const name of named) (await COMMANDS[name]?.())?.(program)
  return program
}

/** Commander's text (`error: unknown option '--prot'`, a suggestion on a second line) as one line. */
function usageText(text: string): string {
  const [fault = '', suggestion = ''] = text
    .replace(/^error: /, '')
    .trim()
    .split('\n')
  const end = /[.?)]$/.test(fault) ? '' : '.'
  return oneLine(`${fault}${end} ${suggestion || 'See groupcast --help.'}`)
}

async function run(args: readonly string[]): Promise<number> {
  try {
    await (await createProgram(args)).parseAsync(args, { from: 'user' })
    return EXIT.done
  } catch (error) {
    return exitCodeFor(error)
  }
}

function exitCodeFor(error: unknown): number {
  if (error instanceof Failure) {
    for (const text of error.texts) say(text)
    return error.exitCode
  }
  // Commander has said what is wrong, or printed the help or version that was asked for.
  if (error instanceof CommanderError) {
    return error.code === 'commander.help' || error.exitCode !== 0 ? EXIT.usage : EXIT.done
  }
  // A mistake in groupcast: here a stack helps whoever reports it.
  console.error(error)
  return EXIT.failed
}

const exitCode = await run(process.argv.slice(2))
// Empty: called back when everything before it has been written, also where pipes are asynchronous.
process.stdout.write('', () => process.exit(exitCode))
