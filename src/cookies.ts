/**
 * A cookie of a `Cookie` header (RFC 6265, section 5.4), as it was sent: values are not decoded, quotes are kept. Of several with one name
 * the first counts: browsers send the one of the longest path first.
 */
export function cookieOf(header: string | undefined, name: string): string | undefined {
  if (header === undefined || name === '') return undefined
  let start = 0
  while (start < header.length) {
    const semicolon = header.indexOf(';', start)
    const end = semicolon === -1 ? header.length : semicolon
    const equals = header.indexOf('=', start)
    if (equals !== -1 && equals < end && header.slice(start, equals).trim() === name) {
      return header.slice(equals + 1, end).trim()
    }
    start = end + 1
  }
  return undefined
}
