import type { Batch } from '../../batch.ts'
import { ERRORS, type ErrorCode } from '../../errors.ts'
import type { Frame } from '../../frame.ts'
import type { Limits } from '../../options.ts'
import { fittingReason, type WebSocketFormat, websocketFormat } from '../../wire/websocket.ts'
import type { Denial, Gate, Link, LinkOwner, WebSocketPlan } from '../backend.ts'
import { HANDSHAKE_HEADERS, isHandshake, NO_HANDSHAKE } from '../handshake.ts'
import { sendAnswer } from './answer.ts'
import { beginOutside, enter, isInside, type Waiting } from './outside.ts'
import type { UwsContext, UwsResponse, UwsWebSocket, UwsWebSocketBehavior } from './uws.ts'

/**
 * uWebSockets.js cuts a client that sends more than it was told to take, without a word. So it is told to take a little more, and the client
 * whose message is not much too long hears why it is closed.
 */
const OVERSIZE_BYTES = 64 * 1024

/** What a client may owe of the answers to its own pings. They are sent by uWebSockets.js, which would store them without bound. */
const MAX_PONG_BYTES = 64 * 1024

/** What a text that waits for its consumer costs besides its bytes. */
const TEXT_BYTES = 256

/** `SHARED_COMPRESSOR` and the others compress for each subscriber anew. */
const NO_COMPRESSION = 0

type Handlers = Omit<UwsWebSocketBehavior, 'upgrade'>

/**
 * The options and handlers of all WebSockets of an app. What has a wrong value here ends the process (`idleTimeout` must be 0 or 8 to 960),
 * so none comes from outside but the size of messages.
 */
export function webSocketHandlers({ maxMessageBytes }: Limits): Handlers {
  return {
    maxPayloadLength: maxMessageBytes + OVERSIZE_BYTES,
    // The hub sends heartbeats, and decides who is dead.
    idleTimeout: 0,
    sendPingsAutomatically: false,
    // No limit: beyond one, messages and close frames would be dropped without a trace. The hub writes nothing to a congested link, and keeps
    // the bounds by itself.
    maxBackpressure: 0,
    compression: NO_COMPRESSION,
    open: (socket) => linkOf(socket).begin(socket),
    message: (socket, message, isBinary) => linkOf(socket).take(message, isBinary),
    drain: (socket) => linkOf(socket).drained(),
    ping: (socket, message) => linkOf(socket).pinged(message?.byteLength ?? 0),
    pong: (socket) => linkOf(socket).ponged(),
    close: (socket, code, message) => linkOf(socket).ended(code, Buffer.from(message).toString()),
  }
}

interface UserData {
  readonly link: WebSocketLink
}

function linkOf(socket: UwsWebSocket): WebSocketLink {
  return (socket.getUserData() as UserData).link
}

/**
 * Lets a WebSocket in. Everything of the request was read before: it is gone when the hub has decided.
 *
 * @param key the header `Sec-WebSocket-Key`
 */
export function acceptWebSocket(
  plan: WebSocketPlan,
  key: string,
  response: UwsResponse,
  context: UwsContext,
  gate: Gate,
): void {
  if (!isHandshake(plan.request)) {
    // RFC 6455, section 4.4. No consumer hears of it.
    sendAnswer(response, gate.problem('bad-request', HANDSHAKE_HEADERS, NO_HANDSHAKE), { close: true })
    return
  }
  const format = websocketFormat(plan.envelope, 'bare')
  const { decision, owner } = gate.admit(plan, format)
  const handshake = new Handshake(plan, key, response, context, gate, owner, format)
  // Without it uWebSockets.js ends the process, since nothing has been answered when the handler returns.
  response.onAborted(() => handshake.aborted())
  enter(handshake)
  decision.then(
    (denial) => handshake.decided(denial),
    (error) => handshake.failed(error),
  )
}

/** A client at the door. */
class Handshake implements Waiting {
  readonly #plan: WebSocketPlan
  readonly #key: string
  readonly #context: UwsContext
  readonly #gate: Gate
  readonly #owner: LinkOwner
  readonly #format: WebSocketFormat
  /** `null` once the client has left: every call would throw. */
  #response: UwsResponse | null
  #denial: Denial | null = null

