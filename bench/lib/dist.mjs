// @ts-check
/** The build that is measured: `dist`, or another one given with the variable GROUPCAST_DIST (to compare two). */
import { resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const DIST = resolve(process.env.GROUPCAST_DIST ?? fileURLToPath(new URL('../../dist', import.meta.url)))

/** @param {string} path below `dist` */
function load(path) {
  return import(pathToFileURL(`${DIST}/${path}`).href)
}

/** @returns {Promise<typeof import('../../src/load/index.ts')>} */
export function loadGenerator() {
  return load('load/index.js')
}

/** @returns {Promise<typeof import('../../src/server/server.ts')>} */
export function loadServer() {
  return load('server/server.js')
}

/** @returns {Promise<typeof import('../../src/server/config/load.ts')>} */
export function loadConfiguration() {
  return load('server/config/load.js')
}

/** @returns {Promise<typeof import('../../src/index.ts')>} */
export function loadLibrary() {
  return load('index.js')
}

/** @returns {Promise<typeof import('../../src/client/index.ts')>} */
export function loadClient() {
  return load('client/index.js')
}

/** @returns {Promise<typeof import('../../src/server/layer.ts')>} */
export function loadLayers() {
  return load('server/layer.js')
}

/** @returns {Promise<typeof import('../../src/api/api.ts')>} */
export function loadApi() {
  return load('api/api.js')
}

/** @returns {Promise<typeof import('../../src/api/node.ts')>} */
export function loadApiListener() {
  return load('api/node.js')
}

/** @returns {Promise<typeof import('../../src/transports/uws/index.ts')>} */
export function loadUwsBackend() {
  return load('transports/uws/index.js')
}
