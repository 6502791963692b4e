/** Consumers: an application's handlers for one URL pattern. */
import type { AuthenticationRequest, GivenIdentity, Identity } from '../identity.ts'
import type { AnyMessages, MessageOf } from '../message.ts'
import type { GroupAction } from '../permission.ts'
import type { SlowPolicy } from '../slow.ts'
import type { Source } from '../source.ts'
import type { ConnectionRequest } from '../transports/backend.ts'
import type { Transport } from '../wire/wire-format.ts'
import type { PieceOf, StreamedMessages, StreamedType, StreamOptions } from './message-stream.ts'

/** The parameters of a URL pattern: `PathParams<'/chat/:room'>` is `{ room: string }`. */
export type PathParams<Path extends string> = string extends Path
  ? Readonly<Record<string, string>>
  : Path extends `${string}{${string}`
    ? // What stands in braces may be missing.
      { readonly [Name in ParamNames<Path>]?: string }
    : { readonly [Name in ParamNames<Path>]: string }

type ParamNames<Path extends string> = NamesAfter<':', Path> | NamesAfter<'*', Path>

type NamesAfter<Mark extends string, Path extends string> = Path extends `${string}${Mark}${infer Rest}`
  ? NameAtStart<Rest> | NamesAfter<Mark, Rest>
  : never

type NameAtStart<Text extends string, Name extends string = ''> = Text extends `${infer Char}${infer Rest}`
  ? Char extends '/' | '.' | '-' | '{' | '}' | ':' | '*'
    ? Name
    : NameAtStart<Rest, `${Name}${Char}`>
  : Name

/** One live client, as consumers see it. */
export interface Connection<M = AnyMessages, Params = Readonly<Record<string, string>>> {
  /** Unguessable; says which node it lives on. */
  readonly id: string
  readonly transport: Transport
  /** The parameters of the consumer's URL pattern, decoded. */
  readonly params: Params
  /** The query of the client's URL. */
  readonly query: URLSearchParams
  readonly request: ConnectionRequest
  /** Who it is, as `authenticate` has said; `null`: nobody in particular. It is another object after a refresh, with the same id. */
  readonly identity: Identity | null
  /** The groups it is in: a copy. */
  readonly groups: readonly string[]
  /** Aborts when the connection ends, before `disconnect` runs. */
  readonly signal: AbortSignal
  /** The name of its mailbox: `hub.send(connection.channel, …)` reaches it from any node. */
  readonly channel: string
  /** Whatever the application wants to keep with the connection. */
  readonly state: Record<string, unknown>
  /**
   * Sends a message to this client alone; it goes out at the end of the event-loop turn. Does nothing once the connection is closing.
   *
   * @throws {MisuseError} (a `TypeError`) `invalid-message`
   */
  send(message: MessageOf<M>): void
  /**
   * Sends what a source yields to this client alone, as `hub.groupStream` does to a group, but at the client's pace: the next piece
   * is pulled when what was sent before has left. When the client leaves, the source's `return()` runs. In `connect` do not await
   * it: nothing leaves before that hook has settled.
   *
   * @returns when the last message was sent, or the client has left
   * @throws {MisuseError} (a `TypeError`) `invalid-option`, `invalid-message`; or what the source threw, after the client was told
   *   by an error message
   */
  stream<T extends StreamedType<M>>(
    source: Source<PieceOf<M, T>>,
    options: StreamOptions<T>,
  ): Promise<StreamedMessages>
  /**
   * Puts the connection into a group. Resolves when every later `groupSend` on any node reaches it. Joining twice is joining once.
   *
   * With `history` the client first gets so many of the group's newest messages, as far as the group keeps them. In `connect`, a client
   * that comes back with a cursor gets what it missed instead, of all groups that keep history and were joined there.
   *
   * @throws {Refusal} `invalid-name` or `too-many-groups`: names usually come from clients, so an uncaught one closes this
   *   connection with that code instead of going to `onError`. Rejects with the layer's error when the layer refuses.
   */
  join(group: string, options?: JoinOptions): Promise<void>
  /**
   * Whether the client may do something to a group: by the patterns among its identity's claims, where there are any, and by the consumer's
   * `authorize`, where there is one. Without either: no. Rejects with what the hook threw.
   */
  allows(action: GroupAction, group: string): Promise<boolean>
  /** Whether anybody can be asked so: its consumer has an `authorize`, or the claims of its identity name groups. */
  readonly isAskable: boolean
  /** Takes it out of a group; nothing if it is not in it. Rejects with the layer's error when that fails; it has left all the same. */
  leave(group: string): Promise<void>
  /**
   * Ends the connection after what was sent to it. In `connect` it refuses the client.
   *
   * @param code 1000, 1001, 1008, 1011–1013 or 3000–4999; 4000–4499 tell clients to reconnect, 4500–4999 not to
   * @param reason at most 123 bytes of UTF-8
   * @throws {MisuseError} `invalid-option` for other codes and longer reasons
   */
  close(code?: number, reason?: string): void
}

