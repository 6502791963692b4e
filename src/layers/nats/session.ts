import type { ConnectionOptions, Msg, MsgHdrs } from '@nats-io/transport-node'
import type { HistoryBounds } from '../../history.ts'
import { type Deferred, deferred } from '../broker/deferred.ts'
import type { Attempt, Session } from '../broker/lifeline.ts'
import type { Patience } from '../broker/patience.ts'
import { encodeCursor, type Position } from '../cursor.ts'
import type { LayerPublication, LayerRecovery, ReplayedPublication } from '../layer.ts'
import { Eras } from './eras.ts'
import { type KeptMessage, select } from './history.ts'
import { JetStream, type Stored } from './jet-stream.ts'
import type { ResolvedOptions } from './options.ts'
import { Rounds } from './rounds.ts'
import { StreamOrder } from './stream-order.ts'
import { ERAS, type Known, LIMITS, MARKS, mostMessagesOf, type OpenedHistory, Streams } from './streams.ts'
import { decodeToken, encodeToken, type Subjects } from './subjects.ts'
import { NobodyThere, type Refused, type Subscription, Wire } from './wire.ts'

/** What a session tells its layer. Nothing of it throws. */
export interface SessionHost {
  readonly nodeId: string
  readonly subjects: Subjects
  readonly options: ResolvedOptions
  /** With reading what was missed. */
  readonly patience: Patience
  /** What a group may keep, as far as this layer can; `null`: no history. */
  boundsOf(group: string, history: OpenedHistory): HistoryBounds | null
  deliver(group: string, publication: LayerPublication): void
  /** A message for a channel of this node. */
  push(channel: string, json: string): void
  /** Something came on a subject of the layer's that no node sends. */
  foreign(subject: string): void
  /** The session is alive. */
  probed(): void
  report(error: unknown): void
}

/** A group that is subscribed. */
interface Heard {
  readonly subscription: Subscription
  denied: Refused | null
  /** From here on nothing of the group can have been missed unnoticed; `null` while that is not known. */
  since: number | null
  /** The last that came. */
  last: number
}

/** A publication as a stream keeps it. */
export interface KeptPublication extends KeptMessage {
  /** `null`: another program stored it. It counts, since it has pushed out others, but nobody gets it. */
  readonly json: string | null
}

/** What the stream can be relied on for, at a moment. */
export interface Proof {
  /** Up to before this sequence it may have dropped anything. */
  readonly horizon: number
  /** Of a group that has got more than these since the cursor, it may have dropped some. */
  readonly mostMessages: number
}

/** A publication of a group that keeps history, as it came. */
interface Kept {
  readonly sequence: number
  /** That of the group's publication before it; 0: there is none. */
  readonly previous: number
  /** `null`: another program stored it. */
  readonly json: string | null
}

/** What came before the session was live. */
interface Early {
  readonly group: string
  readonly publication: LayerPublication
  readonly sequence: number | null
}

/** So many messages are asked for one by one before a consumer is made for the rest: it costs the server as much as some ten of them. */
const FEW_READS = 4
/** The server's clock is compared so often. */
const CLOCK_EVERY_MS = 60_000

/** What groups got while this node was away. */
interface Missed {
  readonly messages: ReadonlyMap<string, readonly KeptPublication[]>
  readonly proof: Proof
}

/** As much of a group's history as can be proved. */
export function provable(bounds: HistoryBounds, { mostMessages }: Proof): HistoryBounds {
  return { ...bounds, count: Math.min(bounds.count, mostMessages) }
}

