/** Problem documents (RFC 9457), as every part that answers HTTP requests writes them. */
import { ERRORS, type ErrorCode } from './errors.ts'

export const PROBLEM_TYPE = 'application/problem+json'

/** The text of the problem document of an error of the table; `members` are those that only some problems have (section 3.2). */
export function problemText(
  code: ErrorCode,
  detail?: string,
  members: Readonly<Record<string, string>> = {},
): string {
  const { httpStatus: status, message: title } = ERRORS[code]
  const details = detail === undefined ? {} : { detail }
  return JSON.stringify({ type: 'about:blank', title, status, ...details, code, ...members })
}
