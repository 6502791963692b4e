// @ts-check
/** Packages that only the benchmark compares with: in `bench/peers`, so that nobody else installs them. */
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

const require = createRequire(new URL('../peers/package.json', import.meta.url))

/** @param {string} name @returns {Promise<any>} */
export function peer(name) {
  return import(pathToFileURL(require.resolve(name)).href)
}

/** What is missing, or `null`. @param {string} name */
export function missingPeer(name) {
  try {
    require.resolve(name)
    return null
  } catch {
    return `${name} is not installed (npm install --prefix bench/peers)`
  }
}
