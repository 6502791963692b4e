/** The hub's public interface: what applications, the HTTP API, the server and the command line build on. */
import type { Clock } from '../clock.ts'
import type { HistoryOptions } from '../history.ts'
import type { Authenticate } from '../identity.ts'
import type { ChannelLayer, LayerStatus } from '../layers/layer.ts'
import type { AnyMessages, MessageOf, MessageSchemas } from '../message.ts'
import type { Limits } from '../options.ts'
import type { Rates, RefusedFor } from '../rates.ts'
import type { SlowPolicy } from '../slow.ts'
import type { Source } from '../source.ts'
import type { Attachment, ConnectionRequest, ServerBackend } from '../transports/backend.ts'
import type { Transport } from '../wire/wire-format.ts'
import type { Consumer, PathParams } from './consumer.ts'
import type { HistogramStats } from './histogram.ts'
import type { PieceOf, StreamedMessages, StreamedType, StreamOptions } from './message-stream.ts'

/** What a hub is made of. */
export interface HubParts<M, Server> {
  /** What moves messages between nodes. The hub starts it and closes it. */
  readonly layer: ChannelLayer
  readonly backend: ServerBackend<Server>
  /** Schemas by message type: they decide at run time what `groupSend`, `send` and clients may send. */
  readonly messages?: MessageSchemas<M>
  /** Options by group name: the first that matches decides. */
  readonly groups?: readonly GroupOptions[]
  /**
   * Decides who a client is, before its consumer is asked to let it in; a consumer may have a hook of its own. `tokens()` of `groupcast/auth`
   * makes one for signed tokens. Without a hook no client has an identity.
   */
  readonly authenticate?: Authenticate
  /**
   * Origins of pages that may connect besides the hub's own: `https://app.example` (scheme, host and port exactly), or `*` for
   * any page. Requests without an `Origin` header do not come from pages and are not asked.
   */
  readonly allowedOrigins?: readonly string[]
  /**
   * Names that the `Host` of a request may have; any unless given. A server that listens on loopback for its own machine should
   * list loopback names: a page of any origin can point its own name at 127.0.0.1 (DNS rebinding).
   */
  readonly allowedHosts?: readonly string[] | null
  readonly limits?: Partial<Limits>
  /** What clients may spend in a second, by connection, identity and address; `false`: as much as they like. */
  readonly rates?: Partial<Rates> | false
  /** Hears of every failure that no caller awaits, once. Default: `console.error`. */
  readonly onError?: (error: unknown, context: ErrorContext) => void
  /** Time; tests turn it by hand. */
  readonly clock?: Clock
}

/** Where a failure reported to `onError` happened. */
export interface ErrorContext {
  /** For example `connect of /chat/:room` or `layer`. */
  readonly where: string
  /** The connection's id, where one is concerned. */
  readonly connection?: string
}

/** What is special about the groups whose name matches. */
export interface GroupOptions {
  /** A group name in which `*` stands for any run of characters: `prices.*`. */
  readonly match: string
  /** What happens to a reader that is too slow for these groups; the consumer's policy unless given. */
  readonly slow?: SlowPolicy
  /**
   * What these groups keep, for clients that come back and for `hub.history`; `{}` for the defaults (100 messages, 300 seconds, 1 MiB).
   * None unless given.
   */
  readonly history?: HistoryOptions | false
}

/** What the layer answered to a `groupSend`. */
export interface Sent {
  /** The position after the message; `null` where the group keeps no history. */
  readonly cursor: string | null
}

/** Which of the messages that a group keeps. */
export interface HistoryQuery {
  /** Those after this cursor, the oldest first; without it, the newest. */
  readonly after?: string
  /** At most so many: 100 unless given. */
  readonly limit?: number
}

/** Messages that a group keeps. */
export interface History<M = AnyMessages> {
  /** Oldest first. */
  readonly messages: readonly { readonly cursor: string; readonly message: MessageOf<M> }[]
  /** The position after them: connect with it to get what comes next, or ask for more. */
  readonly cursor: string
  /** Whether the limit left out later ones (with `after`) or earlier ones (without). */
  readonly hasMore: boolean
}

/** A group as seen on this node. */
export interface GroupInfo {
  readonly name: string
  /** This node's connections in it. */
  readonly connections: Readonly<Record<Transport, number>>
}

