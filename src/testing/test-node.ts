/**
 * A node as conformance cases use it: a layer, a sink that writes down what it is called with, and deadlines
 * on everything.
 */
import { randomBytes } from 'node:crypto'
import { errorCodeOf } from '../errors.ts'
import type { HistoryBounds } from '../history.ts'
import type {
  ChannelLayer,
  LayerPublication,
  LayerRecovery,
  LayerSink,
  LayerStatus,
  Replay,
  ReplayRequest,
} from '../layers/layer.ts'
import type { Patience } from './patience.ts'

/** How the messages of fences begin, which no case sees. */
const FENCE_START = '{"type":"conformance.fence"'

/** What tells that whatever was sent before it has come. */
export function fenceOf(n: number): string {
  return `${FENCE_START},"n":${n}}`
}

/** Most cases send numbers, in messages like this. */
export function messageOf(n: number): string {
  return JSON.stringify({ type: 'conformance.number', n })
}

/** The number in a message. */
export function numberIn(json: string): number {
  return (JSON.parse(json) as { n: number }).n
}

/** Whether a driver takes a name. Rejects with whatever else went wrong than that it refuses it (obligation 11). */
export async function isAllowed(call: Promise<unknown>): Promise<boolean> {
  try {
    await call
    return true
  } catch (error) {
    if (errorCodeOf(error) !== 'invalid-name') throw error
    return false
  }
}

/** A node of a case. Methods that wait fail after the suite's deadline. */
export class TestNode {
  readonly id = randomBytes(6).toString('hex')
  readonly layer: ChannelLayer
  readonly sink = new RecordingSink()
  readonly #historyOf: (group: string) => HistoryBounds | null
  readonly #patience: Patience

  constructor(layer: ChannelLayer, historyOf: (group: string) => HistoryBounds | null, patience: Patience) {
    this.layer = layer
    this.#historyOf = historyOf
    this.#patience = patience
  }

  start(): Promise<void> {
    const start = { nodeId: this.id, sink: this.sink, historyOf: this.#historyOf }
    return this.#within(this.layer.start(start), 'start()')
  }

  async add(group: string): Promise<void> {
    const wasAdded = this.sink.groups.has(group)
    this.sink.groups.add(group)
    try {
      await this.#within(this.layer.groupAdd(group), `groupAdd(${group})`)
    } catch (error) {
      if (!wasAdded) this.sink.groups.delete(group)
      throw error
    }
  }

  async discard(group: string): Promise<void> {
    await this.#within(this.layer.groupDiscard(group), `groupDiscard(${group})`)
    this.sink.groups.delete(group)
  }

  publish(group: string, n: number): Promise<string | null> {
    return this.publishJson(group, messageOf(n))
  }

  publishJson(group: string, json: string): Promise<string | null> {
    return this.#within(this.layer.groupSend(group, json), `groupSend(${group})`)
  }

  /** The same, to a group whose name a driver may refuse. */
  async publishIfAllowed(group: string, n: number): Promise<void> {
    await isAllowed(this.publish(group, n))
  }

  send(channel: string, n: number): Promise<void> {
    return this.sendJson(channel, messageOf(n))
  }

  sendJson(channel: string, json: string): Promise<void> {
    return this.#within(this.layer.send(channel, json), `send(${channel})`)
  }

  /** Begins to read, and may wait for ever. */
  read(channel: string, signal?: AbortSignal): Promise<number> {
    const reading = this.layer.receive(channel, signal).then(numberIn)
    // A case that fails before it comes to this promise must not end in an unhandled rejection.
    reading.catch(() => {})
    return reading
  }

  /** The next message of a channel, which must come. */
  take(channel: string): Promise<number> {
    return this.#within(this.read(channel), `a message of ${channel}`)
  }

  /** The next messages of a channel, one after another. */
  async takeMany(channel: string, count: number): Promise<number[]> {
    const numbers: number[] = []
    while (numbers.length < count) numbers.push(await this.take(channel))
    return numbers
  }

  /** The channel of something that lives on this node. */
  channel(localId: string): string {
    return this.layer.channelOf(this.id, localId)
  }

  /** The numbers that came in a group, in order. */
  numbers(group: string): number[] {
    return this.sink.delivered.filter((one) => one.group === group).map(({ json }) => numberIn(json))
  }

  /** The numbers that were pushed to a channel of this node, in order. */
  pushed(channel: string): number[] {
    return this.sink.received.filter((one) => one.channel === channel).map(({ json }) => numberIn(json))
  }

  /** Waits until that many publications of a group have come. */
  arrived(group: string, count: number): Promise<void> {
    const what = `publication ${count} of group ${group} on each of its nodes`
    return this.#patience.until(() => this.numbers(group).length >= count, what)
  }

  /** Waits until the layer says that it is ready. */
  ready(): Promise<void> {
    const what = () => `status() to say ready, but the last it said was ${this.sink.lastStatus}`
    return this.#patience.until(() => this.sink.isReady, what)
  }

  /** Waits until the layer says that it is not ready. */
  lost(): Promise<void> {
    return this.#patience.until(
      () => this.sink.statuses.at(-1)?.state === 'connecting',
      'status() to say connecting',
    )
  }

