// @ts-check
/**
 * What a layer costs between two nodes: published in one process, delivered in another, over a broker that the benchmark starts. Layers are driven
 * directly, without a hub, beside a bare client of the same broker.
 */
import { missingBroker, startBroker } from '../lib/brokers.mjs'
import { loadGenerator } from '../lib/dist.mjs'
import { interleaved } from '../lib/interleave.mjs'
import { startProcess } from '../lib/node-subject.mjs'
import { spread, target } from '../lib/statistics.mjs'

/** @typedef {import('../types.d.ts').Context} Context */
/** @typedef {import('../lib/node-ends.mjs').EndOptions} EndOptions */
/** @typedef {import('../lib/interleave.mjs').Measured} Measured */

/** At once under way, where the rate is measured. */
const IN_FLIGHT = 100
/** Messages a second, where latency is. */
const RATE = 200

const LAYER = 'hub layer'
const CLIENT = 'bare client'
const MEMORY = 'hub memory, one node'

const TIMES = {
  smoke: { warmUpMs: 20, rateMs: 100, latencyMs: 200, repeats: 1 },
  quick: { warmUpMs: 200, rateMs: 500, latencyMs: 1_000, repeats: 2 },
  full: { warmUpMs: 1_000, rateMs: 2_000, latencyMs: 3_000, repeats: 5 },
}

// Django's core layer drops what a queue does not take: it must not be what is measured.
const CORE = '?protocol=core&capacity=1000000'

/** @type {readonly { name: string, broker: 'redis' | 'nats', hasHistory: boolean, layerUrl: (url: string) => string, client: EndOptions['kind'] }[]} */
const CASES = [
  { name: 'redis', broker: 'redis', hasHistory: false, layerUrl: (url) => url, client: 'pub-sub' },
  {
    name: 'redis, history',
    broker: 'redis',
    hasHistory: true,
    layerUrl: (url) => url,
    client: 'redis-stream',
  },
  { name: 'nats', broker: 'nats', hasHistory: false, layerUrl: (url) => url, client: 'nats' },
  { name: 'nats, history', broker: 'nats', hasHistory: true, layerUrl: (url) => url, client: 'jet-stream' },
  {
    ...{ name: 'django core', broker: 'redis', hasHistory: false, client: 'redis-queue' },
    layerUrl: (url) => `django+${url}${CORE}`,
  },
  {
    ...{ name: 'django pubsub', broker: 'redis', hasHistory: false, client: 'django-pub-sub' },
    layerUrl: (url) => `django+${url}?protocol=pubsub`,
  },
]

/** @type {import('../types.d.ts').Scenario} */
export const scenario = {
  name: 'cross-node',
  title: 'Across nodes: published on one, delivered on another, over a real broker',
  isByNameOnly: true,
  async run(context) {
    const { size, pace } = context.options
    const { repeats, ...times } = TIMES[pace]
    const limited = { ...context, options: { ...context.options, repeats } }
    const rows = []
    const targets = []
    const missing = new Set()
    /** One node with history and one without serve all cases. @type {Map<boolean, Way>} */
    const nodes = new Map()
    try {
      for (const one of CASES) {
        const lack = missingBroker(one.broker)
        if (lack !== null) {
          missing.add(`${one.broker} was skipped: ${lack}.`)
          continue
        }
        const node = nodes.get(one.hasHistory) ?? oneNode(limited, one.hasHistory)
        if (!nodes.has(one.hasHistory)) await node.open()
        nodes.set(one.hasHistory, node)
        const { rows: more, targets: wanted } = await measureCase(limited, one, node)
        rows.push(...more)
        targets.push(...wanted)
      }
    } finally {
      for (const node of nodes.values()) await node.stop()
    }
    for (const text of missing) context.note(text)
    if (rows.length === 0) rows.push(...(await memoryAlone(limited)))
    return { settings: { size, inFlight: IN_FLIGHT, rate: RATE, ...times, repeats }, rows, targets }
  },
}

/** @param {Context} context @param {boolean} hasHistory */
function oneNode(context, hasHistory) {
  return new Way(context, MEMORY, { kind: 'layer', url: 'memory', hasHistory })
}

/** @param {Context} context @param {typeof CASES[number]} one @param {Way} node */
async function measureCase(context, one, node) {
  const { name, broker: brokerName, hasHistory, layerUrl, client } = one
  const broker = await startBroker(brokerName)
  /** @type {Way[]} */
  const ways = []
  const open = async (/** @type {Way} */ way) => {
    ways.push(way)
    await way.open()
  }
  try {
    await open(new Way(context, LAYER, { kind: 'layer', url: layerUrl(broker.url), hasHistory }))
    await open(new Way(context, CLIENT, { kind: client, url: broker.url, hasHistory }))
    const rate = await interleaved(context, `${name}: rate`, contenders(ways, 'rate'))
    const latency = await interleaved(context, `${name}: latency`, contenders([...ways, node], 'latency'))
    return {
      rows: [
        ...rate.rows(`${name}: rate`, 'perSecond', 'publishes/s'),
        ...latency.rows(`${name}: latency`, 'p50', 'ms p50', ['p99']),
        ...added(`${name}: added to one node`, latency),
      ],
      targets: rate.has(LAYER) && rate.has(CLIENT) ? [wanted(name, rate)] : [],
    }
  } finally {
    for (const way of ways) await way.stop()
    await broker.stop()
  }
}

