/** Runs the built command line as users do: in a process of its own. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { fileURLToPath } from 'node:url'

/** The built program. */
export const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))

/** How a run ended. */
export interface Outcome {
  /** `null` when a signal ended it. */
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  /** What stdin holds; nothing unless given. */
  readonly stdin?: string
}

/** A running command. */
export interface Run {
  readonly process: ChildProcessWithoutNullStreams
  readonly outcome: Promise<Outcome>
  /** Resolves when the output so far matches. Rejects when the command ends without it. */
  until(stream: 'stdout' | 'stderr', pattern: RegExp): Promise<void>
}

const running = new Set<ChildProcessWithoutNullStreams>()

/** Starts `groupcast` with these arguments and no variables of this process but the necessary. */
export function start(
  args: readonly string[],
  { env = {}, cwd = tmpdir(), stdin = '' }: RunOptions = {},
): Run {
  if (!existsSync(MAIN)) throw new Error(`${MAIN} is missing: run "npm run build" before the tests.`)
  const child = spawn(process.execPath, [MAIN, ...args], {
    cwd,
    env: { PATH: process.env.PATH ?? '', ...env },
  })
  running.add(child)
  const written = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      written[name] += text
    })
  }
  child.stdin.on('error', () => {})
  child.stdin.end(stdin)
  const outcome = new Promise<Outcome>((resolve) => {
    child.on('close', (code) => {
      running.delete(child)
      resolve({ code, ...written })
    })
  })
  const until = (stream: 'stdout' | 'stderr', pattern: RegExp) =>
    new Promise<void>((resolve, reject) => {
      const look = () => {
        if (!pattern.test(written[stream])) return
        child[stream].off('data', look)
        resolve()
      }
      child[stream].on('data', look)
      look()
      void outcome.then(({ code, stderr }) =>
        reject(new Error(`ended with ${code} before ${pattern}: ${stderr}`)),
      )
    })
  return { process: child, outcome, until }
}

/** Runs `groupcast` to its end. */
export function groupcast(args: readonly string[], options?: RunOptions): Promise<Outcome> {
  return start(args, options).outcome
}

/** Ends what a failed test left running. For `afterEach`. */
export function endRuns(): void {
  for (const child of running) child.kill('SIGKILL')
}