/** One connection, from opening to its loss, and what is known of the stream of history. */
export class NatsSession implements Session {
  readonly js: JetStream
  readonly history: OpenedHistory
  readonly #wire: Wire
  readonly #host: SessionHost
  readonly #attempt: Attempt
  readonly #stored: string
  readonly #groups = new Map<string, Heard>()
  /** The same, by the subject that their publications are stored under. */
  readonly #heardBySubject = new Map<string, Heard>()
  readonly #fences = new Rounds<void, number>(
    () => this.#fence(),
    () => {},
  )
  readonly #proofs = new Rounds<number, Proof>((after) => this.#readProof(after), Math.min)
  readonly #reads = new Map<string, Rounds<number, readonly KeptPublication[]>>()
  /** Puts what comes in order; `null` where it comes in order. */
  readonly #order: StreamOrder | null
  /** The fence that is under way: those that are subscribed when it is sent are proved by it. */
  #fenceWaiter: { readonly proved: readonly Heard[]; readonly back: Deferred<number> } | null = null
  /** What is to be handed on when the session is live; `null` then. */
  #early: Early[] | null = []
  #isGone = false
  #sequence = 0
  /** The last that the stream has confirmed to this node. */
  #confirmed = 0
  #lastFence = 0
  /** All before is gone by a flush. */
  #flushedTo = 0
  /** What to add to this machine's clock for the server's time. */
  #clockOffset = 0
  #clockCheckedAt = 0
  #markedAt = Number.NEGATIVE_INFINITY

  /** Connects, adds all groups again, and finds the streams. What it opened before it fails is destroyed. */
  static async open(
    host: SessionHost,
    attempt: Attempt,
    known: Known | null,
    groups: readonly string[],
  ): Promise<NatsSession> {
    const { servers, connection, timeoutMs } = host.options
    const wire = await Wire.open(
      // The two types differ in what TLS may be.
      {
        servers,
        connection: connection as ConnectionOptions,
        timeoutMs,
        lost: (error) => attempt.lost(error),
      },
      attempt.signal,
    )
    const destroy = () => wire.destroy()
    attempt.signal.addEventListener('abort', destroy)
    try {
      const js = new JetStream(wire)
      const streams = new Streams(js, host.subjects, host.options, wire, (error) => host.report(error))
      const history = await streams.open(known)
      const session = new NatsSession(host, attempt, wire, js, history)
      await session.#begin(groups)
      return session
    } catch (error) {
      wire.destroy()
      throw error
    } finally {
      attempt.signal.removeEventListener('abort', destroy)
    }
  }

  private constructor(
    host: SessionHost,
    attempt: Attempt,
    wire: Wire,
    js: JetStream,
    history: OpenedHistory,
  ) {
    this.#host = host
    this.#attempt = attempt
    this.#wire = wire
    this.js = js
    this.history = history
    this.#stored = host.subjects.stored(history.eras.epoch)
    this.#order = history.isReplicated || isOrdered(wire.serverVersion) ? null : new StreamOrder()
  }

  /** Where this node is. */
  get position(): Position {
    return this.history.eras.position(this.#sequence)
  }

  /** What the next session is to hold against the stream. */
  get known(): Known {
    const { eras } = this.history
    return { eras, newest: eras.position(Math.max(this.#sequence, this.#confirmed)) }
  }

  /** The server's time, about. */
  get now(): number {
    return this.#host.options.clock.now() + this.#clockOffset
  }

  // --- What groups get ---

  /** Resolves when the server delivers the group. */
  async subscribe(group: string): Promise<void> {
    const heard = this.#hear(group)
    await this.#wire.flush()
    try {
      if (heard.denied !== null) throw heard.denied
      // In a cluster, the server that stores must have heard of it, too: the fence comes to it behind the subscription. The others hear of it at the same
      // time, and a fence takes longer than that.
      if (this.#wire.isClustered || this.#keepsHistory(group)) await this.fence()
    } catch (error) {
      await this.unsubscribe(group)
      throw error
    }
  }

  /** Resolves when all has come that was sent to a group before the call. */
  async fenceGroup(group: string): Promise<void> {
    if (this.#wire.isClustered || this.#keepsHistory(group)) await this.fence()
    else await this.#wire.flush()
  }

  async unsubscribe(group: string): Promise<void> {
    this.#groups.get(group)?.subscription.unsubscribe()
    this.#groups.delete(group)
    this.#heardBySubject.delete(this.#storedSubject(group))
    this.#order?.settle()
  }

  /** Sends to a group that keeps no history. Resolves when the server has it. */
  publish(group: string, json: string): Promise<null> {
    return this.#wire.publishConfirmed(this.#host.subjects.group(group), json)
  }

  /** Sends to a group that keeps history. @returns its cursor */
  async append(group: string, json: string): Promise<string> {
    return this.#cursor(await this.#store(`g.${encodeToken(group)}`, json))
  }

  /** Sends to something on another node. Resolves when the server has it. */
  pushTo(nodeId: string, channel: string, json: string): Promise<null> {
    return this.#wire.publishConfirmed(this.#host.subjects.node(nodeId, channel), json)
  }

  /** From now on, what comes is handed on; first what came meanwhile. */
  goLive(): void {
    const early = this.#early ?? []
    this.#early = null
    for (const one of early) this.#deliver(one)
  }

  // --- History ---

  /** Resolves when all that was stored before the call has come to this node. @returns a sequence behind it */
  fence(): Promise<number> {
    return this.#fences.ask()
  }

  /** Whether a group has got nothing after a sequence, as far as can be told without asking. */
  isUnchangedSince(group: string, sequence: number): boolean {
    const heard = this.#groups.get(group)
    if (heard === undefined || heard.since === null || this.#flushedTo > sequence) return false
    return heard.since <= sequence && heard.last <= sequence
  }

  /** What the stream has of a group after a sequence, or more. Asked for after a {@link fence}, it has all from before that. */
  async read(group: string, after: number): Promise<readonly KeptPublication[]> {
    const rounds = this.#reads.get(group) ?? new Rounds((from: number) => this.#read(group, from), Math.min)
    this.#reads.set(group, rounds)
    try {
      return await rounds.ask(after)
    } finally {
      if (rounds.isIdle && this.#reads.get(group) === rounds) this.#reads.delete(group)
    }
  }

  /** What the stream can be relied on for after a sequence. To be asked for after what it is to prove was read. */
  async proof(after: number): Promise<Proof> {
    const { horizon, mostMessages } = await this.#proofs.ask(after)
    return { horizon: Math.max(horizon, this.#flushedTo), mostMessages }
  }

  /** Forgets all history. */
  async flushHistory(): Promise<void> {
    const mark = await this.#store('x', '{}')
    await this.#keepEras()
    await this.js.purge(this.#host.subjects.historyStream, mark)
    await this.fence()
  }

  /** What was missed since a position; `groups` are those that keep history. */
  async recover(after: Position | null, groups: ReadonlyMap<string, HistoryBounds>): Promise<LayerRecovery> {
    const end = this.#sequence
    const found = await this.#missed(after, end, [...groups.keys()])
    const lost: string[] = []
    const publications: (ReplayedPublication & { readonly sequence: number })[] = []
    for (const [group, bounds] of groups) {
      const messages = found?.messages.get(group) ?? []
      const selection = { after: after?.sequence ?? 0, end, limit: null, now: this.now }
      const selected = found && select(messages, { ...selection, bounds: provable(bounds, found.proof) })
      if (selected === null) lost.push(group)
      else
        for (const { sequence, json } of selected.messages)
          if (json !== null)
            publications.push({ group, sequence, publication: { json, cursor: this.#cursor(sequence) } })
    }
    publications.sort((a, b) => a.sequence - b.sequence)
    // What came meanwhile up to there is among these.
    this.#early = (this.#early ?? []).filter(({ sequence }) => sequence === null || sequence > end)
    return {
      publications,
      lost,
      after: after && encodeCursor(after.epoch, after.sequence),
      cursor: this.#cursor(end),
    }
  }

  // --- Channels ---

  /** Appends to the queue of a channel. @throws {ApiError} when it is full */
  async enqueue(channel: string, json: string): Promise<void> {
    await this.#append(this.#host.subjects.queue(channel), json)
  }

  /** Calls back when something comes in a channel, from when this resolves on. */
  async watchQueue(channel: string, onMessage: () => void): Promise<Subscription> {
    let refusal: Refused | null = null
    const onDenied = (error: Refused) => {
      refusal = error
    }
    const subscription = this.#wire.subscribe(this.#host.subjects.wake(channel), onMessage, onDenied)
    await this.#wire.flush()
    if (refusal !== null) throw refusal
    return subscription
  }

  // --- For the lifeline ---

  async probe(): Promise<void> {
    await this.fence()
    await this.#mark()
    await this.#checkClock()
    this.#host.probed()
  }

  destroy(): void {
    this.#end()
    this.#wire.destroy()
  }

  async close(): Promise<void> {
    this.#end()
    await this.#wire.close()
  }

  #end(): void {
    this.#isGone = true
    const error = new Error('The session is over.')
    this.#fenceWaiter?.back.reject(error)
    this.#fenceWaiter = null
  }

  async #begin(groups: readonly string[]): Promise<void> {
    const { subjects, nodeId } = this.#host
    let refusal: Refused | null = null
    const onDenied = (error: Refused) => {
      refusal = error
    }
    this.#wire.subscribe(subjects.nodeWildcard(nodeId), (msg) => this.#onPush(msg), onDenied)
    const marks = this.#order === null ? [`f.${encodeToken(nodeId)}`, 'x'] : []
    for (const mark of marks)
      this.#wire.subscribe(`${subjects.live}.${mark}`, (msg) => this.#onMark(msg), onDenied)
    for (const group of groups) this.#hear(group)
    await this.#wire.flush()
    if (this.#order !== null) await this.#feed(this.#order)
    const denied = refusal ?? groups.map((group) => this.#groups.get(group)?.denied).find(Boolean)
    if (denied) throw denied
    // At once: to a server that is far away each round trip counts.
    await Promise.all([this.#mark(), this.fence(), this.#checkClock()])
  }

  #keepsHistory(group: string): boolean {
    return this.#host.boundsOf(group, this.history) !== null
  }

  #hear(group: string): Heard {
    const known = this.#groups.get(group)
    if (known !== undefined) return known
    const onDenied = (error: Refused) => {
      heard.denied = error
    }
    const subscription = this.#wire.subscribe(
      this.#host.subjects.group(group),
      (msg) => this.#onGroup(group, heard, msg),
      onDenied,
    )
    const heard: Heard = { subscription, denied: null, since: null, last: 0 }
    this.#groups.set(group, heard)
    this.#heardBySubject.set(this.#storedSubject(group), heard)
    return heard
  }

  #onGroup(group: string, heard: Heard, msg: Msg): void {
    if (this.#isGone) return
    const json = objectText(textOf(msg.data))
    const { headers } = msg
    if (headers === undefined) {
      if (json === null) this.#host.foreign(msg.subject)
      else this.#handOn({ group, publication: { json, cursor: null }, sequence: null })
      return
    }
    const subject = headers.last('Nats-Subject')
    if (subject !== this.#storedSubject(group)) {
      // Of an older stream that is gone, if it is of a stream.
      if (subject === '') this.#host.foreign(msg.subject)
      return
    }
    const sequence = sequenceIn(headers, 'Nats-Sequence')
    const previous = sequenceIn(headers, 'Nats-Last-Sequence')
    if (sequence === null || previous === null || previous >= sequence) {
      this.#host.foreign(msg.subject)
      return
    }
    const keep = () => this.#onKept(group, heard, { sequence, previous, json })
    if (this.#order === null) keep()
    else this.#order.came(sequence, keep)
  }

  #onKept(group: string, heard: Heard, { sequence, previous, json }: Kept): void {
    if (this.#isGone) return
    // It has its number all the same.
    if (json === null) this.#host.foreign(this.#host.subjects.group(group))
    if (heard.since !== null && previous > Math.max(heard.since, heard.last)) {
      this.#attempt.lost(new Error(`Publication ${previous} of the stream of history did not come.`))
      return
    }
    heard.last = sequence
    if (json === null) return
    this.#handOn({ group, publication: { json, cursor: this.#cursor(sequence) }, sequence })
  }

  /** Whether the stream of this session stored it. */
  #isOurs(headers: MsgHdrs): boolean {
    return headers.last('Nats-Subject').startsWith(`${this.#stored}.`)
  }

  #handOn(early: Early): void {
    if (this.#early !== null) this.#early.push(early)
    else this.#deliver(early)
  }

  #deliver({ group, publication, sequence }: Early): void {
    if (this.#isGone) return
    if (sequence !== null) this.#sequence = Math.max(this.#sequence, sequence)
    this.#host.deliver(group, publication)
  }

  #onPush(msg: Msg): void {
    if (this.#isGone) return
    const channel = decodeToken(msg.subject.slice(msg.subject.lastIndexOf('.') + 1))
    const json = objectText(textOf(msg.data))
    if (channel !== null && json !== null) this.#host.push(channel, json)
    else this.#host.foreign(msg.subject)
  }

  /** A fence of this node, or a flush. */
  #onMark({ headers, subject }: Msg): void {
    const sequence = headers === undefined ? null : sequenceIn(headers, 'Nats-Sequence')
    if (headers === undefined || sequence === null) this.#host.foreign(subject)
    else if (this.#isOurs(headers)) this.#passed(headers.last('Nats-Subject'), sequence)
  }

  /** All up to here has come. */
  #passed(subject: string, sequence: number): void {
    if (this.#isGone) return
    const kind = subject.charAt(this.#stored.length + 1)
    if (kind === 'x') this.#flushedTo = sequence
    if (this.#early === null || kind === 'f') this.#sequence = Math.max(this.#sequence, sequence)
    if (kind === 'f' && subject.endsWith(`.${encodeToken(this.#host.nodeId)}`)) this.#onFence(sequence)
  }

  #onFence(sequence: number): void {
    const waiter = this.#fenceWaiter
    this.#fenceWaiter = null
    // At once: what comes next is checked by it.
    for (const heard of waiter?.proved ?? []) heard.since = sequence
    waiter?.back.resolve(sequence)
  }

  async #fence(): Promise<number> {
    // They were subscribed before: what is stored behind the fence comes to them.
    const proved = [...this.#groups.values()].filter(({ since }) => since === null)
    const waiter = { proved, back: deferred<number>() }
    this.#fenceWaiter = waiter
    const before = this.#lastFence
    const stored = await this.#store(`f.${encodeToken(this.#host.nodeId)}`, '{}')
    if (stored <= before) {
      const error = new Error(`The stream of history went back from ${before} to ${stored}.`)
      this.#attempt.lost(error)
      throw error
    }
    this.#lastFence = await waiter.back.promise
    return this.#lastFence
  }

  /** The numbers of the stream, for as long as the session lives. */
  async #feed(order: StreamOrder): Promise<void> {
    const onNumber = (subject: string, sequence: number) => {
      const isAwaited = () => {
        const heard = this.#heardBySubject.get(subject)
        return heard !== undefined && heard.since !== null && sequence > heard.since
      }
      order.fed(sequence, isAwaited, () => this.#passed(subject, sequence))
    }
    await this.js.follow(this.#host.subjects.historyStream, `${this.#stored}.>`, onNumber)
  }

  async #store(subject: string, json: string): Promise<number> {
    const sequence = await this.#append(`${this.#stored}.${subject}`, json)
    this.#confirmed = Math.max(this.#confirmed, sequence)
    return sequence
  }

  async #append(subject: string, json: string): Promise<number> {
    try {
      return await this.js.append(subject, json)
    } catch (error) {
      // The stream is gone, or was made anew by another node: the next session finds or makes one.
      if (error instanceof NobodyThere) this.#attempt.lost(new Error(`A stream is gone: ${error.message}`))
      throw error
    }
  }

  /**
   * Stores a mark now and then, which nothing pushes out but its age: so the first sequence of the stream tells up to where age may have taken something,
   * however few messages groups keep.
   */
  async #mark(): Promise<void> {
    const now = this.#host.options.clock.now()
    if (now - this.#markedAt < this.history.mostAgeMs / MARKS) return
    await this.#store(`t.${encodeToken(this.#host.nodeId)}`, '{}')
    await this.#keepEras()
    this.#markedAt = now
  }

  /** Stores the eras again, before age or a purge takes them. */
  async #keepEras(): Promise<void> {
    const { eras } = this.history
    if (eras.isEmpty) return
    const subject = `${this.#stored}.${ERAS}`
    const last = await this.js.last(this.#host.subjects.historyStream, subject)
    const newest = last === null ? eras : Eras.parse(eras.epoch, last)
    // Where another node was faster, that will do.
    await this.js.appendAfter(last?.sequence ?? 0, subject, newest.toJson())
  }

  async #checkClock(): Promise<void> {
    const { clock } = this.#host.options
    const before = clock.now()
    if (this.#clockCheckedAt !== 0 && before - this.#clockCheckedAt < CLOCK_EVERY_MS) return
    const sequence = await this.#store(`t.${encodeToken(this.#host.nodeId)}`, '{}')
    const after = clock.now()
    const stored = await this.js.get(this.#host.subjects.historyStream, sequence)
    if (stored === null) return
    this.#clockOffset = stored.at - (before + after) / 2
    this.#clockCheckedAt = after
  }

  async #readProof(after: number): Promise<Proof> {
    const stream = this.#host.subjects.historyStream
    const limits = `${this.#stored}.${LIMITS}`
    const [info, raised] = await Promise.all([this.js.info(stream), this.js.next(stream, limits, after + 1)])
    if (info === null) return { horizon: Number.POSITIVE_INFINITY, mostMessages: 0 }
    let mostMessages = mostMessagesOf(info.config)
    // What was sent before a raise may have been pushed out by the limit from before.
    for (let note = raised; note !== null; note = await this.js.next(stream, limits, note.sequence + 1))
      mostMessages = Math.min(mostMessages, mostIn(note))
    return { horizon: info.state.first_seq, mostMessages }
  }

  async #read(group: string, after: number): Promise<readonly KeptPublication[]> {
    const subject = this.#storedSubject(group)
    const stream = this.#host.subjects.historyStream
    const found: KeptPublication[] = []
    const last = () => found.at(-1)?.sequence ?? after
    const take = (stored: Stored) => {
      if (stored.sequence > last()) found.push(keptOf(stored))
    }
    const takeNext = async () => {
      const stored = await this.js.next(stream, subject, last() + 1)
      if (stored !== null) take(stored)
      return stored !== null
    }
    if (after > 0) for (let reads = 0; reads < FEW_READS; reads++) if (!(await takeNext())) return found
    await this.js.read(stream, subject, last() + 1, take)
    // A consumer may be on a server that is behind the one that leads; the leader is asked for what is left.
    while (await takeNext());
    return found
  }

  /** What groups got after a position; `null`: it cannot be proved, of any. */
  async #missed(after: Position | null, end: number, groups: readonly string[]): Promise<Missed | null> {
    if (after === null || this.history.eras.sequenceOf(after, end) === undefined) return null
    const messages = new Map<string, KeptPublication[]>(groups.map((group) => [group, []]))
    if (groups.length === 0) return { messages, proof: { horizon: 0, mostMessages: 0 } }
    const reading = this.#host.patience.during(async (tooLong) => {
      const all = this.#readAll(after.sequence, end, messages).then(() => messages)
      all.catch(() => {})
      return Promise.race([all, tooLong])
    })
    if ((await reading) === null) return null
    const proof = await this.proof(after.sequence)
    return after.sequence >= proof.horizon ? { messages, proof } : null
  }

  async #readAll(after: number, end: number, found: ReadonlyMap<string, KeptPublication[]>): Promise<void> {
    const start = `${this.#stored}.g.`
    const stream = this.#host.subjects.historyStream
    let last = after
    const take = (stored: Stored) => {
      if (stored.sequence <= last) return
      last = stored.sequence
      const group = decodeToken(stored.subject.slice(start.length))
      if (group !== null && stored.sequence <= end) found.get(group)?.push(keptOf(stored))
    }
    await this.js.read(stream, `${start}>`, after + 1, take)
    for (;;) {
      const stored = last >= end ? null : await this.js.next(stream, `${start}>`, last + 1)
      if (stored === null) return
      take(stored)
    }
  }

  #storedSubject(group: string): string {
    return `${this.#stored}.g.${encodeToken(group)}`
  }

  #cursor(sequence: number): string {
    return this.history.eras.cursor(sequence)
  }
}

/** A sequence that the server gave; `null` for what another program made up. */
function sequenceIn(headers: MsgHdrs, name: string): number | null {
  // The server puts its own behind those that the message came with.
  const text = headers.last(name)
  const sequence = Number(text)
  return /^\d{1,16}$/.test(text) && Number.isSafeInteger(sequence) ? sequence : null
}

/** A text as one line, if it can be one of the layer's: an object. What another program sends there is read through only where it has line breaks or blanks around it. */
function objectText(text: string): string | null {
  const isOneLine = !text.includes('\n') && !text.includes('\r')
  if (isOneLine && text.startsWith('{') && text.endsWith('}')) return text
  if (!text.trimStart().startsWith('{')) return null
  try {
    JSON.parse(text)
  } catch {
    return null
  }
  // Between tokens only: in strings JSON escapes them.
  return text.replaceAll(/[\r\n]/g, ' ')
}

function keptOf({ sequence, at, data }: Stored): KeptPublication {
  return { sequence, at, bytes: data.length, json: objectText(data.toString()) }
}

/** Whether a server republishes in the order in which it stores, whoever sends: see {@link StreamOrder}. */
function isOrdered(version: string): boolean {
  const [major = 0, minor = 0, patch = 0] = version.split(/[.-]/).map(Number)
  return major > 2 || (major === 2 && (minor > 9 || (minor === 9 && patch >= 16)))
}

/** What a note of a limit says. */
function mostIn({ data }: Stored): number {
  const { most } = JSON.parse(data.toString()) as { readonly most: number | null }
  return most ?? Number.POSITIVE_INFINITY
}

function textOf(data: Uint8Array): string {
  return Buffer.from(data.buffer, data.byteOffset, data.length).toString()
}
