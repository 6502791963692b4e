/** What the page of the Chromium tests loads: the client and its driver, bundled. */
import { createDriver } from './driver.ts'

Object.assign(globalThis, { driver: createDriver() })
