// @ts-check
/** Whether the load generator was what was measured. */

/** @typedef {import('../types.d.ts').Row} Row */

/** Above this share of a core it may have been. */
const BUSY_LIMIT = 0.9

/** Remarks about rows in which the generator had no time to spare, or needed more than the server. @param {readonly Row[]} rows */
export function generatorNotes(rows) {
  const busy = rows.filter(({ more }) => (more?.generatorBusy ?? 0) > BUSY_LIMIT)
  // Where server and generator take turns neither is busy all the time, whichever is slower.
  const slower = rows.filter(({ median, more }) => (more?.generatorUs ?? 0) > median)
  return [
    ...(busy.length === 0
      ? []
      : [
          `The load generator was the bottleneck (over ${BUSY_LIMIT * 100} % of its core) in: ${names(busy)}. Rates there are the generator's; CPU time is the server's all the same.`,
        ]),
    ...(slower.length === 0
      ? []
      : [
          `The load generator took longer for a delivery than the server in: ${names(slower)}. Deliveries a second there are more the generator's than the server's; CPU time is the server's all the same.`,
        ]),
  ]
}

/** By case. @param {readonly Row[]} rows */
function names(rows) {
  const cases = [...new Set(rows.map((row) => row.case))]
  return cases
    .map((name) => {
      const own = rows.filter((row) => row.case === name)
      return `${name} (${own.map(({ subject }) => subject).join(', ')})`
    })
    .join('; ')
}
