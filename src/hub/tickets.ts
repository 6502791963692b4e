import { nanoid } from 'nanoid'
import type { Clock } from '../clock.ts'
import { Refusal } from '../errors.ts'
import type { Grant, NodeMessage } from './node-message.ts'

/** How long a ticket can be used. */
const TICKET_MS = 30_000
/** Most unused tickets of one identity: the oldest gives way, so that nobody can use up the room of all. */
const MOST_OF_ONE = 16
/** How long another node may take to answer: it is gone, or its answer is of no use any more. */
const ANSWER_MS = 5_000
/** Most tickets of other nodes of which the answer has yet to come. */
const MOST_ASKED = 1_000
const TICKET = /^([a-z0-9]{12})\.[A-Za-z0-9_-]{32}$/

/** What the tickets need of their hub. */
export interface TicketHost {
  readonly nodeId: string
  readonly clock: Clock
  readonly limits: { readonly maxTickets: number }
  /** Sends a message to another node. Rejects with the layer's error. */
  tellNode(nodeId: string, message: NodeMessage): Promise<void>
  report(error: unknown, where: string): void
}

interface Ticket extends Grant {
  readonly cancel: () => void
}

/**
 * One-time tickets, for clients that can send nothing but a URL (`EventSource`). A ticket names the node that holds it: whichever node it
 * is shown to asks that one, which takes it out of its map as it answers. So it is good once, however many nodes ask at the same time.
 */
export class Tickets {
  readonly #host: TicketHost
  readonly #held = new Map<string, Ticket>()
  /** Unused tickets by identity, the oldest first. */
  readonly #ofIdentity = new Map<string, Set<string>>()
  /** What other nodes are asked, by the id of the question. */
  readonly #asked = new Map<string, (grant: Grant | null) => void>()

  constructor(host: TicketHost) {
    this.#host = host
  }

  /** Tickets held and questions open: 0 when nothing is going on, for leak tests. */
  get size(): number {
    return this.#held.size + this.#asked.size
  }

  /** @throws {Refusal} `authentication-unavailable` when as many wait as may */
  issue(grant: Grant): { readonly ticket: string; readonly expiresInMs: number } {
    const { id } = grant.identity
    const mine = this.#ofIdentity.get(id)
    if (mine !== undefined && mine.size >= MOST_OF_ONE) this.#take(firstOf(mine))
    if (this.#held.size >= this.#host.limits.maxTickets) throw new Refusal('authentication-unavailable')
    const ticket = `${this.#host.nodeId}.${nanoid(32)}`
    const cancel = this.#host.clock.after(TICKET_MS, () => void this.#take(ticket))
    this.#held.set(ticket, { ...grant, cancel })
    const tickets = this.#ofIdentity.get(id)
    if (tickets === undefined) this.#ofIdentity.set(id, new Set([ticket]))
    else tickets.add(ticket)
    return { ticket, expiresInMs: TICKET_MS }
  }

  /**
   * Uses a ticket up, on whichever node it is.
   *
   * @throws {Refusal} `invalid-token` for one that is used up, too old or none at all; `authentication-unavailable` while as many as may wait for
   *   other nodes; or the layer's error
   */
  async redeem(ticket: string): Promise<Grant> {
    const [, nodeId] = TICKET.exec(ticket) ?? []
    const grant =
      nodeId === undefined
        ? null
        : nodeId === this.#host.nodeId
          ? this.#take(ticket)
          : await this.#ask(nodeId, ticket)
    if (grant === null)
      throw new Refusal('invalid-token', 'The ticket was used, or is too old: get a new one.')
    return grant
  }

  /** Another node asks for a ticket of this one. */
  asked({ ticket, node, question }: Extract<NodeMessage, { type: 'groupcast.redeem' }>): void {
    const grant = this.#take(ticket)
    this.#host
      .tellNode(node, { type: 'groupcast.redeemed', question, grant })
      .catch((error) => this.#host.report(error, 'ticket'))
  }

  /** Another node answers. */
  answered({ question, grant }: Extract<NodeMessage, { type: 'groupcast.redeemed' }>): void {
    this.#asked.get(question)?.(grant)
  }

  close(): void {
    for (const ticket of [...this.#held.keys()]) this.#take(ticket)
    for (const settle of [...this.#asked.values()]) settle(null)
  }

  async #ask(nodeId: string, ticket: string): Promise<Grant | null> {
    const { clock, nodeId: node } = this.#host
    // Nobody answers for tickets that are made up: who shows many must not have this node wait for any number.
    if (this.#asked.size >= MOST_ASKED) throw new Refusal('authentication-unavailable')
    const question = nanoid()
    const answer = new Promise<Grant | null>((resolve) => {
      const cancel = clock.after(ANSWER_MS, () => settle(null))
      const settle = (grant: Grant | null) => {
        cancel()
        this.#asked.delete(question)
        resolve(grant)
      }
      this.#asked.set(question, settle)
    })
    try {
      await this.#host.tellNode(nodeId, { type: 'groupcast.redeem', ticket, node, question })
    } catch (error) {
      this.#asked.get(question)?.(null)
      throw error
    }
    return answer
  }

  #take(ticket: string): Grant | null {
    const held = this.#held.get(ticket)
    if (held === undefined) return null
    this.#held.delete(ticket)
    held.cancel()
    const { identity, askedAt } = held
    const others = this.#ofIdentity.get(identity.id)
    others?.delete(ticket)
    if (others?.size === 0) this.#ofIdentity.delete(identity.id)
    return { identity, askedAt }
  }
}

function firstOf(tickets: ReadonlySet<string>): string {
  const [first = ''] = tickets
  return first
}
