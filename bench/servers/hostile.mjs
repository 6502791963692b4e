// @ts-check
/** Hostile clients of all kinds, in a process of their own. */
import { constants, setPriority } from 'node:os'
import { Swarm } from '../lib/hostile/swarm.mjs'
import { answer } from './harness.mjs'

// It shares its core with the honest clients, whose latency it must not be that is measured.
setPriority(constants.priority.PRIORITY_LOW)

/** @type {Swarm | null} */
let swarm = null

answer({
  /** @param {{ port: number } & import('../lib/hostile/kinds.mjs').Facts} settings */
  async begin(settings) {
    swarm = new Swarm(settings)
    swarm.begin()
  },
  async end() {
    const accounts = swarm?.end()
    await swarm?.gone()
    swarm = null
    return accounts
  },
})
