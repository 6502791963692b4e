/** Crowds in several processes, as one. */
import { decodeFromCompressedBase64 } from 'hdr-histogram-js'
import type { CrowdOptions, CrowdReport, SlowOptions } from './crowd.ts'
import { type CrowdHandle, type CrowdProgress, LocalCrowd, type TimedReport } from './crowd-handle.ts'
import {
  microsecondHistogram,
  type Percentiles,
  percentilesOf,
  type Schedule,
  timesToLast,
} from './latency.ts'
import type { SlowReport } from './slow-tally.ts'
import { WorkerCrowd } from './worker-crowd.ts'

const BUSY_LIMIT = 0.9

/** Whether a process of the generator that needs this share of a core may have been what was measured. */
export function isBottleneck(busy: number): boolean {
  return busy > BUSY_LIMIT
}

/** TCP has so many ports for one local address by default on Linux (`ip_local_port_range`), less some for everybody else. */
const CLIENTS_PER_ADDRESS = 28_000

/** What a fleet is made of. */
export interface FleetOptions {
  readonly url: string
  readonly transport: CrowdOptions['transport']
  readonly path: string
  readonly groups: readonly string[]
  /** How many of the groups each client joins; all unless given. */
  readonly groupsEach?: number
  readonly clients: number
  /** Handshakes at once, over all processes. */
  readonly concurrency: number
  /** Processes; `0`: none but this one. */
  readonly workers: number
  /** Addresses of this machine to connect from, in turns; unless given the system chooses, and loopback's are taken where one has too few ports. */
  readonly localAddresses?: readonly string[]
  /** What pins processes to cores: see {@link WorkerOptions}. */
  readonly prefix?: readonly string[]
  /** See {@link CrowdOptions}. */
  readonly messageBytes?: number
  readonly keys?: number
  readonly slow?: SlowOptions
  readonly hello?: string
}

/** Figures of all crowds together. */
export interface FleetReport extends Omit<CrowdReport, 'reasons'> {
  readonly reasons: readonly string[]
  /** From the intended time of sending to each delivery, in milliseconds; all 0 without a schedule. */
  readonly latency: Percentiles
  /** To the last delivery of each message. */
  readonly timeToLast: Percentiles
}

export class Fleet {
  readonly #crowds: readonly CrowdHandle[]
  #schedule: Schedule | null = null
  #busy = 0
  /** CPU time of each process, and what it was when `busy` began to count. */
  #cpuMs: readonly number[] = []
  #cpuBeforeMs: readonly number[] = []

