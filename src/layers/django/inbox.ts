import type { Clock } from '../../clock.ts'
import { GroupcastError } from '../../errors.ts'
import { RESERVED_PREFIX } from '../../message.ts'
import { quote } from '../../names.ts'
import type { LayerSink, LayerStatus } from '../layer.ts'
import type { Incoming } from './formats.ts'
import type { Settings } from './options.ts'
import { UncarriableError } from './values.ts'

/** Bad messages come in crowds, and the first says what there is to say. */
const REPORT_EVERY_MS = 60_000

/** Where messages of the wire become calls of the sink. One that cannot be read harms nobody: it is reported, and the next one comes. */
export class Inbox {
  readonly #sink: LayerSink
  readonly #settings: Settings
  readonly #reports: Reports
  #isClosed = false

  constructor(sink: LayerSink, settings: Settings) {
    this.#sink = sink
    this.#settings = settings
    this.#reports = new Reports(settings.clock, (error) => this.report(error))
  }

  /** A message as it came; `null` when it cannot be read. @param where for the report, as in `for group "a"` */
  read(bytes: Buffer, where: string): Incoming | null {
    const { envelope, format } = this.#settings
    try {
      return format.decode(envelope.open(bytes))
    } catch (error) {
      if (!(error instanceof UncarriableError)) throw error
      this.refuse(where, error.message)
      return null
    }
  }

  /** A publication of a group that the node has added. */
  deliver(group: string, { json, type }: Incoming): void {
    // From outside: a hub does not let such a message into a group, and a client could not tell it from the hub's own.
    if (type.startsWith(RESERVED_PREFIX))
      this.refuse(`for group ${quote(group)}`, `its type ${quote(type)} is reserved`)
    else this.#call((sink) => sink.deliver(group, { json, cursor: null }))
  }

  /** A message for a channel of this node. @returns `false` when its queue is full */
  push(channel: string, json: string): boolean {
    return this.#call((sink) => sink.receive(channel, json)) !== false
  }

  /** A message that came and cannot be used. */
  refuse(where: string, why: string): void {
    this.#reports.add('invalid-message', `A message ${where} that came from Redis was dropped: ${why}.`)
  }

  /** Processes whose queues were full. */
  overflowed(group: string, full: number, of: number): void {
    const text = `A message for group ${quote(group)} did not reach ${full} of ${of} processes: as many messages wait there as their capacity.`
    this.#reports.add('channel-full', text)
  }

  status(status: LayerStatus): void {
    this.#call((sink) => sink.status(status))
  }

  report(error: unknown): void {
    this.#call((sink) => sink.report?.(error))
  }

  /** The sink is not called any more. */
  close(): void {
    this.#isClosed = true
  }

  #call<T>(call: (sink: LayerSink) => T): T | null {
    if (this.#isClosed) return null
    try {
      return call(this.#sink)
    } catch {
      // Obligation 13: a sink that throws reports that itself.
      return null
    }
  }
}

/** Says what went wrong once a minute, and how often it did. */
class Reports {
  readonly #clock: Clock
  readonly #report: (error: unknown) => void
  readonly #seen = new Map<string, { at: number; since: number }>()

  constructor(clock: Clock, report: (error: unknown) => void) {
    this.#clock = clock
    this.#report = report
  }

  add(code: 'invalid-message' | 'channel-full', text: string): void {
    const now = this.#clock.now()
    const last = this.#seen.get(code)
    if (last !== undefined && now - last.at < REPORT_EVERY_MS) {
      last.since++
      return
    }
    const more = last === undefined || last.since === 0 ? '' : ` ${last.since} more since the last report.`
    this.#seen.set(code, { at: now, since: 0 })
    this.#report(new GroupcastError(code, text + more))
  }
}
