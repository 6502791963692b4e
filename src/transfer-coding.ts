/** How a body may come: RFC 9112, section 6.1. */

/** The detail of the problem where {@link isTransferCoding} is not met. */
export const OTHER_CODING = 'The one Transfer-Encoding that is understood is chunked.'

/** Whether a `Transfer-Encoding`, all lines of it joined, is one that leaves the body as it was. */
export function isTransferCoding(coding: string | undefined): boolean {
  return coding === undefined || coding.toLowerCase() === 'chunked'
}