/** What is now, and counts since the hub was created, of this node. */
export interface HubStats {
  readonly connections: Readonly<Record<Transport, number>>
  readonly groups: number
  /**
   * Bytes that wait for slow readers now, in their sockets too; what several wait for counts once. The newest 8 KiB of each are not in it, nor what
   * the system holds for it. Bounded by `limits.maxTotalBacklogBytes`.
   */
  readonly backlogBytes: number
  /** Connections let in. */
  readonly opened: number
  /** Clients not let in. */
  readonly denied: number
  /** Messages from clients. */
  readonly received: number
  /** Publications that reached this node. */
  readonly publications: number
  /** Publications times the connections they went to. */
  readonly deliveries: number
  /** Connections closed because they read too slowly, or because their consumer's handlers were too slow. */
  readonly slowConsumers: number
  /** Messages dropped because their readers, or their handlers, were too slow (policies `drop` and `latest`), once for each reader. */
  readonly dropped: number
  /** Connections closed because they stopped answering. */
  readonly dead: number
  /** Failures reported to `onError`. */
  readonly errors: number
  /** Connections let in that came with a cursor, to groups that keep history. */
  readonly resumed: number
  /** Groups of which a client that came with a cursor was told that continuity cannot be proved, once for each client. */
  readonly resets: number
  /** Publications of the past that clients were given, once for each client. */
  readonly recalled: number
  /** Attempts to authenticate that were refused for what the client gave (401, 403): to connect, to refresh, to get a ticket. */
  readonly failedAuthentications: number
  /** Tokens that were replaced over an open connection. */
  readonly refreshedTokens: number
  /** Connections closed because their token expired. */
  readonly expiredTokens: number
  /** Revocations that this node heard of when they were made, its own included. */
  readonly revocations: number
  /** Connections closed for them. */
  readonly revokedConnections: number
  readonly issuedTickets: number
  /** Tickets that opened a connection of this node, wherever they were issued. */
  readonly usedTickets: number
  /** How long hooks `authenticate` took, the wait for others included. */
  readonly authenticationSeconds: HistogramStats
  /** What was refused because a rate was exceeded, by rate. */
  readonly rateRefusals: Readonly<Record<RefusedFor, number>>
}

/** Whether the hub can do its work, and if not, why. */
export interface HubStatus {
  readonly ready: boolean
  readonly draining: boolean
  readonly layer: LayerStatus
}

/** The object that owns everything in one process. */
export interface Hub<M = AnyMessages, Server = unknown> {
  /** This process, as other nodes see it. */
  readonly nodeId: string
  readonly limits: Limits
  readonly rates: Rates
  readonly status: HubStatus
  readonly stats: HubStats

  /**
   * Resolves when the layer has started and can be used; rejects with the layer's error when it cannot be started. Nobody needs to
   * wait for it, since whatever is sent before waits by itself: it is for a program that would rather end, or not listen yet. A failure
   * that it rejects with goes to whoever called it before, and not to `onError`. Afterwards `status` says how the layer is.
   *
   * @example
   * await hub.ready()
   * server.listen(8000)
   *
   * @throws {GroupcastError} `journal-in-use`; `hub-closed`; or another error of the layer
   * @throws {MisuseError} (a `TypeError`) `invalid-option` for a layer that cannot work as it is configured
   */
  ready(): Promise<void>

  /**
   * Serves a URL pattern: `/chat/:room`, `/events` (which serves `/events/` too). Of several that match, the first registered wins.
   *
   * @throws {MisuseError} `invalid-option` for a pattern that cannot be parsed or is taken, unknown hooks, handlers that are no functions
   */
  consumer<Path extends string>(path: Path, consumer: Consumer<M, PathParams<Path>>): void
  /**
   * Serves the consumers on a server that may belong to another application: requests and upgrades of other URLs are left alone.
   *
   * @throws {MisuseError} `invalid-option` for what the back end cannot be attached to
   * @throws {GroupcastError} `hub-closed`
   */
  attach(server: Server): Attachment

