/** Latency from the intended time of sending, so that a sender or a server that stalls is seen in every message that it holds up. */
import { build, type Histogram } from 'hdr-histogram-js'
import { monotonicMs } from './clocks.ts'

/** When messages are meant to be sent: an open loop, which does not wait for anybody. */
export interface Schedule {
  /** Time of message `first` on the machine's clock. */
  readonly startMs: number
  readonly first: number
  readonly intervalMs: number
  /** So many messages are meant for the same moment. */
  readonly batch: number
  /** One more than the last message. */
  readonly end: number
  /** Goes on where an earlier one paused: latencies are added to those of the earlier. */
  readonly isContinued?: boolean
}

/** When message `n` is meant to be sent. */
export function intendedMs({ startMs, first, intervalMs, batch }: Schedule, n: number): number {
  return startMs + Math.floor((n - first) / batch) * batch * intervalMs
}

const LONGEST_US = 60_000_000

/** A histogram of microseconds up to a minute, with three digits. */
export function microsecondHistogram(): Histogram {
  return build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: LONGEST_US,
    numberOfSignificantValueDigits: 3,
  })
}

/** Adds a time to a histogram. */
export function recordMs(histogram: Histogram, ms: number): void {
  histogram.recordValue(Math.min(LONGEST_US, Math.max(1, Math.round(ms * 1000))))
}

/** Times deliveries against a schedule. Without one it does nothing. */
export class DeliveryClock {
  readonly histogram: Histogram = microsecondHistogram()
  /** When the last client so far got each message of the schedule; `0`: none did. */
  lastMs = new Float64Array(0)
  #schedule: Schedule | null = null
  #nowMs = 0

  /** Begins anew. */
  start(schedule: Schedule): void {
    this.#schedule = schedule
    if (schedule.isContinued !== true) this.histogram.reset()
    this.lastMs = new Float64Array(schedule.end - schedule.first)
  }

  /** Bytes have come: what `delivered` tells next came now. */
  tick(): void {
    if (this.#schedule !== null) this.#nowMs = monotonicMs()
  }

  delivered(n: number): void {
    const schedule = this.#schedule
    if (schedule === null) return
    const index = n - schedule.first
    if (index < 0 || index >= this.lastMs.length) return
    recordMs(this.histogram, this.#nowMs - intendedMs(schedule, n))
    this.lastMs[index] = this.#nowMs
  }
}

/** Percentiles of a histogram, in milliseconds. */
export interface Percentiles {
  readonly count: number
  readonly p50: number
  readonly p90: number
  readonly p99: number
  readonly p999: number
  readonly max: number
}

export function percentilesOf(histogram: Histogram): Percentiles {
  const at = (percentile: number) => histogram.getValueAtPercentile(percentile) / 1000
  return {
    count: histogram.totalCount,
    p50: at(50),
    p90: at(90),
    p99: at(99),
    p999: at(99.9),
    max: histogram.maxValue / 1000,
  }
}

/** The time from when each message was meant to be sent until its last subscriber had it; lost ones are left out. */
export function timesToLast(schedule: Schedule, lastMs: readonly Float64Array[]): Histogram {
  const histogram = microsecondHistogram()
  for (let n = schedule.first; n < schedule.end; n++) {
    const last = Math.max(...lastMs.map((times) => times[n - schedule.first] ?? 0))
    if (last > 0) recordMs(histogram, last - intendedMs(schedule, n))
  }
  return histogram
}
