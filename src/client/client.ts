import type { MessageOf } from '../message.ts'
import type { ClientError } from './client-error.ts'
import type { ClientTransport } from './link.ts'

/**
 * What a client is doing: `connecting` (an attempt is under way), `open`, `waiting` (for the next attempt), `closed` (for good: by
 * `close()`, or because the server said not to come back).
 */
export type ClientState = 'connecting' | 'open' | 'waiting' | 'closed'

/** Where a message comes from. */
export interface MessageContext {
  /** `null`: it was sent to this connection alone. */
  readonly group: string | null
  /** Its position in the group's history; `null` where the group keeps no history. */
  readonly cursor: string | null
}

/** The message of a type of the map `M`; of `*`, any of its messages. */
export type MessageAt<M, T> = T extends keyof M & string ? MessageOf<M, T> : MessageOf<M>

/** What was missed cannot be proved to be nothing. */
export interface Reset {
  readonly groups: readonly string[]
  /** What follows comes after this position. */
  readonly cursor?: string
}

/** How to join a group. */
export interface JoinOptions {
  /** So many of its newest messages first. */
  readonly history?: number
}

/** A connection to a hub that comes back by itself. */
export interface Client<M> {
  readonly state: ClientState
  /** What the connection speaks; `null` while there is none. */
  readonly transport: ClientTransport | null
  /** The id of the connection; `null` while there is none. */
  readonly connectionId: string | null
  /** The position of the last message; `null` where no group keeps history. Another client can begin after it. */
  readonly cursor: string | null
  /** The groups that the next connection will ask for: those given, and those joined, without those left. */
  readonly groups: readonly string[]

  /**
   * Calls `listener` with each message of this type; `*`: with each that comes. What it throws is reported as other exceptions of the
   * page are, and harms nobody else.
   *
   * @returns what removes it again
   */
  on<T extends (keyof M & string) | '*'>(
    type: T,
    listener: (message: MessageAt<M, T>, context: MessageContext) => unknown,
  ): () => void
  /** Calls `listener` when messages of groups may have been missed: reload what depends on them. @returns what removes it again */
  onReset(listener: (reset: Reset) => unknown): () => void
  /**
   * Calls `listener` with groups that the client was taken out of, because its new token does not allow them. It does not ask for them again.
   *
   * @returns what removes it again
   */
  onLeft(listener: (groups: readonly string[]) => unknown): () => void
  /** Calls `listener` with how many messages the hub dropped because this client reads too slowly. @returns what removes it again */
  onDropped(listener: (count: number) => unknown): () => void
  /**
   * Calls `listener` after each change of the state, with the reason for which the last connection ended, or `null`; and, when it waits,
   * with how many milliseconds are left to the next attempt. It may come sooner: when the network comes back.
   *
   * @returns what removes it again
   */
  onState(listener: (state: ClientState, reason: ClientError | null, waitMs: number) => unknown): () => void

  /**
   * Joins a group, now and after each reconnection. Resolves when the hub has done so: without a connection, on the next one. With
   * `history` the newest messages that the group keeps come first.
   *
   * @throws {ClientError} with the code of the refusal (`forbidden`, …); `closed`
   */
  join(group: string, options?: JoinOptions): Promise<void>
  /**
   * Leaves a group. Until it resolves messages of the group may come. Without a connection it resolves on the next one.
   *
   * @throws {ClientError} `closed`, or what the hub answered
   */
  leave(group: string): Promise<void>
  /**
   * Sends a message to the consumer. Resolves with what its `receive` returned. Nothing is kept for later.
   *
   * @throws {ClientError} `not-connected` (nothing was sent), `disconnected` and `reply-timeout` (it may have arrived), `closed`, or
   * the code with which the hub or its consumer refused
   */
  send(message: MessageOf<M>): Promise<unknown>
  /**
   * Publishes to a group, where the consumer allows it. Resolves with what the hub answers.
   *
   * @throws {ClientError} as {@link Client.send}
   */
  publish(group: string, message: MessageOf<M>): Promise<unknown>
  /**
   * Ends it for good. What waits for an answer is rejected, and so is what is called later; where nobody listens to these rejections they
   * are not reported as unhandled.
   */
  close(): void
}
