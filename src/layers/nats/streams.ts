import { deferred } from '../broker/deferred.ts'
import type { Position } from '../cursor.ts'
import { Eras } from './eras.ts'
import {
  API,
  ApiError,
  type JetStream,
  type Stored,
  type StreamConfig,
  type StreamInfo,
} from './jet-stream.ts'
import type { ResolvedOptions } from './options.ts'
import type { Subjects } from './subjects.ts'
import { Turn, type TurnWire } from './turn.ts'
import { NobodyThere, Refused, type Wire } from './wire.ts'

/** How many marks of time there are in the longest age: see `HistoryStream.mark`. */
export const MARKS = 8
/** The stream keeps things for so much longer than groups may, so that a mark is always older than what is too old. */
const AGE_MARGIN = 1 + 2 / MARKS
/** Marks must not push each other out, whatever groups may keep. */
const LEAST_PER_SUBJECT = 4 * MARKS
/** JetStream must not take equal publications for one: the shortest span in which it looks for them. */
const DUPLICATES_MS = 100

/** The subject, behind that of the epoch, on which nodes note what the limit was before they raised it. */
export const LIMITS = 'l'

/** That on which the eras are. */
export const ERAS = 'e'

/** Makes the name of an epoch. */
function newEpoch(): string {
  return crypto.randomUUID().replaceAll('-', '').slice(0, 16)
}

/** The stream of history, as it is on the server. */
export interface OpenedHistory {
  readonly eras: Eras
  /** Most messages of a group that it can be relied on for; of its limit at the moment see {@link mostMessagesOf}. */
  readonly mostMessages: number
  readonly mostAgeMs: number
  /** Whether several servers keep it. */
  readonly isReplicated: boolean
}

/** What a node knows from before. */
export interface Known {
  /** The newest that it has heard of. */
  readonly newest: Position
  readonly eras: Eras
}

/** As much of the connection as is used besides JetStream. */
export type StreamsWire = TurnWire & Pick<Wire, 'serverId'>

/** Makes the streams, or brings those that are there in line with the options. */
export class Streams {
  readonly #stream: JetStream
  readonly #subjects: Subjects
  readonly #options: ResolvedOptions
  readonly #report: (error: unknown) => void
  readonly #wire: StreamsWire

  constructor(
    stream: JetStream,
    subjects: Subjects,
    options: ResolvedOptions,
    wire: StreamsWire,
    report: (error: unknown) => void,
  ) {
    this.#stream = stream
    this.#subjects = subjects
    this.#options = options
    this.#report = report
    this.#wire = wire
  }

