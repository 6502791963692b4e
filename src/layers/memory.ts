/** The channel layer of one process: see `layer.ts` for its obligations. */
import { ChannelFullError, GroupcastError, MisuseError } from '../errors.ts'
import type { HistoryBounds } from '../history.ts'
import { Mailboxes } from '../mailboxes.ts'
import { quote } from '../names.ts'
import { invalidOption } from './channel-options.ts'
import { cursorBefore } from './cursor.ts'
import { JournalQueue } from './journal-queue.ts'
import type { ChannelLayer, LayerPublication, LayerSink, LayerStart, Replay, ReplayRequest } from './layer.ts'
import { MemoryHistory } from './memory-history.ts'
import { type MemoryBrokerOptions, resolveBrokerOptions } from './memory-options.ts'

export type { MemoryBrokerOptions }

/** Options of {@link memoryLayer}: those of its own broker, or a shared one. */
export interface MemoryLayerOptions extends MemoryBrokerOptions {
  /** The broker that several layers share; it has the other options then. */
  readonly broker?: MemoryBroker
}

/** What joins several memory layers of one process: pass it to {@link memoryLayer}. */
export interface MemoryBroker {
  /**
   * Groups with members and channels with messages or readers: 0 when nothing is going on, for leak tests.
   */
  readonly size: number
}

/**
 * A broker in this process. Layers that share one behave as the nodes of one system: for tests, and for
 * several hubs in one process.
 *
 * @example
 * const broker = memoryBroker({ capacity: 10 })
 * const hubs = [createHub({ layer: memoryLayer({ broker }) }), createHub({ layer: memoryLayer({ broker }) })]
 *
 * @throws {MisuseError} (code `invalid-option`) naming the option, its value and what is allowed
 */
export function memoryBroker(options: MemoryBrokerOptions = {}): MemoryBroker {
  return new Broker(options)
}

/**
 * A channel layer that moves messages within this process: history in memory, no other processes. A layer serves one
 * hub; each has its own broker unless one is given.
 *
 * `groupSend` calls the sinks in the sender's turn. What a sink sends while it is called reaches all nodes
 * after the publication that it was called with, so that all see one order. A sink that throws is not heard:
 * sinks report their own failures.
 *
 * @throws {MisuseError} (code `invalid-option`) naming the option, its value and what is allowed
 */
export function memoryLayer(options: MemoryLayerOptions = {}): ChannelLayer {
  const { broker, ...own } = options
  if (broker === undefined) return new MemoryLayer(null, own)
  if (!(broker instanceof Broker)) throw invalidOption('broker', broker, 'what memoryBroker() returns')
  const [double] = Object.entries(own).find(([, value]) => value !== undefined) ?? []
  if (double !== undefined) {
    throw new MisuseError(
      'invalid-option',
      `${double} is given beside broker: a shared broker has its own. Pass ${double} to memoryBroker() instead.`,
    )
  }
  return new MemoryLayer(broker)
}

/** A started layer, as its broker knows it. */
interface MemoryNode {
  readonly id: string
  readonly sink: LayerSink
  readonly historyOf: (group: string) => HistoryBounds | null
  /** The groups it has added. */
  readonly groups: Set<string>
  /** The broker's turn in which its sink was called last. */
  turn: number
}

class Broker implements MemoryBroker {
  readonly channels: Mailboxes
  readonly history: MemoryHistory
  /** What publications go through when there is a journal. */
  readonly journalQueue: JournalQueue | null
  readonly #nodes = new Map<string, MemoryNode>()
  // The lists are replaced, never changed: `#deliver` may be walking along one while a sink adds or discards.
  readonly #members = new Map<string, readonly MemoryNode[]>()
  readonly #accepted: { readonly group: string; readonly publication: LayerPublication }[] = []
  /** Which of them sinks are called with. */
  #next = 0
  /** Publications that sinks have been called with, ever. */
  #turn = 0

  constructor(options: MemoryBrokerOptions) {
    const { channels, history, journal } = resolveBrokerOptions(options)
    this.channels = new Mailboxes(channels)
    this.history = new MemoryHistory(history)
    const accept = this.#accept.bind(this)
    const report = this.#report.bind(this)
    this.journalQueue = journal && new JournalQueue({ journal, history: this.history, accept, report })
  }

