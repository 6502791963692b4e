/** Problem documents (RFC 9457), as every part that answers HTTP requests writes them. */
import { ERRORS, type ErrorCode } from './errors.ts'

export const PROBLEM_TYPE = 'application/problem+json'

/** The text of the problem document of an error of the table. */
export function problemText(code: ErrorCode, detail?: string): string {
  const { httpStatus: status, message: title } = ERRORS[code]
  return JSON.stringify({ type: 'about:blank', title, status, ...(detail !== undefined && { detail }), code })
}
