/** What a page has to load, and what of the repository comes with it. */
import { gzipSync } from 'node:zlib'
import { beforeAll, expect, test } from 'vitest'
import { type Bundle, bundle } from './bundle.ts'

const CLIENT = new URL('../../src/client/', import.meta.url).pathname
/** The promise of docs/client.md. */
const MOST_BYTES = 4_096

let client: Bundle

beforeAll(async () => {
  client = await bundle(`${CLIENT}index.ts`)
})

test(`is at most ${MOST_BYTES} bytes, minified and gzipped`, () => {
  const { length } = gzipSync(client.code, { level: 9 })
  expect(length).toBeLessThanOrEqual(MOST_BYTES)
})

test('has nothing but src/client in it, and imports nothing', () => {
  expect(client.modules.length).toBeGreaterThan(5)
  expect(client.modules.filter((module) => !module.startsWith(CLIENT))).toEqual([])
  expect(client.code).not.toMatch(/\bimport\b|\brequire\(/)
})
