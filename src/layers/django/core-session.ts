import { ChannelFullError, GroupcastError } from '../../errors.ts'
import type { Attempt } from '../broker/lifeline.ts'
import type { CoreHost } from './core-host.ts'
import type { CoreKeys } from './core-keys.ts'
import type { CoreMembers } from './core-members.ts'
import { CoreReader } from './core-reader.ts'
import { APPEND, CORE_SCRIPTS, FULL, GONE, TAKE } from './core-scripts.ts'
import { nonLocalName } from './names.ts'
import type { DjangoSession, ProtocolNode } from './protocol.ts'
import type { ScoreClock } from './score-clock.ts'
import { shardOf } from './shards.ts'

/** Probes until all memberships have been written again: what somebody else removed is there again then. */
const REFRESH_PROBES = 20
/** How long the mark of a node stays, in seconds: each probe renews it. Without it the node is taken for gone. */
const MARK_SECONDS = 60
/** Groups that go into one round trip. */
const RUN = 1_000
/** Keys that Redis looks at before it serves somebody else. */
const SCAN_COUNT = 1_000

/** A message that was taken of a channel's queue, and where it was. */
export interface Taken {
  readonly queue: string
  readonly message: Buffer
  readonly score: string
  /** Whether it should have been gone already. */
  readonly isExpired: boolean
  /** Back to its place. */
  putBack(): void
}

/** A process, and its channels that a message is for. */
type Process = readonly [process: string, channels: string[]]

/** Whom a publication is for. */
interface Audience {
  /** Where their queues are. */
  readonly hosts: readonly (readonly [host: CoreHost, processes: readonly Process[]])[]
  /** How many processes. */
  readonly processes: number
}

/** Who did not get a message. */
interface Failures {
  /** Processes whose queue was full. */
  readonly full: number
  /** Channels of nodes that are gone. */
  readonly gone: readonly string[]
}

/** Options of {@link CoreSession}. */
export interface CoreSessionOptions {
  readonly node: ProtocolNode
  readonly attempt: Attempt
  readonly hosts: readonly CoreHost[]
  readonly keys: CoreKeys
  readonly members: CoreMembers
  readonly scores: ScoreClock
  /** Queues that somebody waits for. */
  waiting(): readonly string[]
  /** A message for channels of this node. Must not throw. */
  onNodeMessage(message: Buffer): void
  /** A message of a queue that somebody waited for. Must not throw. */
  onTaken(taken: Taken): void
}

/** The core protocol on open connections. */
export class CoreSession implements DjangoSession {
  readonly #options: CoreSessionOptions
  readonly #readers: readonly CoreReader[]
  /** Groups whose memberships are yet to be written again. */
  #due: string[] = []
  /** Of the publication before, in this turn. */
  #looked: { readonly group: string; readonly audience: Promise<Audience> } | null = null
  #turn = 0

  constructor(options: CoreSessionOptions) {
    this.#options = options
    this.#readers = options.hosts.map((host) => this.#readerOf(host))
  }

  /** Writes the memberships; a session is used only after that. */
  async restore(): Promise<void> {
    const { hosts, keys, node, members } = this.#options
    const own = members.processes.map((process) => keys.queue(process))
    await Promise.all(hosts.map((host) => host.assertReads(own)))
    await Promise.all(hosts.map((host) => host.measure()))
    await Promise.all(hosts.map((host) => host.load(CORE_SCRIPTS)))
    await Promise.all(hosts.map((host) => host.send('SET', keys.mark(node.nodeId), 1, 'EX', MARK_SECONDS)))
    await this.#removeStrays()
    await this.#joinAll(members.groups())
  }

