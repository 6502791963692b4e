import type { Batch } from '../batch.ts'
import { ERRORS, type ErrorCode, errorCodeOf, GroupcastError, isComeBackCode, Refusal } from '../errors.ts'
import { assertMessage } from '../message.ts'
import { badName, isGroupName } from '../names.ts'
import { Publication } from '../publication.ts'
import type { ConnectionRequest, Denial, Link, LinkOwner } from '../transports/backend.ts'
import type { Control, Transport, WireFormat } from '../wire/wire-format.ts'
import { type ClientFrame, type FrameForms, parseClientFrame } from './client-frame.ts'
import { assertClose, fittingReason } from './close-code.ts'
import { perform } from './commands.ts'
import type { ConnectionHost } from './connection-host.ts'
import type { Connection, DisconnectInfo } from './consumer.ts'
import type { Membership } from './groups.ts'
import type { Beating } from './heartbeats.ts'
import { Inbox } from './inbox.ts'
import type { RouteMatch } from './router.ts'

// Numbers, in the order of a life, so that the hot path compares integers.
const CONNECTING = 0
const OPEN = 1
/** Over its backlog: to be closed at the end of the turn, gets nothing more. */
const CONDEMNED = 2
const CLOSING = 3
const CLOSED = 4

/**
 * One live client. Consumers see it as a {@link Connection}; the back end as a {@link LinkOwner}; groups append frames to it.
 * It owns all its state, and nothing of it lives in a shared closure.
 */
export class LiveConnection implements Connection, LinkOwner, Beating {
  readonly localId: string
  readonly format: WireFormat
  readonly params: Readonly<Record<string, string>>
  readonly request: ConnectionRequest
  readonly #match: RouteMatch
  readonly #host: ConnectionHost
  readonly #inbox: Inbox
  readonly #memberships = new Map<string, Membership>()
  link: Link | null = null
  isAlive = true
  #phase = CONNECTING
  /** Frames that wait: for the end of the turn, for the client to be let in, or for a congested link. */
  #pending: Batch | null = null
  #decide: ((denial: Denial | null) => void) | null = null
  #closeInfo: DisconnectInfo | null = null
  #isPaused = false
  #handlerBacklogBytes = 0
  #abort: AbortController | null = null
  #state: Record<string, unknown> | null = null