/** Without any broker there is still what latency is compared with. @param {Context} context */
async function memoryAlone(context) {
  const way = oneNode(context, false)
  try {
    await way.open()
    const latency = await interleaved(context, 'one node: latency', contenders([way], 'latency'))
    return latency.rows('one node: latency', 'p50', 'ms p50', ['p99'])
  } finally {
    await way.stop()
  }
}

/** @param {readonly Way[]} ways @param {'rate' | 'latency'} what */
function contenders(ways, what) {
  return ways.map((way) => ({
    label: way.label,
    kind: /** @type {'hub' | 'control'} */ (way.label === CLIENT ? 'control' : 'hub'),
    measure: () => way[what](),
  }))
}

/** What of the latency is the way to another node: in each repeat the percentile less that of one node. @param {string} name @param {Measured} latency */
function added(name, latency) {
  return [LAYER, CLIENT]
    .filter((label) => latency.has(label) && latency.has(MEMORY))
    .map((label) => {
      const over = (/** @type {string} */ key) => {
        const base = latency.values(MEMORY, key)
        return spread(latency.values(label, key).map((value, i) => value - (base[i] ?? Number.NaN)))
      }
      const kind = /** @type {'hub' | 'control'} */ (label === CLIENT ? 'control' : 'hub')
      const more = { p99: over('p99').median }
      return { case: name, subject: label, kind, unit: 'ms p50', ...over('p50'), more }
    })
}

/** @param {string} name @param {Measured} rate */
function wanted(name, rate) {
  return target({
    case: `${name}: rate`,
    text: `${LAYER} ≥ 0.7 × ${CLIENT}`,
    of: rate.values(LAYER, 'perSecond'),
    against: rate.values(CLIENT, 'perSecond'),
    limit: 0.7,
    isAtMost: false,
  })
}

/** From a process that sends to one that gets it; with the memory layer both are one. */
class Way {
  /** @type {Context} */ #context
  /** @type {Omit<EndOptions, 'hears'>} */ #options
  /** @type {Awaited<ReturnType<typeof startProcess>>[]} */ #processes = []
  #next = 0

  /** @param {Context} context @param {string} label @param {Omit<EndOptions, 'hears'>} options */
  constructor(context, label, options) {
    this.#context = context
    this.#options = options
    this.label = label
  }

  async open() {
    const isOneNode = this.#options.url === 'memory'
    // A smoke run, which measures nothing, saves the time that a process takes to start where it is not the hub's.
    const isOneProcess = this.label === CLIENT && this.#context.options.pace === 'smoke'
    // Three processes with the broker, on two cores as a rule: the system may place them, for all contenders alike.
    for (const hears of isOneNode ? [true] : [true, false]) {
      const [known] = this.#processes
      const call = isOneProcess && known !== undefined ? known : await startProcess('cross-node.mjs', [])
      if (call !== known) this.#processes.push(call)
      await call('open', { ...this.#options, hears })
    }
    await this.#closedLoop(this.#times.warmUpMs)
  }

  async rate() {
    return this.#closedLoop(this.#times.rateMs)
  }

  async latency() {
    const { monotonicMs } = await loadGenerator()
    const first = this.#next
    const end = first + Math.ceil((this.#times.latencyMs * RATE) / 1000)
    const schedule = { startMs: monotonicMs() + 20, first, intervalMs: 1000 / RATE, batch: 1, end }
    await this.#receiver('time', schedule)
    await this.#sender('openLoop', { schedule, size: this.#context.options.size })
    const { p50, p99 } = await this.#heard(end)
    await this.#receiver('time', null)
    return { p50, p99 }
  }

  async stop() {
    for (const call of this.#processes) await call.stop()
  }

  /** @param {number} durationMs */
  async #closedLoop(durationMs) {
    const first = this.#next
    const { size } = this.#context.options
    const { startMs, end } = await this.#sender('closedLoop', {
      first,
      durationMs,
      inFlight: IN_FLIGHT,
      size,
    })
    const { lastMs } = await this.#heard(end)
    return { perSecond: ((end - first) * 1000) / (lastMs - startMs) }
  }

  /** @param {number} end */
  async #heard(end) {
    this.#next = end
    const heard = await this.#receiver('heard', { end })
    if (heard.fault !== null) throw new Error(heard.fault)
    return heard
  }

  get #times() {
    return TIMES[this.#context.options.pace]
  }

  /** @param {string} operation @param {unknown} args @returns {Promise<any>} */
  #sender(operation, args) {
    return (this.#processes.at(-1) ?? missingProcess)(operation, args)
  }

  /** @param {string} operation @param {unknown} args @returns {Promise<any>} */
  #receiver(operation, args) {
    return (this.#processes[0] ?? missingProcess)(operation, args)
  }
}

/** @returns {never} */
function missingProcess() {
  throw new Error('the way is not open')
}
