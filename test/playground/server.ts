/** The server that the playground's tests run against: the standalone one, as `groupcast serve` starts it. */
import { loadConfig } from '../../src/server/config/load.ts'
import { startServer } from '../../src/server/server.ts'

/** A running server: `url` without a slash at its end. */
export interface TestServer {
  readonly url: string
  close(): Promise<void>
}

/** For the flags: all groups keep history. */
export const KEEP_HISTORY = { groups: [{ match: '*', history: { count: 100 } }] }

/** Starts a server on a free port of this machine, with the given flags of `groupcast serve`. */
export async function startTestServer(flags: Readonly<Record<string, unknown>> = {}): Promise<TestServer> {
  const loaded = loadConfig({ flags: { port: 0, ...flags }, env: {}, cwd: '/nowhere' })
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems))
  return startServer(loaded.config)
}
