/** A crowd in a process of its own. */
import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { CrowdOptions } from './crowd.ts'
import type { CrowdHandle, CrowdProgress, TimedReport } from './crowd-handle.ts'
import type { Schedule } from './latency.ts'
import type { SlowReport } from './slow-tally.ts'

/** What travels to the process, and back. */
export interface Call {
  readonly id: number
  readonly method: 'open' | keyof CrowdHandle
  readonly args: readonly unknown[]
}
export type Reply =
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly error: string }

interface Waiting {
  resolve(result: unknown): void
  reject(error: Error): void
}

/** How the process is started; a command in front pins it to a core: `['taskset', '-c', '1']`. */
export interface WorkerOptions {
  readonly prefix?: readonly string[]
}

export class WorkerCrowd implements CrowdHandle {
  readonly #process: ChildProcess
  readonly #waiting = new Map<number, Waiting>()
  readonly #ended: Promise<void>
  #lastId = 0
  #isLeaving = false

  constructor(options: CrowdOptions, { prefix = [] }: WorkerOptions = {}) {
    const [command, ...args] = [...prefix, process.execPath]
    this.#process = fork(fileURLToPath(new URL('./worker.js', import.meta.url)), {
      execPath: command ?? process.execPath,
      execArgv: args,
      serialization: 'advanced',
    })
    this.#process.on('message', (reply: Reply) => this.#replied(reply))
    this.#ended = new Promise((resolve) => {
      const end = () => {
        this.#fail()
        resolve()
      }
      this.#process.once('error', end)
      this.#process.once('exit', end)
    })
    void this.#call('open', options).catch(() => {})
  }

  connect(): Promise<number> {
    return this.#call('connect')
  }

  startClock(schedule: Schedule, messageBytes: number): Promise<void> {
    return this.#call('startClock', schedule, messageBytes)
  }

  caughtUp(end: number, timeoutMs: number): Promise<boolean> {
    return this.#call('caughtUp', end, timeoutMs)
  }

  progress(): Promise<CrowdProgress> {
    return this.#call('progress')
  }

  stop(): Promise<void> {
    return this.#call('stop')
  }

  resume(): Promise<void> {
    return this.#call('resume')
  }

  crawl(): Promise<void> {
    return this.#call('crawl')
  }

  slowReports(): Promise<readonly SlowReport[]> {
    return this.#call('slowReports')
  }

  report(end: number): Promise<TimedReport> {
    return this.#call('report', end)
  }

  async leave(): Promise<void> {
    this.#isLeaving = true
    await this.#call('leave').catch(() => {})
    await this.#ended
  }

  #call<Result>(method: Call['method'], ...args: unknown[]): Promise<Result> {
    const id = ++this.#lastId
    return new Promise<Result>((resolve, reject) => {
      this.#waiting.set(id, { resolve: resolve as Waiting['resolve'], reject })
      if (!this.#process.connected) return this.#fail()
      this.#process.send({ id, method, args } satisfies Call, (error) => {
        if (error !== null) this.#fail()
      })
    })
  }

  #replied(reply: Reply): void {
    const waiting = this.#waiting.get(reply.id)
    this.#waiting.delete(reply.id)
    if ('error' in reply) waiting?.reject(new Error(reply.error))
    else waiting?.resolve(reply.result)
  }

  #fail(): void {
    const why = this.#isLeaving ? 'The load has ended.' : 'A process of the load generator ended by itself.'
    for (const { reject } of this.#waiting.values()) reject(new Error(why))
    this.#waiting.clear()
  }
}
