/** The server that the rows are run against: the standalone one, whole, with keys of the API and tokens. */
import { tokens } from 'groupcast/auth'
import { loadConfig } from '../../src/server/config/load.ts'
import { startServer } from '../../src/server/server.ts'
import { ED, pem, RSA, SECRET, token } from '../auth/forge.ts'
import { serverKind } from '../support/servers.ts'
import type { Stage } from './row.ts'

/** The keys of the API, by what they are good for. */
export const KEYS = {
  all: 'key-for-everything-0',
  publish: 'key-to-publish-news-1',
  read: 'key-to-read-all-22',
  admin: 'key-of-an-admin-333',
} as const

/** A second secret of `/keys`. */
export const SECOND = 'wK3pN8vYq1tB6xRm0cZ5uLh2gFe9jSaD'

export const MAX_BODY_BYTES = 1_000

/** Who may connect, as a client sees it: `{"type":"who","id":"ann"}`. */
const tellsWho = {
  connect(connection: {
    identity: { id: string } | null
    send(message: { type: string; id: unknown }): void
  }) {
    connection.send({ type: 'who', id: connection.identity?.id ?? null })
  },
}

export interface RunningStage extends Stage {
  stop(): Promise<void>
}

/** Starts it. `/echo` says back what it is told, `/silent` takes no messages; the others say who is asking, each by its own keys. */
export async function startStage(): Promise<RunningStage> {
  const flags = { port: 0, backend: serverKind.name, playground: false }
  const env = {
    GROUPCAST_AUTH_SECRET: SECRET,
    GROUPCAST_AUTH_COOKIE: 'session',
    GROUPCAST_AUTH_QUERY: 'access_token',
    GROUPCAST_AUTH_REQUIRED: 'true',
    GROUPCAST_MAX_BODY_BYTES: String(MAX_BODY_BYTES),
    GROUPCAST_API_KEYS: JSON.stringify([
      KEYS.all,
      { key: KEYS.publish, scopes: ['publish'], groups: ['news.*'] },
      { key: KEYS.read, scopes: ['read'] },
      { key: KEYS.admin, scopes: ['admin'] },
    ]),
  }
  const loaded = loadConfig({ flags, env, cwd: '/nowhere' })
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems))
  const server = await startServer(loaded.config)
  const { hub, url } = server
  hub.consumer('/echo', {
    authenticate: false,
    receive: (connection, message) => connection.send(message),
  })
  hub.consumer('/silent', { authenticate: false })
  hub.consumer('/who', tellsWho)
  hub.consumer('/rs256', {
    ...tellsWho,
    authenticate: tokens({ key: { algorithm: 'RS256', publicKey: pem(RSA.publicKey) } }),
  })
  hub.consumer('/eddsa', {
    ...tellsWho,
    authenticate: tokens({ key: { algorithm: 'EdDSA', publicKey: ED.publicKey } }),
  })
  hub.consumer('/keys', {
    ...tellsWho,
    authenticate: tokens({
      keys: [
        { kid: 'one', algorithm: 'HS256', secret: SECRET },
        { kid: 'two', algorithm: 'HS256', secret: SECOND },
      ],
    }),
  })
  hub.consumer('/strict', {
    ...tellsWho,
    authenticate: tokens({
      key: { algorithm: 'HS256', secret: SECRET },
      issuer: 'https://login.example',
      audience: 'chat',
    }),
  })
  const ticket = async () => {
    const headers = { Authorization: `Bearer ${token()}` }
    const answer = await fetch(`${url}/api/tickets`, { method: 'POST', headers })
    return ((await answer.json()) as { ticket: string }).ticket
  }
  return {
    url,
    ticket,
    async usedTicket() {
      const used = await ticket()
      const answer = await fetch(`${url}/who?ticket=${used}`)
      await answer.body?.cancel()
      return used
    },
    stop: () => server.close(),
  }
}