  constructor(
    localId: string,
    match: RouteMatch,
    request: ConnectionRequest,
    format: WireFormat,
    host: ConnectionHost,
  ) {
    this.localId = localId
    this.format = format
    this.params = match.params
    this.request = request
    this.#match = match
    this.#host = host
    this.#inbox = new Inbox(
      (error) => this.#failed(error),
      () => this.#progressed(),
    )
  }

  // --- What consumers see ---

  get id(): string {
    return `${this.#host.nodeId}.${this.localId}`
  }

  get channel(): string {
    return this.#host.layer.channelOf(this.#host.nodeId, this.localId)
  }

  get transport(): Transport {
    return this.format.transport
  }

  get query(): URLSearchParams {
    return this.request.query
  }

  get groups(): readonly string[] {
    return [...this.#memberships.keys()]
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
    assertMessage(message)
    this.#sendPublication(new Publication(null, JSON.stringify(message), null))
  }

  async join(name: string): Promise<void> {
    if (!isGroupName(name)) throw new Refusal('invalid-name', badName('group', name))
    if (this.#phase > OPEN) return
    const { groups, limits } = this.#host
    const isMember = this.#memberships.has(name)
    if (!isMember && this.#memberships.size >= limits.maxGroupsPerConnection) {
      throw new Refusal('too-many-groups', `A connection can be in ${limits.maxGroupsPerConnection} groups.`)
    }
    const group = groups.open(name)
    if (!isMember) this.#memberships.set(name, group.add(this))
    try {
      await groups.settle(group)
    } catch (error) {
      this.#remove(name)
      throw error
    }
  }

  async leave(name: string): Promise<void> {
    this.#remove(name)
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
        await this.#match.route.consumer.connect?.(this)
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
    this.#writeControl({ open: this.#openControl() }, this.#retryMs())
    // Closed between the decision and the start of the response.
    if (this.#closeInfo !== null) this.#shut(this.#closeInfo)
    else this.flush()
  }

  received(text: string): void {
    this.isAlive = true
    this.#host.counters.received++
    if (this.#phase !== OPEN) return
    const forms: FrameForms = this.format.envelope ? 'command' : 'message'
    try {
      this.#take(parseClientFrame(text, forms, this.#host.limits.maxJsonDepth))
    } catch (error) {
      this.#inbox.clear()
      this.#failed(asRefusal(error))
    }
  }

  /** What the client of a streamed response posted. @returns whether there was room for it */
  receivePosted(frame: ClientFrame): boolean {
    if (this.#isFull) return false
    this.#host.counters.received++
    this.#take(frame)
    return true
  }

  drained(): void {
    this.flush()
  }

  alive(): void {
    this.isAlive = true
  }

  closed(code: number, reason: string): void {
    if (this.#phase === CLOSED) return
    const wasConnecting = this.#phase === CONNECTING
    this.#end(this.#closeInfo ?? { code, reason })
    if (wasConnecting) this.#decide?.(denialOf('bad-request', 'The client left.'))
  }

  // --- What the hub sees ---

  get route() {
    return this.#match.route
  }

  /**
   * Adds a frame to what this connection will get. Runs once for every delivery: no allocation but the batch that the first
   * member of a group makes, no closure, no call into the transport (bench: fan-out).
   */
  append(frame: Buffer, root: Batch): void {
    const pending = this.#pending
    if (pending === null) {
      if (this.#phase > OPEN) return
      this.#pending = root.append(frame)
      this.#host.turn.add(this)
      return
    }
    const next = pending.append(frame)
    this.#pending = next
    if (next.size > this.#host.earlyFlushBytes) this.#overflow(next)
  }

  /** End of the turn, or the link is writable again. */
  flush(): void {
    const { link } = this
    if (this.#phase === CONDEMNED) {
      this.#closeWith('slow-consumer')
      return
    }
    if (this.#pending === null || link === null || !link.writable) return
    this.#write(this.#pending, link)
  }

  /** A publication of a group whose type this consumer handles. */
  handleLater(publication: Publication): void {
    const handler = this.route.handlers.get(publication.type)
    if (handler === undefined || this.#phase > OPEN) return
    const bytes = publication.json.length
    if (this.#handlerBacklogBytes + bytes > this.#host.limits.maxBacklogBytes) {
      this.#condemn()
      return
    }
    this.#handlerBacklogBytes += bytes
    this.#inbox.push(() => {
      this.#handlerBacklogBytes -= bytes
      return this.#phase > OPEN ? undefined : handler(this, publication.message())
    })
  }

  /** A message for this connection's channel. @returns whether there was room for it */
  receiveFromChannel(publication: Publication): boolean {
    if (this.#phase > OPEN) return true
    if (!this.route.handlers.has(publication.type)) {
      this.#sendPublication(publication)
      return true
    }
    if (this.#isFull) return false
    this.handleLater(publication)
    return true
  }

  /** The frames in a group moved: this connection's place is now `index`. */
  movedTo(group: string, index: number): void {
    const membership = this.#memberships.get(group)
    if (membership !== undefined) membership.index = index
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

  // --- Inside ---

  /** Whether as many tasks wait as may. */
  get #isFull(): boolean {
    return this.#inbox.length >= this.#host.limits.maxPendingMessages
  }

  #take(frame: ClientFrame): void {
    if (this.#phase !== OPEN) return
    this.#inbox.push(() => this.#handle(frame))
    if (!this.#isFull || this.#isPaused) return
    // A streamed response has nothing to pause: its client is refused the next message instead.
    this.#isPaused = true
    this.link?.pause()
  }

  async #handle(frame: ClientFrame): Promise<void> {
    try {
      const result = await perform(this, frame, this.#host)
      if (frame.reply !== null) this.#writeControl({ reply: frame.reply, result: result ?? null })
    } catch (error) {
      if (!isClientFault(error)) throw error
      const answer = { code: error.code, message: error instanceof Refusal ? error.reason : error.message }
      // Where the transport has no way to say it, the close code says it.
      if (!this.#writeControl({ reply: frame.reply, error: answer })) throw error
    }
  }

  #sendPublication(publication: Publication): void {
    if (this.#phase > OPEN) return
    this.append(publication.frame(this.format), this.#host.turn.root(this.format))
  }

  /** Whether the format shows it. Goes out in order with everything else. */
  #writeControl(control: Control, retryMs?: number): boolean {
    const frame = this.format.control(control, retryMs)
    if (frame === null) return false
    if ('open' in control && this.link !== null) {
      // The first thing of all, before whatever was held while the client was at the door.
      this.link.write(this.#host.turn.root(this.format).append(frame))
    } else {
      this.append(frame, this.#host.turn.root(this.format))
    }
    return true
  }

  #write(batch: Batch, link: Link): void {
    this.#pending = null
    link.write(batch)
    this.#host.turn.wrote(batch)
  }

  #overflow(pending: Batch): void {
    const { link } = this
    if (link?.writable === true) this.#write(pending, link)
    else if (pending.size + (link?.bufferedBytes ?? 0) > this.#host.limits.maxBacklogBytes) this.#condemn()
  }

  /** Closes at the end of the turn: groups are being walked now. */
  #condemn(): void {
    if (this.#phase > OPEN) return
    this.#host.counters.slowConsumers++
    this.#phase = CONDEMNED
    this.#pending = null
    this.#host.turn.add(this)
  }

  #failed(error: unknown): void {
    const code = isClientFault(error) ? error.code : 'internal-error'
    if (!isClientFault(error)) this.#host.report(error, `consumer ${this.route.path}`, this)
    this.#inbox.clear()
    if (this.#phase < CLOSED) this.#closeWith(code, error instanceof Refusal ? error.reason : undefined)
  }

  #progressed(): void {
    if (!this.#isPaused || this.#inbox.length * 2 > this.#host.limits.maxPendingMessages) return
    this.#isPaused = false
    this.link?.resume()
  }

  #connectTookTooLong(): void {
    const { handshakeTimeoutMs } = this.#host.limits
    const text = `connect did not settle within handshakeTimeoutMs (${handshakeTimeoutMs}): the client was refused.`
    this.#host.report(new GroupcastError('handshake-timeout', text), `consumer ${this.route.path}`, this)
    this.#deny(denialOf('handshake-timeout'))
  }

  #closeWith(code: ErrorCode, reason: string = ERRORS[code].message): void {
    if (this.link === null) this.#deny(denialOf(code, reason))
    else this.#shut({ code: ERRORS[code].closeCode, reason: fittingReason(reason) })
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
    })
  }

  #deny(denial: Denial): void {
    if (this.#phase === CLOSED) return
    this.#host.counters.denied++
    this.#end({ code: denial.closeCode, reason: denial.reason })
    this.#decide?.(denial)
  }

  /** Says goodbye and closes the link; `closed` follows when the client is gone. */
  #shut(info: DisconnectInfo): void {
    const { link } = this
    if (link === null || this.#phase >= CLOSING) return
    this.#closeInfo = info
    // What the client still wanted is moot; what it said before it left by itself is not.
    this.#inbox.clear()
    if (this.#pending !== null) this.#write(this.#pending, link)
    const isComeBack = isComeBackCode(info.code)
    const frame = this.format.control({ close: info }, isComeBack ? this.#retryMs() : undefined)
    if (frame !== null) this.#write(this.#host.turn.root(this.format).append(frame), link)
    this.#phase = CLOSING
    this.#leaveAll()
    link.close(info.code, info.reason)
  }

  #end(info: DisconnectInfo): void {
    if (this.#phase === CLOSED) return
    this.#phase = CLOSED
    this.#pending = null
    this.link = null
    this.#leaveAll()
    this.#abort?.abort()
    this.#host.closed(this)
    this.#inbox.push(async () => {
      try {
        await this.route.consumer.disconnect?.(this, info)
      } finally {
        this.#host.finished(this)
      }
    })
  }

  #leaveAll(): void {
    for (const name of this.groups) this.#remove(name)
  }

  #remove(name: string): void {
    const membership = this.#memberships.get(name)
    if (membership === undefined) return
    this.#memberships.delete(name)
    membership.group.remove(membership)
    this.#host.groups.settle(membership.group).catch((error) => this.#host.report(error, 'layer', this))
  }

  #openControl() {
    const { heartbeatMs } = this.#host.limits
    return {
      connection: this.id,
      node: this.#host.nodeId,
      groups: this.groups,
      heartbeatMs: heartbeatMs === false ? 0 : heartbeatMs,
    }
  }

  /** At random, so that the clients of a hub that went away do not all come back at once. */
  #retryMs(): number {
    return Math.ceil(Math.random() * this.#host.limits.retrySpreadMs)
  }
}

function isClientFault(error: unknown): error is GroupcastError {
  return (
    error instanceof Refusal || (error instanceof GroupcastError && errorCodeOf(error) === 'invalid-message')
  )
}

function asRefusal(error: unknown): unknown {
  return error instanceof GroupcastError ? new Refusal(error.code, error.message) : error
}

/** The denial of an error's code. */
export function denialOf(code: ErrorCode, reason: string = ERRORS[code].message): Denial {
  const { closeCode, httpStatus, comeBack } = ERRORS[code]
  return { code, closeCode, httpStatus, comeBack, reason }
}
