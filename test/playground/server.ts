/**
 * The server that the playground's tests run against: a small stand-in that speaks the outer contract over `node:http` and
 * `ws`, with the real files of the page.
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { nanoid } from 'nanoid'
import { type WebSocket, WebSocketServer } from 'ws'
import { isGroupName } from '../../src/names.ts'
import { loadPlayground, type PlaygroundAsset } from '../../src/server/playground/assets.ts'

/** A running server: `url` without a slash at its end. */
export interface TestServer {
  readonly url: string
  close(): Promise<void>
}

interface Message {
  readonly type: string
}

/** One client, whatever it speaks. */
interface Member {
  readonly id: string
  readonly transport: 'websocket' | 'sse'
  readonly groups: readonly string[]
  deliver(group: string, message: Message): void
  close(code: number, reason: string): void
}

/** A failure as the API answers it. */
class Problem extends Error {
  readonly status: number
  readonly code: string

  constructor(status: number, code: string, detail: string) {
    super(detail)
    this.status = status
    this.code = code
  }
}

/** Starts a server on a free port of this machine. */
export async function startTestServer(): Promise<TestServer> {
  const hub = new StandInHub(await loadPlayground({ eventsPath: '/events' }))
  const server = createServer((request, response) => hub.answer(request, response))
  const upgrades = new WebSocketServer({ noServer: true })
  server.on('upgrade', (request, socket, head) => {
    upgrades.handleUpgrade(request, socket, head, (websocket) => hub.addWebSocket(websocket, request))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return { url: `http://127.0.0.1:${port}`, close: () => closeServer(server, upgrades) }
}

async function closeServer(server: Server, upgrades: WebSocketServer): Promise<void> {
  const closed = once(server, 'close')
  for (const websocket of upgrades.clients) websocket.terminate()
  server.close()
  server.closeAllConnections()
  await closed
}

class StandInHub {
  readonly #assets: ReadonlyMap<string, PlaygroundAsset>
  readonly #members = new Map<string, Member>()

  constructor(assets: ReadonlyMap<string, PlaygroundAsset>) {
    this.#assets = assets
  }

  answer(request: IncomingMessage, response: ServerResponse): void {
    const url = urlOf(request)
    const asset = this.#assets.get(url.pathname)
    if (asset) response.writeHead(200, asset.headers).end(asset.body)
    else if (url.pathname === '/events') this.#addEventStream(response, url)
    else this.#answerApi(request, response, url).catch((error: unknown) => answerProblem(response, error))
  }

  addWebSocket(websocket: WebSocket, request: IncomingMessage): void {
    const groups = urlOf(request).searchParams.getAll('group')
    const id = nanoid()
    const isEnvelope = websocket.protocol === 'groupcast.v1'
    const member: Member = {
      id,
      groups,
      transport: 'websocket',
      deliver: (group, message) =>
        websocket.send(JSON.stringify(isEnvelope ? enveloped(group, message) : message)),
      close: (code, reason) => websocket.close(code, reason),
    }
    if (isEnvelope) websocket.send(JSON.stringify({ open: openControl(member) }))
    this.#members.set(id, member)
    websocket.on('close', () => this.#members.delete(id))
  }

  #addEventStream(response: ServerResponse, url: URL): void {
    const isEnvelope = url.searchParams.get('envelope') === '1'
    const id = nanoid()
    const data = (value: unknown): string => `data: ${JSON.stringify(value)}\n\n`
    const control = (name: 'open' | 'close', value: unknown): string =>
      isEnvelope ? data({ [name]: value }) : `event: groupcast.${name}\n${data(value)}`
    const member: Member = {
      id,
      groups: url.searchParams.getAll('group'),
      transport: 'sse',
      deliver: (group, message) => response.write(data(isEnvelope ? enveloped(group, message) : message)),
      close: (code, reason) => response.end(`retry: 50\n${control('close', { code, reason })}`),
    }
    response.writeHead(200, {
      'Content-Type': 'text/event-stream; charset=utf-8',
      'Cache-Control': 'no-store',
    })
    response.write(control('open', openControl(member)))
    this.#members.set(id, member)
    response.on('close', () => this.#members.delete(id))
  }

  async #answerApi(request: IncomingMessage, response: ServerResponse, url: URL): Promise<void> {
    const group = /^\/api\/groups\/([^/]+)\/messages$/.exec(url.pathname)?.[1]
    const connection = /^\/api\/connections\/([^/]+)$/.exec(url.pathname)?.[1]
    if (url.pathname === '/api/groups') answerJson(response, { groups: this.#groupInfos() })
    else if (url.pathname === '/api/publish')
      answerJson(response, { results: this.#publishLines(await bodyOf(request)) })
    else if (group)
      answerJson(response, this.#publish([decodeURIComponent(group)], JSON.parse(await bodyOf(request))))
    else if (connection)
      answerJson(response, this.#closeMember(connection, Number(url.searchParams.get('code'))))
    else throw new Problem(404, 'not-found', 'Nothing is served at this URL.')
  }

  #groupInfos(): unknown[] {
    const names = new Set([...this.#members.values()].flatMap(({ groups }) => groups))
    return [...names].map((name) => ({ name, connections: this.#countsOf(name) }))
  }

  #countsOf(name: string): Record<string, number> {
    const counts = { websocket: 0, sse: 0, ndjson: 0 }
    for (const { groups, transport } of this.#members.values()) if (groups.includes(name)) counts[transport]++
    return counts
  }

  #publishLines(body: string): unknown[] {
    const lines = body.split('\n').filter((line) => line !== '')
    return lines.map((line) => {
      const { groups, message } = JSON.parse(line) as { groups: string[]; message: Message }
      return this.#publish(groups, message)
    })
  }

  #publish(groups: readonly string[], message: Message): { cursor: null } {
    if (!groups.every(isGroupName)) throw new Problem(400, 'invalid-name', 'This is not a group name.')
    if (message.type.startsWith('groupcast.')) {
      throw new Problem(422, 'invalid-message', 'Message types that start with "groupcast." are reserved.')
    }
    for (const member of this.#members.values()) {
      for (const group of groups) if (member.groups.includes(group)) member.deliver(group, message)
    }
    return { cursor: null }
  }

  #closeMember(id: string, code: number): Record<string, never> {
    const member = this.#members.get(id)
    if (!member) throw new Problem(404, 'unknown-connection', 'There is no such connection.')
    member.close(code, 'asked to')
    return {}
  }
}

function openControl({ id, groups }: Member): unknown {
  return { connection: id, node: 'stand-in', groups, heartbeatMs: 25_000 }
}

function enveloped(group: string, message: Message): unknown {
  return { group, cursor: null, message }
}

function urlOf(request: IncomingMessage): URL {
  return new URL(request.url ?? '/', 'http://stand-in')
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString()
}

function answerJson(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(value))
}

function answerProblem(response: ServerResponse, error: unknown): void {
  const { status, code, message } =
    error instanceof Problem ? error : new Problem(500, 'internal-error', String(error))
  response.writeHead(status, { 'Content-Type': 'application/problem+json' })
  response.end(JSON.stringify({ type: 'about:blank', title: code, status, code, detail: message }))
}
