// @ts-check
/** The clients of a storm, their proxy and the publisher: everything but the hub, in one process. */
import { loadClient } from '../lib/dist.mjs'
import { LanePublisher } from '../lib/storm/publisher.mjs'
import { seeded } from '../lib/storm/random.mjs'
import { Storm } from '../lib/storm/storm.mjs'
import { answer } from './harness.mjs'

/** How long everybody may take, when nobody is cut any more. */
const PATIENCE_MS = 30_000

/** @typedef {Omit<import('../lib/storm/storm.mjs').StormSettings, 'connect' | 'ports'> & { port: number, durationMs: number, rate: number }} CrowdSettings */

answer({ run })

/** @param {CrowdSettings} settings */
async function run({ durationMs, rate, port, ...settings }) {
  const { connect } = await loadClient()
  const storm = new Storm({ ...settings, ports: [port], connect })
  const publisher = new LanePublisher([port], storm.ledger)
  const before = process.cpuUsage()
  const startMs = performance.now()
  await storm.begin()
  const until = () => performance.now() - startMs > durationMs
  await publisher.run({ rate, groups: storm.groups, random: seeded(settings.seed), until })
  const { user, system } = process.cpuUsage(before)
  const tookMs = performance.now() - startMs
  storm.proxy.calm()
  await patiently(() => storm.absent.length === 0)
  await publisher.finish(storm.groups)
  await patiently(() => storm.incomplete.length === 0)
  const complaints = storm.incomplete.map(({ complaint }) => complaint)
  publisher.close()
  const outcome = await storm.end()
  return { ...outcome, complaints, failures: publisher.failures, tookMs, cpuUs: user + system }
}

/** @param {() => boolean} condition */
async function patiently(condition) {
  const deadlineMs = performance.now() + PATIENCE_MS
  while (!condition() && performance.now() < deadlineMs)
    await new Promise((resolve) => setTimeout(resolve, 10))
}
