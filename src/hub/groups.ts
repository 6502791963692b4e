import { type Batch, FrameRun } from '../batch.ts'
import type { ChannelLayer } from '../layers/layer.ts'
import type { Publication } from '../publication.ts'
import type { SlowPolicy } from '../slow.ts'
import type { Transport, WireFormat } from '../wire/wire-format.ts'
import type { GroupInfo } from './hub-api.ts'
import type { LiveConnection } from './live-connection.ts'
import type { Route } from './router.ts'
import type { Receivers, Turn } from './turn.ts'

/** The members of a group that are alike: same consumer, same wire format. A message is decided and framed once for them all. */
interface Bucket {
  readonly route: Route
  readonly format: WireFormat
  /** Dense, in no order: a leaving member's place is taken by the last. */
  readonly members: LiveConnection[]
}

/** A connection's place in a group. */
export interface Membership {
  readonly group: Group
  readonly bucket: Bucket
  index: number
}

/** A named set of connections (and of workers' channels) on this node. */
export class Group implements Receivers {
  readonly name: string
  readonly buckets: Bucket[] = []
  /** Channels that are not connections of this node: each gets a copy of every message. */
  readonly channels = new Set<string>()
  size = 0
  /** Brings the layer's view in line with this one; `null` when it is. */
  syncing: Promise<void> | null = null
  isOnLayer = false

  /** Its policy for slow readers; `null` leaves it to their consumers. */
  readonly slow: SlowPolicy | null
  readonly #turn: Turn

  constructor(name: string, slow: SlowPolicy | null, turn: Turn) {
    this.name = name
    this.slow = slow
    this.#turn = turn
  }

  get isEmpty(): boolean {
    return this.size === 0 && this.channels.size === 0
  }

  add(connection: LiveConnection): Membership {
    // What was published before is not for it.
    this.#turn.settle()
    const bucket = this.#bucket(connection.route, connection.format)
    bucket.members.push(connection)
    this.size++
    return { group: this, bucket, index: bucket.members.length - 1 }
  }

  remove({ bucket, index }: Membership): void {
    this.#turn.settle()
    const last = bucket.members.pop()
    if (last !== undefined && index < bucket.members.length) {
      bucket.members[index] = last
      last.movedTo(this.name, index)
    }
    if (bucket.members.length === 0) this.buckets.splice(this.buckets.indexOf(bucket), 1)
    this.size--
  }

  /**
   * Sends a publication to all members.
   *
   * @returns to how many connections it goes
   */
  deliver(publication: Publication): number {
    this.#turn.deliver(this, publication)
    // A handler is not kept waiting for the end of the turn: its own messages are to go out with it.
    if (this.buckets.some(handlesMessages)) this.#turn.settle()
    return this.size
  }

  /**
   * The hot path. One decision and one frame for each publication and bucket, then for each member one `append`, which in the usual
   * case finds the batch that the first member's append made (bench: fan-out). Nothing here may change `members`: a connection that
   * must be closed says so to the turn and is closed after it.
   */
  append(publications: readonly Publication[]): void {
    const { buckets } = this
    for (let b = 0; b < buckets.length; b++) {
      const bucket = buckets[b] as Bucket
      const { format, members } = bucket
      const root = this.#turn.root(format)
      if (handlesMessages(bucket)) {
        this.#handOver(bucket, publications, root)
        continue
      }
      const run = new FrameRun(publications.map((publication) => publication.frame(format)))
      for (let i = 0; i < members.length; i++) members[i]?.outbox.append(run, root)
    }
  }

  /** Where there are handlers, each member decides: what it handles, and what comes after that, waits for it. */
  #handOver({ format, members }: Bucket, publications: readonly Publication[], root: Batch): void {
    for (const publication of publications) {
      // Not framed where all have it in hand.
      let run: FrameRun | null = null
      for (const member of members) {
        if (member.take(publication)) continue
        run ??= new FrameRun([publication.frame(format)])
        member.outbox.append(run, root)
      }
    }
  }

  info(): GroupInfo {
    const connections: Record<Transport, number> = { websocket: 0, sse: 0, ndjson: 0 }
    for (const { format, members } of this.buckets) connections[format.transport] += members.length
    return { name: this.name, connections }
  }

  #bucket(route: Route, format: WireFormat): Bucket {
    let bucket = this.buckets.find((known) => known.route === route && known.format === format)
    if (bucket === undefined) {
      bucket = { route, format, members: [] }
      this.buckets.push(bucket)
    }
    return bucket
  }
}

