/** One clock for all processes of a machine. */

// Both count from the same monotonic clock of the system; `performance.now` starts at 0 in each process, but allocates nothing.
const OFFSET_MS = offsetMs()

function offsetMs(): number {
  // Whatever interrupts the process between the two readings makes the difference too small: the largest of several is right.
  const differences = Array.from(
    { length: 50 },
    () => Number(process.hrtime.bigint()) / 1e6 - performance.now(),
  )
  return Math.max(...differences)
}

/** Milliseconds of the machine's monotonic clock, with a fraction. Comparable between processes. */
export function monotonicMs(): number {
  return performance.now() + OFFSET_MS
}
