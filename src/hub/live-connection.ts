import {
  ERRORS,
  type ErrorCode,
  errorCodeOf,
  GroupcastError,
  isComeBackCode,
  MisuseError,
  Refusal,
} from '../errors.ts'
import { Frame } from '../frame.ts'
import type { Identity } from '../identity.ts'
import { encodeMessage } from '../message.ts'
import { badName, isGroupName, quote } from '../names.ts'
import { type GroupAction, GroupPermissions } from '../permission.ts'
import { Publication } from '../publication.ts'
import type { Source } from '../source.ts'
import type { ConnectionRequest, Denial, Link, LinkOwner } from '../transports/backend.ts'
import { randomRetryMs } from '../wire/http-stream.ts'
import { fittingReason } from '../wire/websocket.ts'
import type { Control, Transport, WireFormat } from '../wire/wire-format.ts'
import { CatchUp, type Reader } from './catch-up.ts'
import { type ClientFrame, type FrameForms, parseClientFrame } from './client-frame.ts'
import { assertClose } from './close-code.ts'
import { perform } from './commands.ts'
import type { ConnectionHost, Counters } from './connection-host.ts'
import type { Connection, DisconnectInfo, JoinOptions } from './consumer.ts'
import { asRefusal, denialOf, isClientFault, isOutage } from './denial.ts'
import { HandlerBacklog, type HandlerOwner } from './handler-backlog.ts'
import type { Beating } from './heartbeats.ts'
import { Inbox, type InboxOwner } from './inbox.ts'
import { Memberships } from './memberships.ts'
import { MessageStream, type StreamedMessages, type StreamOptions } from './message-stream.ts'
import { Outbox, type OutboxOwner } from './outbox.ts'
import { Pace } from './pace.ts'
import { requestedCursor } from './resume.ts'
import type { Route, RouteMatch } from './router.ts'

/** So many reads are counted at once: a client that answers heartbeats, and says nothing else, is hardly ever looked up. */
const READS = 64
/** A client that was closed and goes on for so many reads is cut. What was under way when it was told is less. */
const READS_AFTER_CLOSE = 1_024

// In the order of a life. Who knocks has yet to say who it is: its consumer has not heard of it.
const KNOCKING = -1
const CONNECTING = 0
const OPEN = 1
const CLOSING = 2
const CLOSED = 3

/**
 * One live client. Consumers see it as a {@link Connection}; the back end as a {@link LinkOwner}; groups append frames to its outbox.
 * It owns all its state, and nothing of it lives in a shared closure. One file, although long: the life of a connection is one state
 * machine, and its steps are not to be understood apart.
 */
