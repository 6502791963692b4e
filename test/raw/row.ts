/** One row of the tables: bytes, and the one answer that they must get. */
import { ERRORS, type ErrorCode } from '../../src/errors.ts'
import { closing } from './bytes.ts'

/** What a row may use that is not known before the server runs. */
export interface Stage {
  /** `http://127.0.0.1:<port>` */
  readonly url: string
  /** A new ticket of ann. */
  ticket(): Promise<string>
  /** One that somebody has used. */
  usedTicket(): Promise<string>
}

export type Bytes = string | Buffer

export interface Row {
  /** Never used again for another case. */
  readonly id: string
  /** `RFC 6455, 5.2` */
  readonly rfc: string
  readonly what: string
  /** What is sent first, in one write. */
  readonly send: Bytes | ((stage: Stage) => Bytes | Promise<Bytes>)
  /** What is sent once the WebSocket is open: a write each. */
  readonly frames?: readonly Bytes[]
  /** What is sent when the frames of the answer have come, or the first answer of HTTP. */
  readonly later?: Bytes
  readonly answer: Answer | Each
}

/**
 * Where the bytes are refused by a parser that is not ours, and the two differ: both answers, and why. Both are safe: nothing of what is refused
 * is acted upon, and nothing that follows on the connection.
 */
export interface Each {
  readonly node: Answer
  readonly uws: Answer
  readonly why: string
}

export type Answer = HttpAnswers | WebSocketAnswer

/** All that comes over the connection: so many answers, in this order, and no more. */
export interface HttpAnswers {
  readonly kind: 'http'
  readonly answers: readonly HttpAnswer[]
  /**
   * What becomes of the connection. `open`: it is in step, a further request gets its own answer. `closed`: by the server. `waits`: what came is no
   * whole request to the server; when the client ends, it closes without a word. `stream`: the last answer goes on.
   */
  readonly after: 'open' | 'closed' | 'waits' | 'stream'
}

export interface HttpAnswer {
  readonly status: number
  /** Names in lower case; `null`: not there. Others are not looked at. */
  readonly headers?: Readonly<Record<string, string | RegExp | null>>
  /** The problem document, of which nothing is missing and to which nothing is added. */
  readonly problem?: { readonly code: ErrorCode; readonly detail?: string }
  readonly body?: string | RegExp
  /** The answer to a HEAD. */
  readonly isHead?: boolean
}

export interface WebSocketAnswer {
  readonly kind: 'websocket'
  /** Of the 101, besides those of every handshake. */
  readonly headers?: Readonly<Record<string, string | null>>
  /** Every frame but the last close frame: opcode and payload, a Buffer where it is no text. */
  readonly frames: readonly (readonly [opcode: number, payload: string | Buffer | RegExp])[]
  /** Payload of the server's close frame; `open`: none comes; `cut`: the connection ends without. */
  readonly end: Buffer | 'open' | 'cut'
}

/** Answers that leave the connection open. */
export const answers = (...all: readonly HttpAnswer[]): HttpAnswers => ({
  kind: 'http',
  answers: all,
  after: 'open',
})

/** Answers after which the server closes. */
export const closes = (...all: readonly HttpAnswer[]): HttpAnswers => ({
  kind: 'http',
  answers: all,
  after: 'closed',
})

/** Not a request: nothing is said, and the connection ends with the client. */
export const waits: HttpAnswers = { kind: 'http', answers: [], after: 'waits' }

/** An answer that begins, and goes on. */
export const streams = (headers: HttpAnswer['headers'], body: RegExp): HttpAnswers => ({
  kind: 'http',
  answers: [{ status: 200, headers: headers ?? {}, body }],
  after: 'stream',
})

/** The problem document of a code, with its status and media type. */
export const problem = (
  code: ErrorCode,
  detail?: string,
  headers: HttpAnswer['headers'] = {},
): HttpAnswer => ({
  status: ERRORS[code].httpStatus,
  headers: { 'content-type': 'application/problem+json', ...headers },
  problem: detail === undefined ? { code } : { code, detail },
})

/** The WebSocket lives on after these frames. */
export const says = (...frames: WebSocketAnswer['frames'][number][]): WebSocketAnswer => ({
  kind: 'websocket',
  frames,
  end: 'open',
})

/** The server closes the WebSocket with this payload, after these frames. */
export const ends = (payload: Buffer, ...frames: WebSocketAnswer['frames'][number][]): WebSocketAnswer => ({
  kind: 'websocket',
  frames,
  end: payload,
})

/** The WebSocket is let in and closed at once: browsers show an application no status. */
export const denied = (code: ErrorCode, reason: string = ERRORS[code].message): WebSocketAnswer => {
  return ends(closing(ERRORS[code].closeCode, reason))
}

const NO_CLOSE_FRAME =
  'uWebSockets.js fails a WebSocket (RFC 6455, 7.1.7) by ending its connection: it sends no close frame, and the hub is told when it has ended.'

/** The WebSocket is failed with this code, after these frames. */
export function failed(code: number, ...frames: WebSocketAnswer['frames'][number][]): Each {
  return {
    node: ends(code === 1009 ? closing(code, ERRORS['message-too-large'].message) : closing(code), ...frames),
    uws: { kind: 'websocket', frames, end: 'cut' },
    why: NO_CLOSE_FRAME,
  }
}

/** What node:http answers by itself, before anybody hears of the request. */
const byNode = (status: number): HttpAnswers =>
  closes({ status, headers: { connection: 'close', 'content-length': null }, body: '' })

/** The parser of node:http says 400 and closes; that of uWebSockets.js closes at once. */
export const refusedByParsers = (status = 400): Each => ({
  node: byNode(status),
  uws: closes(),
  why: 'The request is refused by the parser of the server: node:http says so, uWebSockets.js closes the connection.',
})

/** The parser of node:http says 400 and closes; to that of uWebSockets.js the head has not ended, and whoever waits is closed after ten seconds. */
export const notAHead = (status = 400): Each => ({
  node: byNode(status),
  uws: waits,
  why: 'uWebSockets.js takes a head that it cannot read for one that has not ended: no answer, and the connection is closed after ten seconds.',
})
