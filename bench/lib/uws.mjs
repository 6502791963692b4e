// @ts-check
/** uWebSockets.js for bare servers: the same package that the tests of its back end run on. */

/** @returns {Promise<any>} */
export async function loadUws() {
  return (await import('uWebSockets.js')).default
}

/** What is missing, or `null`. Looks without loading: an imitation writes to the console. */
export function missingUws() {
  return Number(process.versions.modules) === 115 ? null : 'uWebSockets.js has no binary for this Node here'
}