  /**
   * Both streams, when they answer.
   *
   * @param known what the stream of history must have: otherwise it lost something, and begins anew
   */
  async open(known: Known | null): Promise<OpenedHistory> {
    for (;;) {
      const [history] = await Promise.all([this.#history(known), this.#queues()])
      if (history === null) continue
      // Of two that made the stream at the same moment, a cluster may have told this one that it was first when it was not.
      const subjects = [`${this.#subjects.stored(history.eras.epoch)}.t.=`, this.#subjects.queue('')]
      const answers = subjects.map((subject) => this.#answers(subject))
      if ((await Promise.all(answers)).every(Boolean)) return history
    }
  }

  /** Whether a stream stores what is sent to a subject. In a cluster nobody may lead one yet that was made a moment ago, and what is sent then is lost. */
  async #answers(subject: string): Promise<boolean> {
    const ask = () =>
      this.#stream.append(subject, '{}').then(
        () => true as const,
        (error) => {
          if (error instanceof NobodyThere) return null
          // It answers, if only that it has enough of these.
          if (error instanceof ApiError) return true as const
          throw error
        },
      )
    return (await this.#patiently(ask, ANSWER_MS)) !== null
  }

  /** `null`: it is to be asked for again. */
  async #history(known: Known | null): Promise<OpenedHistory | null> {
    const found = await this.#openHistory(NONE)
    const eras = await this.#enter(found, known)
    if (eras === null) return null
    // After that: nothing may be stored in an era before it begins.
    const { config } = await this.#openHistory(RAISED)
    if (this.#epochOf(config) !== eras.epoch) return null
    return {
      eras,
      mostMessages: mostMessagesOf(config),
      mostAgeMs: limitOf(config, 'max_age') / 1e6 / AGE_MARGIN,
      isReplicated: (config.num_replicas ?? 1) > 1,
    }
  }

  /** The eras, after that of this server was begun; `null`: the stream is another one now. */
  async #enter({ config, state, cluster }: StreamInfo, known: Known | null): Promise<Eras | null> {
    const epoch = this.#epochOf(config)
    const subject = `${this.#subjects.stored(epoch)}.${ERAS}`
    const last = await this.#last(config.name, subject)
    // Of two nodes that made it at the same moment each may have been told so, and then the cluster has dropped it.
    if (last === undefined) return null
    // Where a purge took it, nodes still know.
    const remembered = known?.eras.epoch === epoch ? known.eras : new Eras(epoch)
    const eras = last === null ? remembered : Eras.parse(epoch, last)
    if (known !== null && isContradicted(eras, state.last_seq, known.newest)) {
      await this.#beginAnew(config.name, known.newest.sequence)
      return null
    }
    // Of several servers (whatever it is that joins them) each may come again.
    const name = (cluster?.name ?? '') === '' ? nameOf(this.#wire.serverId) : null
    if (name === null || eras.has(name)) return eras
    try {
      const from = await this.#stream.appendAfter(last?.sequence ?? 0, subject, eras.toJson(name))
      return from === null ? null : eras.and(name, from)
    } catch (error) {
      // Another node makes the stream anew.
      if (error instanceof NobodyThere) return null
      throw error
    }
  }

  async #beginAnew(stream: string, known: number): Promise<void> {
    const text = `The stream ${stream} went back behind ${known}: the server lost what it had confirmed. Its history begins anew.`
    this.#report(new Error(text))
    await this.#stream.remove(stream)
  }

  #openHistory(differing: Differing): Promise<StreamInfo> {
    return this.#open(this.#subjects.historyStream, () => this.#historyConfig(), differing)
  }

  async #queues(): Promise<void> {
    const { config } = await this.#open(this.#subjects.queueStream, () => this.#queueConfig(), ALIGNED)
    if (config.subjects?.[0] !== `${this.#subjects.queues}.>`) throw this.#strange(config)
  }

