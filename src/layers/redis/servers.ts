/** The servers that a session talks to: one, or the primaries of a Cluster. */
import type { RedisOptions } from 'ioredis'
import { type MakeClient, RedisConnection } from '../broker/redis-connection.ts'
import { explained } from '../broker/redis-errors.ts'
import { SLOTS, slotOf } from './slots.ts'

/** A server, with a connection for commands and one for what comes by itself. */
export class Shard {
  readonly commands: RedisConnection
  readonly subscriber: RedisConnection
  readonly info: ServerInfo

  constructor(commands: RedisConnection, subscriber: RedisConnection, info: ServerInfo) {
    this.commands = commands
    this.subscriber = subscriber
    this.info = info
  }
}

/** What a server says of itself. */
export interface ServerInfo {
  /** Another one for each process that serves. */
  readonly runId: string
  readonly role: string
  /** Another one since it was made the primary; may change without that, too. */
  readonly replicationId: string
  /** It was a replica before, so that it may lack what the last primary had acknowledged. */
  readonly wasReplica: boolean
  /** It writes an append-only file. */
  readonly isDurable: boolean
  /** Its name in a Cluster, which outlives the process; nothing elsewhere. */
  readonly nodeId: string
  readonly isCluster: boolean
  /** What it does when it is full; `null` where it never is. */
  readonly eviction: string | null
}

/** Where servers are. */
export interface Address {
  readonly host: string
  readonly port: number
}

/** What is known before anything is connected. */
export interface ServersOptions {
  readonly make: MakeClient
  /** Nodes of a Cluster to ask for the others; `null`: there is no Cluster. */
  readonly seeds: readonly Address[] | null
  readonly connectTimeoutMs: number
  onLost(error: unknown): void
}

/** The connections of one session. */
export class Servers {
  readonly #options: ServersOptions
  readonly #connections: RedisConnection[] = []
  #shards: readonly Shard[] = []
  /** Of a Cluster: the shard of each slot. */
  #bySlot: (Shard | undefined)[] | null = null

  constructor(options: ServersOptions) {
    this.#options = options
  }

  get shards(): readonly Shard[] {
    return this.#shards
  }

  /** Where the nodes of a Cluster are, to ask when it is connected anew. */
  addresses: readonly Address[] = []

  /** Connects to all. Rejects with the first failure; whoever called destroys them then. */
  async connect(): Promise<void> {
    const { seeds } = this.#options
    try {
      if (seeds === null) this.#shards = [await this.#openShard({}, '')]
      else await this.#connectCluster(seeds)
    } catch (error) {
      throw explained(error)
    }
  }

