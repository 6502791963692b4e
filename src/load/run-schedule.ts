/** Keeps a schedule, whatever those do who are sent to. */
import { monotonicMs } from './clocks.ts'
import { intendedMs, type Schedule } from './latency.ts'

/**
 * Calls `send` with each batch of numbers, `first` up to but not `end`, when it is due: an open loop. Resolves when the last was sent.
 *
 * @param signal ends it early
 */
export async function runSchedule(
  schedule: Schedule,
  send: (first: number, end: number) => void,
  signal?: AbortSignal,
): Promise<void> {
  for (let n = schedule.first; n < schedule.end; ) {
    if (signal?.aborted === true) return
    const dueMs = intendedMs(schedule, n)
    const nowMs = monotonicMs()
    if (nowMs < dueMs) {
      await sleep(dueMs - nowMs)
      continue
    }
    const end = Math.min(n + schedule.batch, schedule.end)
    send(n, end)
    n = end
  }
}

/** Timers are late by up to a millisecond and more, which would be counted as the server's; so the last moment is spent awake. */
const AWAKE_MS = 1.5
/** Below this, all that would be awake; what a timer brings together is then sent together. */
const SHORTEST_SLEEP_MS = 4

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => {
    if (ms > AWAKE_MS) setTimeout(resolve, ms > SHORTEST_SLEEP_MS ? ms - AWAKE_MS : 1)
    else setImmediate(resolve)
  })
}
