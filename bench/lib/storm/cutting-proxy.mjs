// @ts-check
/** A TCP proxy that forwards bytes as they are and cuts connections at random moments, in all the ways in which networks do. */
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { between, pick } from './random.mjs'

/** @typedef {import('node:net').Socket} Socket */
/** @typedef {import('./random.mjs').Random} Random */

/**
 * How a connection is cut.
 *
 * - `reset`: both sides at once, with RST.
 * - `end`: the client sees FIN, the server RST.
 * - `middle`: some bytes of the next chunk still arrive, so that a frame is cut anywhere; then as `reset` or `end`.
 * - `ghost`: the client is cut; the server writes on into nowhere for a while, when the client has long come back.
 * - `stall`: nothing passes for a while, and the client falls behind; then as `middle`.
 */
const WAYS = /** @type {const} */ (['reset', 'end', 'middle', 'middle', 'ghost', 'stall'])

const GHOST_MS = /** @type {const} */ ([0, 200])
const STALL_MS = /** @type {const} */ ([5, 60])
/** So long the next chunk is waited for that shall be cut in the middle. */
const CHUNK_MS = 50

/**
 * @typedef {object} ProxySettings
 * @property {readonly number[]} ports of the servers, on the loopback address: each connection goes to any of them
 * @property {Random} random
 * @property {readonly [low: number, high: number]} lifeMs how long a connection lives
 * @property {(tag: string) => void} [onCut] hears of each cut connection that has named itself, with `tag=…` in its first line
 */

export class CuttingProxy {
  cuts = 0
  #isCalm = false
  /** @type {ProxySettings} */ #settings
  /** @type {Set<Tunnel>} */ #tunnels = new Set()
  #server = createServer({ noDelay: true }, (client) => this.#accept(client))

  /** @param {ProxySettings} settings */
  constructor(settings) {
    this.#settings = settings
  }

  /** @returns {Promise<string>} its URL */
  async listen() {
    this.#server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 })
    await once(this.#server, 'listening')
    const { port } = /** @type {import('node:net').AddressInfo} */ (this.#server.address())
    return `http://127.0.0.1:${port}`
  }

  /** Cuts nobody any more. */
  calm() {
    this.#isCalm = true
  }

  async close() {
    this.calm()
    for (const tunnel of this.#tunnels) tunnel.destroy()
    const closed = once(this.#server, 'close')
    this.#server.close()
    await closed
  }

  /** @param {Socket} client */
  #accept(client) {
    const { random, lifeMs, ports } = this.#settings
    const server = connect({ port: pick(random, ports), host: '127.0.0.1', noDelay: true })
    const tunnel = new Tunnel(client, server)
    this.#tunnels.add(tunnel)
    const cutting = setTimeout(() => this.#cut(tunnel), between(random, lifeMs))
    tunnel.onOver = () => {
      clearTimeout(cutting)
      this.#tunnels.delete(tunnel)
    }
  }

  /** @param {Tunnel} tunnel */
  #cut(tunnel) {
    if (this.#isCalm || tunnel.isOver) return
    this.cuts++
    const { random, onCut } = this.#settings
    if (tunnel.tag !== '') onCut?.(tunnel.tag)
    const way = pick(random, WAYS)
    const isReset = random() < 0.5
    if (way === 'reset') tunnel.destroy()
    else if (way === 'end') tunnel.end()
    else if (way === 'ghost') tunnel.haunt(between(random, GHOST_MS))
    else tunnel.cutNext(random(), isReset, way === 'stall' ? between(random, STALL_MS) : 0)
  }
}

/** One connection through the proxy. */
class Tunnel {
  /** What the client calls itself. */
  tag = ''
  isOver = false
  onOver = () => {}
  /** @type {Socket} */ #client
  /** @type {Socket} */ #server
  /** Of the next chunk for the client only this share passes. @type {{ share: number, isReset: boolean } | null} */
  #last = null
  /** @type {Set<NodeJS.Timeout>} */ #timers = new Set()

  /** @param {Socket} client @param {Socket} server */
  constructor(client, server) {
    this.#client = client
    this.#server = server
    client.once('data', (chunk) => {
      this.tag = /[?&]tag=(\w+)/.exec(chunk.toString('latin1'))?.[1] ?? ''
    })
    client.on('data', (chunk) => forward(chunk, client, server))
    server.on('data', (chunk) => this.#toClient(chunk))
    client.on('drain', () => server.resume())
    server.on('drain', () => client.resume())
    // Each side ends with the other, as with a router that forgets a connection.
    client.on('close', () => this.destroy())
    server.on('end', () => client.end())
    server.on('close', () => this.#serverClosed())
    for (const socket of [client, server]) socket.on('error', () => {})
  }

  /** Both sides at once. */
  destroy() {
    this.#over()
    this.#client.resetAndDestroy()
    this.#server.resetAndDestroy()
  }

  /** In peace, as it seems to the client. */
  end() {
    this.#over()
    this.#client.end()
    this.#server.resetAndDestroy()
  }

  /** The server does not learn of it for so long. @param {number} ms */
  haunt(ms) {
    this.#over()
    this.#server.removeAllListeners('data').resume()
    setTimeout(() => this.#server.resetAndDestroy(), ms)
    this.#client.resetAndDestroy()
  }

  /** Lets a share of the next chunk pass and cuts behind it; holds everything up before. @param {number} share @param {boolean} isReset @param {number} stallMs */
  cutNext(share, isReset, stallMs) {
    this.#server.pause()
    this.#after(stallMs, () => {
      this.#last = { share, isReset }
      this.#server.resume()
      this.#after(CHUNK_MS, () => this.destroy())
    })
  }

  /** @param {Buffer} chunk */
  #toClient(chunk) {
    // What was read before the server's side was destroyed is told all the same; behind a hole it would be a stream that TCP cannot bring.
    if (this.isOver) return
    const last = this.#last
    if (last === null) {
      forward(chunk, this.#server, this.#client)
      return
    }
    this.#over()
    const client = this.#client
    const part = chunk.subarray(0, Math.floor(chunk.length * last.share))
    if (last.isReset) client.write(part, () => client.resetAndDestroy())
    else client.end(part)
    this.#server.resetAndDestroy()
  }

  #serverClosed() {
    if (!this.isOver) this.destroy()
  }

  #over() {
    if (this.isOver) return
    this.isOver = true
    for (const timer of this.#timers) clearTimeout(timer)
    this.onOver()
  }

  /** @param {number} ms @param {() => void} task */
  #after(ms, task) {
    this.#timers.add(
      setTimeout(() => {
        if (!this.isOver) task()
      }, ms),
    )
  }
}

/** @param {Buffer} chunk @param {Socket} from @param {Socket} to */
function forward(chunk, from, to) {
  if (to.writable && !to.write(chunk)) from.pause()
}
