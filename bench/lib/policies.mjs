// @ts-check
/** What a slow reader is promised, by the policy of its groups; `reads`: it was not slow after all, and gets everything. */

/** @typedef {import('../../src/load/slow-tally.ts').SlowReport} SlowReport */
/** @typedef {'reads' | 'close' | 'drop' | 'latest'} Policy */
/**
 * Numbers of what was sent, the size of each, the keys that were used in turn, and for how long the reader had stopped.
 *
 * @typedef {{ first: number, end: number, size: number, keys: number, stoppedMs: number }} Sent
 */

const PATIENCE_MS = 20_000
const POLL_MS = 50
/** "Come back". */
const SLOW_CONSUMER = 4008
/** The default of `limits.closeTimeoutMs`: who reads nothing for longer cannot be told, and is cut, which means "come back" as well. */
const CLOSE_TIMEOUT_MS = 10_000

/**
 * What was dropped were the oldest if all that is newer came: so much at least, since dropping goes down to three quarters of `limits.maxBacklogBytes`
 * (1 MiB), of which what is in the socket, 64 KiB or so, is a part.
 */
const LEAST_KEPT_BYTES = 512 * 1024

/** @type {Readonly<Record<Policy, (report: SlowReport, sent: Sent) => boolean>>} */
const KEEPS = {
  reads: ({ received, isOver, told }, { first, end }) => received === end - first && told === 0 && !isOver,
  // All up to where it was given up.
  close: ({ isOver, closeCode, skipped }, { stoppedMs }) =>
    isOver &&
    skipped === 0 &&
    (closeCode === SLOW_CONSUMER || (closeCode === null && stoppedMs > CLOSE_TIMEOUT_MS)),
  drop: ({ received, told, skipped, mistold, sinceGap, next, isOver }, { first, end, size }) =>
    told > 0 &&
    told === skipped &&
    mistold === 0 &&
    sinceGap * size >= LEAST_KEPT_BYTES &&
    received + told === end - first &&
    next === end &&
    !isOver,
  latest: ({ received, told, newest, isOver }, { first, end, keys }) =>
    told === 0 &&
    received < end - first &&
    newest.every((n, key) => n === newestOf(key, end, keys)) &&
    !isOver,
}

/** The last message of a key. @param {number} key @param {number} end @param {number} keys */
function newestOf(key, end, keys) {
  return end - 1 - ((end - 1 - key) % keys)
}

/** Whether a slow reader got what its policy promises. @param {Policy} policy @param {SlowReport} report @param {Sent} sent */
export function isKept(policy, report, sent) {
  return report.isInOrder && KEEPS[policy](report, sent)
}

/**
 * Waits until slow readers, which read on now, have what their policy says. Resolves with what became of each, and reports as a fault
 * what is not as it should be.
 *
 * @param {import('../types.d.ts').Context} context
 * @param {import('../../src/load/fleet.ts').Fleet} fleet
 * @param {Policy} policy
 * @param {Sent} sent
 */
export async function settled(context, fleet, policy, sent) {
  const keeps = (/** @type {SlowReport} */ report) => isKept(policy, report, sent)
  const untilMs = performance.now() + PATIENCE_MS
  let reports = await fleet.slowReports()
  while (!reports.every(keeps) && performance.now() < untilMs) {
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
    reports = await fleet.slowReports()
  }
  const broken = reports.find((report) => !keeps(report))
  if (broken !== undefined)
    context.fault(`A slow reader (${policy}) of ${JSON.stringify(sent)} got ${JSON.stringify(broken)}.`)
  return reports
}
