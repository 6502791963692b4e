import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { type RawData, WebSocket, WebSocketServer } from 'ws'
import type { Batch } from '../../batch.ts'
import { ERRORS } from '../../errors.ts'
import type { Limits } from '../../options.ts'
import {
  ENVELOPE_PROTOCOL,
  fittingReason,
  type WebSocketFormat,
  websocketFormat,
} from '../../wire/websocket.ts'
import type { Denial, Gate, Link, LinkOwner, WebSocketPlan } from '../backend.ts'
import { HANDSHAKE_HEADERS, isHandshake, NO_HANDSHAKE } from '../handshake.ts'
import { refuseUpgrade } from './answer.ts'

/** A WebSocket that knows its link, so that listeners can be shared by all connections. */
class LinkedWebSocket extends WebSocket {
  link: WebSocketLink | null = null
  /** The code of the close frame that this end sent first, `ws` itself included (1002, 1007, 1009). */
  sentCode: number | null = null

  /** Called by `ws` for each ping. A listener would cost each connection some bytes (bench: idle-memory). */
  override pong(data?: unknown, mask?: boolean, done?: (error: Error) => void): void {
    this.link?.owner.pinged()
    super.pong(data, mask, done)
  }

  override close(code?: number, reason?: string | Buffer): void {
    this.sentCode ??= code ?? null
    // ws says no reason when it closes by itself.
    super.close(code, reason ?? REASONS.get(code ?? 0))
  }
}

/**
 * How many answers to its own pings a client may leave unread, 127 bytes each at most: beyond it `ws` cuts it. That the hub may count pings, and say
 * why it closes, it must be more than come in a burst.
 */
const MAX_PENDING_PONGS = 512

/**
 * In how many pieces a message may come: frames, or parts of a frame in segments of TCP. A client that is not out to do harm sends some hundred
 * bytes in each.
 */
function piecesOf({ maxMessageBytes }: Limits): number {
  return Math.max(2_048, Math.ceil(maxMessageBytes / 32))
}

const REASONS: ReadonlyMap<number, string> = new Map([
  [ERRORS['message-too-large'].closeCode, ERRORS['message-too-large'].message],
])

/** Lets WebSockets in: `ws` does the handshake, reads and closes; publications are written past it, framed once for all. */
export class WebSockets {
  readonly #gate: Gate
  readonly #server: WebSocketServer

  constructor(gate: Gate) {
    this.#gate = gate
    this.#server = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      maxPayload: gate.limits.maxMessageBytes,
      // Each piece of a message costs hundreds of bytes until it is whole, however few it brings.
      maxFragments: piecesOf(gate.limits),
      maxBufferedChunks: piecesOf(gate.limits),
      maxPendingAutoPongs: MAX_PENDING_PONGS,
      // Compression would encode per client, and its queue would let raw writes overtake ws's own frames.
      perMessageDeflate: false,
      handleProtocols: (offered) => (offered.has(ENVELOPE_PROTOCOL) ? ENVELOPE_PROTOCOL : false),
      closeTimeout: gate.limits.closeTimeoutMs,
      WebSocket: LinkedWebSocket,
    } as ConstructorParameters<typeof WebSocketServer>[0])
  }

  async accept(plan: WebSocketPlan, request: IncomingMessage, socket: Socket, head: Buffer): Promise<void> {
    if (!isHandshake(plan.request)) {
      refuseUpgrade(socket, this.#gate.problem('bad-request', HANDSHAKE_HEADERS, NO_HANDSHAKE))
      return
    }
    const format = websocketFormat(plan.envelope, 'framed')
    const { decision, owner } = this.#gate.admit(plan, format)
    const leave = () => owner.closed(1006, '')
    socket.once('close', leave)
    // Until ws reads, nobody does, and a socket that is not read does not say that its client has left. What the client sends
    // early stays in the socket, for ws: only an empty one is read, which is how the end comes out.
    const look = () => {
      if (socket.readableLength === 0) socket.read()
    }
    const leftEarly = () => socket.destroy()
    socket.on('readable', look)
    socket.once('end', leftEarly)
    const denial = await decision
    socket.off('readable', look)
    socket.off('end', leftEarly)
    // `close` is on its way, and tells the owner.
    if (socket.destroyed) return
    this.#server.handleUpgrade(request, socket, head, (client) => {
      // From here on ws tells. Not earlier: it may refuse the handshake instead of calling back.
      socket.off('close', leave)
      if (denial === null) this.#open(client as LinkedWebSocket, socket, owner, format)
      else deny(client, denial)
    })
  }

  #open(client: LinkedWebSocket, socket: Socket, owner: LinkOwner, format: WebSocketFormat): void {
    const link = new WebSocketLink(client, socket, owner, format)
    client.link = link
    client.on('message', onMessage)
    client.on('pong', onPong)
    client.on('error', ignore)
    client.on('close', onClose)
    ;(socket as LinkedSocket)[OWNER] = owner
    socket.on('drain', onDrain)
    // Not `pong`: the pong of a client that sends a long message slowly has to wait for the message's end.
    socket.on('data', onData)
    owner.opened(link)
  }
}

