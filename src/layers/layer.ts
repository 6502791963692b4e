/**
 * The channel layer: what moves messages between nodes. This file is the contract; a driver is one module beside it.
 * `layerConformance` in `groupcast/testing` holds a driver against it and cites the numbers below.
 *
 * A layer never sees connections: the hub tells it which groups have members on this node, and the layer hands every
 * publication of those groups to this node's {@link LayerSink} once. Messages cross the layer as JSON texts, so nobody
 * can change a message after it was sent, and a driver decides about bytes.
 *
 * Obligations of a driver:
 *
 *  1. `groupSend` reaches the sink of every node that has added the group, the sender's own included, exactly once.
 *  2. A node that has not added the group, or has discarded it, gets nothing. Other groups are not affected.
 *  3. `groupAdd` and `groupDiscard` are idempotent; discarding a group that was never added does nothing.
 *     Once `groupAdd` has resolved, every later `groupSend` on any node reaches this node.
 *  4. Publications of one sender to one group reach each node in the order in which they were sent; where `capabilities.order` is
 *     `sender`, those to different groups too. `deliver` may be called before or after `groupSend` resolves, but never for a publication
 *     that `groupSend` rejected, except with `layer-timeout` (obligation 26).
 *  5. `groupSend` to a group without members resolves, and nothing is kept. It never rejects for a full queue.
 *  6. `send` appends to a channel's queue; each message goes to exactly one reader, whichever node reads, in the order sent.
 *     A message waits for a reader that comes later. Where `capabilities.queues` is false nothing waits: a message reaches all who read
 *     at that moment, a `send` to nobody resolves, and obligations 7 and 8 do not apply.
 *  7. A queue holds at most `capacity` messages (100 unless configured): `send` beyond it rejects with `ChannelFullError` and
 *     changes nothing. Reading makes room again. One full channel does not affect another.
 *  8. A message that waited longer than the expiry (60 s unless configured) is never delivered and takes no room.
 *  9. `receive` resolves with the next message. When its signal aborts it rejects with the signal's reason, and no message is
 *     lost by that: the next reader gets it.
 * 10. Messages sent to `channelOf(nodeId, …)` are pushed to the sink of that node, those of one sender in the order sent, and never
 *     kept for `receive`. When the sink is this node's and answers `false`, `send` rejects with `ChannelFullError`. Sent to a
 *     node that is gone, they are dropped.
 * 11. Names and messages are whatever the hub lets through (see `names.ts`); `__proto__` and `constructor` are just names.
 *     A driver that allows fewer names rejects with a `TypeError` (code `invalid-name`) that says what it allows.
 *     Any JSON object with a string `type` arrives as equal JSON, also one of 1 MiB, also with any Unicode text. What a driver cannot
 *     carry it rejects with a `GroupcastError` of code `invalid-message` that says why.
 * 12. `flush` forgets all queued messages of all channels. `close` ends the layer: pending `receive`s reject with a `GroupcastError`
 *     of code `hub-closed`, as do all later calls but `close`; once it has resolved the sink is not called again. A second
 *     `close` resolves. A client that the driver was given stays open; one that it opened is closed.
 * 13. The sink's calls do not throw; if one does, the layer goes on for others.
 *
 * History, for layers whose `capabilities.replay` is true. A group keeps history where `historyOf` of the sending node gives bounds.
 *
 * 14. `groupSend` to a group that keeps history resolves with a cursor, and sinks get the same with the publication, also where no node
 *     has added the group. Cursors are 1 to 128 characters of `[A-Za-z0-9._~-]`, all different. Other groups: `null`, and nothing is kept.
 * 15. A cursor means "everything up to here, in all groups of this layer": `replay` of any groups after it gives exactly what they
 *     accepted later, each once, in the order in which nodes get it, with the cursors that nodes got.
 * 16. All or nothing, for each group: where something after the cursor is gone, or the cursor is of another epoch, of the future,
 *     unreadable or too old to tell, the group is in `lost`, and none of its publications is given. Groups that keep no history
 *     are in neither.
 * 17. Without a cursor (`after: null`) `replay` gives the newest that each group keeps; nothing is lost then.
 * 18. A limit gives the oldest after a cursor, or the newest without one; `hasMore` says that it left some out.
 * 19. `replay` sees whatever was accepted before it was called. Its `cursor` is the position at which it was taken: `covers(cursor)` is
 *     true for publications up to there, of which the replay gave those it should, and false for all that come later. When it resolves,
 *     the sink has been called with all that it covers in groups that this node has added: what the sink gets from then on is later.
 * 20. `position` is one from which nothing is missed that this node has yet to get: at or before every publication to come. It goes on with
 *     what the node gets. When `refresh` resolves, it is at or after all that was accepted before `refresh` was called, on any node.
 * 21. At most `count` publications, of `bytes` bytes together, none older than `ageMs`, are kept of a group; the newest go last. What
 *     a driver cannot keep within these bounds it forgets, and says so by obligation 16.
 * 22. `flush` forgets all history and begins a new epoch. History lost in any other way begins a new one too.
 * 23. A layer without the capability: `position` is `null`, `refresh` resolves, and `replay` rejects with a `GroupcastError` of code
 *     `history-not-available`.
 *
 * Failure, for layers whose broker is another process (`layers/broker/` has what drivers share):
 *
 * 24. `start` resolves when the node can send and will receive, or when the first attempt to reach the broker has failed. The driver then
 *     goes on trying, with growing pauses and jitter, and `status` says why it is not ready, and when it is. `start` rejects for misuse only.
 * 25. While it is not ready, `groupAdd`, `groupSend`, `send`, `replay`, `refresh` and `flush` reject at once with a `GroupcastError` of code
 *     `layer-unavailable`: nothing has happened, nor will. The same where the broker refuses (no permission, no memory, read-only).
 *     `groupDiscard` resolves; `receive` waits, and goes on waiting through a break.
 * 26. What is in flight when the connection is lost, or not answered in time, rejects with code `layer-timeout`: it may have happened. Nothing
 *     is sent later or twice, by the driver or its client library.
 * 27. After a break all groups are added again, and before `status` says `ready` and anything else is delivered, the sink's `recovered` is
 *     called once: with what the groups that keep history got meanwhile, and with those of which that cannot be proved. Groups that keep
 *     none promise nothing. Where history turns out to be gone without a break, `recovered` says so without publications.
 * 28. A connection on which nothing moves, while the broker looks connected, is noticed within 10 s by a message of the driver to itself.
 * 29. What nobody waits for is said once a break: by `status`, and by the sink's `report` where an operator must act (wrong password, missing
 *     permission, a broker that may drop history).
 */
