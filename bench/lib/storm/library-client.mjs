// @ts-check
/** A client on the client library that changes its transport at random: in one object, or a new object with the cursor of the old. */
import { WebSocket } from 'ws'
import { between, pick } from './random.mjs'

/** @typedef {import('./witness.mjs').Witness} Witness */
/** @typedef {import('./random.mjs').Random} Random */
/** @typedef {typeof import('../../../src/client/index.ts').connect} Connect */
/** @typedef {import('../../../src/client/index.ts').Client<Record<string, Record<string, unknown>>>} Client */

/**
 * What a client of a storm is given.
 *
 * @typedef {object} ClientParts
 * @property {string} url of the consumer, with the client's tag
 * @property {Witness} witness
 * @property {readonly string[]} late the groups that it joins when it is open
 * @property {Random} random
 * @property {Connect} connect
 */

/** Clients come back sooner than they would: else they would hardly be there. */
const WAIT_MS = 200
/** How long the library avoids a transport that was cut: then it changes back. */
const FALLBACK_MS = 300
/** When it changes in the middle of a connection. */
const SWITCH_MS = /** @type {const} */ ([0, 300])

/** @type {readonly ['websocket', 'sse']} */
const BOTH = ['websocket', 'sse']
/** What a changing one takes: a client that is an EventSource can only speak SSE, and half of all are to be WebSockets. */
const CHOICE = /** @type {const} */ (['websocket', 'websocket', 'sse'])

/** Has both transports and falls back from one to the other, as the library does by itself. */
export class FallingBackClient {
  /** @type {Client} */ #client

  /** @param {ClientParts} parts */
  constructor(parts) {
    this.#client = open(parts, { transports: parts.random() < 0.5 ? BOTH : [...BOTH].reverse() })
    joinLate(this.#client, parts)
  }

  close() {
    this.#client.close()
  }
}

/** Is thrown away and made anew with another transport: after a cut, and in the middle of a connection. */
export class ChangingClient {
  /** @type {ClientParts} */ #parts
  /** @type {Client} */ #client
  /** @type {NodeJS.Timeout | undefined} */ #switching

  /** @param {ClientParts} parts */
  constructor(parts) {
    this.#parts = parts
    this.#client = this.#open(undefined)
  }

  close() {
    clearTimeout(this.#switching)
    this.#client.close()
  }

  /** @param {string | undefined} cursor */
  #open(cursor) {
    const { random } = this.#parts
    const client = open(this.#parts, { transports: [pick(random, CHOICE)], ...(cursor && { cursor }) })
    client.onState((state) => {
      if (state === 'waiting' && random() < 0.5) this.#change()
      if (state !== 'open' || random() < 0.8) return
      clearTimeout(this.#switching)
      this.#switching = setTimeout(() => this.#change(), between(random, SWITCH_MS))
    })
    return client
  }

  #change() {
    clearTimeout(this.#switching)
    const { cursor } = this.#client
    this.#client.close()
    this.#client = this.#open(cursor ?? undefined)
  }
}

/** @param {ClientParts} parts @param {{ transports: readonly ('websocket' | 'sse')[], cursor?: string }} options @returns {Client} */
function open({ url, witness, late, random, connect }, options) {
  const client = /** @type {Client} */ (
    connect(url, {
      ...options,
      groups: witness.groups.filter((group) => !late.includes(group)),
      WebSocket,
      // What the hub asks event streams to wait, a second and more, is a bound for the library: a tenth is enough here.
      random: () => random() / 10,
      firstWaitMs: WAIT_MS,
      maxWaitMs: WAIT_MS,
      fallbackMs: FALLBACK_MS,
      storage: false,
      events: false,
    })
  )
  client.on('*', (message, { group }) => witness.received(group ?? 'none', message))
  client.onReset(({ groups, cursor }) => witness.reset(groups, cursor === undefined ? 'library' : 'hub'))
  client.onState((state, reason) => {
    if (state === 'open') witness.opened(client.cursor)
    if (state === 'closed' && reason?.code !== 'closed') witness.oddities.push(`closed for good: ${reason}`)
  })
  return client
}

/** @param {Client} client @param {ClientParts} parts */
function joinLate(client, { late, witness, random }) {
  for (const group of late) {
    client.join(group, random() < 0.5 ? { history: 5 } : {}).then(
      () => witness.joined(group),
      (error) => witness.oddities.push(`did not join ${group}: ${error}`),
    )
  }
}