  begin(): void {
    for (const reader of this.#readers) reader.start(this.#options.attempt.lost)
  }

  async groupAdd(group: string): Promise<void> {
    const { members } = this.#options
    const isLate = this.#deadline()
    const channel = members.next(group)
    try {
      await this.#join(group, channel)
      // Whoever called may have been told so, and nobody would ever take the node out again.
      if (isLate()) throw new GroupcastError('layer-timeout', 'Redis took too long to add the group.')
    } catch (error) {
      // Should that fail, the next session does it.
      this.#remove(group, channel).catch(() => {})
      throw error
    }
    members.join(group, channel)
  }

  async groupDiscard(group: string): Promise<void> {
    const channel = this.#options.members.leave(group)
    if (channel !== null) await this.#remove(group, channel)
  }

  /** Under another channel it gets nothing of what was sent before. */
  async fence(group: string): Promise<void> {
    await Promise.all([this.groupDiscard(group), this.groupAdd(group)])
  }

  async groupSend(group: string, encoded: Buffer): Promise<void> {
    const isLate = this.#deadline()
    const { hosts, processes } = await this.#audienceOf(group)
    // The sender may have been told that it took too long. Deadlines are looked at now and then only, so it may also still wait.
    if (isLate()) {
      const text = 'Redis took too long to say who is in the group, so nothing was sent.'
      throw new GroupcastError('layer-unavailable', text)
    }
    const appends = hosts.map(([host, entries]) => this.#append(host, entries, encoded))
    const failures = await allOrUnknown(appends)
    const full = failures.reduce((total, one) => total + one.full, 0)
    if (full > 0) this.#options.node.inbox.overflowed(group, full, processes)
    this.#forget(
      group,
      failures.flatMap(({ gone }) => gone),
    )
  }

  async send(channel: string, encoded: Buffer): Promise<void> {
    const { hosts, keys, node, scores } = this.#options
    const process = nonLocalName(channel)
    const { expiryMs, capacityOf, envelope, format } = node.settings
    const isOfProcess = process !== channel
    // The others by turns, as Django does: its workers read one host after another.
    const host = isOfProcess ? this.#hostOf(process) : (hosts[this.#turn++ % hosts.length] as CoreHost)
    const bytes = envelope.seal(isOfProcess ? format.address(encoded, channel) : encoded)
    const words = [scores.next(), expiryMs / 1000, capacityOf(channel), keys.markOf(channel), bytes]
    const [result] = (await host.run(APPEND, [keys.queue(channel)], words)) as [number]
    // To a node that is gone it is dropped (obligation 10).
    if (result === FULL) throw new ChannelFullError(channel)
  }

  /** The oldest message of a queue that nobody waits for; `null` when there is none. */
  async take(queue: string): Promise<Taken | null> {
    const host = await this.#hostWithOldest(queue)
    const { settings } = this.#options.node
    const reply = await host.run(TAKE, [queue], [Date.now() / 1000, settings.expiryMs / 1000])
    const [message, score] = reply as [Buffer, Buffer] | []
    return message === undefined || score === undefined
      ? null
      : this.#taken(host, queue, message, score.toString())
  }

  /** Somebody waits for another queue. */
  wake(): void {
    for (const host of this.#options.hosts) host.wake()
  }

  async flush(): Promise<void> {
    const isLate = this.#deadline()
    await Promise.all(this.#options.hosts.map((host) => this.#flushHost(host, isLate)))
  }

  async probe(): Promise<void> {
    const { hosts, keys, node } = this.#options
    await Promise.all(hosts.map((host) => host.probe()))
    const mark = keys.mark(node.nodeId)
    const marks = await Promise.all(hosts.map((host) => host.send('SET', mark, 1, 'XX', 'EX', MARK_SECONDS)))
    // Messages of the moment are lost with it. A new session writes all memberships.
    if (marks.includes(null))
      throw new Error('Redis has lost its data (FLUSHALL, a flush() of Django, or eviction).')
    await this.#refreshSome()
  }

  destroy(): void {
    for (const host of this.#options.hosts) host.destroy()
  }

  async close(): Promise<void> {
    const { hosts, keys, members, node } = this.#options
    const stopped = this.#readers.map((reader) => reader.stop())
    this.wake()
    await Promise.all(stopped)
    await Promise.all(members.groups().map((group) => this.groupDiscard(group)))
    const own = [
      ...members.processes.map((process) => keys.queue(process)),
      keys.wake(node.nodeId),
      keys.mark(node.nodeId),
    ]
    await Promise.all(hosts.map((host) => host.send('DEL', ...own)))
    await Promise.all(hosts.map((host) => host.close()))
  }

  #readerOf(host: CoreHost): CoreReader {
    const { keys, members, node, waiting, onNodeMessage, onTaken } = this.#options
    const own = members.processes.map((process) => keys.queue(process))
    const isOwn = new Set(own)
    return new CoreReader({
      connection: host.reader,
      queues: [keys.wake(node.nodeId), ...own],
      waiting: () => {
        host.looked()
        return waiting()
      },
      onWake: (token) => host.heard(token),
      onMessage: (queue, message, score) => {
        if (isOwn.has(queue)) onNodeMessage(message)
        else onTaken(this.#taken(host, queue, message, score))
      },
    })
  }

  /** From now on; tells whether whoever called may have been told that it took too long. */
  #deadline(): () => boolean {
    const { clock, timeoutMs } = this.#options.node.settings
    const until = clock.now() + timeoutMs
    return () => clock.now() >= until
  }

  #hostOf(name: string): CoreHost {
    const { hosts } = this.#options
    return hosts[shardOf(name, hosts.length)] as CoreHost
  }

  async #join(group: string, channel: string): Promise<void> {
    const { keys, node, scores } = this.#options
    const [host, key] = [this.#hostOf(group), keys.group(group)]
    await Promise.all([
      host.send('ZADD', key, scores.next(), channel),
      host.send('EXPIRE', key, Math.ceil(node.settings.groupExpiryMs / 1000)),
    ])
  }

  async #remove(group: string, channel: string): Promise<void> {
    const { keys, members } = this.#options
    await this.#hostOf(group).send('ZREM', keys.group(group), channel)
    members.removed(channel)
  }

  /** Those that a session before could not take out of their groups. */
  async #removeStrays(): Promise<void> {
    const strays = this.#options.members.strays()
    for (let start = 0; start < strays.length; start += RUN) {
      const some = strays.slice(start, start + RUN)
      await Promise.all(some.map(([channel, group]) => this.#remove(group, channel)))
    }
  }

  async #joinAll(groups: readonly string[]): Promise<void> {
    const { members } = this.#options
    for (let start = 0; start < groups.length; start += RUN) {
      const joins = groups.slice(start, start + RUN).map(async (group) => {
        // One may have left while others were written.
        const channel = members.channelOf(group)
        if (channel !== null) await this.#join(group, channel)
      })
      await Promise.all(joins)
    }
  }

  /** Writes some memberships again, in time before they expire. */
  async #refreshSome(): Promise<void> {
    const { members } = this.#options
    if (this.#due.length === 0) this.#due = members.groups()
    const some = this.#due.splice(0, Math.ceil(members.size / REFRESH_PROBES))
    await this.#joinAll(some)
  }

  /** Publications to one group that come one after another in a turn of the event loop share one look: nothing is sent before the turn is over. */
  #audienceOf(group: string): Promise<Audience> {
    const known = this.#looked
    if (known?.group === group) return known.audience
    const looked = { group, audience: this.#look(group) }
    this.#looked = looked
    process.nextTick(() => {
      if (this.#looked === looked) this.#looked = null
    })
    return looked.audience
  }

  async #look(group: string): Promise<Audience> {
    const processes = grouped(await this.#membersOf(group), nonLocalName)
    const hosts = [...grouped(processes, ([process]) => this.#hostOf(process))]
    return { hosts, processes: processes.size }
  }

  async #membersOf(group: string): Promise<string[]> {
    const { keys, node } = this.#options
    const [host, key] = [this.#hostOf(group), keys.group(group)]
    const oldest = host.now() - node.settings.groupExpiryMs / 1000
    const [, members] = await Promise.all([
      host.send('ZREMRANGEBYSCORE', key, '-inf', `(${oldest}`),
      host.send('ZRANGE', key, 0, -1),
    ])
    return (members as Buffer[]).map(String)
  }

  /** @returns the channels of processes that were full, and of those that are gone */
  async #append(host: CoreHost, entries: readonly Process[], encoded: Buffer): Promise<Failures> {
    const { keys, node, scores } = this.#options
    const { expiryMs, capacityOf, envelope, format } = node.settings
    const words = entries.flatMap(([process, channels]) => [
      capacityOf(channels[0] as string),
      keys.markOf(process),
      envelope.seal(format.address(encoded, channels)),
    ])
    const queues = entries.map(([process]) => keys.queue(process))
    const results = (await host.run(APPEND, queues, [scores.next(), expiryMs / 1000, ...words])) as number[]
    const gone = entries.filter((_, index) => results[index] === GONE).flatMap(([, channels]) => channels)
    return { full: results.filter((result) => result === FULL).length, gone }
  }

  /** Nodes that were killed could not leave their groups. */
  #forget(group: string, gone: readonly string[]): void {
    if (gone.length === 0) return
    // Should that fail, the next publication does it.
    const key = this.#options.keys.group(group)
    this.#hostOf(group)
      .send('ZREM', key, ...gone)
      .catch(() => {})
  }

  #taken(host: CoreHost, queue: string, message: Buffer, score: string): Taken {
    const { expiryMs } = this.#options.node.settings
    return {
      queue,
      message,
      score,
      isExpired: Number(score) < host.now() - expiryMs / 1000,
      putBack: () => {
        // Should that fail the message is lost with the session.
        host.send('ZADD', queue, score, message).catch(() => {})
        host.send('EXPIRE', queue, Math.ceil(expiryMs / 1000)).catch(() => {})
      },
    }
  }

  /** Only where there is one host it is known without asking. */
  async #hostWithOldest(queue: string): Promise<CoreHost> {
    const { hosts } = this.#options
    const [first, ...others] = hosts as [CoreHost, ...CoreHost[]]
    if (others.length === 0) return first
    const replies = await Promise.all(hosts.map((host) => host.send('ZRANGE', queue, 0, 0, 'WITHSCORES')))
    const scores = replies.map((reply) => Number((reply as Buffer[])[1] ?? Number.POSITIVE_INFINITY))
    return hosts[scores.indexOf(Math.min(...scores))] ?? first
  }

