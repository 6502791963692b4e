/** Clients of every transport with one face, on independent implementations of the protocols: ws, eventsource-parser, JSON.parse. */
import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { createParser } from 'eventsource-parser'
import { WebSocket } from 'ws'
import { until } from './until.ts'

/** What a test client can speak. */
export const CLIENT_KINDS = ['websocket', 'websocket+envelope', 'sse', 'sse+envelope', 'ndjson'] as const
export type ClientKind = (typeof CLIENT_KINDS)[number]

export interface ClientOptions {
  readonly headers?: Readonly<Record<string, string>>
  /** Local address to connect from. */
  readonly localAddress?: string
}

export interface TestClient {
  readonly kind: ClientKind
  /** JSON texts of the messages, without their envelopes, in order. */
  readonly messages: string[]
  /** Control objects, in order, as `{ open }`, `{ reset }`, `{ reply, … }`, `{ close }`. */
  readonly controls: Record<string, unknown>[]
  /** SSE: `retry` values in order. */
  readonly retries: number[]
  /** HTTP status of a refused or opened client. */
  readonly status: number | null
  /** Body of a refused stream. */
  readonly body: string
  /** Resolves with the code and reason when the connection has ended; 1006 for a stream that ended without a close object. */
  readonly ended: Promise<{ code: number; reason: string }>
  /** The connection's id, where the transport shows it. */
  readonly id: string | null
  /** Sends a JSON value to the consumer: a WebSocket frame, or a post. */
  send(value: unknown): Promise<void>
  close(): void
  /** Stops and starts reading. */
  pause(): void
  resume(): void
}

/** Opens a client and waits until it is let in, or refused. Over TLS, any certificate will do. */
export async function openClient(
  kind: ClientKind,
  url: string,
  options: ClientOptions = {},
): Promise<TestClient> {
  const client = kind.startsWith('websocket')
    ? new WebSocketClient(kind, url, options)
    : new StreamClient(kind, url, options)
  await client.settled
  return client
}

abstract class BaseClient {
  readonly messages: string[] = []
  readonly controls: Record<string, unknown>[] = []
  readonly retries: number[] = []
  status: number | null = null
  body = ''
  readonly settled: Promise<void>
  readonly ended: Promise<{ code: number; reason: string }>
  protected settle: () => void = () => {}
  protected end: (info: { code: number; reason: string }) => void = () => {}
  readonly kind: ClientKind

  constructor(kind: ClientKind) {
    this.kind = kind
    this.settled = new Promise((resolve) => {
      this.settle = resolve
    })
    this.ended = new Promise((resolve) => {
      this.end = resolve
    })
  }

  get id(): string | null {
    const open = this.controls.find((control) => 'open' in control)?.open as
      | { connection: string }
      | undefined
    return open?.connection ?? null
  }

  protected takeEnvelope(text: string): void {
    const value = JSON.parse(text) as Record<string, unknown>
    // The message's own text, cut out of its envelope: byte for byte what a plain client gets.
    if ('message' in value) this.messages.push(text.slice(text.indexOf('"message":') + 10, -1))
    else this.controls.push(value)
  }

  protected closeControl(): { code: number; reason: string } {
    const close = this.controls.find((control) => 'close' in control)?.close
    return (close as { code: number; reason: string } | undefined) ?? { code: 1006, reason: '' }
  }
}

class WebSocketClient extends BaseClient implements TestClient {
  readonly #socket: WebSocket

  constructor(kind: ClientKind, url: string, { headers = {}, localAddress }: ClientOptions) {
    super(kind)
    const isEnvelope = kind === 'websocket+envelope'
    this.#socket = new WebSocket(url.replace(/^http/, 'ws'), isEnvelope ? ['groupcast.v1'] : [], {
      headers,
      rejectUnauthorized: false,
      ...(localAddress !== undefined && { localAddress }),
    })
    this.#socket.on('open', () => {
      this.status = 101
      if (!isEnvelope) this.settle()
    })
    this.#socket.on('message', (data) => {
      if (isEnvelope) this.takeEnvelope(String(data))
      else this.messages.push(String(data))
      this.settle()
    })
    this.#socket.on('unexpected-response', (_request, response) => {
      this.status = response.statusCode ?? null
      response.on('data', (chunk) => {
        this.body += chunk
      })
      response.on('end', () => {
        this.settle()
        this.end({ code: 1006, reason: '' })
      })
    })
    this.#socket.on('error', () => this.settle())
    this.#socket.on('close', (code, reason) => {
      this.settle()
      this.end({ code, reason: String(reason) })
    })
  }

  async send(value: unknown): Promise<void> {
    this.#socket.send(JSON.stringify(value))
  }

  close(): void {
    this.#socket.close(1000)
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }
}

class StreamClient extends BaseClient implements TestClient {
  readonly #url: string
  readonly #request: ClientRequest
  #response: IncomingMessage | null = null
  #rest = ''

  constructor(kind: ClientKind, url: string, { headers = {}, localAddress }: ClientOptions) {
    super(kind)
    this.#url = url
    const accept = kind === 'ndjson' ? 'application/x-ndjson' : 'text/event-stream'
    const target = kind === 'sse+envelope' ? `${url}${url.includes('?') ? '&' : '?'}envelope=1` : url
    const request = url.startsWith('https:') ? httpsRequest : httpRequest
    this.#request = request(target, {
      headers: { accept, ...headers },
      agent: false,
      rejectUnauthorized: false,
      ...(localAddress !== undefined && { localAddress }),
    })
    this.#request.on('error', () => this.#over())
    this.#request.on('response', (response) => this.#read(response))
    this.#request.end()
  }

  async send(value: unknown): Promise<void> {
    await until('the connection id has come', () => this.id !== null)
    const response = await fetch(this.#url, {
      method: 'POST',
      headers: { 'Groupcast-Connection': this.id ?? '', 'Content-Type': 'application/json' },
      body: JSON.stringify(value),
    })
    if (response.status !== 202) throw new Error(`POST answered ${response.status}: ${await response.text()}`)
  }

  close(): void {
    this.#request.destroy()
  }

  pause(): void {
    this.#response?.pause()
  }

  resume(): void {
    this.#response?.resume()
  }

  #read(response: IncomingMessage): void {
    this.#response = response
    this.status = response.statusCode ?? null
    response.setEncoding('utf8')
    response.on('error', () => this.#over())
    response.on('close', () => this.#over())
    if (this.status !== 200) {
      response.on('data', (chunk) => {
        this.body += chunk
      })
      return
    }
    const parser = createParser({
      onEvent: ({ event, data }) => this.#event(event, data),
      onRetry: (ms) => this.retries.push(ms),
    })
    response.on('data', (chunk: string) => {
      if (this.kind === 'ndjson') this.#lines(chunk)
      else parser.feed(chunk)
    })
  }

  #event(event: string | undefined, data: string): void {
    if (this.kind === 'sse+envelope') this.takeEnvelope(data)
    else if (event === undefined) this.messages.push(data)
    else if (event === 'groupcast.reply') this.controls.push(JSON.parse(data) as Record<string, unknown>)
    else this.controls.push({ [event.slice('groupcast.'.length)]: JSON.parse(data) })
    this.settle()
  }

  #lines(chunk: string): void {
    const lines = (this.#rest + chunk).split('\n')
    this.#rest = lines.pop() ?? ''
    for (const line of lines) if (line !== '') this.takeEnvelope(line)
    this.settle()
  }

  #over(): void {
    this.settle()
    this.end(this.closeControl())
  }
}
