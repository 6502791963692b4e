/**
 * Where uWebSockets.js has no native binary (Node 24), the tests of its back end are skipped, and say so. Where there is one they fail without it,
 * on CI, which would otherwise be green without a single one of them.
 */
import { beforeEach } from 'vitest'
import { uws } from './support/servers.ts'

const { env, platform, arch, versions } = process
/** What the tests install has a binary for this. */
const isExpected = env.CI !== undefined && `${platform}-${arch}-${versions.modules}` === 'linux-x64-115'

if (typeof uws === 'string') {
  const reason = uws
  if (isExpected) throw new Error(`The tests on uWebSockets.js have nothing to run on: ${reason}`)
  beforeEach(({ skip }) => skip(reason))
}