  /** A cluster answers nothing, or not the same everywhere, about a stream that another node makes at this moment. */
  async #open(name: string, make: () => StreamConfig, differing: Differing): Promise<StreamInfo> {
    // The same at each try: a cluster takes what it was asked for before for the same stream, but not an epoch more.
    const wanted = make()
    const turn = this.#turnFor(name)
    let refusal: ApiError | null = null
    const ask = async () => {
      try {
        const info = await this.#tryOpen(wanted, differing, turn)
        return info?.cluster?.leader === '' ? null : info
      } catch (error) {
        if (!(error instanceof ApiError) || !NOT_YET.has(error.errorCode)) throw error
        refusal = error
        return null
      }
    }
    const found = await this.#patiently(ask).finally(() => turn?.end())
    if (found !== null) return found
    throw (
      refusal ??
      new Error(`JetStream does not answer about the stream ${name}: does its cluster have a leader?`)
    )
  }

  /**
   * Where several servers may keep a stream, nodes that find none must not all make it, with an epoch each: a cluster of servers from 2.9.9 to 2.11.8 tries to change
   * the first into the next, in vain, and up to 2.10.24 one of them may panic when it is asked about it then. `null`: one server keeps it, and makes the first.
   */
  #turnFor(stream: string): Turn | null {
    if (this.#wire.serverId !== null) return null
    return new Turn(this.#wire, this.#subjects.turn(stream), this.#options.clock)
  }

  /** The newest of a subject, from whoever leads the stream; `undefined`: the stream is gone again. */
  async #last(stream: string, subject: string): Promise<Stored | null | undefined> {
    const ask = () =>
      this.#stream.last(stream, subject).then(
        (stored) => ({ stored }),
        (error) => {
          if (!(error instanceof ApiError)) throw error
          if (error.errorCode === API.noStream) return { stored: undefined }
          if (NOT_YET.has(error.errorCode)) return null
          throw error
        },
      )
    const found = await this.#patiently(ask)
    if (found === null)
      throw new Error(`The stream ${stream} does not answer: does its cluster have a leader?`)
    return found.stored
  }

  /**
   * Asks until an answer is some use: where nobody leads, none comes. One that comes after the next question counts as well, since on a busy machine, or far away, all
   * of them may take longer than a pause. `null`: none came.
   */
  async #patiently<T>(ask: () => Promise<T | null>, pauseMs = this.#pauseMs): Promise<T | null> {
    const answer = deferred<T>()
    for (let tries = 0; tries < TRIES; tries++) {
      const asking = ask().then((found) => {
        if (found !== null) answer.resolve(found)
      })
      asking.catch(answer.reject)
      const pause = deferred<null>()
      const stopTimer = this.#options.clock.after(pauseMs, () => pause.resolve(null))
      const found = await Promise.race([answer.promise, pause.promise]).finally(stopTimer)
      if (found !== null) return found
    }
    return null
  }

  get #pauseMs(): number {
    return this.#options.timeoutMs / (TRIES + 1)
  }

  /** `null`: another node is making it. */
  async #tryOpen(wanted: StreamConfig, differing: Differing, turn: Turn | null): Promise<StreamInfo | null> {
    const found = (await this.#stream.info(wanted.name)) ?? (await this.#afterOthers(wanted.name, turn))
    if (found !== null) return this.#align(found, wanted, differing(found.config, wanted))
    return turn === null || turn.isOurs ? this.#make(wanted) : null
  }

  /** What a stream is when others have had their turn to make it. */
  async #afterOthers(name: string, turn: Turn | null): Promise<StreamInfo | null> {
    if (turn === null) return null
    await turn.come()
    return this.#stream.info(name)
  }

  async #make(wanted: StreamConfig): Promise<StreamInfo> {
    try {
      return await this.#stream.create(wanted)
    } catch (error) {
      if (!(error instanceof ApiError)) throw error
      // Another node may have been faster: the server says that the name is taken, or that the subjects overlap.
      const other = await this.#stream.info(wanted.name)
      if (other === null) throw error
      return other
    }
  }

  async #align(found: StreamInfo, wanted: StreamConfig, differing: readonly Limit[]): Promise<StreamInfo> {
    if (differing.length === 0) return found
    const changed = Object.fromEntries(differing.map((name) => [name, wanted[name]]))
    const update = () => this.#stream.update({ ...found.config, ...changed })
    try {
      const isCountRaised = wanted.name === this.#subjects.historyStream && 'max_msgs_per_subject' in changed
      return await (isCountRaised ? this.#noteLimit(found.config, update) : update())
    } catch (error) {
      // It can be used as it is.
      const text = `The stream ${wanted.name} has other limits than this node's options (${differing.join(', ')}), and could not be changed`
      this.#report(new Error(`${text}: ${(error as Error).message}`, { cause: error }))
      return found
    }
  }

  /** Around a raise of the count, the limit from before is noted: it goes on to bound what can be proved of what was sent until then. */
  async #noteLimit(config: StreamConfig, raise: () => Promise<StreamInfo>): Promise<StreamInfo> {
    const subject = `${this.#subjects.stored(this.#epochOf(config))}.${LIMITS}`
    const note = () => this.#stream.append(subject, JSON.stringify({ most: mostMessagesOf(config) }))
    // Before, since nothing may come between; and after, for what was pushed out meanwhile.
    await note()
    const raised = await raise()
    await note()
    return raised
  }

  #epochOf(config: StreamConfig): string {
    const epoch = this.#subjects.epochIn(config.subjects ?? [])
    if (epoch === null) throw this.#strange(config)
    return epoch
  }

  #strange({ name, subjects }: StreamConfig): Refused {
    return new Refused(
      `The stream ${name} is not one of groupcast's (its subjects are ${subjects?.join(', ')}): give the layer another prefix.`,
    )
  }

  #historyConfig(): StreamConfig {
    const { maxMessagesPerGroup, maxHistoryAgeMs, maxHistoryBytes } = this.#options
    const stored = `${this.#subjects.stored(newEpoch())}.>`
    return {
      ...this.#config(this.#subjects.historyStream),
      // The second is the same for all: of two nodes that make the stream at the same time, with an epoch each, the server could take both, and the first
      // would go on as a ghost that answers. It never takes two with the same subject.
      subjects: [stored, this.#subjects.claim],
      // One more than groups may keep: that it is there shows that something went.
      max_msgs_per_subject: Math.max(maxMessagesPerGroup + 1, LEAST_PER_SUBJECT),
      max_age: Math.ceil(maxHistoryAgeMs * AGE_MARGIN) * 1e6,
      max_bytes: maxHistoryBytes,
      discard: 'old',
      republish: { src: stored, dest: `${this.#subjects.live}.>` },
    }
  }

  #queueConfig(): StreamConfig {
    const { capacity, expiryMs, maxQueueBytes } = this.#options
    return {
      ...this.#config(this.#subjects.queueStream),
      subjects: [`${this.#subjects.queues}.>`],
      max_msgs_per_subject: capacity,
      max_age: Math.ceil(expiryMs) * 1e6,
      max_bytes: maxQueueBytes,
      discard: 'new',
      discard_new_per_subject: true,
      republish: { src: `${this.#subjects.queues}.>`, dest: `${this.#subjects.wakes}.>`, headers_only: true },
    }
  }

  #config(name: string): StreamConfig {
    const { storage, replicas } = this.#options
    return {
      name,
      retention: 'limits',
      storage,
      num_replicas: replicas,
      duplicate_window: DUPLICATES_MS * 1e6,
    }
  }
}

