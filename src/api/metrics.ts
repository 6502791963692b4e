import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { HubStats } from '../hub/hub-api.ts'
import type { ApiHub } from './contract.ts'

type CountName = Exclude<
  keyof HubStats,
  'connections' | 'groups' | 'backlogBytes' | 'authenticationSeconds' | 'rateRefusals'
>

/** What is counted since the hub was created: its field of `hub.stats`, its name, its meaning. */
const COUNTERS: readonly (readonly [CountName, string, string])[] = [
  ['opened', 'groupcast_connections_opened_total', 'Connections let in.'],
  ['denied', 'groupcast_connections_denied_total', 'Clients not let in.'],
  ['received', 'groupcast_messages_received_total', 'Messages from clients.'],
  ['publications', 'groupcast_publications_total', 'Publications that reached this node.'],
  ['deliveries', 'groupcast_deliveries_total', 'Publications times the connections they went to.'],
  [
    'slowConsumers',
    'groupcast_slow_consumers_total',
    'Connections closed because they, or their handlers, were too slow.',
  ],
  [
    'dropped',
    'groupcast_dropped_messages_total',
    'Messages dropped because their readers, or their handlers, were too slow.',
  ],
  ['dead', 'groupcast_dead_connections_total', 'Connections closed because they stopped answering.'],
  ['errors', 'groupcast_errors_total', 'Failures reported to onError.'],
  ['resumed', 'groupcast_connections_resumed_total', 'Connections let in that came with a cursor.'],
  [
    'resets',
    'groupcast_resets_total',
    'Groups of which a client was told that continuity cannot be proved, once for each client.',
  ],
  [
    'recalled',
    'groupcast_recalled_publications_total',
    'Publications of the past that clients were given, once for each client.',
  ],
  [
    'failedAuthentications',
    'groupcast_failed_authentications_total',
    'Attempts to authenticate that were refused for what the client gave.',
  ],
  [
    'refreshedTokens',
    'groupcast_tokens_refreshed_total',
    'Tokens that were replaced over an open connection.',
  ],
  ['expiredTokens', 'groupcast_tokens_expired_total', 'Connections closed because their token expired.'],
  ['revocations', 'groupcast_revocations_total', 'Revocations that this node heard of as they were made.'],
  ['revokedConnections', 'groupcast_revoked_connections_total', 'Connections closed by revocations.'],
  ['issuedTickets', 'groupcast_tickets_issued_total', 'One-time tickets issued by this node.'],
  ['usedTickets', 'groupcast_tickets_used_total', 'One-time tickets that opened a connection of this node.'],
]

/** The hub's numbers for Prometheus, read from `hub.stats` at each scrape. */
export class Metrics {
  readonly contentType: string
  readonly #registry: Registry
  #needsProcess: boolean

  constructor(hub: ApiHub, version: string, registry: Registry | null) {
    this.#registry = registry ?? new Registry()
    // A registry that was given belongs to an application, which may have the metrics of the process in it already.
    this.#needsProcess = registry === null
    this.contentType = this.#registry.contentType
    addGauges(hub, version, this.#registry)
    addRefusals(hub, this.#registry)
    addDurations(hub, this.#registry)
    for (const [field, name, help] of COUNTERS) {
      new Counter({
        name,
        help,
        registers: [this.#registry],
        collect() {
          this.reset()
          this.inc(hub.stats[field])
        },
      })
    }
  }

  /** All metrics in Prometheus' text format. */
  text(): Promise<string> {
    if (this.#needsProcess) {
      // Not before somebody asks: they watch the garbage collector and the event loop from then on.
      this.#needsProcess = false
      collectDefaultMetrics({ register: this.#registry })
    }
    return this.#registry.metrics()
  }
}

function addGauges(hub: ApiHub, version: string, registry: Registry): void {
  const registers = [registry]
  new Gauge({
    name: 'groupcast_connections',
    help: 'Live connections, by transport.',
    labelNames: ['transport'],
    registers,
    collect() {
      for (const [transport, count] of Object.entries(hub.stats.connections)) this.set({ transport }, count)
    },
  })
  new Gauge({
    name: 'groupcast_groups',
    help: 'Groups with members on this node.',
    registers,
    collect() {
      this.set(hub.stats.groups)
    },
  })
  new Gauge({
    name: 'groupcast_backlog_bytes',
    help: 'Bytes that wait for slow readers; what several wait for counts once.',
    registers,
    collect() {
      this.set(hub.stats.backlogBytes)
    },
  })
  new Gauge({
    name: 'groupcast_ready',
    help: 'Whether the hub can do its work: 1 or 0.',
    registers,
    collect() {
      this.set(hub.status.ready ? 1 : 0)
    },
  })
  new Gauge({ name: 'groupcast_info', help: 'Always 1.', labelNames: ['version'], registers }).set(
    { version },
    1,
  )
}

function addRefusals(hub: ApiHub, registry: Registry): void {
  new Counter({
    name: 'groupcast_rate_refusals_total',
    help: 'What was refused because a rate was exceeded.',
    labelNames: ['rate'],
    registers: [registry],
    collect() {
      this.reset()
      for (const [rate, count] of Object.entries(hub.stats.rateRefusals)) this.inc({ rate }, count)
    },
  })
}

function addDurations(hub: ApiHub, registry: Registry): void {
  registry.registerMetric(
    new HubHistogram(
      'groupcast_authentication_duration_seconds',
      'How long it took to find out who a client is, the wait for others included.',
      () => hub.stats.authenticationSeconds,
    ),
  )
}

/** A histogram that the hub has filled: those of prom-client can only be filled value by value. */
class HubHistogram extends Histogram {
  readonly #name: string
  readonly #help: string
  readonly #read: () => HubStats['authenticationSeconds']

  constructor(name: string, help: string, read: () => HubStats['authenticationSeconds']) {
    super({ name, help, registers: [] })
    this.#name = name
    this.#help = help
    this.#read = read
  }

  override async get(): ReturnType<Histogram['get']> {
    const { buckets, count, sum } = this.#read()
    const bounds = [...buckets, ['+Inf', count] as const]
    return {
      name: this.#name,
      help: this.#help,
      type: 'histogram' as never,
      aggregator: 'sum',
      collect() {},
      values: [
        ...bounds.map(([le, value]) => ({ metricName: `${this.#name}_bucket`, labels: { le }, value })),
        { metricName: `${this.#name}_sum`, labels: {}, value: sum },
        { metricName: `${this.#name}_count`, labels: {}, value: count },
      ],
    }
  }

  /** What the text of a registry is made from. */
  getForPromString(): ReturnType<Histogram['get']> {
    return this.get()
  }
}
