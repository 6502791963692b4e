/** A response, or a request, whose clock is put back for as long as it lasts. */
export interface Patient {
  /** Starts the clock of uWebSockets.js anew. */
  wait(): void
}

/** Less than half of the 10 seconds, which uWebSockets.js counts in steps of four. */
const WAIT_MS = 4_000
/** Of so many parts one at a time, so that a hundred thousand streams do not make one long turn. */
const PARTS = 8

/**
 * uWebSockets.js cuts a client ten seconds after a write that the system did not take whole, even one that reads, slowly; whether it did, the last
 * write does not say: what is corked leaves when the cork has returned. And ten seconds after the first byte of a body that comes at less than 16 KB/s.
 * Who is too slow is for the hub to say. So the clocks of all that lasts are put back, whether they run or not; each once in {@link WAIT_MS}.
 *
 * To put back only those that may run would take less, and cannot be told: a clock that was put back once runs, and no write stops it.
 */
const parts: readonly Set<Patient>[] = Array.from({ length: PARTS }, () => new Set<Patient>())
let turn = 0
let nextPart = 0
let count = 0
let timer: NodeJS.Timeout | null = null

/** @returns what `stopWaiting` takes */
export function keepWaiting(patient: Patient): Set<Patient> {
  const part = parts[nextPart] as Set<Patient>
  nextPart = (nextPart + 1) % PARTS
  part.add(patient)
  count++
  if (timer === null) {
    timer = setInterval(putBackClocks, WAIT_MS / PARTS)
    timer.unref()
  }
  return part
}

/** @param part that `keepWaiting` returned for it */
export function stopWaiting(patient: Patient, part: Set<Patient>): void {
  if (!part.delete(patient)) return
  count--
  if (count > 0 || timer === null) return
  clearInterval(timer)
  timer = null
}

/** Puts back the clocks of one part. */
export function putBackClocks(): void {
  turn = (turn + 1) % PARTS
  for (const patient of parts[turn] as Set<Patient>) patient.wait()
}
