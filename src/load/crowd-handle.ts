/** A crowd as whoever runs the load sees it: in this process, or in another. */
import { encodeIntoCompressedBase64 } from 'hdr-histogram-js'
import { monotonicMs } from './clocks.ts'
import { Crowd, type CrowdOptions, type CrowdReport } from './crowd.ts'
import type { Schedule } from './latency.ts'
import type { SlowReport } from './slow-tally.ts'

/** How far a crowd is. */
export interface CrowdProgress {
  readonly connected: number
  readonly failed: number
  readonly received: number
  /** How much of a core its process needed since the last call: 0 to 1. */
  readonly busy: number
  /** CPU time of its process since it began. */
  readonly cpuMs: number
}

/** A report with its times, as it travels between processes. */
export interface TimedReport extends CrowdReport {
  /** Latency of deliveries: an HdrHistogram of microseconds, compressed. */
  readonly latency: string
  /** See {@link DeliveryClock}. */
  readonly lastMs: Float64Array
}

/** All methods reject when the crowd's process has ended. */
export interface CrowdHandle {
  /** See {@link Crowd.connect}. */
  connect(): Promise<number>
  startClock(schedule: Schedule, messageBytes: number): Promise<void>
  caughtUp(end: number, timeoutMs: number): Promise<boolean>
  progress(): Promise<CrowdProgress>
  stop(): Promise<void>
  resume(): Promise<void>
  crawl(): Promise<void>
  slowReports(): Promise<readonly SlowReport[]>
  report(end: number): Promise<TimedReport>
  /** Closes all connections and ends the process, where there is one. */
  leave(): Promise<void>
}

/** A crowd in this process. */
export class LocalCrowd implements CrowdHandle {
  readonly #crowd: Crowd
  #cpuMs = cpuMs()
  #sinceMs = monotonicMs()

  constructor(options: CrowdOptions) {
    this.#crowd = new Crowd(options)
  }

  connect(): Promise<number> {
    return this.#crowd.connect()
  }

  async startClock(schedule: Schedule, messageBytes: number): Promise<void> {
    this.#crowd.startClock(schedule, messageBytes)
  }

  caughtUp(end: number, timeoutMs: number): Promise<boolean> {
    return this.#crowd.caughtUp(end, timeoutMs)
  }

  async progress(): Promise<CrowdProgress> {
    const now = { cpuMs: cpuMs(), sinceMs: monotonicMs() }
    const tookMs = Math.max(1, now.sinceMs - this.#sinceMs)
    const busy = (now.cpuMs - this.#cpuMs) / tookMs
    this.#cpuMs = now.cpuMs
    this.#sinceMs = now.sinceMs
    const { connected, failed, totals } = this.#crowd
    return { connected, failed, received: totals.received, busy, cpuMs: now.cpuMs }
  }

  async stop(): Promise<void> {
    this.#crowd.stop()
  }

  async resume(): Promise<void> {
    this.#crowd.resume()
  }

  async crawl(): Promise<void> {
    this.#crowd.crawl()
  }

  async slowReports(): Promise<readonly SlowReport[]> {
    return this.#crowd.slowReports()
  }

  async report(end: number): Promise<TimedReport> {
    const { histogram, lastMs } = this.#crowd.totals.clock
    return { ...this.#crowd.report(end), latency: encodeIntoCompressedBase64(histogram), lastMs }
  }

  async leave(): Promise<void> {
    this.#crowd.leave()
  }
}

function cpuMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}