/** Where a socket's listeners find whom to tell: shared by all connections, they cost none of them anything (bench: idle-memory). */
const OWNER = Symbol('owner')

interface LinkedSocket extends Socket {
  [OWNER]?: LinkOwner
}

function onDrain(this: LinkedSocket): void {
  this[OWNER]?.drained()
}

function onData(this: LinkedSocket): void {
  this[OWNER]?.alive()
}

/** A browser shows the application no status of a failed handshake: let it in and close with the reason. */
function deny(client: WebSocket, { closeCode, reason }: Denial): void {
  client.on('error', ignore)
  client.close(closeCode, fittingReason(reason))
}

function onMessage(this: WebSocket, data: RawData, isBinary: boolean): void {
  const { link } = this as LinkedWebSocket
  // ws goes on reading until the client has answered the close frame.
  if (this.readyState !== WebSocket.OPEN) return
  if (isBinary) link?.closeWith('unsupported-media-type')
  else link?.owner.received(data.toString(), (data as Buffer).length)
}

function onPong(this: WebSocket): void {
  ;(this as LinkedWebSocket).link?.owner.answered()
}

function onClose(this: WebSocket, code: number, reason: Buffer): void {
  const { link, sentCode } = this as LinkedWebSocket
  ;(this as LinkedWebSocket).link = null
  // 1006: the client has not answered our close frame, as few do that were closed for a fault.
  link?.owner.closed(code === 1006 ? (sentCode ?? code) : code, reason.toString())
}

// ws closes with the right code by itself (1002, 1007, 1009); the `close` event tells the rest.
function ignore(): void {}

class WebSocketLink implements Link {
  readonly owner: LinkOwner
  readonly answersHeartbeats = true
  readonly #client: WebSocket
  readonly #socket: Socket
  readonly #heartbeat: Buffer

  constructor(client: WebSocket, socket: Socket, owner: LinkOwner, format: WebSocketFormat) {
    this.#client = client
    this.#socket = socket
    this.#heartbeat = format.heartbeat
    this.owner = owner
  }

  get writable(): boolean {
    return !this.#socket.writableNeedDrain
  }

  get bufferedBytes(): number {
    return this.#socket.writableLength
  }

  get sharesBytes(): boolean {
    // TLS makes bytes of its own for each client.
    return !('encrypted' in this.#socket)
  }

  get writtenBytes(): number {
    return this.#socket.bytesWritten
  }

  write(batch: Batch): boolean {
    // Nothing may follow a close frame (RFC 6455, section 5.5.1), and ws sends one by itself when the client does.
    return this.#client.readyState !== WebSocket.OPEN || this.#socket.write(batch.bytes())
  }

  heartbeat(): boolean {
    if (!this.writable || this.#client.readyState !== WebSocket.OPEN) return false
    this.#socket.write(this.#heartbeat)
    return true
  }

  close(code: number, reason: string): void {
    this.#client.close(code, reason)
  }

  closeWith(code: 'unsupported-media-type'): void {
    this.#client.close(ERRORS[code].closeCode, ERRORS[code].message)
  }

  terminate(): void {
    this.#client.terminate()
  }

  pause(): void {
    this.#client.pause()
  }

  resume(): void {
    this.#client.resume()
  }
}