/** How a connection joins a group. */
export interface JoinOptions {
  /** So many of the newest messages first: a whole number from 0. None unless given. */
  readonly history?: number
  /**
   * As if the client had asked for it: only where it may (see {@link Connection.allows}), now and whenever it refreshes its token, and with the
   * past only where it may have the `history`. Otherwise the join is the application's own, history included, and nobody is asked. `false` unless given.
   *
   * @throws {Refusal} (from `join`) `forbidden`
   */
  readonly checked?: boolean
}

/** Why a connection ended: the WebSocket close code (RFC 6455, section 7.4) or its equal on other transports. */
export interface DisconnectInfo {
  /** 1000 normal, 1005 none given, 1006 lost, else what either side closed with. */
  readonly code: number
  readonly reason: string
}

type Awaitable<T> = T | Promise<T>

/**
 * An application's handlers for one URL pattern. All hooks of one connection run one after another. One that fails closes its
 * connection with code 1011 (`internal-error`), is reported once through `onError`, and `disconnect` still runs. A
 * {@link Refusal} closes with its own code and is not reported.
 */
export interface Consumer<M = AnyMessages, Params = Readonly<Record<string, string>>> {
  /**
   * Decides who a client at this URL is, in place of the hub's hook; see {@link Authenticate}. `false`: nobody is asked.
   */
  authenticate?: ((request: AuthenticationRequest) => Awaitable<GivenIdentity | null>) | false
  /**
   * A client wants in, and `authenticate` has let it. It is let in when this settles; throw a {@link Refusal} or call `connection.close` to refuse.
   * Groups can be joined and messages sent already: the client gets them once it is in.
   */
  connect?(connection: Connection<M, Params>): Awaitable<void>
  /**
   * A message from the client: it has passed the schema of its type where the hub has schemas; otherwise only its form is known.
   * What it returns is the `result` of the reply, where the client asked for one.
   */
  receive?(connection: Connection<M, Params>, message: MessageOf<M>): unknown
  /**
   * Whether a client may join a group, publish to it or get its history, by a command of its own (`join`, `publish` in the protocol), by a
   * `checked` join, and again for the groups so joined when it refreshes its token. Where the claims of its identity have patterns
   * of groups, they must allow it too; without this hook they decide alone, and without them no client may. Groups that the application joins
   * otherwise, in `connect` or later, are its own decision: not asked about, and neither is their history, also for a client that comes
   * back with a cursor.
   */
  authorize?(connection: Connection<M, Params>, action: GroupAction, group: string): Awaitable<boolean>
  /**
   * The connection has ended. Runs once for every connection whose `connect` began, when the hook that runs at that moment has settled.
   * It is in no group any more.
   */
  disconnect?(connection: Connection<M, Params>, info: DisconnectInfo): Awaitable<void>
  /**
   * What happens to a connection that reads, or whose `handlers` work, too slowly, for messages of groups without a policy of their own: `close`
   * unless given.
   */
  readonly slow?: SlowPolicy
  /**
   * Handlers by message type, for messages of groups and of the connection's channel. They run for each connection, in place
   * of sending the message to the client. Types without a handler go to clients as they are, on the fast path.
   */
  handlers?: {
    readonly [T in keyof M & string]?: (
      connection: Connection<M, Params>,
      message: MessageOf<M, T>,
    ) => Awaitable<void>
  }
}
