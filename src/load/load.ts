/** One load from beginning to end: connect, publish on schedule, wait for the last message, report. */
import { monotonicMs } from './clocks.ts'
import { Fleet, type FleetOptions, type FleetReport, isBottleneck } from './fleet.ts'
import { type Percentiles, percentilesOf, type Schedule } from './latency.ts'
import { MIN_MESSAGE_BYTES } from './numbered.ts'
import { Publisher } from './publisher.ts'

export interface LoadOptions extends FleetOptions {
  /** Messages a second. */
  readonly rate: number
  /** Bytes of each message's JSON text; at least {@link MIN_MESSAGE_BYTES}. */
  readonly size: number
  readonly durationMs: number
  /** Messages of one request. */
  readonly batch: number
  /** What the HTTP API is below; `url` unless given. */
  readonly apiUrl?: string
  readonly apiKey: string | null
  /** How long to wait for what was published and has not come. */
  readonly patienceMs: number
  /** Ends the load early; the report is about what was published until then. */
  readonly signal?: AbortSignal
  /** Called a few times a second. */
  onProgress?(progress: LoadProgress): void
}

export interface LoadProgress {
  readonly phase: 'connecting' | 'publishing' | 'waiting' | 'done'
  readonly clients: number
  readonly connected: number
  readonly failed: number
  readonly published: number
  readonly messages: number
  readonly received: number
  /** Since the load began. */
  readonly elapsedMs: number
}

/** What a load came to. */
export interface LoadReport extends FleetReport {
  readonly clients: number
  readonly connectMs: number
  readonly handshakesPerSecond: number
  readonly published: number
  /** Messages that the server refused, and the first reason why some were refused or not sent. */
  readonly refused: number
  readonly failure: string | null
  /** Deliveries: what `published` should come to, and how fast that was meant to be and was. */
  readonly expected: number
  readonly offeredPerSecond: number
  readonly achievedPerSecond: number
  /** How late messages left, in milliseconds, while the server had not answered to those before. Part of the latency, since that counts from the intended time. */
  readonly lateness: Percentiles
  /** The generator's busiest process: share of a core, 0 to 1. */
  readonly busy: number
  /** The generator itself may have been what was measured. */
  readonly isGeneratorBottleneck: boolean
}

const PROGRESS_MS = 250
/** Between the last handshake and the first message. */
const SETTLE_MS = 100
/** A double would show after the last message. */
const AFTER_MS = 100

/** One time for each is kept in each process, 8 bytes: more would be more memory than a load is worth. */
export const MOST_MESSAGES = 10_000_000

/** How many messages a load publishes. */
export function messagesOf({ rate, durationMs }: Pick<LoadOptions, 'rate' | 'durationMs'>): number {
  return Math.floor((rate * durationMs) / 1000)
}

/** Runs a load. @throws {RangeError} for options that no load can have */
export async function runLoad(options: LoadOptions): Promise<LoadReport> {
  const messages = messagesOf(options)
  if (messages < 1 || messages > MOST_MESSAGES)
    throw new RangeError(`A load has 1 to ${MOST_MESSAGES} messages.`)
  if (options.size < MIN_MESSAGE_BYTES)
    throw new RangeError(`A message has at least ${MIN_MESSAGE_BYTES} bytes.`)
  const load = new Load(options, messages)
  try {
    return await load.run()
  } finally {
    await load.end()
  }
}

class Load {
  readonly #options: LoadOptions
  readonly #messages: number
  readonly #fleet: Fleet
  readonly #publisher: Publisher
  readonly #startMs = monotonicMs()
  #timer: NodeJS.Timeout | null = null
  #phase: LoadProgress['phase'] = 'connecting'

  constructor(options: LoadOptions, messages: number) {
    this.#options = options
    this.#messages = messages
    this.#fleet = new Fleet(options)
    this.#publisher = new Publisher({ ...options, url: options.apiUrl ?? options.url })
  }

  async run(): Promise<LoadReport> {
    const { size, patienceMs, signal } = this.#options
    this.#timer = setInterval(() => void this.#tell(), PROGRESS_MS)
    // The processes have started before the clock does.
    await this.#fleet.startBusy()
    const connectMs = await this.#fleet.connect()
    if ((await this.#fleet.progress()).connected === 0) return this.#nobody(connectMs)
    const schedule = this.#schedule()
    await this.#fleet.startClock(schedule, size)
    this.#phase = 'publishing'
    const cpu = process.cpuUsage()
    await this.#publisher.run(schedule, signal)
    this.#phase = 'waiting'
    await this.#publisher.settled(patienceMs)
    const unsent = this.#publisher.stop()
    const published = this.#publisher.messages
    await this.#fleet.caughtUp(published, patienceMs)
    const tookMs = monotonicMs() - schedule.startMs
    const { user, system } = process.cpuUsage(cpu)
    await new Promise((resolve) => setTimeout(resolve, AFTER_MS))
    const report = await this.#fleet.report(published)
    this.#phase = 'done'
    await this.#tell()
    const busy = Math.max(this.#fleet.busy, (user + system) / 1000 / tookMs)
    return this.#figures(report, { connectMs, published, unsent, tookMs, busy })
  }

  async end(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#publisher.close()
    await this.#fleet.leave()
  }

  /** Nobody is in: there is nothing to publish for. */
  async #nobody(connectMs: number): Promise<LoadReport> {
    const report = await this.#fleet.report(0)
    return this.#figures(report, { connectMs, published: 0, unsent: 0, tookMs: 1, busy: 0 })
  }

  #schedule(): Schedule {
    const { rate, batch } = this.#options
    const intervalMs = 1000 / rate
    return { startMs: monotonicMs() + SETTLE_MS, first: 0, intervalMs, batch, end: this.#messages }
  }

  #figures(
    report: FleetReport,
    run: { connectMs: number; published: number; unsent: number; tookMs: number; busy: number },
  ): LoadReport {
    const { clients, rate, groups, groupsEach = groups.length } = this.#options
    const perMessage = (clients * groupsEach) / groups.length
    return {
      ...report,
      clients,
      connectMs: run.connectMs,
      handshakesPerSecond: (report.connected * 1000) / run.connectMs,
      published: run.published,
      refused: this.#publisher.refused,
      failure: this.#publisher.failure ?? unsentText(run.unsent),
      expected: report.received - report.doubled + report.lost,
      offeredPerSecond: rate * perMessage,
      achievedPerSecond: (report.received * 1000) / run.tookMs,
      lateness: percentilesOf(this.#publisher.lateness),
      busy: run.busy,
      isGeneratorBottleneck: isBottleneck(run.busy),
    }
  }

  async #tell(): Promise<void> {
    const { onProgress, clients } = this.#options
    // The process may have ended, or the load is over: the report says what became of it.
    const progress = await this.#fleet.progress().catch(() => null)
    if (progress === null) return
    onProgress?.({
      ...progress,
      clients,
      phase: this.#phase,
      published: this.#publisher.messages,
      messages: this.#messages,
      elapsedMs: monotonicMs() - this.#startMs,
    })
  }
}

function unsentText(unsent: number): string | null {
  return unsent === 0 ? null : `${unsent} messages were not sent: no answer came to those before`
}
