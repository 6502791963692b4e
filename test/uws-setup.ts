/** Where uWebSockets.js has no native binary (Node 24), the tests of its back end are skipped, and say so. */
import { beforeEach } from 'vitest'
import { uws } from './support/servers.ts'

if (typeof uws === 'string') {
  const reason = uws
  beforeEach(({ skip }) => skip(reason))
}
