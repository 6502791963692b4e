import type { ErrorCode } from '../errors.ts'

/** What a {@link ClientError} can say besides the codes with which the hub answers. */
export type ClientErrorCode =
  | ErrorCode
  /** There is no connection: nothing was sent. */
  | 'not-connected'
  /** The connection was lost before the answer came: whether the message arrived is not known. */
  | 'disconnected'
  /** No answer came within `replyTimeoutMs`: whether the message arrived is not known. */
  | 'reply-timeout'
  /** `close()` was called. */
  | 'closed'
  /** The connection ended, or was given up, without a word from the server. */
  | 'connection-lost'
  /** The server closed the connection: `closeCode` says with what. */
  | 'connection-closed'
  /** The server refused the request and gave no code: `status` says with what. */
  | 'refused'
  /** `getToken` threw or rejected: see `cause`. */
  | 'no-token'

/** What else there is to say about an error. */
export type ErrorDetails = Partial<
  Pick<ClientError, 'closeCode' | 'status' | 'comeBack' | 'retryAfterMs' | 'cause'>
>

/** Why something failed, or a connection ended. The text is for developers. */
export class ClientError extends Error {
  declare readonly code: ClientErrorCode
  /** With what the server closed, where it did. */
  declare readonly closeCode?: number
  /** HTTP status of the server's answer, where it refused. */
  declare readonly status?: number
  /** Of what ended a connection, and of a refused post: whether to come back. */
  declare readonly comeBack: boolean
  /** How long the server asks to wait. */
  declare readonly retryAfterMs: number

  constructor(code: ClientErrorCode, text: string, details?: ErrorDetails) {
    super(text, details)
    // A close frame has nothing but its reason: so hubs say there when to come back, and in the texts of errors.
    const retryAfterMs = +(/in (\d+) ms$/.exec(text)?.[1] ?? 0)
    Object.assign(this, { name: 'ClientError', code, comeBack: true, retryAfterMs }, details)
  }
}

/** The connection ended, or did not begin, without a word from the server: the transport may be what failed. */
export function lost(why: string, cause?: unknown): ClientError {
  return new ClientError('connection-lost', why, { cause })
}

/** The server closed the connection. */
export function closedWith(closeCode: number, reason: string): ClientError {
  const text = `The server closed: ${closeCode} ${reason}`
  return new ClientError('connection-closed', text, { closeCode, comeBack: isComeBackCode(closeCode) })
}

/** `isComeBackCode` of `src/errors.ts`, without the table that comes with it. A test holds them together. */
export function isComeBackCode(closeCode: number): boolean {
  return closeCode < 4000 ? ![1000, 1002, 1003, 1007, 1008, 1009, 1010].includes(closeCode) : closeCode < 4500
}