  constructor(options: FleetOptions) {
    const shares = Math.max(1, options.workers)
    this.#crowds = Array.from({ length: shares }, (_, i) => {
      const crowd = crowdOptions(options, i, shares)
      return options.workers === 0 ? new LocalCrowd(crowd) : new WorkerCrowd(crowd, options)
    })
  }

  /** The busiest process since the load began: share of a core, 0 to 1. */
  get busy(): number {
    return this.#busy
  }

  /** CPU time of the process that needed most of it, from `startBusy` to the last `progress`. */
  get cpuMs(): number {
    return Math.max(...this.#cpuMs.map((ms, i) => ms - (this.#cpuBeforeMs[i] ?? 0)))
  }

  /** Connects all clients. Resolves with the milliseconds it took when each is in or has failed. */
  async connect(): Promise<number> {
    return Math.max(...(await Promise.all(this.#crowds.map((crowd) => crowd.connect()))))
  }

  /** From now on deliveries are timed, and `busy` counts. */
  async startClock(schedule: Schedule, messageBytes: number): Promise<void> {
    this.#schedule = schedule
    await Promise.all(this.#crowds.map((crowd) => crowd.startClock(schedule, messageBytes)))
    await this.startBusy()
  }

  /** From now on `busy` counts. */
  async startBusy(): Promise<void> {
    await this.progress()
    this.#busy = 0
    this.#cpuBeforeMs = this.#cpuMs
  }

  /** Resolves with whether all clients have got what they should of the messages up to but not `end`. */
  async caughtUp(end: number, timeoutMs: number): Promise<boolean> {
    const all = await Promise.all(this.#crowds.map((crowd) => crowd.caughtUp(end, timeoutMs)))
    return all.every(Boolean)
  }

  async progress(): Promise<Omit<CrowdProgress, 'busy' | 'cpuMs'>> {
    const all = await Promise.all(this.#crowds.map((crowd) => crowd.progress()))
    this.#cpuMs = all.map(({ cpuMs }) => cpuMs)
    this.#busy = Math.max(this.#busy, ...all.map(({ busy }) => busy))
    return {
      connected: sum(all, 'connected'),
      failed: sum(all, 'failed'),
      received: sum(all, 'received'),
    }
  }

  /** All clients stop reading. */
  async stop(): Promise<void> {
    await Promise.all(this.#crowds.map((crowd) => crowd.stop()))
  }

  async resume(): Promise<void> {
    await Promise.all(this.#crowds.map((crowd) => crowd.resume()))
  }

  /** All clients of a slow fleet read on at their pace. */
  async crawl(): Promise<void> {
    await Promise.all(this.#crowds.map((crowd) => crowd.crawl()))
  }

  async slowReports(): Promise<SlowReport[]> {
    return (await Promise.all(this.#crowds.map((crowd) => crowd.slowReports()))).flat()
  }

  /** @param end one more than the last message published */
  async report(end: number): Promise<FleetReport> {
    await this.progress()
    const reports = await Promise.all(this.#crowds.map((crowd) => crowd.report(end)))
    return merged(reports, this.#schedule)
  }

  /** Closes all connections and ends the processes. */
  async leave(): Promise<void> {
    await Promise.all(this.#crowds.map((crowd) => crowd.leave()))
  }
}

function crowdOptions(options: FleetOptions, index: number, shares: number): CrowdOptions {
  const { url, transport, path, groups, clients, concurrency } = options
  const { groupsEach = groups.length, messageBytes, keys, slow, hello } = options
  return {
    ...{ url, transport, path, groups, groupsEach, clients },
    first: Math.floor((clients * index) / shares),
    end: Math.floor((clients * (index + 1)) / shares),
    concurrency: Math.max(1, Math.ceil(concurrency / shares)),
    localAddresses: options.localAddresses ?? loopbackAddresses(new URL(url).hostname, clients),
    ...(messageBytes !== undefined && { messageBytes }),
    ...(keys !== undefined && { keys }),
    ...(slow !== undefined && { slow }),
    ...(hello !== undefined && { hello }),
  }
}

/**
 * Loopback has a whole network of addresses, `127.0.0.1`, `127.0.0.2` and on: as many as so many clients need. Elsewhere the system's own must do,
 * unless others are given; that is `null`.
 */
export function loopbackAddresses(hostname: string, clients: number): string[] | null {
  if (clients <= CLIENTS_PER_ADDRESS || !/^127\.|^localhost$/.test(hostname)) return null
  return Array.from({ length: Math.ceil(clients / CLIENTS_PER_ADDRESS) }, (_, i) => `127.0.0.${i + 1}`)
}

function merged(reports: readonly TimedReport[], schedule: Schedule | null): FleetReport {
  const latency = microsecondHistogram()
  for (const report of reports) latency.add(decodeFromCompressedBase64(report.latency))
  const timeToLast =
    schedule === null
      ? microsecondHistogram()
      : timesToLast(
          schedule,
          reports.map(({ lastMs }) => lastMs),
        )
  const reasons = new Map<string, number>()
  for (const report of reports)
    for (const [why, count] of report.reasons) reasons.set(why, (reasons.get(why) ?? 0) + count)
  return {
    ...sums(reports),
    reasons: [...reasons].map(([why, count]) => `${count} × ${why}`),
    latency: percentilesOf(latency),
    timeToLast: percentilesOf(timeToLast),
  }
}

const COUNTS = [
  'connected',
  'failed',
  'ended',
  'received',
  'other',
  'lost',
  'doubled',
  'outOfOrder',
  'sampled',
  'damaged',
  'bytes',
] as const

function sums(reports: readonly TimedReport[]): Record<(typeof COUNTS)[number], number> {
  const entries = COUNTS.map((key) => [key, sum(reports, key)])
  return Object.fromEntries(entries) as Record<(typeof COUNTS)[number], number>
}

function sum<Key extends string>(items: readonly Record<Key, number>[], key: Key): number {
  return items.reduce((total, item) => total + item[key], 0)
}
