// @ts-check
/** One node of `cross-node`: publishes, or counts and times what comes. */
import { loadGenerator } from '../lib/dist.mjs'
import { openEnd } from '../lib/node-ends.mjs'
import { Sequence } from '../lib/sequence.mjs'
import { answer } from './harness.mjs'

const MARK = '"n":"'
const DIGITS = 9

/** How long the last message may be under way. */
const PATIENCE_MS = 20_000

const { monotonicMs, microsecondHistogram, numberedMessage, percentilesOf, runSchedule } =
  await loadGenerator()

/** @type {import('../lib/node-ends.mjs').End} */
let end
const sequence = new Sequence()
let lastMs = 0
let histogram = microsecondHistogram()
/** @type {{ startMs: number, first: number, intervalMs: number } | null} */
let schedule = null
/** Who waits until all up to a number has come. @type {{ number: number, resolve: () => void } | null} */
let waiting = null

/** Every message must be the next one. @param {string} text */
function got(text) {
  const at = text.indexOf(MARK) + MARK.length
  const n = Number(text.slice(at, at + DIGITS))
  lastMs = monotonicMs()
  sequence.take(n)
  if (schedule !== null) {
    const lateUs = (lastMs - schedule.startMs - (n - schedule.first) * schedule.intervalMs) * 1000
    histogram.recordValue(Math.min(60_000_000, Math.max(1, Math.round(lateUs))))
  }
  if (waiting !== null && sequence.next >= waiting.number) waiting.resolve()
}

/** @param {number} number */
async function untilHere(number) {
  if (sequence.next >= number) return
  /** @type {NodeJS.Timeout | undefined} */
  let timer
  await new Promise((resolve, reject) => {
    waiting = { number, resolve: () => resolve(null) }
    timer = setTimeout(
      () => reject(new Error(`${number - sequence.next} messages did not come`)),
      PATIENCE_MS,
    )
  })
  clearTimeout(timer)
  waiting = null
}

answer({
  /** @param {import('../lib/node-ends.mjs').EndOptions} options */
  async open(options) {
    end = await openEnd(options, got)
  },

  /** A closed loop: so many are under way at once, for so long. */
  async closedLoop({ first, durationMs, inFlight, size }) {
    const startMs = monotonicMs()
    let n = first
    const loop = async () => {
      while (monotonicMs() - startMs < durationMs) await end.publish(numberedMessage(n++, size))
    }
    await Promise.all(Array.from({ length: inFlight }, loop))
    return { startMs, end: n }
  },

  /** An open loop: each message at its time, whatever became of those before. */
  async openLoop({ schedule: given, size }) {
    /** @type {Promise<unknown>[]} */
    const sent = []
    const send = (/** @type {number} */ from, /** @type {number} */ to) => {
      for (let n = from; n < to; n++) sent.push(end.publish(numberedMessage(n, size)))
    }
    await runSchedule(given, send)
    await Promise.all(sent)
  },

  /** From now on messages are timed against this schedule, or not at all. */
  async time(given) {
    schedule = given
    histogram = microsecondHistogram()
  },

  /** When all up to this number has come. */
  async heard({ end: number }) {
    await untilHere(number)
    const { p50, p99 } = percentilesOf(histogram)
    return { lastMs, p50, p99, fault: sequence.fault(number) }
  },
})
