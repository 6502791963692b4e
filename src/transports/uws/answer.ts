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
  { status, headers, body }: Omit<HttpAnswer, 'body'> & { readonly body: string | Uint8Array },
  { isHead = false, close = false }: AnswerEnd = {},
): void {
  response.cork(() => {
    response.writeStatus(statusLine(status))
    for (const name in headers) {
      if (name !== 'Content-Length') response.writeHeader(name, headers[name] ?? '')
    }
    if (status !== 204 && !isHead) {
      response.end(body, close)
      return
    }
    // Given the length, `endWithoutBody` would wait for as many bytes of body for ever.
    if (isHead) response.writeHeader('Content-Length', String(lengthOf(headers, body)))
    response.endWithoutBody()
  })
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
    response.writeStatus(statusLine(status))
    for (const name in headers) {
      if (name !== 'Content-Length') response.writeHeader(name, headers[name] ?? '')
    }
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
