/** The words that the parts of the benchmark share. */

export type Transport = 'websocket' | 'sse'

/** What a subject is started for. */
export interface SubjectSettings {
  /** What its clients speak. */
  readonly transport: Transport | 'mixed'
  /** Groups are named `g0`, `g1` and on; message `n` goes to the one at `n` modulo their count. */
  readonly groups: number
  /** Bytes of a message's JSON text. */
  readonly size: number
  /** Keys of the messages; none unless given. */
  readonly keys?: number
  /** What pins the process to a core: `['taskset', '-c', '0']`, or nothing. */
  readonly prefix: readonly string[]
  /** Only for what the scenario itself knows. */
  readonly extra?: Readonly<Record<string, unknown>>
}

/** So many messages, all in one turn of the event loop, so many times. */
export interface Burst {
  readonly turns: number
  readonly perTurn: number
  /** Number of the first message. */
  readonly first: number
  /** Over the HTTP API, where the subject has one. */
  readonly overHttp?: boolean
}

export interface Usage {
  /** User and system time of the subject's processes. */
  readonly cpuUs: number
  readonly rssBytes: number
  /** Of JavaScript, where the subject has any: objects that are alive after a collection. */
  readonly heapBytes?: number
  /** The most resident memory since `watch`. */
  readonly peakRssBytes?: number
  /** What waits for slow readers, by the hub's own count. */
  readonly backlogBytes?: number
  /** Messages of clients that were handled. */
  readonly ingested?: number
}

/** A running subject. */
export interface RunningSubject {
  readonly url: string
  /** Path of the streams; clients add `group=…`. */
  readonly path: string
  /** A text frame that clients send first. */
  readonly hello?: string
  /** Resolves when all has been handed to the system, or to the subject's own queues. */
  burst(burst: Burst): Promise<void>
  /** @param options `collect`: garbage first, where the subject can be told */
  usage(options?: { readonly collect?: boolean }): Promise<Usage>
  /** From now on the peak of resident memory is taken; only subjects in Node. */
  watch?(): Promise<void>
  /** Of its process, where it has one alone, for tools that look at it from outside. */
  readonly pid?: number
  stop(): Promise<void>
}

/** Something that is measured: one module in `subjects/`. */
export interface Subject {
  readonly name: string
  /** What it is, for tables. */
  readonly title: string
  readonly kind: 'hub' | 'control' | 'peer'
  readonly transports: readonly (Transport | 'mixed')[]
  /** Whether it has more than one group. */
  readonly hasGroups: boolean
  /** Says that it has taken a message before it has delivered it: the next turn must wait for the clients, or turns would run together. */
  readonly answersEarly?: boolean
  /** So slow that a quick pass leaves it out, and a burst of this many messages a turn is the longest worth waiting for. */
  readonly mostPerTurn?: number
  /** `null` when it can run here, else what is missing. */
  missing(): string | null
  start(settings: SubjectSettings): Promise<RunningSubject>
}

/** How the command was called. */
export interface Options {
  readonly subscribers: number
  readonly repeats: number
  /** Of these, in how many those take part with which no target compares. */
  readonly otherRepeats: number
  /** Time measured for each figure, in milliseconds. */
  readonly durationMs: number
  readonly size: number
  /** How much time scenarios with times of their own take: `smoke` shows that they work, and measures nothing. */
  readonly pace: 'smoke' | 'quick' | 'full'
  /** Restricts subjects by name; `null`: all. */
  readonly subjects: readonly string[] | null
}

/** What a scenario gets to work with. */
export interface Context {
  readonly options: Options
  readonly pinning: Pinning
  /** Shows what is being done, on one line. */
  progress(text: string): void
  /** A remark that belongs to the results: something missing, lost, or saturated. */
  note(text: string): void
  /** Something was lost, doubled or out of order: noted, and the run fails. */
  fault(text: string): void
  /**
   * Those of these subjects that were asked for and can run here; others are named in a note.
   *
   * @param quick those that a quick pass has time for, unless subjects were asked for by name; all unless given
   */
  choose(names: readonly string[], quick?: readonly string[]): Promise<Subject[]>
}

export interface Pinning {
  readonly subject: readonly string[]
  readonly load: readonly string[]
  readonly text: string
}

/** One figure of one subject, over all repeats. */
export interface Row {
  readonly case: string
  readonly subject: string
  readonly kind: Subject['kind']
  /** `µs/delivery`, `handshakes/s`, … */
  readonly unit: string
  /** Of the repeats. */
  readonly median: number
  readonly low: number
  readonly high: number
  /** Further figures of the same run. */
  readonly more?: Readonly<Record<string, number>>
}

/** What was wanted, and what it came to: as a rule a ratio of two subjects measured in turns. */
export interface Target {
  readonly case: string
  /** `hub ≤ 1.5 × c-loop`. */
  readonly text: string
  readonly value: number
  readonly limit: number
  /** Whether the value is to be at most (or at least) the limit. */
  readonly isAtMost: boolean
  readonly isMet: boolean
}

export interface Result {
  readonly scenario: string
  readonly title: string
  readonly settings: Readonly<Record<string, unknown>>
  readonly rows: readonly Row[]
  readonly targets: readonly Target[]
  readonly notes: readonly string[]
  /** Something was lost, doubled or out of order. */
  readonly isFaulty: boolean
}

/** One module in `scenarios/`. */
export interface Scenario {
  readonly name: string
  readonly title: string
  /** With fewer it would measure something else, or nothing; 1 unless given. */
  readonly leastSubscribers?: number
  /** Takes too long for a quick pass: it runs when it is named, and in a smoke run. */
  readonly isByNameOnly?: boolean
  run(context: Context): Promise<{
    readonly settings: Readonly<Record<string, unknown>>
    readonly rows: readonly Row[]
    readonly targets: readonly Target[]
  }>
}

/** All that one call of the command found out: the JSON file. */
export interface Run {
  readonly at: string
  readonly tookMs: number
  readonly machine: Readonly<Record<string, string | number | boolean>>
  readonly pinning: string
  readonly options: Options
  readonly results: readonly Result[]
}
