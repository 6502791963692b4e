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
  /** How much of a core its process needed since the last call: 0 to 1. Polling in vain is not counted. */
  readonly busy: number
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
  /**
   * From now on the process polls without pause, until `sleep`. A server on the same machine then never pays for waking it up, which would
   * cost a slower server more than a faster one.
   */
  stayAwake(): Promise<void>
  sleep(): Promise<void>
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
  readonly #awake = new Awake(() => this.#crowd.reads)

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
    const idleMs = this.#awake.takeIdleMs()
    const usedMs = idleMs === null ? now.cpuMs - this.#cpuMs : tookMs - idleMs
    const busy = Math.max(0, usedMs) / tookMs
    this.#cpuMs = now.cpuMs
    this.#sinceMs = now.sinceMs
    const { connected, failed, totals } = this.#crowd
    return { connected, failed, received: totals.received, busy }
  }

  async stayAwake(): Promise<void> {
    this.#awake.start()
  }

  async sleep(): Promise<void> {
    this.#awake.stop()
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
    this.#awake.stop()
    this.#crowd.leave()
  }
}

/** Polls without pause, and knows how much of that was in vain. */
class Awake {
  readonly #reads: () => number
  #isOn = false
  #idleMs = 0
  #lastMs = 0
  #lastReads = 0

  constructor(reads: () => number) {
    this.#reads = reads
  }

  start(): void {
    if (this.#isOn) return
    this.#isOn = true
    this.#lastMs = monotonicMs()
    setImmediate(this.#poll)
  }

  stop(): void {
    this.#isOn = false
  }

  /** Milliseconds spent in vain since the last call; `null` when asleep. */
  takeIdleMs(): number | null {
    if (!this.#isOn) return null
    const idleMs = this.#idleMs
    this.#idleMs = 0
    return idleMs
  }

  // A field, so that `setImmediate` gets the same function each time.
  readonly #poll = (): void => {
    const nowMs = monotonicMs()
    const reads = this.#reads()
    if (reads === this.#lastReads) this.#idleMs += nowMs - this.#lastMs
    this.#lastReads = reads
    this.#lastMs = nowMs
    if (this.#isOn) setImmediate(this.#poll)
  }
}

function cpuMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}
