// @ts-check
/** A storm: clients of all kinds behind a proxy that cuts them, while messages are published; then everybody is asked what came. */
import { audit } from './audit.mjs'
import { CuttingProxy } from './cutting-proxy.mjs'
import { Ledger } from './ledger.mjs'
import { ChangingClient, FallingBackClient } from './library-client.mjs'
import { EnvelopeClient, EventSourceClient } from './protocol-client.mjs'
import { sample, seeded } from './random.mjs'
import { Witness } from './witness.mjs'

/** @typedef {import('./library-client.mjs').Connect} Connect */

/** The kinds of clients, taken in turn. */
const KINDS = /** @type {const} */ ([
  ['changing', ChangingClient],
  ['falling back', FallingBackClient],
  ['envelopes', EnvelopeClient],
  ['changing', ChangingClient],
  ['EventSource', EventSourceClient],
  ['falling back, joining late', FallingBackClient],
])

const GROUPS_EACH = 3

/**
 * @typedef {object} StormSettings
 * @property {number} seed
 * @property {readonly number[]} ports of the nodes, on the loopback address
 * @property {number} clients
 * @property {number} groups
 * @property {readonly [low: number, high: number]} lifeMs how long the proxy lets a connection live
 * @property {Connect} connect of the client library
 */

export class Storm {
  /** @type {readonly string[]} */ groups
  /** @type {Ledger} */ ledger
  /** @type {Witness[]} */ witnesses = []
  /** @type {CuttingProxy} */ proxy
  /** @type {StormSettings} */ #settings
  /** @type {{ close(): void }[]} */ #clients = []

  /** @param {StormSettings} settings */
  constructor(settings) {
    const { seed, ports, lifeMs, groups } = settings
    this.#settings = settings
    this.groups = Array.from({ length: groups }, (_, i) => `storm.${i}`)
    this.ledger = new Ledger(this.groups)
    const onCut = (/** @type {string} */ tag) => this.witnesses[Number(tag)]?.cut()
    this.proxy = new CuttingProxy({ ports, lifeMs, random: seeded(seed), onCut })
  }

  /** Opens the proxy, and all clients through it. They need not have got in when it resolves. */
  async begin() {
    const { seed, clients, connect } = this.#settings
    const url = await this.proxy.listen()
    for (let i = 0; i < clients; i++) {
      // Its own chance: what one client does changes nothing for the others.
      const random = seeded(seed + 1 + i)
      const [kind, Client] = KINDS[i % KINDS.length] ?? KINDS[0]
      const groups = sample(random, this.groups, GROUPS_EACH)
      const late = kind.includes('late') ? groups.slice(1) : []
      const witness = new Witness(`client ${i} (${kind})`, groups, late, this.ledger)
      this.witnesses.push(witness)
      this.#clients.push(new Client({ url: `${url}/events?tag=${i}`, witness, late, random, connect }))
    }
  }

  /** Those that have yet to be open, or to join a group. What is published after they have, everybody gets. */
  get absent() {
    return this.witnesses.filter(({ hasArrived }) => !hasArrived)
  }

  /** Those that lack something. */
  get incomplete() {
    return this.witnesses.filter(({ isComplete }) => !isComplete)
  }

  /** How often they have been open so far, all together. */
  get opens() {
    return this.witnesses.reduce((total, { opens }) => total + opens, 0)
  }

  /** Ends it, and says what came of it. */
  async end() {
    for (const client of this.#clients) client.close()
    await this.proxy.close()
    const sum = (/** @type {(witness: Witness) => number} */ of) =>
      this.witnesses.reduce((total, witness) => total + of(witness), 0)
    return {
      ...audit(this.witnesses, this.ledger),
      cuts: this.proxy.cuts,
      opens: this.opens,
      resets: sum(({ resets }) => resets),
      received: sum((witness) =>
        witness.groups.reduce((total, group) => total + witness.numbersOf(group).length, 0),
      ),
      acknowledged: this.ledger.acknowledged,
      recoveries: this.witnesses.flatMap(({ recoveries }) => recoveries),
    }
  }
}
