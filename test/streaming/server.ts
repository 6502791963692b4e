/** A server that streams, and readers that see how a response ends. */
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import {
  type ClientHttp2Stream,
  connect as connectHttp2,
  createServer as createHttp2Server,
  type Http2ServerRequest,
  type Http2ServerResponse,
} from 'node:http2'
import type { Server } from 'node:net'
import { type Source, type StreamResponseOptions, type StreamResult, streamResponse } from 'groupcast'
import { onTestFinished } from 'vitest'
import { listen, stop } from '../support/hub-server.ts'
import { until, within } from '../support/until.ts'

export interface StreamServer {
  readonly url: string
  /** What `streamResponse` came to, in the order in which it did. */
  readonly results: StreamResult[]
  /** What went to `onError`. */
  readonly errors: unknown[]
  /** Waits until one response is over. */
  result(): Promise<StreamResult>
}

export type Prepare = (request: IncomingMessage, response: ServerResponse) => void

/** Starts a server that answers every request with a source; it ends with the test. */
export async function startStreaming(
  source: Source | (() => Source),
  options: StreamResponseOptions = {},
  { version = 1, prepare = () => {} }: { readonly version?: 1 | 2; readonly prepare?: Prepare } = {},
): Promise<StreamServer> {
  const results: StreamResult[] = []
  const errors: unknown[] = []
  const handle = (
    request: IncomingMessage | Http2ServerRequest,
    response: ServerResponse | Http2ServerResponse,
  ) => {
    prepare(request as IncomingMessage, response as ServerResponse)
    streamResponse(response, source as Source, {
      onError: (error) => void errors.push(error),
      ...options,
    }).then((result) => results.push(result))
  }
  const server: Server = version === 1 ? createServer(handle) : createHttp2Server(handle)
  const url = await listen(server)
  onTestFinished(() => stop(server))
  return {
    url,
    results,
    errors,
    async result() {
      await until('the response is over', () => results.length > 0)
      return results.shift() as StreamResult
    },
  }
}

/** What a response of node:http and a stream of node:http2 have in common. */
type Incoming = IncomingMessage | ClientHttp2Stream

/** One response, as its reader sees it. */
export class Reader {
  readonly status: number
  readonly headers: Readonly<Record<string, unknown>>
  /** Resolves at the end: whether the body is whole. */
  readonly ended: Promise<'complete' | 'cut off'>
  readonly leave: () => void
  readonly #incoming: Incoming
  readonly #chunks: Buffer[] = []

  constructor(
    incoming: Incoming,
    headers: Readonly<Record<string, unknown>>,
    isComplete: () => boolean,
    leave: () => void,
  ) {
    this.#incoming = incoming
    this.headers = headers
    this.status = 'statusCode' in incoming ? (incoming.statusCode ?? 0) : Number(headers[':status'])
    this.leave = leave
    incoming.on('data', (chunk: Buffer) => this.#chunks.push(chunk))
    incoming.on('error', () => {})
    this.ended = new Promise((resolve) => {
      incoming.on('close', () => resolve(isComplete() ? 'complete' : 'cut off'))
    })
  }

  /** What has come so far. */
  get text(): string {
    return Buffer.concat(this.#chunks).toString()
  }

  pause(): void {
    this.#incoming.pause()
  }

  resume(): void {
    this.#incoming.resume()
  }
}

/** Asks for a response and waits for its head. */
export async function openReader(url: string, { version = 1, method = 'GET' } = {}): Promise<Reader> {
  return within('the head of the response', version === 1 ? openHttp1(url, method) : openHttp2(url, method))
}

async function openHttp1(url: string, method: string): Promise<Reader> {
  const request = httpRequest(url, { method, agent: false })
  request.on('error', () => {})
  onTestFinished(() => void request.destroy())
  return new Promise((resolve) => {
    request.once('response', (incoming) => {
      const isComplete = () => incoming.complete
      resolve(new Reader(incoming, incoming.headers, isComplete, () => request.destroy()))
    })
    request.end()
  })
}

async function openHttp2(url: string, method: string): Promise<Reader> {
  const session = connectHttp2(url)
  session.on('error', () => {})
  onTestFinished(() => session.destroy())
  const stream = session.request({ ':path': new URL(url).pathname, ':method': method })
  stream.on('error', () => {})
  return new Promise((resolve) => {
    stream.once('response', (headers) => {
      const isComplete = () => stream.readableEnded && stream.rstCode === 0
      // RFC 9113, section 7: CANCEL.
      resolve(new Reader(stream, headers as Record<string, unknown>, isComplete, () => stream.close(8)))
    })
  })
}
