// @ts-check
/** A running subject with its clients, and the closed rounds that measure CPU time per delivery. */
import { atOnce } from './at-once.mjs'
import { connectFleet } from './clients.mjs'
import { loadGenerator } from './dist.mjs'
import { ROUND_BYTES, turnBytes } from './rounds.mjs'
import { countSends } from './system-calls.mjs'

/** @typedef {import('../types.d.ts').Subject} Subject */
/** @typedef {import('../types.d.ts').Context} Context */

const PATIENCE_MS = 20_000
/** Until a round has as many turns as fit, which doubles from one. */
const WARM_UP_ROUNDS = 8
/** A turn of the slowest takes half a second. With 200 the compiler's time showed in the hub's figures at 100 messages a turn. */
const WARM_UP_CPU_MS = 400
/** The server's time for a round, about. */
const ROUND_CPU_MS = 50
/** A second, of an open loop. */
const SMOKE_BATCHES = 50
/** Nothing is measured yet; one alone would leave each core waiting for the other. */
const STARTED_AT_ONCE = 3

/**
 * @typedef {object} CrewSettings
 * @property {import('../types.d.ts').SubjectSettings['transport']} transport
 * @property {number} [groups]
 * @property {number} [groupsEach]
 * @property {number} [subscribers]
 * @property {number} [keys]
 * @property {number} [size]
 * @property {Readonly<Record<string, unknown>>} [extra]
 */

export class Crew {
  /** @type {Subject} */ subject
  /** @type {import('../types.d.ts').RunningSubject} */ running
  /** @type {import('../../src/load/index.ts').Fleet} */ fleet
  /** @type {Context} */ #context
  /** @type {number} */ #subscribers
  /** @type {number} */ #size
  /** @type {number} */ #keys
  /** @type {number} Deliveries of one message. */ #reach
  #next = 0
  /** Turns of a round, by what is sent. @type {Map<string, number>} */
  #turns = new Map()
  #isFaulty = false
  /** @type {import('../../src/load/index.ts').Fleet | null} */
  #bystanders = null

  /**
   * @param {Context} context
   * @param {Subject} subject
   * @param {import('../types.d.ts').RunningSubject} running
   * @param {import('../../src/load/index.ts').Fleet} fleet
   * @param {Required<Pick<CrewSettings, 'subscribers' | 'size' | 'keys' | 'groups' | 'groupsEach'>>} settings
   */
  constructor(context, subject, running, fleet, { subscribers, size, keys, groups, groupsEach }) {
    this.#context = context
    this.subject = subject
    this.running = running
    this.fleet = fleet
    this.#subscribers = subscribers
    this.#size = size
    this.#keys = keys
    this.#reach = (subscribers * groupsEach) / groups
  }

  /**
   * Starts a subject and connects its clients.
   *
   * @param {Context} context
   * @param {Subject} subject
   * @param {CrewSettings} settings
   */
  static async start(context, subject, settings) {
    const { options } = context
    const { transport, groups = 1, groupsEach = 1, keys = 0, extra = {} } = settings
    const { subscribers = options.subscribers, size = options.size } = settings
    context.progress(`${subject.name}: connecting ${subscribers} clients (${transport})`)
    const { subject: prefix } = context.pinning
    /** @type {import('../types.d.ts').RunningSubject | null} */
    let running = null
    try {
      running = await subject.start({ transport, groups, size, keys, prefix, extra })
      const { fleet } = await connectFleet(context, running, {
        transport,
        groups,
        groupsEach,
        messageBytes: size,
        keys,
        clients: subscribers,
      })
      return new Crew(context, subject, running, fleet, { subscribers, size, keys, groups, groupsEach })
    } catch (error) {
      await running?.stop()
      throw new Error(`${subject.name}: ${error instanceof Error ? error.message : error}`)
    }
  }

