import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client'
import type { HubStats } from '../hub/hub-api.ts'
import type { ApiHub } from './contract.ts'

type CountName = Exclude<keyof HubStats, 'connections' | 'groups' | 'backlogBytes'>

/** What is counted since the hub was created: its field of `hub.stats`, its name, its meaning. */
const COUNTERS: readonly (readonly [CountName, string, string])[] = [
  ['opened', 'groupcast_connections_opened_total', 'Connections let in.'],
  ['denied', 'groupcast_connections_denied_total', 'Clients not let in.'],
  ['received', 'groupcast_messages_received_total', 'Messages from clients.'],
  ['publications', 'groupcast_publications_total', 'Publications that reached this node.'],
  ['deliveries', 'groupcast_deliveries_total', 'Publications times the connections they went to.'],
  ['slowConsumers', 'groupcast_slow_consumers_total', 'Connections closed because they read too slowly.'],
  ['dropped', 'groupcast_dropped_messages_total', 'Messages dropped because their readers were too slow.'],
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
