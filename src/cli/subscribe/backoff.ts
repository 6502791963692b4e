const FIRST_MS = 1000
const MOST_MS = 30_000

/**
 * How long to wait before connecting again: at random up to a bound that doubles with each failure in a row, so that the clients
 * of a server that restarts do not all come back at once.
 *
 * @param failures how often in a row it failed, from 1
 */
export function backoffMs(failures: number, random: () => number = Math.random): number {
  return random() * Math.min(MOST_MS, FIRST_MS * 2 ** (failures - 1))
}
