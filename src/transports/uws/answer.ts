import { STATUS_CODES } from 'node:http'
import type { HttpAnswer } from '../backend.ts'
import type { UwsResponse } from './uws.ts'

/** `404 Not Found` */
export function statusLine(status: number): string {
  return `${status} ${STATUS_CODES[status] ?? ''}`
}

/** How an answer ends. */
export interface AnswerEnd {
  /** The answer to a HEAD has a length and no body (RFC 9110, section 9.3.2). */
  readonly isHead?: boolean
  /** Close the connection after it. */
  readonly close?: boolean
}

/** Sends a complete answer in one write. The response must be alive; `Content-Length` is uWebSockets.js's to write. */
export function sendAnswer(
  response: UwsResponse,
  answer: Omit<HttpAnswer, 'body'> & { readonly body: string | Uint8Array },
  { isHead = false, close = false }: AnswerEnd = {},
): void {
  const { status, headers, body } = answer
  if (isHead && close) {
    sendLastHead(response, status, headers, lengthOf(headers, body))
    return
  }
  response.cork(() => {
    writeHead(response, status, headers)
    // What has no length cannot close the connection. Better a 204 says that it has none of its own (RFC 9110, section 8.6) than another request
    // is read off a connection that is not to be trusted.
    if (!isHead && (status !== 204 || close)) {
      response.end(body, close)
      return
    }
    // Given the length, `endWithoutBody` would wait for as many bytes of body for ever.
    if (isHead) response.writeHeader('Content-Length', String(lengthOf(headers, body)))
    response.endWithoutBody()
  })
}

/**
 * The answer to a HEAD that closes the connection. Older builds cannot end one with a length: while they wait for its body, whatever comes over the
 * connection closes it, and a turn later it is closed here. Newer ones end it, and close by themselves.
 */
function sendLastHead(
  response: UwsResponse,
  status: number,
  headers: HttpAnswer['headers'],
  length: number,
): void {
  let isOver = false
  response.onAborted(() => {
    isOver = true
  })
  response.cork(() => {
    writeHead(response, status, headers)
    // Older builds do not write it here; that newer ones repeat it means nothing.
    response.writeHeader('Connection', 'close')
    isOver = response.tryEnd('', length, true)[1]
  })
  setImmediate(() => {
    if (!isOver) response.close()
  })
}

function writeHead(response: UwsResponse, status: number, headers: HttpAnswer['headers']): void {
  response.writeStatus(statusLine(status))
  for (const name in headers) {
    if (name !== 'Content-Length') response.writeHeader(name, headers[name] ?? '')
  }
}

/** How long a client may take over the end of a streamed answer: what uWebSockets.js gives it for the end of any other. */
const END_MS = 10_000

/**
 * Ends a streamed answer, and closes the connection when the client, which was told that it ends, does not. `end` cannot: it would write the header that
 * says so behind the body. So the last chunk is written as a header is, word for word, with a trailer that means nothing; to uWebSockets.js the
 * answer goes on, and whatever else comes over the connection closes it.
 */
export function endLast(response: UwsResponse): void {
  const timer = setTimeout(() => response.close(), END_MS)
  timer.unref()
  response.onAborted(() => clearTimeout(timer))
  response.onWritable(() => {
    timer.refresh()
    // Sends what the system did not take at once. For an answer that goes on nobody else does.
    response.cork(() => {})
    return true
  })
  response.cork(() => response.writeHeader('\r\n0\r\nGroupcast-End', 'true\r\n'))
}

function lengthOf(headers: HttpAnswer['headers'], body: string | Uint8Array): number {
  // An answer to HEAD may have lost its body, and not its length.
  const given = headers['Content-Length']
  if (given !== undefined) return Number(given)
  return typeof body === 'string' ? Buffer.byteLength(body) : body.length
}

/** An answer to a request whose body has not ended. */
export interface EarlyAnswer {
  /** The body has ended. */
  end(): void
  /** The client has left. */
  gone(): void
}

/**
 * Sends an answer whole, and leaves it without its end until the body has come, or for so long: an ended response could not be closed any
 * more.
 */
export function answerEarly(
  response: UwsResponse,
  { status, headers, body }: Omit<HttpAnswer, 'body'> & { readonly body: string | Uint8Array },
  lingerMs: number,
): EarlyAnswer {
  response.cork(() => {
    writeHead(response, status, headers)
    response.write(body)
  })
  const timer = setTimeout(() => response.close(), lingerMs)
  timer.unref()
  return {
    end() {
      clearTimeout(timer)
      response.cork(() => response.end())
    },
    gone: () => clearTimeout(timer),
  }
}