/** How often JetStream is asked, within the time for opening a session. */
const TRIES = 9
/** What a stream takes to answer, when it has a leader and the machine is not busy; then it is asked again. */
const ANSWER_MS = 200

/**
 * What a server says while another node makes the stream (its name is in use, its configuration would be changed, its subjects overlap), and while its cluster has no
 * leader.
 */
const NOT_YET = new Set<number>([API.nameInUse, API.invalidConfig, API.overlap, API.unavailable])

type Limit = 'max_msgs_per_subject' | 'max_age' | 'max_bytes' | 'num_replicas'
/** Which limits of a stream are to be changed. */
type Differing = (found: StreamConfig, wanted: StreamConfig) => readonly Limit[]

const CHANGEABLE: readonly Limit[] = ['max_msgs_per_subject', 'max_age', 'max_bytes', 'num_replicas']

const ALIGNED: Differing = (found, wanted) => CHANGEABLE.filter((name) => found[name] !== wanted[name])
const NONE: Differing = () => []
/** History is shrunk by no node: it would take from others what they rely on, while they run. */
const RAISED: Differing = (found, wanted) =>
  CHANGEABLE.filter((name) => limitOf(found, name) < limitOf(wanted, name))

/** JetStream says 0 or -1 where there is no limit. */
function limitOf(config: StreamConfig, name: Limit): number {
  const limit = config[name] ?? 0
  return limit > 0 ? limit : Number.POSITIVE_INFINITY
}

/** Most messages of a group of which a stream with these limits can prove that it has them all. */
export function mostMessagesOf(config: StreamConfig): number {
  return Math.max(1, limitOf(config, 'max_msgs_per_subject') - 1)
}

/** The name of the era that a start of a server begins. */
function nameOf(serverId: string | null): string | null {
  // The first two characters of such a key say of what kind it is.
  const name =
    serverId
      ?.toLowerCase()
      .replaceAll(/[^a-z0-9]/g, '')
      .slice(2, 14) ?? ''
  return name === '' ? null : name
}

/** Whether a stream lacks what a node knows that it had. */
function isContradicted(eras: Eras, lastSequence: number, newest: Position): boolean {
  if (eras.contradicts(newest)) return true
  return eras.sequenceOf(newest, Number.POSITIVE_INFINITY) !== undefined && newest.sequence > lastSequence
}
