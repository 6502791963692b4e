import { ChannelFullError, GroupcastError, Refusal } from '../../src/errors.ts'
import type {
  GroupInfo,
  History,
  HistoryQuery,
  Hub,
  HubStats,
  HubStatus,
  Sent,
} from '../../src/hub/hub-api.ts'
import { assertMessage } from '../../src/message.ts'
import { assertChannelName, assertGroupName } from '../../src/names.ts'
import { DEFAULT_LIMITS } from '../../src/options.ts'
import { REFUSED_FOR, resolveRates } from '../../src/rates.ts'
import type { Attachment } from '../../src/transports/backend.ts'

/** A message that reached a group or a channel. */
export interface Taken {
  readonly name: string
  readonly message: unknown
  /** The turn of the event loop in which it came. */
  readonly turn: number
}

const NO_CONNECTIONS = Object.freeze({ websocket: 0, sse: 0, ndjson: 0 })

/** A hub in memory with the checks of a real one, without clients. Tests look at what it took and tell it what to do. */
export class FakeHub implements Hub {
  readonly nodeId = 'fakefakefake'
  readonly limits = DEFAULT_LIMITS
  readonly rates = resolveRates({
    failedAuthenticationsPerAddress: 1,
    failedAuthenticationsPerAddressBurst: 50,
    exemptAddresses: [],
  })
  readonly sent: Taken[] = []
  readonly queued: Taken[] = []
  readonly closed: { readonly id: string; readonly code?: number; readonly reason?: string }[] = []
  readonly members = new Map<string, GroupInfo['connections']>([['a', { websocket: 1, sse: 2, ndjson: 0 }]])
  readonly connections = new Set(['here'])
  /** Of groups that keep history, what they keep. */
  readonly kept = new Map<string, History['messages']>()
  /** Every call that asks the layer fails with it. */
  failure: Error | null = null
  /** `groupSend` waits for it. */
  gate: Promise<void> | null = null
  cursor: string | null = null
  capacity = 100
  inFlight = 0
  mostInFlight = 0
  status: HubStatus = { ready: true, draining: false, layer: { state: 'ready' } }
  #turn = 0
  #turnEnds = false

  get stats(): HubStats {
    if (this.failure !== null) throw this.failure
    return {
      connections: { websocket: 1, sse: 2, ndjson: 0 },
      groups: this.members.size,
      backlogBytes: 7,
      opened: 10,
      denied: 1,
      received: 2,
      publications: this.sent.length,
      deliveries: 3,
      slowConsumers: 4,
      dropped: 0,
      dead: 5,
      errors: 6,
      resumed: 8,
      resets: 9,
      recalled: 11,
      failedAuthentications: 12,
      refreshedTokens: 13,
      expiredTokens: 14,
      revocations: 15,
      revokedConnections: 16,
      issuedTickets: 17,
      usedTickets: 18,
      authenticationSeconds: {
        buckets: [
          [0.1, 2],
          [1, 3],
        ],
        count: 4,
        sum: 5.5,
      },
      rateRefusals: Object.fromEntries(REFUSED_FOR.map((name, n) => [name, n])) as HubStats['rateRefusals'],
    }
  }

  async groupSend(group: string, message: { readonly type: string }): Promise<Sent> {
    assertGroupName(group)
    assertMessage(message)
    this.sent.push({ name: group, message, turn: this.#thisTurn() })
    this.inFlight++
    this.mostInFlight = Math.max(this.mostInFlight, this.inFlight)
    await this.gate
    this.inFlight--
    if (this.failure !== null) throw this.failure
    return { cursor: this.cursor }
  }

  async history(group: string, { after, limit = 100 }: HistoryQuery = {}): Promise<History> {
    assertGroupName(group)
    if (this.failure !== null) throw this.failure
    const kept = this.kept.get(group)
    if (kept === undefined) throw new GroupcastError('history-not-available')
    const index = kept.findIndex(({ cursor }) => cursor === after)
    if (after !== undefined && index === -1) throw new GroupcastError('history-lost')
    const start = after === undefined ? Math.max(0, kept.length - limit) : index + 1
    const messages = kept.slice(start, start + limit)
    const hasMore = after === undefined ? start > 0 : start + limit < kept.length
    const last = after === undefined ? kept.at(-1) : messages.at(-1)
    return { messages, cursor: last?.cursor ?? after ?? 'e.0', hasMore }
  }

  async send(channel: string, message: { readonly type: string }): Promise<void> {
    assertChannelName(channel)
    assertMessage(message)
    if (this.failure !== null) throw this.failure
    const waiting = this.queued.filter(({ name }) => name === channel).length
    if (waiting >= this.capacity) throw new ChannelFullError(channel)
    this.queued.push({ name: channel, message, turn: this.#thisTurn() })
  }

  groups(): GroupInfo[] {
    if (this.failure !== null) throw this.failure
    return [...this.members.keys()].sort().map((name) => this.group(name))
  }

  group(name: string): GroupInfo {
    assertGroupName(name)
    if (this.failure !== null) throw this.failure
    return { name, connections: this.members.get(name) ?? NO_CONNECTIONS }
  }

  async closeConnection(id: string, code?: number, reason?: string): Promise<'closed' | 'forwarded'> {
    if (this.failure !== null) throw this.failure
    if (id.startsWith('elsewhere')) return 'forwarded'
    if (!this.connections.has(id)) throw new GroupcastError('unknown-connection')
    this.closed.push({ id, ...(code !== undefined && { code }), ...(reason !== undefined && { reason }) })
    return 'closed'
  }

  /** Who asks for a ticket; `null`: nobody with an identity. */
  asker: string | null = null
  readonly revoked: string[] = []

  async createTicket(): Promise<{ ticket: string; expiresInMs: number }> {
    if (this.failure !== null) throw this.failure
    if (this.asker === null) throw new Refusal('unauthorized')
    return { ticket: `ticket-of-${this.asker}`, expiresInMs: 30_000 }
  }

  async revoke(identityId: string): Promise<void> {
    if (this.failure !== null) throw this.failure
    this.revoked.push(identityId)
  }

  async ready(): Promise<void> {
    if (this.failure !== null) throw this.failure
  }

  consumer(): void {
    throw notHere()
  }

  attach(): Attachment {
    throw notHere()
  }

  async groupStream(): Promise<never> {
    throw notHere()
  }

  async groupAdd(): Promise<void> {
    throw notHere()
  }

  async groupDiscard(): Promise<void> {
    throw notHere()
  }

  receive(): never {
    throw notHere()
  }

  newChannel(): string {
    throw notHere()
  }

  async close(): Promise<void> {}

  #thisTurn(): number {
    if (!this.#turnEnds) {
      this.#turnEnds = true
      setImmediate(() => {
        this.#turn++
        this.#turnEnds = false
      })
    }
    return this.#turn
  }
}

function notHere(): Error {
  return new Error('The fake hub has no clients.')
}