  /** Waits until a fence has come. */
  fenced(group: string, fence: string): Promise<void> {
    return this.#patience.until(() => this.sink.fences.has(`${group} ${fence}`), `a fence in group ${group}`)
  }

  /** Waits until that many messages have been pushed to a channel of this node. */
  reached(channel: string, count: number): Promise<void> {
    return this.#patience.until(
      () => this.pushed(channel).length >= count,
      `message ${count} pushed to ${channel}`,
    )
  }

  /** What groups kept: all of it, or as much of a group as is asked for. */
  replay(
    after: string | null,
    ...groups: (string | readonly [group: string, limit: number])[]
  ): Promise<Replay> {
    const limits = groups.map((one) => (typeof one === 'string' ? ([one, null] as const) : one))
    return this.replayOf({ after, groups: new Map(limits) })
  }

  replayOf(request: ReplayRequest): Promise<Replay> {
    return this.#within(this.layer.replay(request), 'replay()')
  }

  /** Brings the position up to now. */
  refresh(): Promise<void> {
    return this.#within(this.layer.refresh(), 'refresh()')
  }

  flush(): Promise<void> {
    return this.#within(this.layer.flush(), 'flush()')
  }

  /** Closes the layer, the first time. */
  async close(): Promise<void> {
    if (this.sink.isClosed) return
    await this.#within(this.layer.close(), 'close()')
    this.sink.isClosed = true
  }

  #within<T>(promise: Promise<T>, what: string): Promise<T> {
    const waiting = this.#patience.within(promise, what)
    // As in `read`.
    waiting.catch(() => {})
    return waiting
  }
}

/** Writes down every call, and the calls that a layer may not make. */
class RecordingSink implements LayerSink {
  readonly delivered: { readonly group: string; readonly json: string; readonly cursor: string | null }[] = []
  readonly received: { readonly channel: string; readonly json: string }[] = []
  readonly violations: string[] = []
  /** Groups that are added, or about to be. */
  readonly groups = new Set<string>()
  isClosed = false

  readonly statuses: LayerStatus[] = []
  readonly recoveries: LayerRecovery[] = []
  readonly reports: unknown[] = []

  /** What a case wants to happen besides. */
  onDeliver: (group: string, publication: LayerPublication) => void = () => {}
  onReceive: (channel: string) => boolean = () => true
  onStatus: (status: LayerStatus) => void = () => {}

  /** Fences that came in groups; see `Trial.fence`. */
  readonly fences = new Set<string>()

  deliver(group: string, publication: LayerPublication): void {
    if (publication.json.startsWith(FENCE_START)) {
      this.fences.add(`${group} ${publication.json}`)
      return
    }
    if (this.isClosed) this.violations.push(`12: deliver(${group}) after close`)
    else if (!this.groups.has(group)) this.violations.push(`2: deliver(${group}), which is not added`)
    if (this.isDown) this.violations.push(`27: deliver(${group}) while the layer says that it is not ready`)
    this.delivered.push({ group, ...publication })
    this.onDeliver(group, publication)
  }

  receive(channel: string, json: string): boolean {
    if (this.isClosed) this.violations.push(`12: receive(${channel}) after close`)
    this.received.push({ channel, json })
    return this.onReceive(channel)
  }

  status(status: LayerStatus): void {
    if (this.isClosed) this.violations.push(`12: status(${status.state}) after close`)
    this.statuses.push(status)
    this.onStatus(status)
  }

  recovered(recovery: LayerRecovery): void {
    if (this.isClosed) this.violations.push('12: recovered() after close')
    // Only what nothing can interrupt may be said without a break: that history is gone.
    if (!this.isDown && recovery.publications.length > 0)
      this.violations.push('27: recovered() with publications while the layer says that it is ready')
    this.recoveries.push(recovery)
    for (const { group, publication } of recovery.publications) {
      if (!this.groups.has(group)) this.violations.push(`2: recovered(${group}), which is not added`)
      this.delivered.push({ group, ...publication })
    }
  }

  report(error: unknown): void {
    this.reports.push(error)
  }

  /** For whoever waits for another one. */
  get lastStatus(): string {
    const last = this.statuses.at(-1)
    return last === undefined ? 'nothing' : [last.state, last.reason].filter(Boolean).join(': ')
  }

  get isReady(): boolean {
    return this.statuses.at(-1)?.state === 'ready'
  }

  get isDown(): boolean {
    return this.statuses.at(-1)?.state === 'connecting'
  }
}
