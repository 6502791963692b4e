/**
 * The server back end: what the bytes travel through. It accepts sockets and requests, asks the hub's {@link Gate} what each
 * one is, and hands the hub a {@link Link} for every client that is let in. The hub never touches a socket.
 *
 * Obligations of a back end:
 *
 *  1. Every request and upgrade is shown to `gate.plan` first. `pass` belongs to somebody else's application: the back end
 *     leaves it as if it had never been there. Whatever the gate answers, nobody else sees.
 *  2. For `stream` and `websocket` it picks the wire format, calls `gate.admit`, waits for `decision`, and only then answers:
 *     admitted, it starts the response and calls `owner.opened(link)` at once; denied, it tells the client as
 *     `docs/protocol.md` says for the transport.
 *  3. The owner's methods are called while the client lives: `received` for each text in order, `drained` when a link that was
 *     not writable has become so, `alive` for any sign of life, `pinged` for each ping, `answered` for each pong, `closed` exactly
 *     once, at the end, also when the client leaves before the decision.
 *  4. Texts longer than `limits.maxMessageBytes`, binary frames and malformed frames never reach `received`: the link closes with the
 *     code of the error table.
 *  5. No client can make it throw, leave a timer, a listener or a socket behind, or hold more than the limits allow. A body that takes longer
 *     than `limits.bodyTimeoutMs` is answered `body-timeout`, and its connection is closed. Compression is never negotiated.
 */
import type { Batch } from '../batch.ts'
import type { ErrorCode } from '../errors.ts'
import type { Limits } from '../options.ts'
import type { WireFormat } from '../wire/wire-format.ts'

/** The client's request as consumers see it. A snapshot: it outlives the request. */
export interface ConnectionRequest {
  readonly method: string
  /** Path and query as sent. */
  readonly url: string
  /** The path alone, not decoded. */
  readonly path: string
  /** Parsed anew each time it is read: a connection that lives for days need not keep it. */
  readonly query: URLSearchParams
  /** The client's address; a proxy's where one is in front. */
  readonly remoteAddress: string
  /** Whether the bytes come through TLS that this process ended. */
  readonly encrypted: boolean
  /** A header's value, several joined by `, `; the name in any case. */
  header(name: string): string | undefined
}

/** One live client as the hub writes to it. */
export interface Link {
  /** Whether a write would go out now; `false` until `drained` is called. */
  readonly writable: boolean
  /** Bytes accepted by `write` that have not left the process. */
  readonly bufferedBytes: number
  /** Bytes accepted since the connection began. Only asked where `answersHeartbeats`. */
  readonly writtenBytes: number
  /** Whether those bytes are the batches' own (`batch.bytes()`), one copy for all links that have them; else each link has its own. */
  readonly sharesBytes: boolean
  /** Writes a batch. Returns whether it is writable still. Never called after `close`. */
  write(batch: Batch): boolean
  /** Whether a living client answers a heartbeat, so that silence means death. */
  readonly answersHeartbeats: boolean
  /** Sends whatever keeps this transport awake, unless the link is not writable. Returns whether it was sent. */
  heartbeat(): boolean
  /** Ends the connection after what was written, and by force when the client does not follow. */
  close(code: number, reason: string): void
  /** Ends it now. */
  terminate(): void
  /** Stops and starts reading from the client. */
  pause(): void
  resume(): void
}

/** The hub's end of a link: what the back end tells it; obligation 3. */
export interface LinkOwner {
  /** The response has started; the hub may write from now on. */
  opened(link: Link): void
  /** A complete text from the client, of so many bytes. */
  received(text: string, bytes: number): void
  /** The link can be written to again. */
  drained(): void
  /** The client sent something: for each read from its socket, where the back end sees those. */
  alive(): void
  /** The client sent a ping, which the back end answers. */
  pinged(): void
  /** It sent a pong: where it was asked, it has read what was written before. */
  answered(): void
  /** The client is gone. */
  closed(code: number, reason: string): void
}

/** A client at the door. */
export interface Admission {
  /** `null`: let in. Never rejects. */
  readonly decision: Promise<Denial | null>
  readonly owner: LinkOwner
}

/** Why a client is not let in, in the terms of each transport. */
export interface Denial {
  readonly code: ErrorCode
  readonly closeCode: number
  readonly httpStatus: number
  readonly comeBack: boolean
  readonly reason: string
  /** When it may try again, in milliseconds from now, where that is known. */
  readonly retryAfterMs: number | null
}

/** What the `close` of a stream says that is not let in. */
export function closeOf({ closeCode: code, reason, retryAfterMs }: Denial) {
  return { code, reason, ...(retryAfterMs !== null && { retryAfterMs }) }
}

/** A complete HTTP answer. */
export interface HttpAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** What the gate makes of a request. */
export type Plan =
  | { readonly kind: 'pass' }
  | { readonly kind: 'answer'; readonly answer: HttpAnswer }
  | UplinkPlan
  | StreamPlan
  | WebSocketPlan

interface Admissible {
  readonly envelope: boolean
  /** The matched consumer; opaque to back ends. */
  readonly route: unknown
  readonly request: ConnectionRequest
}

/** A streamed response. `headers` go into it besides those of the format. */
export interface StreamPlan extends Admissible {
  readonly kind: 'stream'
  readonly transport: 'sse' | 'ndjson'
  readonly headers: Readonly<Record<string, string>>
}

/** A WebSocket. `protocol` is the subprotocol to choose; `null` chooses none. */
export interface WebSocketPlan extends Admissible {
  readonly kind: 'websocket'
  readonly transport: 'websocket'
  readonly protocol: string | null
}

/** A message that a client of a streamed response posts; give the body (at most `maxBytes`) to `gate.uplink`. */
export interface UplinkPlan {
  readonly kind: 'uplink'
  readonly connectionId: string
  readonly maxBytes: number
  readonly headers: Readonly<Record<string, string>>
}

/** What the hub offers to back ends. */
export interface Gate {
  readonly limits: Limits
  /** What to do with a request, once for each: attempts to connect are counted. Decides from the request alone, at once. Never throws. */
  plan(request: ConnectionRequest): Plan
  /** Makes a connection of it and asks the consumer. Never throws. */
  admit(plan: StreamPlan | WebSocketPlan, format: WireFormat): Admission
  /** Hands a posted message to its connection. Never rejects. */
  uplink(plan: UplinkPlan, body: string): Promise<HttpAnswer>
  /** A problem document (RFC 9457) for an answer that a back end gives by itself. */
  problem(
    code: ErrorCode,
    headers?: Readonly<Record<string, string>>,
    detail?: string,
    retryAfterMs?: number | null,
  ): HttpAnswer
  /** A failure that nobody else will hear of. */
  report(error: unknown, where: string): void
}

/** The hub's hold on a server it was attached to. */
export interface Attachment {
  /** Lets go: later requests and upgrades are the application's again. Live connections stay. */
  detach(): void
}

/** See the obligations at the head of this file. `Server` is what the back end can be attached to. */
export interface ServerBackend<Server> {
  readonly name: string
  attach(server: Server, gate: Gate): Attachment
}
