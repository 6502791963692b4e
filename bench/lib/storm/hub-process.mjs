// @ts-check
/** The hub of a storm in its own process: it can be killed, and comes back on the same port with the same journal. */
import { startNodeSubject } from '../node-subject.mjs'

/** @typedef {{ prefix: readonly string[], count: number, directory?: string, layer?: string }} HubSettings `count`: messages that each group keeps; `layer`: the URL of its broker */

export class HubProcess {
  /** @type {HubSettings} */ #settings
  /** @type {import('../../types.d.ts').RunningSubject} */ #running
  /** CPU time of those that were killed. */
  #spentUs = 0
  port

  /** @param {HubSettings} settings @param {import('../../types.d.ts').RunningSubject} running */
  constructor(settings, running) {
    this.#settings = settings
    this.#running = running
    this.port = Number(new URL(running.url).port)
  }

  /** @param {HubSettings} settings */
  static async start(settings) {
    return new HubProcess(settings, await startHub(settings, 0))
  }

  /** `kill -9`, and a new one. Resolves when it listens. */
  async restart() {
    const { cpuUs } = await this.#running.usage()
    this.#spentUs += cpuUs
    await this.#running.stop()
    this.#running = await startHub(this.#settings, this.port)
  }

  /** CPU time of all its processes. */
  async cpuUs() {
    return this.#spentUs + (await this.#running.usage()).cpuUs
  }

  stop() {
    return this.#running.stop()
  }
}

/** @param {HubSettings} settings @param {number} port */
function startHub({ prefix, count, directory, layer }, port) {
  const extra = {
    ...{ port, count },
    ...(directory !== undefined && { directory }),
    ...(layer !== undefined && { layer }),
  }
  return startNodeSubject('storm.mjs', { transport: 'mixed', groups: 1, size: 1, prefix, extra })
}