import type { HistoryBounds } from '../history.ts'

/** A publication as a layer hands it to a node. */
export interface LayerPublication {
  /** The message: the JSON text of an object with a string `type`. */
  readonly json: string
  /** The position after this publication; `null` where the group keeps no history. */
  readonly cursor: string | null
}

/** What a layer says of its connection to other nodes. */
export interface LayerStatus {
  readonly state: 'connecting' | 'ready' | 'closed'
  /** Why it is not ready, for `/ready` and logs. */
  readonly reason?: string
}

/** What a node missed while it could not hear its broker; obligation 27. */
export interface LayerRecovery {
  /** Of the groups that this node has added and that keep history, oldest first. */
  readonly publications: readonly ReplayedPublication[]
  /** Those of these groups of which it cannot be proved that nothing else is missing; nothing of them is in `publications`. */
  readonly lost: readonly string[]
  /** The position before the break; `null` when nothing was known. */
  readonly after: string | null
  /** The position now, after all of these. */
  readonly cursor: string
}

/** One node, as its layer calls it. */
export interface LayerSink {
  /** A publication of a group that this node has added. Synchronous; order matters. */
  deliver(group: string, publication: LayerPublication): void
  /** A message for a channel of this node. `false`: its queue is full and the message was not taken. */
  receive(channel: string, json: string): boolean
  /** The layer's state changed. */
  status(status: LayerStatus): void
  /** After a break, before anything else is delivered (obligation 27). Synchronous. Optional, so a driver calls it with `?.`. */
  recovered?(recovery: LayerRecovery): void
  /** Something failed that no caller waits for, and operators must hear of; the layer goes on. Optional, so a driver calls it with `?.`. */
  report?(error: unknown): void
}