  async #flushHost(host: CoreHost, isLate: () => boolean): Promise<void> {
    const { keys } = this.#options
    let cursor = '0'
    do {
      // Nobody expects any more that messages disappear.
      if (isLate()) throw new GroupcastError('layer-timeout', 'It took too long: some queues may be left.')
      const reply = await host.send('SCAN', cursor, 'MATCH', keys.all, 'COUNT', SCAN_COUNT, 'TYPE', 'zset')
      const [next, found] = reply as [Buffer, Buffer[]]
      const queues = found.map(String).filter((key) => keys.isQueue(key))
      if (queues.length > 0) await host.send('UNLINK', ...queues)
      cursor = next.toString()
    } while (cursor !== '0')
  }
}

/** `Map.groupBy`, which Node 20 does not have. */
function grouped<T, K>(items: Iterable<T>, keyOf: (item: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>()
  for (const item of items) {
    const key = keyOf(item)
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [item])
    else group.push(item)
  }
  return groups
}

/** What all resolve with. Where some hosts have done it and others have not, nobody can say that it has not happened. */
async function allOrUnknown<T>(promises: readonly Promise<T>[]): Promise<T[]> {
  const results = await Promise.allSettled(promises)
  const failed = results.find((result) => result.status === 'rejected')
  if (failed === undefined) return results.map((result) => (result as PromiseFulfilledResult<T>).value)
  if (results.every(({ status }) => status === 'rejected')) throw failed.reason
  const text = `Some Redis hosts have got it and others have not: ${failed.reason}`
  throw new GroupcastError('layer-timeout', text, { cause: failed.reason })
}