export class LiveConnection
  implements Connection, LinkOwner, Beating, OutboxOwner, InboxOwner, HandlerOwner, Reader
{
  readonly localId: string
  /** What this client has yet to get; groups append to it. */
  readonly outbox: Outbox
  readonly params: Readonly<Record<string, string>>
  readonly request: ConnectionRequest
  readonly route: Route
  readonly #host: ConnectionHost
  readonly #inbox: Inbox
  readonly #memberships: Memberships
  link: Link | null = null
  isAlive = true
  #phase = KNOCKING
  #decide: ((denial: Denial | null) => void) | null = null
  #closeInfo: DisconnectInfo | null = null
  /** Calls off the end by force of one that has yet to read what waits. */
  #stopClosing: (() => void) | null = null
  isPaused = false
  heartbeatSlot = 0
  stall: { readonly bytes: number; readonly since: number } | null = null
  unanswered = 0
  /** Since they were counted. */
  #reads = 0
  askedBytes = 0
  readBytes = 0
  /** What its handlers have yet to see; `null` until there is something. */
  #handlerBacklog: HandlerBacklog | null = null
  #abort: AbortController | null = null
  /** Of its streams; `null` until there is one. */
  #pace: Pace | null = null
  #state: Record<string, unknown> | null = null
  /** `null` where the hub keeps no history. */
  readonly #catchUp: CatchUp | null

  constructor(
    localId: string,
    match: RouteMatch,
    request: ConnectionRequest,
    format: WireFormat,
    host: ConnectionHost,
  ) {
    this.localId = localId
    this.outbox = new Outbox(format, match.route.consumer.slow ?? 'close', host, this)
    this.params = match.params
    this.request = request
    this.route = match.route
    this.#host = host
    this.#memberships = new Memberships(this, host.groups)
    this.#inbox = new Inbox(this)
    this.#catchUp = host.recall.isOn ? new CatchUp(this, host.recall, requestedCursor(request)) : null
  }

  // --- What consumers see ---

  get id(): string {
    return `${this.#host.nodeId}.${this.localId}`
  }

  get channel(): string {
    return this.#host.layer.channelOf(this.#host.nodeId, this.localId)
  }

  get format(): WireFormat {
    return this.outbox.format
  }

  get transport(): Transport {
    return this.format.transport
  }

  get counters(): Counters {
    return this.#host.counters
  }

  get query(): URLSearchParams {
    return this.request.query
  }

  get identity(): Identity | null {
    return this.#host.sessions.identityOf(this)
  }

  get groups(): readonly string[] {
    return this.#memberships.names
  }

  get signal(): AbortSignal {
    if (this.#abort === null) {
      this.#abort = new AbortController()
      if (this.#phase === CLOSED) this.#abort.abort()
    }
    return this.#abort.signal
  }

  get state(): Record<string, unknown> {
    this.#state ??= {}
    return this.#state
  }

  send(message: { readonly type: string }): void {
    this.outbox.send(new Publication(null, encodeMessage(message), null).frame(this.format))
  }

  async stream(source: Source, options: StreamOptions): Promise<StreamedMessages> {
    const pace = this.#streamPace()
    const target = {
      get isGone() {
        return pace.isClosed
      },
      ready: () => pace.ready(),
      send: (message: { readonly type: string }) => this.send(message),
    }
    const stream = new MessageStream(source, options, target, (error) =>
      this.#host.report(error, 'stream', this),
    )
    return pace.run(stream)
  }

  async join(group: string, options: JoinOptions = {}): Promise<void> {
    const count = historyCount(options)
    if (options.checked === true) await this.#joinChecked(group, count)
    else await this.#join(group, count)
  }

  get isAskable(): boolean {
    if (this.route.consumer.authorize !== undefined) return true
    return this.#permissions !== null
  }

  async allows(action: GroupAction, group: string): Promise<boolean> {
    if (!isGroupName(group)) return false
    const { consumer } = this.route
    const permissions = this.#permissions
    if (permissions?.allows(action, group) === false) return false
    if (consumer.authorize === undefined) return permissions !== null
    return (await consumer.authorize(this, action, group)) === true
  }

  async leave(group: string): Promise<void> {
    this.#host.sessions.left(this, group)
    await this.#memberships.leave(group)
  }

  close(code = 1000, reason = ''): void {
    assertClose(code, reason)
    this.#close({ code, reason })
  }

  // --- What the gate and the back end see ---

  /** Asks the consumer. Resolves when the client may be let in (`null`) or must not be. */
  admit(): Promise<Denial | null> {
    return new Promise((resolve) => {
      const { limits, clock } = this.#host
      const cancel = clock.after(limits.handshakeTimeoutMs, () => this.#connectTookTooLong())
      this.#decide = (denial) => {
        cancel()
        this.#decide = null
        resolve(denial)
      }
      this.#inbox.push(async () => {
        const identified = this.#host.identify(this)
        if (identified !== null) await identified
        // It may have left by now, or have been refused for taking too long.
        if (this.#phase !== KNOCKING) return
        this.#phase = CONNECTING
        await this.#catchUp?.begin()
        await this.route.consumer.connect?.(this)
        if (this.#phase === CONNECTING) await this.#catchUp?.arrive(this.groups)
        this.#decide?.(null)
      })
    })
  }

  opened(link: Link): void {
    if (this.#phase !== CONNECTING) {
      link.terminate()
      return
    }
    this.link = link
    this.#phase = OPEN
    this.#host.opened(this)
    const open = this.format.control({ open: this.#openControl() }, this.#retryMs())
    const reset = this.#catchUp?.letIn() ?? null
    const first = [open, reset === null ? null : this.format.control(reset)]
    this.outbox.open(
      link,
      first.filter((frame) => frame !== null),
    )
    this.#pace?.drained()
    // Closed between the decision and the start of the response.
    if (this.#closeInfo !== null) this.#shut(this.#closeInfo)
  }

  received(text: string, bytes: number): void {
    this.isAlive = true
    this.#host.counters.received++
    if (this.#phase !== OPEN) return
    const refusal = this.charge(bytes)
    // Refused for good: it is closed.
    if (this.#phase !== OPEN) return
    const forms: FrameForms = this.format.envelope ? 'command' : 'message'
    try {
      const frame = parseClientFrame(text, forms, this.#host.limits.maxJsonDepth)
      this.#take(refusal === null ? frame : refused(frame, refusal))
    } catch (error) {
      // After what it said before.
      this.#inbox.push(() => {
        throw asRefusal(error)
      })
    }
  }

  /** Whether nothing will come of it any more. */
  get isGone(): boolean {
    return this.#phase === CLOSED
  }

  /** Whether it takes messages: not while it is at the door, nor once it is closing. */
  get isOpen(): boolean {
    return this.#phase === OPEN
  }

  /**
   * Counts a message of so many bytes, before anything is done about it. Whoever goes on after refusals is closed.
   *
   * @returns why it must not be handled; `null`: it may
   */
  charge(bytes: number): Refusal | null {
    const overdraft = this.#host.meters.message(this, bytes)
    if (overdraft === null) return null
    if (overdraft.isFinal) this.#closeFor(overdraft.refusal)
    return overdraft.refusal
  }

  /** A message that was posted on another node. @returns whether there was room for it */
  receiveForwarded(frame: ClientFrame, bytes: number): boolean {
    const refusal = this.charge(bytes)
    if (this.#phase !== OPEN) return true
    return this.receivePosted(refusal === null ? frame : refused(frame, refusal))
  }

  /** What the client of a streamed response posted. @returns whether there was room for it */
  receivePosted(frame: ClientFrame): boolean {
    if (this.#isFull) return false
    this.#host.counters.received++
    this.#take(frame)
    return true
  }

  drained(): void {
    // The client's end has acknowledged what was written.
    this.isAlive = true
    // What waits next may be as large.
    this.stall = null
    this.outbox.flush()
    this.#pace?.drained()
  }

  alive(): void {
    this.isAlive = true
    if (++this.#reads < READS) return
    if (this.#phase === CLOSING) {
      if (this.#reads >= READS_AFTER_CLOSE) this.terminate()
      return
    }
    this.#reads = 0
    this.#spend(READS)
  }

  pinged(): void {
    this.isAlive = true
    this.#spend(1)
  }

  answered(): void {
    this.isAlive = true
    // Nobody has asked.
    if (this.unanswered === 0) this.#spend(1)
    else this.unanswered--
  }

  closed(code: number, reason: string): void {
    if (this.#phase === CLOSED) return
    const wasConnecting = this.#phase <= CONNECTING
    this.#end(this.#closeInfo ?? { code, reason })
    if (wasConnecting) this.#decide?.(denialOf('bad-request', 'The client left.'))
  }

  // --- What the hub sees ---

  get hasHandlers(): boolean {
    return this.route.handlers.size > 0
  }

  /**
   * A publication of a group, where the consumer handles types of messages. One that it does not handle waits for those before it that it
   * does: its cursor must not say that they were handled.
   *
   * @returns `false`: it can be sent at once
   */
  take(publication: Publication): boolean {
    if (this.#phase > OPEN) return true
    const isBusy = this.#handlerBacklog?.isBusy === true
    if (!isBusy && !this.route.handlers.has(publication.type)) return false
    if (!this.#handling().take(publication)) this.outbox.overflow()
    return true
  }

  /**
   * It may have missed something of groups that it is in: what it gets next is after this hole. A client at the door hears of it with its past.
   *
   * @param cursor where it was before
   */
  missed(groups: readonly string[], cursor: string): void {
    if (this.#phase !== OPEN) return
    this.#host.counters.resets += groups.length
    this.sayLater({ reset: { groups, cursor } })
  }

  /** Not held against the bound for slow readers: the past is bounded by itself, and what was put aside has been. */
  takeLater(publication: Publication): void {
    this.#handling().takeLater(publication)
  }

  sayLater(control: Control): void {
    if (this.#handlerBacklog?.hasTasks !== true) this.#sendControl(control)
    else this.#handlerBacklog.inOrder(() => this.#sendControl(control))
  }

  holdAside(): void {
    this.#handling().holdAside()
  }

  releaseAside(mayGo: (live: Publication) => boolean): Publication[] {
    return this.#handling().releaseAside(mayGo)
  }

  get isHandling(): boolean {
    return this.#phase <= OPEN
  }

  handle(publication: Publication): unknown {
    const handler = this.route.handlers.get(publication.type)
    if (handler !== undefined) return handler(this, publication.message())
    this.outbox.send(publication.frame(this.format))
    return undefined
  }

  tellDropped(count: number): void {
    this.#sendControl({ dropped: { count } })
  }

  #handling(): HandlerBacklog {
    const { slow = 'close' } = this.route.consumer
    const { maxBacklogBytes } = this.#host.limits
    this.#handlerBacklog ??= new HandlerBacklog(this.#inbox, slow, maxBacklogBytes, this)
    return this.#handlerBacklog
  }

  /** A message for this connection's channel. @returns whether there was room for it */
  receiveFromChannel(publication: Publication): boolean {
    if (this.#phase > OPEN) return true
    if (!this.route.handlers.has(publication.type)) {
      this.outbox.send(publication.frame(this.format))
      return true
    }
    if (this.#isFull) return false
    this.take(publication)
    return true
  }

  /** A group moved this connection to another place among its members. */
  movedTo(group: string, index: number): void {
    this.#memberships.moved(group, index)
  }

  overflowed(): void {
    this.#host.counters.slowConsumers++
    if (this.#handlerBacklog?.hasGivenUp !== true) {
      this.#closeWith('slow-consumer')
      return
    }
    // The client may read at once: it is the application that should know.
    const { maxBacklogBytes } = this.#host.limits
    const text = `Handlers took longer than messages came, until more than maxBacklogBytes (${maxBacklogBytes}) waited for them: the client was closed.`
    this.#host.report(new GroupcastError('slow-handlers', text), `consumer ${this.route.path}`, this)
    this.#closeWith('slow-handlers')
  }

  cut(): void {
    if (this.#phase === OPEN) {
      this.#host.counters.slowConsumers++
      const { closeCode: code, message: reason } = ERRORS['slow-consumer']
      this.#closeInfo = { code, reason }
    }
    this.terminate()
  }

  finished(): void {
    if (this.#closeInfo !== null) this.link?.close(this.#closeInfo.code, this.#closeInfo.reason)
  }

  dropped(count: number): void {
    this.#host.counters.dropped += count
  }

  died(): void {
    this.#host.counters.dead++
    const { closeCode: code, message: reason } = ERRORS['heartbeat-timeout']
    const { link } = this
    this.#end({ code, reason })
    // A close frame would wait for an answer that cannot come.
    link?.terminate()
  }

  /** Closes with a code of the error table. */
  closeWith(code: ErrorCode, reason?: string): void {
    this.#closeWith(code, reason)
  }

  /** Ends it now, without a word. */
  terminate(): void {
    const { link } = this
    this.#end(this.#closeInfo ?? { code: 1006, reason: '' })
    link?.terminate()
  }

  /**
   * Its identity has changed: it leaves the groups that it joined because it was allowed to, and is not any more. Where the hook cannot say, nobody
   * knows what it may still get: it is closed, with the code of the outage, and is asked about anew when it comes back. Rejects with what
   * the hook threw.
   */
  async lookAgain(): Promise<void> {
    try {
      await this.#leaveDenied()
    } catch (error) {
      // Whatever else it is closes it by itself.
      const code = errorCodeOf(error)
      if (code !== null && (isOutage(error) || code === 'authentication-timeout')) this.#closeWith(code)
      throw error
    }
  }

  async #leaveDenied(): Promise<void> {
    const { sessions } = this.#host
    const permissions = this.#permissions
    const left: string[] = []
    const leave = (group: string) => {
      left.push(group)
      this.leave(group).catch((error) => this.#host.report(error, 'layer', this))
    }
    // What its claims deny needs nobody to be asked: a hook that takes its time must not keep it in these.
    for (const group of [...sessions.checkedOf(this)])
      if (permissions?.allows('join', group) === false) leave(group)
    const ask = async () => {
      for (const group of [...sessions.checkedOf(this)]) {
        if (this.#phase > OPEN) return
        if (!(await this.#mayStill(group))) leave(group)
      }
    }
    try {
      await this.#inTime(ask())
    } finally {
      if (left.length > 0) this.sayLater({ left: { groups: left } })
    }
  }

  /** What `authorize` says, for as long as a client may wait for who it is. @throws {GroupcastError} `authentication-timeout` */
  async #inTime(asking: Promise<unknown>): Promise<void> {
    const { clock, limits } = this.#host
    const { authenticateTimeoutMs: ms } = limits
    let cancel = () => {}
    const late = new Promise<never>((_, reject) => {
      const text = `authorize did not settle within authenticateTimeoutMs (${ms}) of a refresh: the client was told to come back.`
      cancel = clock.after(ms, () => reject(new GroupcastError('authentication-timeout', text)))
    })
    try {
      await Promise.race([asking, late])
    } finally {
      cancel()
    }
  }

  get #permissions(): GroupPermissions | null {
    return GroupPermissions.of(this.identity)
  }

  // --- Inside ---

  async #join(group: string, count: number, isPastDenied = false): Promise<void> {
    if (this.#phase > OPEN) return
    const join = () => this.#memberships.join(group, this.#host.limits.maxGroupsPerConnection)
    // Who is in it already has had, or did not want, its past.
    if (this.#catchUp === null || this.#memberships.has(group)) await join()
    else await this.#catchUp.join(group, isPastDenied ? null : count, join)
  }

  async #joinChecked(group: string, count: number): Promise<void> {
    if (!isGroupName(group)) throw new Refusal('invalid-name', badName('group', group))
    this.#chargeJoin()
    const { sessions } = this.#host
    const version = sessions.versionOf(this)
    if (!(await this.allows('join', group))) throw new Refusal('forbidden')
    // Who is in already gets nothing of the past but what it asks for.
    const mayGetPast = this.#catchUp !== null && (count > 0 || this.#phase < OPEN)
    const isPastDenied = mayGetPast && !(await this.allows('history', group))
    await this.#join(group, count, isPastDenied)
    sessions.joined(this, group)
    // Its identity has changed meanwhile, and this group was not yet among those that were looked at again.
    if (sessions.versionOf(this) !== version) await this.#confirm(group)
  }

  /** Undoes a join that is not allowed any more, or of which the hook cannot say. @throws {Refusal} `forbidden`; what the hook threw */
  async #confirm(group: string): Promise<void> {
    let mayStay = false
    try {
      mayStay = await this.#mayStill(group)
    } finally {
      if (!mayStay) await this.leave(group)
    }
    if (!mayStay) throw new Refusal('forbidden')
  }

  /** @throws {Refusal} `rate-exceeded` */
  #chargeJoin(): void {
    const overdraft = this.#host.meters.join(this)
    if (overdraft === null) return
    if (overdraft.isFinal && this.#phase === OPEN) this.#closeFor(overdraft.refusal)
    throw overdraft.refusal
  }

  /** Frames that say nothing cannot be refused: whoever sends too many is closed. */
  #spend(frames: number): void {
    if (this.#phase !== OPEN) return
    const overdraft = this.#host.meters.frames(this, frames)
    if (overdraft !== null) this.#closeFor(overdraft.refusal)
  }

  #closeFor({ code, reason, retryAfterMs }: Refusal): void {
    this.#closeWith(code, reason, retryAfterMs)
  }

  async #mayStill(group: string): Promise<boolean> {
    try {
      return await this.allows('join', group)
    } catch (error) {
      if (isClientFault(error)) return false
      throw error
    }
  }

  #streamPace(): Pace {
    this.#pace ??= new Pace(this)
    if (this.#phase > OPEN) this.#pace.close()
    return this.#pace
  }

  /** Whether as many tasks wait as may. */
  get #isFull(): boolean {
    return this.#inbox.length >= this.#host.limits.maxPendingMessages
  }

  #take(frame: ClientFrame): void {
    if (this.#phase !== OPEN) return
    this.#inbox.push(() => this.#handle(frame))
    if (!this.#isFull || this.isPaused) return
    // A streamed response has nothing to pause: its client is refused the next message instead.
    this.isPaused = true
    this.link?.pause()
  }

  async #handle(frame: ClientFrame): Promise<void> {
    try {
      const result = await perform(this, frame, this.#host)
      if (frame.reply !== null) this.#sendControl({ reply: frame.reply, result: result ?? null })
    } catch (error) {
      if (!isClientFault(error) && !isOutage(error)) throw error
      const message = isClientFault(error) ? error.reason : ERRORS[error.code].message
      const answer = { code: error.code, message, ...retryOf(error) }
      // Where the transport has no way to say it, the close code says it.
      if (!this.#sendControl({ reply: frame.reply, error: answer })) throw error
    }
  }

  /** Whether the format shows it. Goes out in order with everything else. */
  #sendControl(control: Control): boolean {
    const frame = this.format.control(control)
    if (frame !== null) this.outbox.send(new Frame(frame))
    return frame !== null
  }

  taskFailed(error: unknown): void {
    const isKnown = isClientFault(error) || isOutage(error)
    const code = isKnown ? error.code : 'internal-error'
    if (!isKnown) this.#host.report(error, `consumer ${this.route.path}`, this)
    // Gone already, perhaps by what `onError` did: what waits is `disconnect`.
    if (this.#phase === CLOSED) return
    this.#inbox.clear()
    if (isClientFault(error)) this.#closeFor(error)
    else this.#closeWith(code)
  }

  taskDone(): void {
    if (this.#inbox.length * 2 <= this.#host.limits.maxPendingMessages) this.#listenAgain()
  }

  #listenAgain(): void {
    if (!this.isPaused) return
    this.isPaused = false
    // Whatever it answered meanwhile has yet to be read.
    this.isAlive = true
    this.link?.resume()
  }

  #connectTookTooLong(): void {
    const { handshakeTimeoutMs } = this.#host.limits
    const isKnocking = this.#phase === KNOCKING
    const code = isKnocking ? 'authentication-timeout' : 'handshake-timeout'
    const text = `${isKnocking ? 'authenticate' : 'connect'} did not settle within handshakeTimeoutMs (${handshakeTimeoutMs}): the client was refused.`
    this.#host.report(new GroupcastError(code, text), `consumer ${this.route.path}`, this)
    this.#deny(denialOf(code))
  }

  #closeWith(
    code: ErrorCode,
    reason: string = ERRORS[code].message,
    retryAfterMs: number | null = null,
  ): void {
    // Let in, but the response has not started: `opened` will close it.
    if (this.link === null && this.#phase <= CONNECTING && this.#decide === null) {
      this.#closeInfo ??= { code: ERRORS[code].closeCode, reason: fittingReason(reason) }
    } else if (this.link === null) this.#deny(denialOf(code, reason, retryAfterMs))
    else this.#shut({ code: ERRORS[code].closeCode, reason: fittingReason(reason) }, retryAfterMs)
  }

  #close(info: DisconnectInfo): void {
    if (this.#phase > OPEN) return
    if (this.link !== null) this.#shut(info)
    // Let in, but the response has not started: `opened` will close it.
    else if (this.#decide === null) this.#closeInfo ??= info
    else this.#refuse(info)
  }

  /** Closed by the application before the client was let in. */
  #refuse(info: DisconnectInfo): void {
    const comeBack = isComeBackCode(info.code)
    this.#deny({
      code: comeBack ? 'restarting' : 'forbidden',
      closeCode: info.code,
      httpStatus: comeBack ? 503 : 403,
      comeBack,
      reason: info.reason,
      retryAfterMs: null,
    })
  }

  #deny(denial: Denial): void {
    if (this.#phase === CLOSED) return
    this.#host.counters.denied++
    this.#end({ code: denial.closeCode, reason: denial.reason })
    this.#decide?.(denial)
  }

  /** Says goodbye and closes the link; `closed` follows when the client is gone. */
  #shut(info: DisconnectInfo, retryAfterMs: number | null = null): void {
    const { link } = this
    if (link === null || this.#phase >= CLOSING) return
    this.#closeInfo = info
    this.#reads = 0
    // What the client still wanted is moot; what it said before it left by itself is not.
    this.#inbox.clear()
    this.#handlerBacklog?.forget()
    const retryMs = isComeBackCode(info.code) ? (retryAfterMs ?? 0) + this.#retryMs() : undefined
    const close = { ...info, ...(retryAfterMs !== null && { retryAfterMs }) }
    const isWritten = this.outbox.finish(this.format.control({ close }, retryMs))
    this.#phase = CLOSING
    this.#pace?.close()
    this.#leaveAll()
    if (isWritten) link.close(info.code, info.reason)
    else {
      // A client that does not read must not keep what waits for ever.
      const { clock, limits } = this.#host
      this.#stopClosing = clock.after(limits.closeTimeoutMs, () => this.terminate())
    }
    // To hear the answer to the close frame, also while a hook still works on what the client said.
    this.#listenAgain()
  }

  #end(info: DisconnectInfo): void {
    if (this.#phase === CLOSED) return
    const isKnown = this.#phase !== KNOCKING
    this.#phase = CLOSED
    this.#stopClosing?.()
    this.link = null
    this.outbox.shut()
    this.#pace?.close()
    this.#leaveAll()
    this.#abort?.abort()
    this.#host.closed(this)
    this.#inbox.push(async () => {
      try {
        if (isKnown) await this.route.consumer.disconnect?.(this, info)
      } finally {
        this.#host.finished(this)
      }
    })
  }

  #leaveAll(): void {
    for (const group of this.groups) {
      this.#memberships.leave(group).catch((error) => this.#host.report(error, 'layer', this))
    }
  }

  #openControl() {
    const { heartbeatMs } = this.#host.limits
    const cursor = this.#catchUp?.cursor ?? null
    return {
      connection: this.id,
      node: this.#host.nodeId,
      groups: this.groups,
      ...(cursor !== null && { cursor }),
      heartbeatMs: heartbeatMs === false ? 0 : heartbeatMs,
    }
  }

  #retryMs(): number {
    return randomRetryMs(this.#host.limits.retrySpreadMs)
  }
}

/** In place of what a client asked for: it is answered that this is refused. */
function refused({ reply }: ClientFrame, fault: Refusal): ClientFrame {
  return { kind: 'invalid', fault, reply }
}

/** What an error says besides its text. */
function retryOf(error: unknown): { readonly retryAfterMs?: number } {
  return isClientFault(error) && error.retryAfterMs !== null ? { retryAfterMs: error.retryAfterMs } : {}
}

/** @throws {MisuseError} `invalid-option` */
function historyCount({ history = 0 }: JoinOptions): number {
  if (Number.isSafeInteger(history) && history >= 0) return history
  throw new MisuseError('invalid-option', `history is ${quote(history)}: it must be a whole number from 0.`)
}