/** What a driver is started with. */
export interface LayerStart {
  /** This node's id: `[a-z0-9]{12}`, unique among the nodes of the layer. */
  readonly nodeId: string
  readonly sink: LayerSink
  /** How much history a group keeps; `null`: none. Pure. */
  readonly historyOf: (group: string) => HistoryBounds | null
}

/** What to replay; obligations 15 to 18. */
export interface ReplayRequest {
  /** The groups, each with the most publications that are wanted of it; `null`: all. */
  readonly groups: ReadonlyMap<string, number | null>
  /** What came after this cursor; `null`: the newest. May be any text that a client made up. */
  readonly after: string | null
}

/** A publication as it was, and its group. */
export interface ReplayedPublication {
  readonly group: string
  readonly publication: LayerPublication
}

/** What groups kept; see obligations 15 to 19. */
export interface Replay {
  /** Oldest first, of all groups together. */
  readonly publications: readonly ReplayedPublication[]
  /** Groups of which it cannot be proved that nothing is missing. */
  readonly lost: readonly string[]
  /** Whether a limit left out newer publications (after a cursor) or older ones (without). */
  readonly hasMore: boolean
  /** The position at which it was taken. */
  readonly cursor: string
  /** Whether a publication with this cursor was accepted before it was taken. */
  covers(cursor: string): boolean
}

/** See the obligations at the head of this file. */
export interface ChannelLayer {
  /** For texts and metrics: `memory`, `redis`, … */
  readonly name: string
  /** What the driver can do beyond the required. */
  readonly capabilities: LayerCapabilities

  /** Called once, before anything else. Resolves when the node can send and will receive, or is trying to (obligation 24). */
  start(start: LayerStart): Promise<void>
  /** From now on this node gets the group's publications. Resolves when that is true (obligation 3). */
  groupAdd(group: string): Promise<void>
  /** This node has no members of the group any more. */
  groupDiscard(group: string): Promise<void>
  /** Resolves when the publication is accepted, with its cursor (`null`: the group keeps no history). */
  groupSend(group: string, json: string): Promise<string | null>

  /** Where this node is (obligation 20); `null` before anything is known, and without the capability. */
  readonly position: string | null
  /** Brings {@link position} up to what was accepted before the call, on any node (obligation 20). */
  refresh(): Promise<void>
  /** What groups kept (obligations 15 to 19). */
  replay(request: ReplayRequest): Promise<Replay>

  /** The channel of something that lives on one node, such as a connection. Pure. Must be a valid channel name with a `!`. */
  channelOf(nodeId: string, localId: string): string
  /** Appends a message to a channel. @throws {ChannelFullError} when its queue is full */
  send(channel: string, json: string): Promise<void>
  /** The next message of a channel. @throws the signal's reason when it aborts */
  receive(channel: string, signal?: AbortSignal): Promise<string>

  /** Forgets all queued messages. */
  flush(): Promise<void>
  /** Ends this node's part. */
  close(): Promise<void>
}

/** What channels hold unless configured (obligations 7 and 8); as in Django Channels. */
export const CHANNEL_DEFAULTS = Object.freeze({ capacity: 100, expiryMs: 60_000 })

/** What a driver can do beyond the required. A missing one fails cleanly rather than silently. */
export interface LayerCapabilities {
  /** Keeps history and can replay it. */
  readonly replay: boolean
  /** Keeps messages of channels for readers that come later (obligations 6 to 8). */
  readonly queues: boolean
  /** What keeps its order: all that one sender sends to groups, or all that it sends to one group (obligation 4). */
  readonly order: 'sender' | 'group'
}
