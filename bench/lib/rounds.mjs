// @ts-check
/** What a round may bring to clients that do not read while it is written. */

/** @typedef {import('../types.d.ts').Context} Context */

/** Bytes for each connection that the kernel takes whatever it holds already: more would measure full socket buffers. */
export const ROUND_BYTES = 48 * 1024

/**
 * Bytes that a turn brings to each connection.
 *
 * @param {{ size: number, perTurn: number, groups?: number, groupsEach?: number }} turn
 */
export function turnBytes({ size, perTurn, groups = 1, groupsEach = 1 }) {
  return (size * perTurn * groupsEach) / groups
}

/**
 * The bursts whose turns clients can be sent without reading; a single message is always among them, and read while it is written if it is larger
 * than that. A note names what is left out or measured otherwise.
 *
 * @template {{ perTurn: number }} Burst
 * @param {Context} context @param {readonly Burst[]} bursts
 * @param {{ groups?: number, groupsEach?: number }} [membership]
 */
export function fittingBursts({ options: { size }, note }, bursts, membership = {}) {
  const most = `${ROUND_BYTES / 1024} KiB, the most that clients are sent before they read`
  return bursts.filter(({ perTurn }) => {
    const bytes = turnBytes({ ...membership, size, perTurn })
    if (bytes <= ROUND_BYTES) return true
    const text = `${perTurn} a turn brings each client ${Math.round(bytes / 1024)} KiB, over ${most}`
    note(perTurn === 1 ? `${text}: they read meanwhile.` : `${text}: it was left out.`)
    return perTurn === 1
  })
}
