/** The head of a request as node:http gives it, less what it hides. */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'

/** What the head of a request comes to. */
export interface RequestHead {
  /** Path and query. */
  readonly url: string
  readonly headers: IncomingHttpHeaders
}

/**
 * The head of a request. A target in absolute form, as proxies send it, is taken apart, and its host counts in place of `Host` (RFC 9112, section
 * 3.2.2). Of `Host` and `Authorization` node:http keeps the first, where whoever passed the request on may have looked at the last: here they are
 * joined, which makes neither of them one that is good.
 */
export function headOf(request: IncomingMessage): RequestHead {
  const { url = '/', headers } = request
  const absolute = url.startsWith('/') ? null : ABSOLUTE.exec(url)
  const [, authority = '', rest = '/'] = absolute ?? []
  const repeated = absolute === null ? repeatedOf(request) : { ...repeatedOf(request), host: authority }
  return {
    url: absolute === null ? url : rest.startsWith('/') ? rest : `/${rest}`,
    headers: repeated === null ? headers : { ...headers, ...repeated },
  }
}

const ABSOLUTE = /^https?:\/\/([^/?#]*)([/?][^#]*)?$/i

/** Headers that must stand in a request once, by length, so that others cost a comparison each (bench: http-publish). */
const ONCE: ReadonlyMap<number, string> = new Map(
  ['host', 'authorization'].map((name) => [name.length, name]),
)

/** Those that stand there several times, joined; `null`: none. */
function repeatedOf({ rawHeaders, headers }: IncomingMessage): Record<string, string> | null {
  let repeated: Record<string, string> | null = null
  let seen: Record<string, string> | null = null
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] ?? ''
    const once = ONCE.get(name.length)
    if (once === undefined || name.toLowerCase() !== once) continue
    const value = rawHeaders[i + 1] ?? ''
    const before = seen?.[once]
    seen ??= {}
    seen[once] = before === undefined ? value : `${before}, ${value}`
    if (before !== undefined && headers[once] !== undefined) {
      repeated ??= {}
      repeated[once] = seen[once]
    }
  }
  return repeated
}