  /** The server that has a key or channel. */
  shardOf(key: string): Shard {
    if (this.#bySlot === null) return this.#shards[0] as Shard
    const slot = slotOf(key)
    const shard = this.#bySlot[slot]
    if (shard === undefined) throw unserved(slot)
    return shard
  }

  /** Whether a server has a key or channel. */
  isAt(key: string, shard: Shard): boolean {
    return this.#bySlot === null || this.#bySlot[slotOf(key)] === shard
  }

  destroy(): void {
    for (const connection of this.#connections) connection.destroy()
  }

  async close(): Promise<void> {
    await Promise.all(this.#connections.map((connection) => connection.close()))
  }

  async #openShard(where: RedisOptions, nodeId: string): Promise<Shard> {
    const [commands, subscriber] = await Promise.all([this.#open(where), this.#open(where)])
    const [info, other] = await Promise.all([infoOf(commands), infoOf(subscriber)])
    if (info.runId !== other.runId)
      throw new Error('Two connections came to two servers: a failover is under way.')
    if (info.role !== 'master')
      throw new Error(`The server is a ${info.role}, not a primary: a failover may be under way.`)
    return new Shard(commands, subscriber, { ...info, nodeId })
  }

  async #open(where: RedisOptions): Promise<RedisConnection> {
    const { make, connectTimeoutMs, onLost } = this.#options
    const connection = new RedisConnection({
      make: (options) => make({ ...options, ...where }),
      connectTimeoutMs,
      onLost: (error) => onLost(explained(error)),
    })
    this.#connections.push(connection)
    await connection.connect()
    return connection
  }

  async #connectCluster(seeds: readonly Address[]): Promise<void> {
    const ranges = await this.#askSeeds(seeds)
    const primaries = new Map(ranges.map((range) => [`${range.address.host}:${range.address.port}`, range]))
    this.addresses = [...primaries.values()].map(({ address }) => address)
    const opened = await Promise.all(
      [...primaries].map(
        async ([name, { address, nodeId }]) =>
          [name, await this.#openShard(whereOf(address), nodeId)] as const,
      ),
    )
    const shards = new Map(opened)
    const bySlot = new Array<Shard | undefined>(SLOTS).fill(undefined)
    for (const { from, to, address } of ranges) {
      bySlot.fill(shards.get(`${address.host}:${address.port}`), from, to + 1)
    }
    this.#shards = [...shards.values()]
    this.#bySlot = bySlot
  }

  /** The slots, as the first node says that answers. Each has a part of the time: one that has stopped must not hide the others. */
  async #askSeeds(seeds: readonly Address[]): Promise<SlotRange[]> {
    let failure: unknown = new Error('No node of the Cluster is known.')
    for (const seed of seeds) {
      try {
        return await this.#ask(seed)
      } catch (error) {
        failure = error
      }
    }
    throw failure
  }

  async #ask(seed: Address): Promise<SlotRange[]> {
    const { make, connectTimeoutMs } = this.#options
    const connection = new RedisConnection({
      make: (options) => make({ ...options, ...whereOf(seed), commandTimeout: connectTimeoutMs }),
      connectTimeoutMs,
      // Its commands fail.
      onLost: () => {},
    })
    this.#connections.push(connection)
    try {
      await connection.connect()
      return slotRanges(await connection.send('CLUSTER', 'SLOTS'), seed)
    } finally {
      connection.destroy()
      this.#connections.splice(this.#connections.indexOf(connection), 1)
    }
  }
}

interface SlotRange {
  readonly from: number
  readonly to: number
  readonly address: Address
  readonly nodeId: string
}

/** @param asked a node that does not know its own address leaves it out */
function slotRanges(answer: unknown, asked: Address): SlotRange[] {
  return (answer as [number, number, [string | null, number, string]][]).map(
    ([from, to, [host, port, nodeId]]) => ({
      from,
      to,
      nodeId,
      address: { host: host === null || host === '' || host === '?' ? asked.host : host, port },
    }),
  )
}

/** A path or Sentinels of a given client's options would win. */
function whereOf({ host, port }: Address): RedisOptions {
  return { host, port, path: undefined, sentinels: undefined, db: 0 } as unknown as RedisOptions
}

async function infoOf(connection: RedisConnection): Promise<Omit<ServerInfo, 'nodeId'>> {
  const sections = await Promise.all(
    ['server', 'replication', 'memory', 'persistence'].map((section) => connection.send('INFO', section)),
  )
  const fields = new Map(
    [...sections.join('\n').matchAll(/^(\w+):(.*?)\r?$/gm)].map(([, name, value]) => [name, value]),
  )
  const policy = fields.get('maxmemory_policy') ?? 'noeviction'
  return {
    runId: fields.get('run_id') ?? '',
    role: fields.get('role') ?? 'master',
    replicationId: fields.get('master_replid') ?? '',
    // Of a server that does not say, nothing is proved.
    wasReplica: /^0*$/.test(fields.get('master_replid2') ?? 'unknown') === false,
    isDurable: fields.get('aof_enabled') === '1',
    isCluster: (fields.get('server_mode') ?? fields.get('redis_mode')) === 'cluster',
    eviction: fields.get('maxmemory') === '0' || policy === 'noeviction' ? null : policy,
  }
}

function unserved(slot: number): Error {
  const error = new Error(`CLUSTERDOWN slot ${slot} is served by no node`)
  error.name = 'ReplyError'
  return error
}