  /**
   * Sends a message to all connections of a group, on all nodes. Resolves when the layer has accepted it; when it rejects, nobody
   * has got the message.
   *
   * @throws {MisuseError} (a `TypeError`) `invalid-name`, `invalid-message`
   * @throws {GroupcastError} `invalid-message` where a schema refuses it, `hub-closed`; or the layer's error
   */
  groupSend(group: string, message: MessageOf<M>): Promise<Sent>
  /**
   * What a group keeps, in order.
   *
   * @throws {MisuseError} (a `TypeError`) `invalid-name`, `invalid-option`
   * @throws {GroupcastError} `history-not-available` for a group that keeps none; `history-lost` when something after the cursor is gone, or
   *   the cursor is none of this layer's; `hub-closed`; or the layer's error
   */
  history(group: string, query?: HistoryQuery): Promise<History<M>>
  /**
   * Sends what a source yields to a group: each piece as a message `{ type, stream, index, data }`, and then an `end` or an `error`
   * (see {@link StreamFields}). The next piece is pulled when the layer has accepted the one before. Members who are slower than
   * that are slow readers like any others: a group has no pace of its own.
   *
   * @returns when the last message was accepted
   * @throws {MisuseError} (a `TypeError`) `invalid-name`, `invalid-message`, `invalid-option`
   * @throws {GroupcastError} `invalid-message` where a schema refuses a piece, `hub-closed`; the layer's error; or what the source
   *   threw. Whatever it was, readers were sent an error message where that could be done, and the source was returned
   *
   * @example
   * await hub.groupStream('chat.lobby', model.answer(prompt), { type: 'chat.token' })
   */
  groupStream<T extends StreamedType<M>>(
    group: string,
    source: Source<PieceOf<M, T>>,
    options: StreamOptions<T>,
  ): Promise<StreamedMessages>
  /**
   * Puts a channel (of a connection on any node, or one that a worker reads) into a group. Does nothing for a connection that has ended.
   *
   * @throws {MisuseError} (a `TypeError`) `invalid-name`
   * @throws {Refusal} `too-many-groups` for a connection of this node
   * @throws {GroupcastError} `hub-closed`; or the layer's error
   */
  groupAdd(group: string, channel: string): Promise<void>
  /**
   * Takes it out again; nothing if it is not in it.
   *
   * @throws {MisuseError} (a `TypeError`) `invalid-name`
   * @throws {GroupcastError} `hub-closed`; or the layer's error
   */
  groupDiscard(group: string, channel: string): Promise<void>

  /**
   * Sends a message to one channel: of a connection (`connection.channel`), or a named one that workers read.
   *
   * @throws {MisuseError} (a `TypeError`) `invalid-name`, `invalid-message`
   * @throws {GroupcastError} `invalid-message` where a schema refuses it, `hub-closed`; or the layer's error
   * @throws {ChannelFullError} when its queue is full: nothing was sent
   */
  send(channel: string, message: MessageOf<M>): Promise<void>
  /**
   * The messages of a channel, one after another; each goes to exactly one reader. Ends when the signal aborts or the hub closes.
   *
   * @example
   * for await (const message of hub.receive('thumbnails')) await makeThumbnail(message)
   *
   * @throws {MisuseError} (a `TypeError`) `invalid-name`; {GroupcastError} `hub-closed`
   */
  receive(channel: string, options?: { readonly signal?: AbortSignal }): AsyncIterableIterator<MessageOf<M>>
  /** The name of a new channel that only this node reads; for replies from workers. */
  newChannel(): string

  /** The groups that have members on this node, sorted by name. */
  groups(): GroupInfo[]
  /** One group as seen on this node; zero counts if it has no members here. @throws {MisuseError} `invalid-name` */
  group(name: string): GroupInfo
  /**
   * Closes a connection on any node.
   *
   * @returns `closed` when it was this node's, `forwarded` when another node was told
   * @throws {MisuseError} `invalid-option` for codes and reasons that cannot be sent; see `Connection.close`
   * @throws {GroupcastError} `unknown-connection` when it would be this node's and is not there, `hub-closed`
   */
  closeConnection(id: string, code?: number, reason?: string): Promise<'closed' | 'forwarded'>
  /**
   * A ticket for the client behind a request: it opens one connection within 30 seconds, on any node, by `ticket=` in the query. For clients
   * that can send no header (`EventSource`), at consumers without a hook `authenticate` of their own.
   *
   * @throws {Refusal} what `authenticate` refuses with, `unauthorized` for a client without an identity, `not-supported` for a hub
   *   without the hook, `authentication-unavailable` when too many tickets wait
   * @throws {GroupcastError} `hub-closed`; or the layer's error
   */
  createTicket(request: ConnectionRequest): Promise<{ readonly ticket: string; readonly expiresInMs: number }>
  /**
   * Withdraws what an identity has: closes all of its connections, on every node, and refuses the credentials that it got up to now.
   * Resolves when the layer has taken it. Identities whose hook does not say when their credentials were made (`issuedAt`) may come back
   * as soon as their hook lets them.
   *
   * @throws {MisuseError} (a `TypeError`) `invalid-option` for what is no identity's id
   * @throws {GroupcastError} `hub-closed`; or the layer's error
   */
  revoke(identityId: string): Promise<void>
  /**
   * Stops: refuses newcomers, tells every client to come back (WebSocket 1012; SSE a randomised `retry:` and a clean end), waits for
   * their backlog, the running hooks, `disconnect` and `pending` (other work that still sends) until `deadlineMs` (10 s), cuts the rest,
   * closes the layer. Final; a second call returns the first one's outcome. A hook must not await it: it would wait for itself.
   *
   * @throws {MisuseError} `invalid-option` for a `deadlineMs` that is no time; or the layer's error, after everything else was closed
   */
  close(options?: { readonly deadlineMs?: number; readonly pending?: Promise<unknown> }): Promise<void>
}
