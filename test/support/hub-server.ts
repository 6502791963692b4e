/** A hub on a real server, with everything that a test would otherwise repeat. */
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo, Server as NetServer } from 'node:net'
import { createHub, type ErrorContext, groupsConsumer, type Hub, type HubOptions } from 'groupcast'
import { onTestFinished } from 'vitest'
import { type ClientKind, type ClientOptions, openClient, type TestClient } from './clients.ts'

export interface TestHub {
  readonly hub: Hub<Record<string, Record<string, unknown>>>
  readonly server: Server
  /** `http://127.0.0.1:<port>` */
  readonly url: string
  /** What went to `onError`. */
  readonly errors: { error: unknown; context: ErrorContext }[]
  /** Opens a client that is closed with the test. */
  open(kind: ClientKind, path: string, options?: ClientOptions): Promise<TestClient>
}

/** Starts a hub with `groupsConsumer()` at `/events` beside an application; everything ends with the test. */
export async function startTestHub(
  options: HubOptions = {},
  app: RequestListener = (_request, response) => response.writeHead(404).end('app'),
): Promise<TestHub> {
  const errors: TestHub['errors'] = []
  const hub = createHub({ onError: (error, context) => errors.push({ error, context }), ...options })
  hub.consumer('/events', groupsConsumer())
  const server = createServer(app)
  hub.attach(server)
  const url = await listen(server)
  const clients: TestClient[] = []
  onTestFinished(async () => {
    for (const client of clients) client.close()
    await hub.close({ deadlineMs: 1_000 })
    await stop(server)
  })
  return {
    hub,
    server,
    url,
    errors,
    async open(kind, path, clientOptions) {
      const client = await openClient(kind, url + path, clientOptions)
      clients.push(client)
      return client
    },
  }
}

/** Listens on a port of the loopback address, a free one unless given. @returns the URL, as if it were plain HTTP */
export async function listen(server: NetServer, port = 0): Promise<string> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', () => {
      server.off('error', reject)
      resolve()
    })
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** Ends a server; a connection that it does not know of any more (an upgraded one) must be closed by whoever has it. */
export async function stop(server: NetServer & { closeAllConnections?(): void }): Promise<void> {
  server.closeAllConnections?.()
  await new Promise((resolve) => server.close(resolve))
}