  /**
   * Sends rounds of bursts, each when all clients have the last, for at least the time. Resolves with the CPU time per delivery in microseconds, of
   * the server and of the generator: one works, then the other.
   *
   * @param {{ perTurn: number, overHttp?: boolean }} burst
   * @param {number} [durationMs]
   */
  async measure({ perTurn, overHttp = false }, durationMs = this.#context.options.durationMs) {
    const turns = await this.#warmUp(perTurn, overHttp)
    await this.fleet.startBusy()
    const first = this.#next
    const before = await this.running.usage()
    const startMs = performance.now()
    do await this.#round(turns, perTurn, overHttp)
    while (performance.now() - startMs < durationMs)
    const tookMs = performance.now() - startMs
    const after = await this.running.usage()
    await this.fleet.progress()
    const deliveries = (this.#next - first) * this.#reach
    return {
      cpuUs: (after.cpuUs - before.cpuUs) / deliveries,
      inTurnsPerSecond: (deliveries / tookMs) * 1000,
      generatorUs: (this.fleet.cpuMs * 1000) / deliveries,
    }
  }

  /**
   * Lets the compiler see the code, and finds out how many turns a round may have: the first time at length, then with one round, since
   * another process has had the core.
   *
   * @param {number} perTurn @param {boolean} overHttp
   */
  async #warmUp(perTurn, overHttp) {
    const key = `${perTurn} ${overHttp}`
    const known = this.#turns.get(key)
    if (known !== undefined) {
      await this.#round(known, perTurn, overHttp)
      return known
    }
    const most = this.subject.answersEarly === true ? 1 : Number.POSITIVE_INFINITY
    const fitting = ROUND_BYTES / this.#turnBytes(perTurn)
    let turns = 1
    let spentUs = 0
    const rounds = this.#context.options.pace === 'smoke' ? 1 : WARM_UP_ROUNDS
    for (let i = 0; i < rounds && spentUs < WARM_UP_CPU_MS * 1000; i++) {
      const before = await this.running.usage()
      await this.#round(turns, perTurn, overHttp)
      const after = await this.running.usage()
      spentUs += after.cpuUs - before.cpuUs
      // By CPU time: on a busy machine a short round takes long, and short rounds would measure the runner's messages.
      const wanted = (turns * ROUND_CPU_MS * 1000) / Math.max(1, after.cpuUs - before.cpuUs)
      turns = Math.max(1, Math.round(Math.min(turns * 2, wanted, fitting, most)))
    }
    this.#turns.set(key, turns)
    return turns
  }