  get size(): number {
    return this.#members.size + this.channels.size
  }

  join(node: MemoryNode): void {
    if (this.#nodes.has(node.id)) {
      throw new MisuseError('invalid-option', `Node id ${quote(node.id)} is taken: each hub needs its own.`)
    }
    this.#nodes.set(node.id, node)
  }

  leave(node: MemoryNode): void {
    for (const group of node.groups) this.discard(group, node)
    this.#nodes.delete(node.id)
  }

  add(group: string, node: MemoryNode): void {
    if (node.groups.has(group)) return
    node.groups.add(group)
    this.#members.set(group, [...(this.#members.get(group) ?? []), node])
  }

  discard(group: string, node: MemoryNode): void {
    if (!node.groups.delete(group)) return
    const others = (this.#members.get(group) ?? []).filter((member) => member !== node)
    if (others.length === 0) this.#members.delete(group)
    else this.#members.set(group, others)
  }

  /** @returns its cursor */
  publish(group: string, json: string, bounds: HistoryBounds | null): string | null {
    const publication = bounds === null ? { json, cursor: null } : this.history.append(group, json, bounds)
    this.#accept(group, publication)
    return publication.cursor
  }

  #accept(group: string, publication: LayerPublication): void {
    this.#accepted.push({ group, publication })
    // More than one: a sink sends this while it is called. The loop that called it will come to it; calling
    // sinks from here would show it to some nodes before the publication that it answers.
    if (this.#accepted.length > 1) return
    for (this.#next = 0; this.#next < this.#accepted.length; this.#next++) {
      const next = this.#accepted[this.#next] as { group: string; publication: LayerPublication }
      this.#turn++
      this.#deliver(next.group, next.publication)
    }
    this.#accepted.length = 0
  }

  /** Where a node is: before whatever its sink has yet to be called with. */
  positionOf(node: MemoryNode | null): string {
    // While sinks are called, history is ahead of them: a node that began there would miss what waits.
    const isCalled = node?.turn === this.#turn
    for (let index = isCalled ? this.#next + 1 : this.#next; index < this.#accepted.length; index++) {
      const cursor = this.#accepted[index]?.publication.cursor ?? null
      if (cursor !== null) return cursorBefore(cursor)
    }
    return this.history.position
  }

  #deliver(group: string, publication: LayerPublication): void {
    for (const node of this.#members.get(group) ?? []) {
      // The sink of an earlier node may have made this one discard the group, or close.
      if (!node.groups.has(group)) continue
      node.turn = this.#turn
      try {
        node.sink.deliver(group, publication)
      } catch {
        // Obligation 13: the other nodes and the sender are not concerned.
      }
    }
  }

  #report(error: unknown): void {
    for (const { sink } of this.#nodes.values()) {
      try {
        sink.report?.(error)
      } catch {
        // Obligation 13.
      }
    }
  }

  send(channel: string, json: string): void {
    const nodeId = nodeOf(channel)
    const isTaken = nodeId === null ? this.channels.push(channel, json) : this.#push(nodeId, channel, json)
    if (!isTaken) throw new ChannelFullError(channel)
  }

  #push(nodeId: string, channel: string, json: string): boolean {
    const node = this.#nodes.get(nodeId)
    if (node === undefined) return true
    try {
      return node.sink.receive(channel, json)
    } catch {
      // Obligation 13. Delivered or not, who knows; but the channel was not full.
      return true
    }
  }
}

class MemoryLayer implements ChannelLayer {
  readonly name = 'memory'
  readonly capabilities = Object.freeze({ replay: true, queues: true, order: 'sender' } as const)
  readonly #broker: Broker
  /** Nobody else has this broker. */
  readonly #ownsBroker: boolean
  readonly #receives = new Set<AbortController>()
  #node: MemoryNode | null = null
  /** Settles when the journal is open, or cannot be; `null` without one. */
  #opening: Promise<void> | null = null
  #isClosed = false
  #closing: Promise<void> | null = null

  constructor(broker: Broker | null, options: MemoryBrokerOptions = {}) {
    this.#ownsBroker = broker === null
    this.#broker = broker ?? new Broker(options)
  }

  // The methods are async so that whatever they throw is a rejection; what they do, they do in the caller's
  // turn.