  constructor(
    plan: WebSocketPlan,
    key: string,
    response: UwsResponse,
    context: UwsContext,
    gate: Gate,
    owner: LinkOwner,
    format: WebSocketFormat,
  ) {
    this.#plan = plan
    this.#key = key
    this.#response = response
    this.#context = context
    this.#gate = gate
    this.#owner = owner
    this.#format = format
  }

  aborted(): void {
    this.#response = null
    this.#owner.closed(1006, '')
  }

  decided(denial: Denial | null): void {
    if (this.#response === null) return
    this.#denial = denial
    if (!isInside(this)) {
      beginOutside(this)
      return
    }
    try {
      this.begin()
    } catch (error) {
      this.failed(error)
    }
  }

  failed(error: unknown): void {
    this.#gate.report(error, 'websocket')
  }

  begin(): void {
    const response = this.#response
    if (response === null) return
    const { protocol } = this.#plan
    const link = new WebSocketLink(this.#owner, this.#format, this.#gate.limits, this.#denial)
    const upgrade = () => response.upgrade<UserData>({ link }, this.#key, protocol ?? '', '', this.#context)
    const isCorked = isInside(this)
    // Uncorked, each header would be a write. But at the end of a `cork` builds before July 2026 look behind the socket that was upgraded in it for the
    // state of the response, and close it if something else was put there meanwhile. So nothing is done in there that takes memory.
    if (isCorked) upgrade()
    else response.cork(upgrade)
    link.open()
    if (isCorked && link.isToClose) setImmediate(() => link.upgraded())
    else link.upgraded()
  }
}

/**
 * Messages from this length on take another way in uWebSockets.js, past its buffer: where the system takes nothing of one, builds before October
 * 2023 lose it and keep its header, which swallows what follows. In a handler for `drain` no build goes on with it.
 */
const LONG_BYTES = 16 * 1024

/** @returns whether the system took it, as far as can be told */
function send(socket: UwsWebSocket, { bytes }: Frame): boolean {
  // What may be compressed goes through the buffer. Nothing is: there is no compressor.
  return socket.send(bytes, false, bytes.length >= LONG_BYTES) === 1
}

/** What the callback of `cork` sends: one function for all, so that a write makes no closure (bench: fan-out). */
let corkedSocket: UwsWebSocket | null = null
let corkedFrames: readonly Frame[] = []

function sendCorked(): void {
  const socket = corkedSocket as UwsWebSocket
  for (let i = 0; i < corkedFrames.length; i++) send(socket, corkedFrames[i] as Frame)
}

/** What uWebSockets.js says of a client that it cut, and the code that says so. */
const FAULTS: readonly (readonly [start: string, code: ErrorCode | number])[] = [
  ['Received too big message', 'message-too-large'],
  ['Received invalid UTF-8', 1007],
]

/** Without a word. */
const CUT: Farewell = Object.freeze({ code: 1006, reason: '' })

interface Farewell {
  readonly code: number
  readonly reason: string
}

class WebSocketLink implements Link {
  readonly answersHeartbeats = true
  readonly sharesBytes = false
  writtenBytes = 0
  readonly #owner: LinkOwner
  readonly #format: WebSocketFormat
  readonly #limits: Limits
  /** `null` before it is open and once it is closed: every call would throw. */
  #socket: UwsWebSocket | null = null
  /** Something was written that the system has not taken yet. */
  #isCongested = false
  /** In the cork of its handshake, in which a close frame would not be followed by FIN. */
  #isOpening = true
  /** To be cut when it is open: not inside its own handshake. */
  #isDoomed = false
  #denial: Denial | null
  /** How this end closes it. */
  #goodbye: Farewell | null = null
  #timer: NodeJS.Timeout | null = null
  /** What came while it was paused. `null`: it is not. */
  #held: string[] | null = null
  #heldBytes = 0
  #pongBytes = 0
  /** How it ended while something was held: the hub hears of it when it has had that. */
  #farewell: Farewell | null = null

  constructor(owner: LinkOwner, format: WebSocketFormat, limits: Limits, denial: Denial | null) {
    this.#owner = owner
    this.#format = format
    this.#limits = limits
    this.#denial = denial
  }

  // --- What the hub calls ---

  get writable(): boolean {
    return !this.#isCongested
  }

  get bufferedBytes(): number {
    return this.#socket?.getBufferedAmount() ?? 0
  }

  write(batch: Batch): boolean {
    const socket = this.#socket
    if (socket === null || this.#goodbye !== null) return true
    this.writtenBytes += batch.size
    const frames = batch.list()
    if (frames.length === 1) {
      // Without a cork: one send is one system call, and its result says whether the system took it.
      if (!send(socket, frames[0] as Frame)) this.#congested()
      return !this.#isCongested
    }
    corkedSocket = socket
    corkedFrames = frames
    socket.cork(sendCorked)
    if (socket.getBufferedAmount() > 0) this.#congested()
    return !this.#isCongested
  }

  heartbeat(): boolean {
    const socket = this.#socket
    if (socket === null || this.#isCongested || this.#goodbye !== null) return false
    const { heartbeat } = this.#format
    socket.cork(() => {
      socket.ping()
      if (heartbeat.length > 0) socket.send(heartbeat, false, false)
    })
    if (socket.getBufferedAmount() > 0) this.#congested()
    this.writtenBytes += 2 + heartbeat.length
    return true
  }

  close(code: number, reason: string): void {
    if (this.#goodbye !== null) return
    this.#goodbye = { code, reason }
    // What it said before it is told to go is moot.
    this.#held = null
    if (this.#farewell === null) this.#sayGoodbye()
    else this.#tellEnd(this.#farewell)
  }

  terminate(): void {
    this.#goodbye ??= CUT
    this.#held = null
    if (this.#farewell !== null) this.#tellEnd(this.#farewell)
    else if (this.#isOpening) this.#isDoomed = true
    else this.#socket?.close()
  }

  /** uWebSockets.js cannot stop reading: what comes meanwhile is kept, within the bound for what waits for one client. */
  pause(): void {
    this.#held ??= []
  }

  resume(): void {
    const held = this.#held
    this.#held = null
    this.#heldBytes = 0
    if (held === null) return
    for (let i = 0; i < held.length; i++) {
      const text = held[i] as string
      this.#owner.received(text, Buffer.byteLength(text))
      if (this.#isClosing()) return
      // Too much again: the rest waits on, before whatever comes.
      if (this.#wasPausedAgain()) {
        for (const text of held.slice(i + 1)) this.#hold(text)
        return
      }
    }
    if (this.#farewell !== null) this.#tellEnd(this.#farewell)
  }

  // --- What uWebSockets.js calls ---

  begin(socket: UwsWebSocket): void {
    this.#socket = socket
  }

  /** After the upgrade, not in it. */
  open(): void {
    const socket = this.#socket
    if (socket !== null && this.#denial === null) socket.cork(() => this.#owner.opened(this))
  }

  /** Whether it has been let in only to be told to go; not inside of its own handler. */
  get isToClose(): boolean {
    return this.#isDoomed || this.#denial !== null || this.#goodbye !== null
  }

  /** The head of the handshake, and what the hub said first, were written. */
  upgraded(): void {
    this.#isOpening = false
    if (this.#socket === null) return
    if (this.#isDoomed) {
      this.#socket.close()
      return
    }
    if (this.#socket.getBufferedAmount() > 0) this.#congested()
    const denial = this.#denial
    this.#denial = null
    // A browser shows the application no status of a failed handshake: let it in and close with the reason.
    if (denial !== null) this.close(denial.closeCode, fittingReason(denial.reason))
    else if (this.#goodbye !== null) this.#sayGoodbye()
  }

  take(message: ArrayBuffer, isBinary: boolean): void {
    if (this.#goodbye !== null) return
    if (isBinary) {
      this.#fail('unsupported-media-type')
      return
    }
    if (message.byteLength > this.#limits.maxMessageBytes) {
      this.#fail('message-too-large')
      return
    }
    // Copied: the bytes are gone when the handler returns.
    const text = Buffer.from(message).toString()
    if (this.#held === null) this.#owner.received(text, message.byteLength)
    else {
      this.#owner.alive()
      this.#hold(text)
    }
  }

  drained(): void {
    const socket = this.#socket
    if (socket === null || socket.getBufferedAmount() > 0) return
    this.#pongBytes = 0
    if (this.#goodbye !== null) this.#sayGoodbye()
    // Not in the handler: a message of 16 KiB and more that is written there, and that the system does not take whole, would wait for ever.
    // uWebSockets.js stops waiting for the socket when the handler returns.
    else if (this.#isCongested) setImmediate(() => this.#goOn())
  }

  /** Looked at again when this turn's corks are gone: what only waited in one has left then, and nobody tells. */
  #congested(): void {
    if (this.#isCongested) return
    this.#isCongested = true
    setImmediate(() => this.#goOn())
  }

  #goOn(): void {
    const socket = this.#socket
    // A pong may have been in the way again.
    if (socket === null || !this.#isCongested || socket.getBufferedAmount() > 0) return
    this.#isCongested = false
    this.#owner.drained()
  }

  pinged(bytes: number): void {
    this.#owner.pinged()
    this.#pongBytes += bytes + 2
    if (this.#pongBytes < MAX_PONG_BYTES) return
    this.#pongBytes = 0
    // It asks, and does not read the answers.
    if (this.bufferedBytes >= MAX_PONG_BYTES) this.#cut('slow-consumer')
  }

  ponged(): void {
    this.#owner.answered()
  }

  /**
   * The end, whoever brought it about. What the client had said before it left by itself is handled, at the pace of its consumer: with a server that
   * stops reading it would still be in the socket, before the end.
   */
  ended(code: number, reason: string): void {
    this.#socket = null
    if (this.#timer !== null) clearTimeout(this.#timer)
    // Nobody was told of it.
    if (this.#denial !== null) return
    const farewell = code === 1006 ? { code: faultOf(reason), reason: '' } : { code, reason }
    if (this.#goodbye !== null || this.#held === null || this.#held.length === 0) {
      this.#tellEnd(farewell)
      return
    }
    this.#farewell = farewell
    if (!this.#isCongested) return
    // What the hub still has for it goes nowhere, but must not be taken for the backlog of a slow client.
    this.#isCongested = false
    queueMicrotask(() => this.#owner.drained())
  }

  // --- Inside ---

  #hold(text: string): void {
    this.#heldBytes += text.length + TEXT_BYTES
    if (this.#heldBytes > this.#limits.maxBacklogBytes) this.#fail('too-many-messages')
    else this.#held?.push(text)
  }

  #wasPausedAgain(): boolean {
    return this.#held !== null
  }

  #isClosing(): boolean {
    return this.#goodbye !== null
  }

  #tellEnd({ code, reason }: Farewell): void {
    this.#farewell = null
    const said = code === 1006 ? (this.#goodbye?.code ?? code) : code
    // Not at once: uWebSockets.js tells of it from within `end` and `close`, when the hub is in the middle of something.
    queueMicrotask(() => this.#owner.closed(said, reason))
  }

  #fail(code: ErrorCode): void {
    this.close(ERRORS[code].closeCode, fittingReason(ERRORS[code].message))
  }

  #cut(code: ErrorCode): void {
    this.#goodbye ??= { code: ERRORS[code].closeCode, reason: ERRORS[code].message }
    this.terminate()
  }

  /** After all that was written: behind a close frame uWebSockets.js tells nothing more of the client. */
  #sayGoodbye(): void {
    const socket = this.#socket
    if (socket === null || this.#goodbye === null || this.#isOpening) return
    if (socket.getBufferedAmount() === 0) {
      socket.end(this.#goodbye.code, Buffer.from(this.#goodbye.reason))
      return
    }
    // A client that does not read must not keep the socket for ever.
    this.#timer ??= setTimeout(() => this.terminate(), this.#limits.closeTimeoutMs)
    this.#timer.unref()
  }
}

function faultOf(reason: string): number {
  const [, code = 1006] = FAULTS.find(([start]) => reason.startsWith(start)) ?? []
  return typeof code === 'number' ? code : ERRORS[code].closeCode
}
