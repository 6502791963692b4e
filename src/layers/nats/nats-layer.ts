import { ChannelFullError, GroupcastError, MisuseError } from '../../errors.ts'
import type { HistoryBounds } from '../../history.ts'
import { Interest } from '../broker/interest.ts'
import { type Attempt, Lifeline } from '../broker/lifeline.ts'
import { Patience } from '../broker/patience.ts'
import { encodeCursor, type Position } from '../cursor.ts'
import type {
  ChannelLayer,
  LayerPublication,
  LayerStart,
  LayerStatus,
  Replay,
  ReplayedPublication,
  ReplayRequest,
} from '../layer.ts'
import { type Selected, select } from './history.ts'
import type { ResolvedOptions } from './options.ts'
import { Queues } from './queues.ts'
import { type KeptPublication, NatsSession, provable, type SessionHost } from './session.ts'
import type { OpenedHistory } from './streams.ts'
import { Subjects } from './subjects.ts'
import { Refused } from './wire.ts'

const BROKER = 'NATS'

/** A layer over NATS: see `natsLayer`. */
export class NatsLayer implements ChannelLayer, SessionHost {
  readonly name = 'nats'
  readonly capabilities = Object.freeze({ replay: true, queues: true, order: 'group' } as const)
  readonly options: ResolvedOptions
  readonly subjects: Subjects
  readonly patience: Patience
  readonly #lifeline: Lifeline<NatsSession>
  readonly #interest: Interest
  readonly #queues: Queues
  #start: LayerStart | null = null
  /** The session that is open, or was last. */
  #latest: NatsSession | null = null
  /** What an operator was told since the layer was ready last. */
  readonly #said = new Set<string>()
  #closing: Promise<void> | null = null