  async start({ nodeId, sink, historyOf }: LayerStart): Promise<void> {
    if (this.#isClosed) throw closedError()
    if (this.#node !== null || this.#opening !== null) {
      throw new MisuseError(
        'invalid-option',
        'This memoryLayer() is started: give each hub a layer of its own.',
      )
    }
    const node = { id: nodeId, sink, historyOf, groups: new Set<string>(), turn: 0 }
    this.#broker.join(node)
    if (this.#broker.journalQueue !== null) await this.#openJournal(this.#broker.journalQueue, node)
    this.#node = node
    try {
      sink.status({ state: 'ready' })
    } catch {
      // Obligation 13.
    }
  }

  async #openJournal(queue: JournalQueue, node: MemoryNode): Promise<void> {
    this.#opening = queue.open(node.historyOf)
    try {
      await this.#opening
    } catch (error) {
      this.#opening = null
      this.#broker.leave(node)
      throw error
    }
    if (!this.#isClosed) return
    this.#broker.leave(node)
    throw closedError()
  }

  async groupAdd(group: string): Promise<void> {
    this.#broker.add(group, this.#started())
  }

  async groupDiscard(group: string): Promise<void> {
    this.#broker.discard(group, this.#started())
  }

  async groupSend(group: string, json: string): Promise<string | null> {
    const bounds = this.#started().historyOf(group)
    const queue = this.#broker.journalQueue
    return queue === null ? this.#broker.publish(group, json, bounds) : queue.publish(group, json, bounds)
  }

  get position(): string | null {
    // Until it is read, nobody knows where a journal ends.
    if (this.#broker.journalQueue !== null && this.#node === null) return null
    return this.#broker.positionOf(this.#node)
  }

  async refresh(): Promise<void> {
    // Whatever was accepted, this process has.
    this.#started()
  }

  async replay(request: ReplayRequest): Promise<Replay> {
    const { historyOf } = this.#started()
    return this.#broker.history.replay(request, (group) => historyOf(group) !== null)
  }

  channelOf(nodeId: string, localId: string): string {
    return `${NODE_PREFIX}${nodeId}!${localId}`
  }

  async send(channel: string, json: string): Promise<void> {
    this.#started()
    this.#broker.send(channel, json)
  }

  async receive(channel: string, signal?: AbortSignal): Promise<string> {
    this.#started()
    signal?.throwIfAborted()
    // One signal for both ends of waiting, the caller's abort and this layer's close: the queues belong to
    // all nodes.
    const ending = new AbortController()
    const onAbort = () => ending.abort(signal?.reason)
    signal?.addEventListener('abort', onAbort)
    this.#receives.add(ending)
    try {
      return await this.#broker.channels.pull(channel, ending.signal)
    } finally {
      this.#receives.delete(ending)
      signal?.removeEventListener('abort', onAbort)
    }
  }

  async flush(): Promise<void> {
    this.#started()
    this.#broker.channels.clear()
    if (this.#broker.journalQueue === null) this.#broker.history.clear()
    else await this.#broker.journalQueue.clear()
  }

  async close(): Promise<void> {
    this.#closing ??= this.#close()
    await this.#closing
  }

  async #close(): Promise<void> {
    this.#isClosed = true
    if (this.#node !== null) this.#broker.leave(this.#node)
    for (const receive of this.#receives) receive.abort(closedError())
    await this.#closeJournal()
    if (this.#ownsBroker) this.#broker.history.clear()
  }

  async #closeJournal(): Promise<void> {
    if (this.#opening === null) return
    const isOpen = await this.#opening.then(
      () => true,
      () => false,
    )
    if (isOpen) await this.#broker.journalQueue?.close()
  }

  #started(): MemoryNode {
    if (this.#isClosed) throw closedError()
    if (this.#node === null) {
      throw new MisuseError('invalid-option', 'This memoryLayer() is not started: a hub does that, once.')
    }
    return this.#node
  }
}

function closedError(): GroupcastError {
  return new GroupcastError('hub-closed', 'This memoryLayer() is closed, as its hub is.')
}

const NODE_PREFIX = 'specific.'

/** The node that a channel was made for by `channelOf`; `null` for all other channels. */
function nodeOf(channel: string): string | null {
  const end = channel.indexOf('!')
  return end !== -1 && channel.startsWith(NODE_PREFIX) ? channel.slice(NODE_PREFIX.length, end) : null
}