  /**
   * Sends a round and counts the system calls for it. Resolves with how many there were for each connection and turn.
   *
   * @param {{ perTurn: number, overHttp?: boolean }} burst @param {number} turns at most
   */
  async sends({ perTurn, overHttp = false }, turns) {
    const { load } = this.#context.pinning
    const fitting = Math.max(1, Math.min(turns, Math.floor(ROUND_BYTES / this.#turnBytes(perTurn))))
    const round = () => this.#round(fitting, perTurn, overHttp)
    return (await countSends(this.running.pid ?? 0, load, round)) / (fitting * this.#subscribers)
  }

  /** @param {number} perTurn */
  #turnBytes(perTurn) {
    return turnBytes({ size: this.#size, perTurn, groups: this.#subscribers, groupsEach: this.#reach })
  }

  /** @param {number} turns @param {number} perTurn @param {boolean} overHttp */
  async #round(turns, perTurn, overHttp) {
    // Nobody reads while a round is written. Reading takes time of the same kernel locks and caches, wakes processes, and is the more costly
    // to a server the better its readers keep up with it: so a slower one would pay more for each write than a faster one.
    const isSent = this.#turnBytes(perTurn) <= ROUND_BYTES
    if (isSent) await this.fleet.stop()
    await this.running.burst({ turns, perTurn, first: this.#next, overHttp })
    if (isSent) await this.fleet.resume()
    this.#next += turns * perTurn
    if (await this.fleet.caughtUp(this.#next, PATIENCE_MS)) return
    await this.check()
    throw new Error(`${this.subject.name}: messages were lost, see the notes.`)
  }

  /**
   * Further clients in a process of their own, which get what is sent from now on. They may read slowly: nobody waits for them, and what
   * they miss is not lost.
   *
   * @param {{ transport: CrewSettings['transport'], clients: number, bytesPerSecond?: number }} settings
   */
  async slowReaders({ transport, clients, bytesPerSecond }) {
    const slow = { first: this.#next, ...(bytesPerSecond !== undefined && { bytesPerSecond }) }
    const { fleet } = await connectFleet(this.#context, this.running, {
      ...{ transport, clients, slow },
      keys: this.#keys,
    })
    return fleet
  }

  /**
   * Further clients in groups of their own, to which nothing is sent. They stay until the crew is stopped.
   *
   * @param {{ transport: CrewSettings['transport'], clients: number, groups: number, groupsEach: number }} settings
   */
  async addBystanders(settings) {
    this.#context.progress(`${this.subject.name}: connecting ${settings.clients} others`)
    const { fleet } = await connectFleet(this.#context, this.running, { ...settings, groupName: 'other' })
    this.#bystanders = fleet
  }

  /** Number of the next message. */
  get next() {
    return this.#next
  }

  /** What the clients have got of all that was sent so far. */
  report() {
    return this.fleet.report(this.#next)
  }

  /** Whether every client got every message once and in order; what is wrong becomes a note. */
  async check() {
    const { lost, doubled, outOfOrder, damaged, ended } = await this.report()
    const faults = Object.entries({ lost, doubled, outOfOrder, damaged, ended }).filter(
      ([, count]) => count > 0,
    )
    if (faults.length > 0 && !this.#isFaulty) {
      this.#isFaulty = true
      const text = `${this.subject.name}: ${faults.map(([what, count]) => `${count} ${what}`).join(', ')}`
      // What others lose is worth knowing, and no fault of the run.
      if (this.subject.kind === 'peer') this.#context.note(text)
      else this.#context.fault(text)
    }
    return !this.#isFaulty
  }

  /**
   * Publishes at a fixed rate, whatever the server does, and times each delivery from when its message was meant to be sent.
   *
   * @param {{ rate: number, durationMs: number, overHttp?: boolean, isContinued?: boolean }} load `isContinued`: latencies are added to the last
   */
  async openLoop({ rate, durationMs, overHttp = false, isContinued = false }) {
    const { monotonicMs, runSchedule } = await loadGenerator()
    const first = this.#next
    const end = first + Math.floor((rate * durationMs) / 1000)
    this.#next = end
    const schedule = {
      startMs: monotonicMs() + 50,
      first,
      end,
      intervalMs: 1000 / rate,
      // One that keeps a schedule to the tenth of a millisecond is awake before each message. What is not measured may come together.
      batch: this.#context.options.pace === 'smoke' ? Math.ceil(rate / SMOKE_BATCHES) : 1,
      isContinued,
    }
    await this.fleet.startClock(schedule, this.#size)
    const before = await this.running.usage()
    /** @type {Promise<void>[]} */
    const bursts = []
    const send = (/** @type {number} */ n, /** @type {number} */ to) =>
      void bursts.push(this.running.burst({ turns: 1, perTurn: to - n, first: n, overHttp }))
    await runSchedule(schedule, send)
    await Promise.all(bursts)
    await this.fleet.caughtUp(end, PATIENCE_MS)
    const after = await this.running.usage()
    const { latency, timeToLast } = await this.fleet.report(end)
    return {
      ...latency,
      lastP50: timeToLast.p50,
      lastP99: timeToLast.p99,
      serverBusy: (after.cpuUs - before.cpuUs) / 1000 / durationMs,
      generatorBusy: this.fleet.busy,
    }
  }

  /**
   * This crew in a comparison.
   *
   * @param {string} label stands after the subject's name
   * @param {{ perTurn: number, overHttp?: boolean }} burst
   */
  contender(label, burst) {
    const { name, kind } = this.subject
    return { label: `${name} ${label}`, kind, measure: () => this.measure(burst) }
  }

  async stop() {
    await this.fleet.leave().catch(() => {})
    await this.#bystanders?.leave().catch(() => {})
    await this.running.stop()
  }
}

/**
 * What others' programs need changes with their versions: that one does not start is no fault of the run.
 *
 * @param {Context} context @param {Subject} subject @param {unknown} error
 */
function leaveOut(context, { kind }, error) {
  if (kind !== 'peer') throw error
  context.note(`left out, ${error instanceof Error ? error.message : error}`)
  return null
}

/**
 * Starts a crew for each subject, hands them to `work`, and stops them, whatever happens. A peer that fails is named and left out.
 *
 * @template T
 * @param {Context} context
 * @param {readonly Subject[]} subjects
 * @param {CrewSettings} settings
 * @param {(crews: Crew[]) => Promise<T>} work
 */
export async function withCrews(context, subjects, settings, work) {
  const fitting = subjects.filter(({ transports }) => transports.includes(settings.transport))
  const started = await atOnce(STARTED_AT_ONCE, fitting, (subject) =>
    Crew.start(context, subject, settings).catch((error) => leaveOut(context, subject, error)),
  )
  const crews = started.flatMap(({ value }) => value ?? [])
  try {
    for (const { error } of started) if (error !== undefined) throw error
    const result = await work(crews)
    for (const crew of crews) await crew.check()
    return result
  } finally {
    await Promise.all(crews.map((crew) => crew.stop()))
  }
}
