/** Answers of the API, and what errors become in them. */
import { ERRORS, type ErrorCode, errorCodeOf, Refusal } from '../errors.ts'
import { challengeOf, PROBLEM_TYPE, problemText, retryAfter } from '../problem.ts'
import type { ApiResponse } from './contract.ts'

type Headers = Readonly<Record<string, string>>

/** An answer whose body is this JSON text. */
export function jsonText(status: number, text: string): ApiResponse {
  return textAnswer(status, 'application/json', text)
}

/** An answer whose body is this value in JSON. */
export function json(status: number, value: unknown): ApiResponse {
  return jsonText(status, JSON.stringify(value))
}

/** A complete answer of any media type. */
export function textAnswer(status: number, mediaType: string, text: string, more?: Headers): ApiResponse {
  return {
    status,
    headers: {
      'Content-Type': mediaType,
      'Content-Length': String(Buffer.byteLength(text)),
      'Cache-Control': 'no-store',
      'X-Content-Type-Options': 'nosniff',
      ...more,
    },
    body: text,
  }
}

/** An answer that is written as it is made. */
export function streamed(status: number, mediaType: string, body: AsyncIterable<string>): ApiResponse {
  const headers = {
    'Content-Type': mediaType,
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
  }
  return { status, headers, body }
}

/** What a client is told about an error. */
export interface Failure {
  readonly code: ErrorCode
  /** What exactly was wrong, where that is the client's business. */
  readonly detail: string | null
  /** Whether somebody inside must hear of it, since the client is not told what it was. */
  readonly isInternal: boolean
  /** When to try again, in milliseconds from now, where that is known. */
  readonly retryAfterMs?: number
}

const INTERNAL: Failure = Object.freeze({ code: 'internal-error', detail: null, isInternal: true })

/**
 * What an error means for the client. Only texts about what the client sent reach it; whatever else went wrong, it gets the text of
 * the error table.
 */
export function failureOf(error: unknown): Failure {
  const code = errorCodeOf(error)
  if (code === null || ERRORS[code].httpStatus === 500) return INTERNAL
  const detail = error instanceof Refusal ? error.reason : (error as Error).message
  const isTold = ERRORS[code].audience === 'client' && detail !== ERRORS[code].message
  const retryAfterMs = error instanceof Refusal ? error.retryAfterMs : null
  return {
    code,
    detail: isTold ? detail : null,
    isInternal: false,
    ...(retryAfterMs !== null && { retryAfterMs }),
  }
}

/** A problem document (RFC 9457); `members` are those that only some problems have (section 3.2). */
export function problem(
  { code, detail, retryAfterMs }: Failure,
  more: Headers = {},
  members: Readonly<Record<string, string>> = {},
): ApiResponse {
  const status = ERRORS[code].httpStatus
  const when = retryAfterMs === undefined ? {} : { retryAfterMs }
  const text = problemText(code, detail ?? undefined, { ...when, ...members })
  const challenge = challengeOf(code, detail ?? undefined)
  return textAnswer(status, PROBLEM_TYPE, text, { ...headersOf(status, retryAfterMs), ...challenge, ...more })
}

function headersOf(status: number, retryAfterMs: number | undefined): Headers {
  return status === 503 || status === 429 ? retryAfter(retryAfterMs ?? null) : {}
}
