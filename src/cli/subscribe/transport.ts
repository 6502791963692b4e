/** What the three ways to subscribe have in common. */
import { errorCodeForClose, isComeBackCode } from '../../errors.ts'

/** What to subscribe to. All transports bring envelopes, since only they have all cursors. */
export interface Target {
  /** The event streams with the groups in the query, as an http or https URL. */
  readonly url: URL
  /** Whether messages are told in their envelopes. */
  readonly envelope: boolean
  /** Who it is: a header, where there is a token. */
  readonly authorization: { readonly authorization?: string }
  /** Where to go on from; `null`: with what comes next, or with what the URL asks for. */
  readonly cursor: string | null
}

/** The address to connect to. The cursor stands in the query, where every transport has room for it. */
export function addressOf({ url, cursor }: Target): URL {
  const address = new URL(url)
  if (cursor !== null) address.searchParams.set('cursor', cursor)
  return address
}

/** What a connection tells while it lives. Where there is a cursor, it is where to go on from after all that was told so far. */
export type Received =
  | { readonly kind: 'open' }
  /** One message, or its envelope, as JSON on one line. */
  | { readonly kind: 'message'; readonly json: string; readonly cursor: string | null }
  /** Something for the user's eyes. */
  | { readonly kind: 'notice'; readonly text: string; readonly cursor: string | null }
  /** Nothing but a cursor. */
  | { readonly kind: 'position'; readonly cursor: string | null }

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
