/** Binds the API to `node:http`, and to whatever speaks like it (`node:https`, `node:http2` with its compatibility API). */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { tooLarge } from './body.ts'
import { ByteCollector } from './bytes.ts'
import { type Api, type ApiRequest, type ApiResponse, ClientGone, type RequestBody } from './contract.ts'

/**
 * How long a client may go on sending a body that nobody reads. To close at once would make the kernel answer what still arrives with a
 * reset, and the client could lose the answer over it (RFC 9112, section 9.6).
 */
const LINGER_MS = 1000

/**
 * Answers the API's requests on a server of `node:http`.
 *
 * @returns a listener that takes a request and says so, or leaves it untouched and returns `false`
 *
 * @example
 * const listener = apiListener(createApi(hub, options))
 * const server = createServer((request, response) => {
 *   if (!listener(request, response)) app(request, response)
 * })
 */
export function apiListener(api: Api): (request: IncomingMessage, response: ServerResponse) => boolean {
  return (request, response) => {
    const answer = api.handle(new NodeRequest(request))
    if (answer === null) return false
    // Neither `handle` nor `write` rejects; if one ever does, the client must not wait for ever.
    answer.then((ready) => write(request, response, ready)).catch(() => response.destroy())
    return true
  }
}

/** A request of `node:http` as the API sees it. What is seldom asked for is made when it is. */
class NodeRequest implements ApiRequest {
  readonly url: string
  readonly path: string
  readonly #request: IncomingMessage
  #query: URLSearchParams | null = null

  constructor(request: IncomingMessage) {
    this.#request = request
    this.url = request.url ?? '/'
    const mark = this.url.indexOf('?')
    this.path = mark === -1 ? this.url : this.url.slice(0, mark)
  }

  get method(): string {
    return this.#request.method ?? 'GET'
  }

  get query(): URLSearchParams {
    this.#query ??= new URLSearchParams(this.url.slice(this.path.length))
    return this.#query
  }

  get remoteAddress(): string {
    return this.#request.socket.remoteAddress ?? ''
  }

  get encrypted(): boolean {
    return 'encrypted' in this.#request.socket
  }

  get body(): RequestBody {
    return new NodeBody(this.#request)
  }

  header(name: string): string | undefined {
    const { headers } = this.#request
    const key = name.toLowerCase()
    // HTTP/2 has a pseudo-header in its place (RFC 9113, section 8.3.1).
    const value = headers[key] ?? (key === 'host' ? headers[':authority'] : undefined)
    return Array.isArray(value) ? value.join(', ') : value
  }
}

class NodeBody implements RequestBody {
  readonly #request: IncomingMessage

  constructor(request: IncomingMessage) {
    this.#request = request
  }

  /** By listeners: with async iteration a small request costs about a fifth more. */
  collect(maxBytes: number): Promise<Uint8Array> {
    const request = this.#request
    if (Number(request.headers['content-length']) > maxBytes)
      return Promise.reject(tooLarge('body', maxBytes))
    // Its events are over, so there is nothing to wait for.
    if (request.destroyed || request.readableEnded) return Promise.reject(new ClientGone())
    return new Promise((resolve, reject) => {
      const bytes = new ByteCollector()
      const onData = (chunk: Buffer): void => {
        if (bytes.length + chunk.length <= maxBytes) {
          bytes.add(chunk)
          return
        }
        request.off('data', onData)
        request.pause()
        reject(tooLarge('body', maxBytes))
      }
      request.on('data', onData)
      request.on('end', () => resolve(bytes.take()))
      request.on('close', () => {
        // Comes after `end` too; and an error costs more to make than all else that the API does for a request.
        if (!request.readableEnded) reject(new ClientGone())
      })
    })
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, void> {
    try {
      yield* this.#request as AsyncIterable<Uint8Array>
    } catch {
      // A request's stream fails in one way only: its connection is gone.
      throw new ClientGone()
    }
  }
}

async function write(request: IncomingMessage, response: ServerResponse, answer: ApiResponse): Promise<void> {
  // A write that crosses with the client's leaving must not end the process.
  response.on('error', ignore)
  const { status, headers, body } = answer
  if (typeof body !== 'string') return writeStream(response, answer, body)
  if (response.destroyed) return
  if (hasUnreadBody(request)) return writeAndClose(request, response, answer, body)
  response.writeHead(status, headers)
  response.end(body)
}

function ignore(): void {}

function hasUnreadBody(request: IncomingMessage): boolean {
  if (request.complete) return false
  const { 'content-length': length, 'transfer-encoding': coding } = request.headers
  return coding !== undefined || (length !== undefined && length !== '0')
}

/** Answers a request without reading its body, after which the connection is of no use. */
function writeAndClose(
  request: IncomingMessage,
  response: ServerResponse,
  { status, headers }: ApiResponse,
  body: string,
): void {
  // HTTP/2 ends the stream alone, and forbids the header.
  const closing = request.httpVersionMajor < 2 ? { Connection: 'close' } : {}
  response.writeHead(status, { ...headers, ...closing })
  response.flushHeaders()
  if (body !== '') response.write(body)
  const end = (): void => {
    clearTimeout(timer)
    request.off('end', end).off('close', end)
    // Of a connection that is gone node:http has forgotten the requests; when it has read another of them by then, the end of this response is
    // out of order to it, which ends the process.
    if (request.httpVersionMajor >= 2 || !request.socket.destroyed) response.end()
  }
  const timer = setTimeout(end, LINGER_MS)
  request.once('end', end).once('close', end)
  request.resume()
}

/** Writes a body as it is made, at the client's pace; when the client leaves, the making ends. */
async function writeStream(
  response: ServerResponse,
  { status, headers }: ApiResponse,
  body: AsyncIterable<string>,
): Promise<void> {
  try {
    for await (const text of body) {
      if (response.destroyed) return
      if (!response.headersSent) response.writeHead(status, headers)
      if (!response.write(text)) await drained(response)
    }
    response.end()
  } catch {
    // Cut off rather than ended, so that the client cannot take it for the whole. The API has reported the cause.
    response.destroy()
  }
}

/** Resolves when the response takes more, or nobody reads it any more. */
function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      response.off('drain', done).off('close', done)
      resolve()
    }
    response.on('drain', done).on('close', done)
  })
}
