/** A hub that says what a test tells it to say, over real sockets: for what no healthy hub does, or does not do when it is wanted. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { onTestFinished } from 'vitest'
import { type WebSocket, WebSocketServer } from 'ws'
import type { ClientTransport } from '../../src/client/link.ts'
import { listen, stop } from '../support/hub-server.ts'
import { until } from '../support/until.ts'

/** One connection of a client, as the server has it. */
interface ScriptedConnection {
  readonly transport: ClientTransport
  readonly query: URLSearchParams
  /** Sends an envelope. */
  say(envelope: unknown): void
  /** Sends what `open` needs, and perhaps more in it. */
  open(more?: object): void
  heartbeat(): void
  /** Closes with a code, in the way of the transport. */
  close(code: number, reason?: string): void
  /** Ends it without a word. */
  cut(): void
  /** What the client sent, in order. */
  readonly commands: { readonly [name: string]: unknown }[]
  /** Whether the client has left. */
  readonly isOver: boolean
}

export interface ScriptedHub {
  readonly url: string
  readonly connections: ScriptedConnection[]
  /** What is refused before it becomes a connection, with an HTTP status. */
  refused: (transport: ClientTransport) => number | null
  /** How many were refused, by transport. */
  readonly refusals: ClientTransport[]
  /** The next connection that no test has looked at yet. */
  next(): Promise<ScriptedConnection>
}

const HEARTBEAT_MS = 25_000

/** Starts one; it ends with the test. */
export async function startScriptedHub(): Promise<ScriptedHub> {
  const connections: ScriptedConnection[] = []
  let looked = 0
  const hub = {
    connections,
    refused: (_transport: ClientTransport): number | null => null,
    refusals: [] as ClientTransport[],
    async next() {
      const n = looked++
      await until(`connection ${n + 1} has come`, () => connections.length > n)
      return connections[n] as ScriptedConnection
    },
  }
  const add = (connection: ScriptedConnection) => connections.push(connection)
  const isRefused = (transport: ClientTransport) => {
    const status = hub.refused(transport)
    if (status !== null) hub.refusals.push(transport)
    return status
  }
  const server = createServer((request, response) => {
    for (const [name, value] of Object.entries(CORS)) response.setHeader(name, value)
    if (request.method === 'OPTIONS') response.writeHead(204).end()
    else if (request.method === 'POST') void takePost(request, response, connections)
    else {
      const status = isRefused('sse')
      if (status !== null) response.writeHead(status).end('{}')
      else add(scriptedStream(request, response))
    }
  })
  const sockets = new WebSocketServer({ noServer: true })
  server.on('upgrade', (request, socket, head) => {
    const status = isRefused('websocket')
    if (status !== null) socket.end(`HTTP/1.1 ${status} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`)
    else sockets.handleUpgrade(request, socket, head, (client) => add(scriptedWebSocket(request, client)))
  })
  const url = await listen(server)
  onTestFinished(async () => {
    for (const client of sockets.clients) client.terminate()
    await stop(server)
  })
  return Object.assign(hub, { url: `${url}/events` })
}

const CORS = {
  'Access-Control-Allow-Origin': '*',
  'Access-Control-Allow-Headers': 'Authorization, Content-Type, Groupcast-Connection',
}

const queryOf = ({ url = '/' }: IncomingMessage) => new URL(url, 'http://here').searchParams

let lastId = 0

function scriptedWebSocket(request: IncomingMessage, client: WebSocket): ScriptedConnection {
  const say = (envelope: unknown) => client.send(JSON.stringify(envelope))
  const commands: ScriptedConnection['commands'] = []
  client.on('message', (data) => commands.push(JSON.parse(String(data))))
  client.on('error', () => {})
  return {
    transport: 'websocket',
    query: queryOf(request),
    say,
    open: (more) => say({ open: { connection: `c${++lastId}`, heartbeatMs: HEARTBEAT_MS, ...more } }),
    heartbeat: () => say({}),
    close: (code, reason) => client.close(code, reason),
    cut: () => client.terminate(),
    commands,
    get isOver() {
      return client.readyState >= client.CLOSING
    },
  }
}

type ScriptedStream = ScriptedConnection & { readonly id: string }

function scriptedStream(request: IncomingMessage, response: ServerResponse): ScriptedStream {
  response.writeHead(200, { 'Content-Type': 'text/event-stream; charset=utf-8' })
  response.flushHeaders()
  const id = `c${++lastId}`
  const say = (envelope: unknown) => response.write(`data: ${JSON.stringify(envelope)}\n\n`)
  return {
    id,
    transport: 'sse',
    query: queryOf(request),
    say,
    open: (more) => say({ open: { connection: id, heartbeatMs: HEARTBEAT_MS, ...more } }),
    heartbeat: () => response.write(':\n\n'),
    close(code, reason = '') {
      say({ close: { code, reason } })
      response.end()
    },
    cut: () => response.destroy(),
    commands: [],
    get isOver() {
      return response.closed
    },
  }
}

async function takePost(
  request: IncomingMessage,
  response: ServerResponse,
  connections: readonly ScriptedConnection[],
): Promise<void> {
  let body = ''
  for await (const chunk of request) body += chunk
  const id = request.headers['groupcast-connection']
  const stream = connections.find((connection) => (connection as Partial<ScriptedStream>).id === id)
  stream?.commands.push(JSON.parse(body))
  response.writeHead(stream === undefined ? 404 : 202, { 'Content-Type': 'application/json' }).end('{}')
}
