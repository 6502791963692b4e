// @ts-check
/** Publishes to a hub over HTTP, whether it is up or not, and keeps the log of what was acknowledged. */
import { Agent, request } from 'node:http'
import { pick } from './random.mjs'

/** @typedef {import('./ledger.mjs').Ledger} Ledger */

const TICK_MS = 5

/** Each group has a lane: the next message leaves when the last was answered, or failed. So its order is known. */
export class LanePublisher {
  #agent = new Agent({ keepAlive: true })
  /** The end of each lane. @type {Map<string, Promise<boolean>>} */
  #lanes = new Map()
  /** @type {Ledger} */ #ledger
  #ports
  #posts = 0
  failures = 0

  /** @param {readonly number[]} ports of the hubs, on the loopback address, taken by turns @param {Ledger} ledger */
  constructor(ports, ledger) {
    this.#ports = ports
    this.#ledger = ledger
  }

  /** Publishes the next message of a group. @param {string} group @returns {Promise<boolean>} whether it was acknowledged */
  send(group) {
    return this.#send(group, () => false)
  }

  /** @param {string} group @param {() => boolean} isOver it need not be sent any more */
  #send(group, isOver) {
    const last = this.#lanes.get(group) ?? Promise.resolve(true)
    const sent = last.then(() => !isOver() && this.#post(group))
    this.#lanes.set(group, sent)
    return sent
  }

  /**
   * Publishes at a rate to groups at random, whatever the hub does. What waits in a lane at the end is not sent: behind a hub that answers late that
   * may be minutes.
   *
   * @param {{ rate: number, groups: readonly string[], random: () => number, until: () => boolean }} load
   */
  async run({ rate, groups, random, until }) {
    const startMs = performance.now()
    let sent = 0
    while (!until()) {
      const due = ((performance.now() - startMs) * rate) / 1000
      for (; sent < due; sent++) this.#send(pick(random, groups), until)
      await new Promise((resolve) => setTimeout(resolve, TICK_MS))
    }
    await Promise.all(this.#lanes.values())
  }

  /** One message to each group, again until each was acknowledged. @param {readonly string[]} groups */
  async finish(groups) {
    for (const group of groups) while (!(await this.send(group)));
  }

  close() {
    this.#agent.destroy()
  }

  /** @param {string} group */
  async #post(group) {
    const message = this.#ledger.issue(group)
    try {
      this.#ledger.accepted(message, await this.#answer(group, JSON.stringify(message)))
      return true
    } catch {
      // Whether it was accepted is not known.
      this.failures++
      await new Promise((resolve) => setTimeout(resolve, TICK_MS))
      return false
    }
  }

  /** @param {string} group @param {string} body @returns {Promise<string>} the cursor */
  #answer(group, body) {
    return new Promise((resolve, reject) => {
      const options = {
        method: 'POST',
        agent: this.#agent,
        headers: { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) },
      }
      const port = this.#ports[this.#posts++ % this.#ports.length]
      const url = `http://127.0.0.1:${port}/api/groups/${group}/messages`
      const sending = request(url, options, (response) => {
        let text = ''
        response.setEncoding('utf8').on('data', (chunk) => {
          text += chunk
        })
        response.on('error', reject).on('end', () => {
          if (response.statusCode === 200) resolve(JSON.parse(text).cursor)
          else reject(new Error(`status ${response.statusCode}`))
        })
      })
      sending.on('error', reject)
      sending.end(body)
    })
  }
}
