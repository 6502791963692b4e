// @ts-check
/** All kinds of hostile clients at once: each that is gone comes back, and what became of it is counted. */
import { HostileClient } from './client.mjs'
import { KINDS } from './kinds.mjs'

/** @typedef {{ attempts: number, bytes: number, open: number, outcomes: Record<string, number> }} Account of one kind */

/** How long one stays away that was shown the door. */
const BACK_MS = /** @type {const} */ ([50, 150])
/** They come from other addresses than the honest (127.0.0.1): from these in turns, of which a server is to count nothing … */
const FIRST_ADDRESS = 2
const ADDRESSES = 50
/** … and kinds that are about limits for an address from one each, from here on. */
const FIRST_COUNTED_ADDRESS = 64

/** The addresses of which a server is to count nothing by address, those of the honest included, so that the limits meet {@link KINDS} that are about them alone. */
export const EXEMPT_ADDRESSES = Object.freeze(['127.0.0.0/26', '::1'])

export class Swarm {
  /** @type {Map<string, Account>} */ #accounts = new Map()
  /** @type {Set<HostileClient>} */ #clients = new Set()
  /** @type {Set<NodeJS.Timeout>} */ #timers = new Set()
  #port
  #facts
  #next = 0
  #isOver = false

  /** @param {{ port: number } & import('./kinds.mjs').Facts} settings */
  constructor({ port, ...facts }) {
    this.#port = port
    this.#facts = facts
  }

  begin() {
    for (const kind of KINDS) {
      this.#accounts.set(kind.name, { attempts: 0, bytes: 0, open: 0, outcomes: {} })
      for (let i = 0; i < kind.clients; i++) this.#open(kind)
    }
  }

  /** Everybody leaves. @returns {Record<string, Account>} what became of each kind */
  end() {
    this.#isOver = true
    for (const timer of this.#timers) clearTimeout(timer)
    for (const client of this.#clients) client.leave()
    return Object.fromEntries(this.#accounts)
  }

  /** @param {import('./kinds.mjs').Kind} kind */
  #later(kind) {
    const [low, high] = BACK_MS
    const timer = setTimeout(
      () => {
        this.#timers.delete(timer)
        this.#open(kind)
      },
      low + Math.random() * (high - low),
    )
    this.#timers.add(timer)
  }

  /** @param {import('./kinds.mjs').Kind} kind */
  #open(kind) {
    const account = /** @type {Account} */ (this.#accounts.get(kind.name))
    const client = new HostileClient({ port: this.#port, localAddress: this.#addressOf(kind) })
    this.#clients.add(client)
    account.attempts++
    account.open++
    client.onOver = (outcome) => {
      this.#clients.delete(client)
      account.open--
      account.bytes += client.bytesWritten
      // What was still there at the end was neither refused nor closed.
      const what = this.#isOver && outcome === 'left' ? 'there at the end' : outcome
      account.outcomes[what] = (account.outcomes[what] ?? 0) + 1
      if (!this.#isOver) this.#later(kind)
    }
    kind.act(client, this.#facts)
  }

  /** @param {import('./kinds.mjs').Kind} kind */
  #addressOf(kind) {
    const last = kind.isOneAddress
      ? FIRST_COUNTED_ADDRESS + KINDS.indexOf(kind)
      : FIRST_ADDRESS + (this.#next++ % ADDRESSES)
    return `127.0.0.${last}`
  }

  /** Resolves when the last is gone. */
  async gone() {
    while (this.#clients.size > 0) await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
