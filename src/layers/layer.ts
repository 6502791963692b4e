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
 *  4. Publications of one sender reach each node in the order in which they were sent. `deliver` may be called before
 *     or after `groupSend` resolves, but never again for a publication that `groupSend` rejected.
 *  5. `groupSend` to a group without members resolves, and nothing is kept. It never rejects for a full queue.
 *  6. `send` appends to a channel's queue; each message goes to exactly one reader, whichever node reads, in the order sent.
 *     A message waits for a reader that comes later.
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
 *     Any JSON object with a string `type` arrives as equal JSON, also one of 1 MiB, also with any Unicode text.
 * 12. `flush` forgets all queued messages of all channels. `close` ends the layer: pending `receive`s reject with a `GroupcastError`
 *     of code `hub-closed`, as do all later calls but `close`; once it has resolved the sink is not called again. A second
 *     `close` resolves. A client that the driver was given stays open; one that it opened is closed.
 * 13. The sink's calls do not throw; if one does, the layer goes on for others.
 */

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

/** One node, as its layer calls it. */
export interface LayerSink {
  /** A publication of a group that this node has added. Synchronous; order matters. */
  deliver(group: string, publication: LayerPublication): void
  /** A message for a channel of this node. `false`: its queue is full and the message was not taken. */
  receive(channel: string, json: string): boolean
  /** The layer's state changed. */
  status(status: LayerStatus): void
}

/** What a driver is started with. */
export interface LayerStart {
  /** This node's id: `[a-z0-9]{12}`, unique among the nodes of the layer. */
  readonly nodeId: string
  readonly sink: LayerSink
}

/** See the obligations at the head of this file. */
export interface ChannelLayer {
  /** For texts and metrics: `memory`, `redis`, … */
  readonly name: string
  /** What the driver can do beyond the required. */
  readonly capabilities: LayerCapabilities

  /** Called once, before anything else. Resolves when the node can send and will receive. */
  start(start: LayerStart): Promise<void>
  /** From now on this node gets the group's publications. Resolves when that is true (obligation 3). */
  groupAdd(group: string): Promise<void>
  /** This node has no members of the group any more. */
  groupDiscard(group: string): Promise<void>
  /** Resolves when the publication is accepted, with its cursor (`null`: the group keeps no history). */
  groupSend(group: string, json: string): Promise<string | null>

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
}
