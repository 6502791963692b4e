import { describe } from 'vitest'
import { WebSocket } from 'ws'
import { createDriver } from './driver.ts'
import { resumeSuite } from './resume-suite.ts'
import { clientSuite, type RemoteDriver } from './suite.ts'

const driver = createDriver({ WebSocket })

describe('the client in Node', () => {
  // Everything is a promise, as of a driver that is elsewhere.
  const remote = Object.fromEntries(
    Object.entries(driver).map(([name, call]) => [
      name,
      async (...args: unknown[]) => (call as (...args: unknown[]) => unknown)(...args),
    ]),
  ) as unknown as RemoteDriver
  clientSuite({ driver: remote, origin: null })
  resumeSuite({ driver: remote, origin: null })
})
