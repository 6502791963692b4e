import { ERRORS } from '../../errors.ts'
import { PROBLEM_TYPE, problemText } from '../../problem.ts'
import { isTransferCoding, OTHER_CODING } from '../../transfer-coding.ts'
import { Exchange } from './body.ts'
import type { UwsConnectionRequest } from './request.ts'
import type { UwsRequest, UwsResponse } from './uws.ts'

const LENGTH = /^\d+$/

/** How long a body is, as far as its headers say so. */
export interface Framing {
  /** Why nobody could say where the body ends (RFC 9112, section 6.3); `null`: it is clear. */
  readonly fault: string | null
  /** Nothing that follows on the connection may be read as a request. */
  readonly isLast: boolean
}

const CLEAR: Framing = Object.freeze({ fault: null, isLast: false })
/**
 * uWebSockets.js takes anything for the line breaks between chunks, and knows no trailers: where a chunked body ends for it is not where it
 * ends for whoever passed it on. So it is the last of its connection.
 */
const CHUNKED: Framing = Object.freeze({ fault: null, isLast: true })

/**
 * Looks at the headers that say how long a body is. Of several lengths uWebSockets.js believes the first, an empty one it takes for none, and each
 * transfer coding for `chunked`: a proxy that reads them otherwise would let a client smuggle a request past it (RFC 9112, section 11.2).
 */
export function framingOf(request: UwsConnectionRequest): Framing {
  const length = request.header('content-length')
  const coding = request.header('transfer-encoding')
  if (length !== undefined && !LENGTH.test(length)) return faulty('The Content-Length is not one number.')
  if (coding === undefined) return CLEAR
  if (!isTransferCoding(coding)) return faulty(OTHER_CODING)
  // Such a body means nothing (RFC 9110, section 9.3.1), and the answers, a stream or none, could not close the connection.
  if (BODILESS.has(request.method)) return faulty(`The method ${request.method} takes no body in chunks.`)
  return CHUNKED
}

/** The same of a request that nobody takes, without its other headers. */
export function isClear(request: UwsRequest): boolean {
  let lengths = 0
  let hasCoding = false
  request.forEach((name) => {
    if (name === 'content-length') lengths++
    if (name === 'transfer-encoding') hasCoding = true
  })
  return !hasCoding && (lengths === 0 || (lengths === 1 && request.getHeader('content-length') !== ''))
}

const BODILESS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS'])

function faulty(fault: string): Framing {
  return { fault, isLast: true }
}

/** Answers a request of which nobody can say where it ends, and closes its connection. */
export function refuseFraming(response: UwsResponse, fault: string, method: string): void {
  const { httpStatus: status } = ERRORS['bad-request']
  const headers = { 'Content-Type': PROBLEM_TYPE, 'Cache-Control': 'no-store' }
  const body = problemText('bad-request', fault)
  // At once: an end of the body that could be waited for is what is not known.
  new Exchange(response, true, true).answer({ status, headers, body }, 0, method === 'HEAD')
}
