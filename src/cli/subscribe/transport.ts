/** What the three ways to subscribe have in common. */
import { errorCodeForClose, isComeBackCode } from '../../errors.ts'

/** What to subscribe to. */
export interface Target {
  /** The event streams with the groups in the query, as an http or https URL. */
  readonly url: URL
  /** Whether messages are wanted in their envelopes. */
  readonly envelope: boolean
}

/** What a connection tells while it lives. */
export type Received =
  | { readonly kind: 'open' }
  /** One message, or its envelope, as JSON on one line. */
  | { readonly kind: 'message'; readonly json: string }
  /** Something for the user's eyes. */
  | { readonly kind: 'notice'; readonly text: string }

/** Why a connection ended or did not begin. */
export interface Ending {
  /** Close code, as of a WebSocket; `null` where there was no connection, or it ended without one. */
  readonly code: number | null
  readonly text: string
  /** Whether to connect again. */
  readonly comeBack: boolean
}

/** Connects once, tells what comes and returns why it ended; ends soon after the signal aborts. Does not throw. */
export type Connect = (target: Target, signal: AbortSignal) => AsyncGenerator<Received, Ending>

/** The server closed the connection, with a code of the error table or of RFC 6455. */
export function closedWith(code: number, reason: string): Ending {
  const name = errorCodeForClose(code)
  const what = name === null ? String(code) : `${code} ${name}`
  return {
    code,
    text: `the server closed the connection (${what})${reason === '' ? '.' : `: ${reason}`}`,
    comeBack: isComeBackCode(code),
  }
}

/** The connection ended without a word. */
export const LOST: Ending = Object.freeze({ code: null, text: 'the connection was lost.', comeBack: true })