  constructor(options: ResolvedOptions) {
    this.options = options
    this.subjects = new Subjects(options.prefix)
    const { clock, timeoutMs, lingerMs, capacity, expiryMs } = options
    const refused = (error: Refused) =>
      this.#sayOnce(`Messages of channels cannot be read: ${error.message}`, error)
    this.patience = new Patience(clock, timeoutMs)
    this.#queues = new Queues({ subjects: this.subjects, capacity, expiryMs, lingerMs, clock, refused })
    this.#interest = new Interest({
      subscribe: async (group) => this.#lifeline.session?.subscribe(group),
      unsubscribe: async (group) => this.#lifeline.session?.unsubscribe(group),
      fence: async (group) => this.#lifeline.session?.fenceGroup(group),
      clock,
      lingerMs,
    })
    this.#lifeline = new Lifeline<NatsSession>({
      broker: BROKER,
      open: (attempt) => this.#open(attempt),
      status: (status) => this.#onStatus(status),
      report: (error) => this.report(error),
      refusalOf: (error) => (error instanceof Refused ? error.message : null),
      clock,
      timeoutMs,
    })
  }

  get nodeId(): string {
    return this.#start?.nodeId ?? ''
  }

  async start(start: LayerStart): Promise<void> {
    if (this.#start !== null) {
      throw new MisuseError(
        'invalid-option',
        'This natsLayer() is started: give each hub a layer of its own.',
      )
    }
    this.#start = start
    await this.#lifeline.start()
  }

  // --- Groups ---

  groupAdd(group: string): Promise<void> {
    return this.#interest.add(group, (adding) => this.#lifeline.run(adding))
  }

  async groupDiscard(group: string): Promise<void> {
    if (this.#lifeline.isClosed) throw closed()
    this.#interest.discard(group)
  }

  groupSend(group: string, json: string): Promise<string | null> {
    return this.#lifeline.run<string | null>((session) =>
      this.boundsOf(group, session.history) === null
        ? session.publish(group, json)
        : session.append(group, json),
    )
  }

  // --- History ---

  get position(): string | null {
    const position = this.#latest?.position ?? null
    return position && encodeCursor(position.epoch, position.sequence)
  }

  async refresh(): Promise<void> {
    await this.#lifeline.run((session) => session.fence())
  }

  replay(request: ReplayRequest): Promise<Replay> {
    return this.#lifeline.run((session) => this.#replay(session, request))
  }

  // --- Channels ---

  channelOf(nodeId: string, localId: string): string {
    return `${NODE_PREFIX}${nodeId}!${localId}`
  }

  send(channel: string, json: string): Promise<void> {
    return this.#lifeline.run(async (session) => {
      const nodeId = nodeOf(channel)
      if (nodeId === null) await this.#queues.send(session, channel, json)
      else if (nodeId !== this.nodeId) await session.pushTo(nodeId, channel, json)
      else if (!this.push(channel, json)) throw new ChannelFullError(channel)
    })
  }

  async receive(channel: string, signal?: AbortSignal): Promise<string> {
    if (this.#lifeline.isClosed) throw closed()
    return this.#queues.receive(channel, signal)
  }

  flush(): Promise<void> {
    return this.#lifeline.run(async (session) => {
      await Promise.all([session.js.purge(this.subjects.queueStream), session.flushHistory()])
    })
  }

  async close(): Promise<void> {
    this.#closing ??= this.#close()
    await this.#closing
  }

  async #close(): Promise<void> {
    const { clock, timeoutMs } = this.options
    await new Promise<void>((resolve) => {
      const stopTimer = clock.after(timeoutMs, resolve)
      void this.#queues.close(closed()).then(() => {
        stopTimer()
        resolve()
      })
    })
    this.#interest.close()
    await this.#lifeline.close()
  }

  // --- For the session ---

  boundsOf(group: string, { mostMessages, mostAgeMs }: OpenedHistory): HistoryBounds | null {
    const bounds = this.#start?.historyOf(group) ?? null
    if (bounds === null || (bounds.count <= mostMessages && bounds.ageMs <= mostAgeMs)) return bounds
    const text = `Groups such as ${group} are to keep more than the stream does (${mostMessages} messages, ${mostAgeMs} ms): raise maxMessagesPerGroup or maxHistoryAgeMs of natsLayer.`
    this.#sayOnce(text)
    return {
      ...bounds,
      count: Math.min(bounds.count, mostMessages),
      ageMs: Math.min(bounds.ageMs, mostAgeMs),
    }
  }

  deliver(group: string, publication: LayerPublication): void {
    if (!this.#interest.has(group)) return
    try {
      this.#start?.sink.deliver(group, publication)
    } catch {
      // Obligation 13.
    }
  }

  push(channel: string, json: string): boolean {
    try {
      return this.#start?.sink.receive(channel, json) ?? true
    } catch {
      // Obligation 13. Delivered or not, who knows; but the channel was not full.
      return true
    }
  }

  foreign(subject: string): void {
    this.#sayOnce(
      `Another program publishes on ${subject}: what is no message of a hub is dropped. Give it other subjects, or the layer another prefix.`,
    )
  }

  report(error: unknown): void {
    try {
      this.#start?.sink.report?.(error)
    } catch {
      // Obligation 13.
    }
  }

  probed(): void {
    this.#queues.look()
  }

  async #open(attempt: Attempt): Promise<NatsSession> {
    const after = this.#latest?.position ?? null
    const groups = this.#interest.lost()
    const session = await NatsSession.open(this, attempt, this.#latest?.known ?? null, groups)
    this.#interest.restored(groups)
    try {
      if (this.#latest !== null) await this.#recover(session, after, groups, attempt)
    } catch (error) {
      session.destroy()
      throw error
    }
    this.#latest = session
    return session
  }

  async #recover(
    session: NatsSession,
    after: Position | null,
    groups: readonly string[],
    { signal }: Attempt,
  ): Promise<void> {
    const kept = new Map<string, HistoryBounds>()
    for (const group of groups) {
      const bounds = this.boundsOf(group, session.history)
      if (bounds !== null) kept.set(group, bounds)
    }
    const recovery = await session.recover(after, kept)
    // Given up meanwhile, or closed: the next session starts from where this one would have.
    signal.throwIfAborted()
    // Discarded meanwhile.
    const publications = recovery.publications.filter(({ group }) => this.#interest.has(group))
    const lost = recovery.lost.filter((group) => this.#interest.has(group))
    try {
      this.#start?.sink.recovered?.({ ...recovery, publications, lost })
    } catch {
      // Obligation 13.
    }
  }

  async #replay(session: NatsSession, { groups, after }: ReplayRequest): Promise<Replay> {
    const { eras } = session.history
    const wanted = [...groups].flatMap(([group, limit]) => {
      const bounds = this.boundsOf(group, session.history)
      return bounds === null ? [] : [{ group, limit, bounds }]
    })
    const end = await session.fence()
    const from = after === null ? null : eras.sequenceIn(after, end)
    const selected =
      from === undefined ? wanted.map(() => null) : await this.#selectAll(session, wanted, from, end)
    const publications: (ReplayedPublication & { readonly sequence: number })[] = []
    for (const [index, { group }] of wanted.entries()) {
      for (const { sequence, json } of selected[index]?.messages ?? []) {
        if (json === null) continue
        publications.push({ group, sequence, publication: { json, cursor: eras.cursor(sequence) } })
      }
    }
    publications.sort((a, b) => a.sequence - b.sequence)
    return {
      publications: publications.map(({ group, publication }) => ({ group, publication })),
      lost: wanted.filter((_, index) => selected[index] === null).map(({ group }) => group),
      hasMore: selected.some((one) => one?.hasMore === true),
      cursor: eras.cursor(end),
      covers: (cursor) => eras.sequenceIn(cursor, end) !== undefined,
    }
  }

  /** What each group gives; `null`: it is lost. */
  async #selectAll(
    session: NatsSession,
    wanted: readonly {
      readonly group: string
      readonly limit: number | null
      readonly bounds: HistoryBounds
    }[],
    after: number | null,
    end: number,
  ): Promise<(Selected<KeptPublication> | null)[]> {
    const found = await Promise.all(
      wanted.map(({ group }) =>
        after !== null && session.isUnchangedSince(group, after)
          ? 'nothing'
          : session.read(group, after ?? 0),
      ),
    )
    const needsProof = after !== null && found.some((one) => one !== 'nothing')
    // After reading: what was read and went then is not missing.
    const proof = needsProof ? await session.proof(after) : null
    const isProved = proof === null || (after ?? 0) >= proof.horizon
    return wanted.map(({ limit, bounds }, index) => {
      const messages = found[index] ?? 'nothing'
      if (messages === 'nothing') return NOTHING
      const provably = proof === null ? bounds : provable(bounds, proof)
      return isProved ? select(messages, { after, end, limit, bounds: provably, now: session.now }) : null
    })
  }

  #onStatus(status: LayerStatus): void {
    const { session } = this.#lifeline
    if (status.state !== 'ready') this.#queues.lost()
    try {
      this.#start?.sink.status(status)
    } catch {
      // Obligation 13.
    }
    if (status.state !== 'ready' || session === null) return
    this.#said.clear()
    session.goLive()
    this.#queues.connected(session)
  }

  #sayOnce(text: string, cause?: unknown): void {
    if (this.#said.has(text)) return
    this.#said.add(text)
    this.report(new GroupcastError('layer-unavailable', text, { cause }))
  }
}

const NOTHING: Selected<KeptPublication> = { messages: [], hasMore: false }

const NODE_PREFIX = 'specific.'

/** The node that a channel was made for by `channelOf`; `null` for all other channels. */
function nodeOf(channel: string): string | null {
  const end = channel.indexOf('!')
  return end !== -1 && channel.startsWith(NODE_PREFIX) ? channel.slice(NODE_PREFIX.length, end) : null
}

function closed(): GroupcastError {
  return new GroupcastError('hub-closed', 'This natsLayer() is closed, as its hub is.')
}
