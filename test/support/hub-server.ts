/** A hub on a real server, with everything that a test would otherwise repeat. */
import type { AddressInfo, Server as NetServer } from 'node:net'
import { createHub, type ErrorContext, groupsConsumer, type Hub, type HubOptions } from 'groupcast'
import { onTestFinished } from 'vitest'
import type { Gate, Link, LinkOwner, ServerBackend } from '../../src/transports/backend.ts'
import { type ClientKind, type ClientOptions, openClient, type TestClient } from './clients.ts'
import { serverKind, type TestApp, type TestServer } from './servers.ts'

export interface TestHub {
  readonly hub: Hub<Record<string, Record<string, unknown>>>
  readonly server: TestServer
  /** `http://127.0.0.1:<port>` */
  readonly url: string
  /** What went to `onError`. */
  readonly errors: { error: unknown; context: ErrorContext }[]
  /** What the back end has given the hub, in the order in which clients were let in. */
  readonly links: readonly ObservedLink[]
  /** Opens a client that is closed with the test. */
  open(kind: ClientKind, path: string, options?: ClientOptions): Promise<TestClient>
}

/** A link, and what the hub has heard of its client. */
interface ObservedLink {
  readonly link: Link
  /** Answers to heartbeats. */
  answers: number
}

type Options = HubOptions & { readonly tls?: boolean; readonly trustedProxies?: readonly string[] }

/** Starts a hub with `groupsConsumer()` at `/events` beside an application; everything ends with the test. */
export async function startTestHub(
  { tls = false, trustedProxies = [], ...options }: Options = {},
  app?: TestApp,
): Promise<TestHub> {
  const errors: TestHub['errors'] = []
  const links: ObservedLink[] = []
  const backend = observed(serverKind.backend({ trustedProxies }), links)
  const hub = createHub({ onError: (error, context) => errors.push({ error, context }), backend, ...options })
  hub.consumer('/events', groupsConsumer())
  const server = serverKind.create(app, { tls })
  server.attach(hub as never)
  const url = await server.listen()
  const clients: TestClient[] = []
  onTestFinished(async () => {
    for (const client of clients) client.close()
    await hub.close({ deadlineMs: 1_000 })
    await server.stop()
  })
  return {
    hub,
    server,
    url,
    errors,
    links,
    async open(kind, path, clientOptions) {
      const base = tls ? url.replace('http:', 'https:') : url
      const client = await openClient(kind, base + path, clientOptions)
      clients.push(client)
      return client
    },
  }
}

/** The same back end, whose links can be seen. */
function observed(backend: ServerBackend<never>, links: ObservedLink[]): ServerBackend<never> {
  return {
    name: backend.name,
    attach: (server, gate) =>
      backend.attach(server, {
        get limits() {
          return gate.limits
        },
        plan: (request) => gate.plan(request),
        uplink: (plan, body) => gate.uplink(plan, body),
        problem: (...problem) => gate.problem(...problem),
        report: (error, where) => gate.report(error, where),
        admit(plan, format) {
          const { decision, owner } = gate.admit(plan, format)
          return { decision, owner: watched(owner, links) }
        },
      } satisfies Gate),
  }
}

function watched(owner: LinkOwner, links: ObservedLink[]): LinkOwner {
  let seen: ObservedLink | null = null
  return {
    opened(link) {
      seen = { link, answers: 0 }
      links.push(seen)
      owner.opened(link)
    },
    received: (text, bytes) => owner.received(text, bytes),
    drained: () => owner.drained(),
    alive: () => owner.alive(),
    pinged: () => owner.pinged(),
    answered() {
      if (seen !== null) seen.answers++
      owner.answered()
    },
    closed: (code, reason) => owner.closed(code, reason),
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