function handlesMessages({ route }: Bucket): boolean {
  return route.handlers.size > 0
}

/** The groups that have members on this node, kept in line with what the layer delivers here. */
export class Groups {
  readonly #layer: ChannelLayer
  readonly #started: Promise<void>
  readonly #turn: Turn
  readonly #slowOf: (group: string) => SlowPolicy | null
  readonly #groups = new Map<string, Group>()

  /**
   * @param started resolves when the layer can be used
   * @param slowOf the policy of a group for slow readers
   */
  constructor(
    layer: ChannelLayer,
    started: Promise<void>,
    turn: Turn,
    slowOf: (group: string) => SlowPolicy | null,
  ) {
    this.#layer = layer
    this.#started = started
    this.#turn = turn
    this.#slowOf = slowOf
  }

  get size(): number {
    return this.#groups.size
  }

  get(name: string): Group | undefined {
    return this.#groups.get(name)
  }

  /** The group, made when it is not there; `settle` it after a change of its members. */
  open(name: string): Group {
    let group = this.#groups.get(name)
    if (group === undefined) {
      group = new Group(name, this.#slowOf(name), this.#turn)
      this.#groups.set(name, group)
    }
    return group
  }

  /**
   * Tells the layer about a group that got its first member or lost its last. Changes that come meanwhile are seen by the same
   * run, so adds and discards of a flapping group never overtake each other.
   *
   * @throws the layer's error, when it refuses to add the group
   */
  async settle(group: Group): Promise<void> {
    if (group.syncing !== null) return group.syncing
    if (group.isOnLayer !== group.isEmpty) return this.#forget(group)
    group.syncing = this.#sync(group)
    return group.syncing
  }

  list(): GroupInfo[] {
    const infos = [...this.#groups.values()].map((group) => group.info())
    return infos.sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  /** Puts a channel that is no connection of this node into a group. @throws the layer's error */
  async addChannel(name: string, channel: string): Promise<void> {
    const group = this.open(name)
    group.channels.add(channel)
    try {
      await this.settle(group)
    } catch (error) {
      group.channels.delete(channel)
      await this.settle(group)
      throw error
    }
  }

  async discardChannel(name: string, channel: string): Promise<void> {
    const group = this.get(name)
    if (group?.channels.delete(channel) === true) await this.settle(group)
  }

  async #sync(group: Group): Promise<void> {
    try {
      await this.#started
      while (group.isOnLayer === group.isEmpty) {
        if (group.isEmpty) {
          group.isOnLayer = false
          await this.#discard(group)
        } else {
          await this.#add(group)
          group.isOnLayer = true
        }
      }
    } finally {
      // At once when the loop has seen that nothing is to be done: whoever comes later must not wait for a run that will not look again.
      group.syncing = null
      this.#forget(group)
    }
  }

  /** @throws the layer's error; then the layer may have added it all the same, and is told that nobody wants it */
  async #add(group: Group): Promise<void> {
    try {
      await this.#layer.groupAdd(group.name)
    } catch (error) {
      await this.#layer.groupDiscard(group.name).catch(() => {})
      throw error
    }
  }

  /** @throws the layer's error, unless somebody has joined meanwhile: whoever joins is not to blame */
  async #discard(group: Group): Promise<void> {
    try {
      await this.#layer.groupDiscard(group.name)
    } catch (error) {
      if (group.isEmpty) throw error
    }
  }

  #forget(group: Group): void {
    if (group.isEmpty && !group.isOnLayer && group.syncing === null) this.#groups.delete(group.name)
  }
}
