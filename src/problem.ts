/** Problem documents (RFC 9457), as every part that answers HTTP requests writes them. */
import { ERRORS, type ErrorCode } from './errors.ts'

export const PROBLEM_TYPE = 'application/problem+json'

/** The text of the problem document of an error of the table; `members` are those that only some problems have (section 3.2). */
export function problemText(
  code: ErrorCode,
  detail?: string,
  members: Readonly<Record<string, string | number>> = {},
): string {
  const { httpStatus: status, message: title } = ERRORS[code]
  const details = detail === undefined ? {} : { detail }
  return JSON.stringify({ type: 'about:blank', title, status, ...details, code, ...members })
}

/** The header that says when to come back, in whole seconds (RFC 9110, section 10.2.3); a second where that is not known. */
export function retryAfter(retryAfterMs: number | null): { readonly 'Retry-After': string } {
  return { 'Retry-After': String(Math.max(1, Math.ceil((retryAfterMs ?? 0) / 1000))) }
}

const NO_CHALLENGE: Readonly<Record<string, string>> = Object.freeze({})

/**
 * The header that goes with an answer of 401 (RFC 9110, section 11.6.1). Only a client that has given a token is told what is wrong with it
 * (RFC 6750, section 3.1).
 */
export function challengeOf(code: ErrorCode, detail?: string): Readonly<Record<string, string>> {
  if (ERRORS[code].httpStatus !== 401) return NO_CHALLENGE
  if (code === 'unauthorized') return { 'WWW-Authenticate': 'Bearer' }
  // What a quoted string of RFC 6750 may hold: no quotes, no backslashes, ASCII.
  const text = (detail ?? ERRORS[code].message)
    .replace(/’/g, "'")
    .replace(/[^\x20-\x21\x23-\x5b\x5d-\x7e]/g, '?')
  return { 'WWW-Authenticate': `Bearer error="invalid_token", error_description="${text}"` }
}
