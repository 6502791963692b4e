/**
 * Which web pages may use this server. Browsers name the page's origin in the `Origin` header (RFC 6454) of everything that could do
 * harm: WebSocket handshakes, cross-origin reads and all writes. Requests without that header do not come from such a page.
 *
 * Texts are compared as they were sent, never through a URL parser: browsers write an origin and the `Host` of a page in one normal
 * form, so whatever needs normalising (`http://0x7f.1`, percent signs, user names) is not a page's honest origin.
 */
import { MisuseError } from './errors.ts'
import { quote } from './names.ts'

/**
 * What a request's origin means: `absent` (not a browser's cross-origin request or write), `same` as this server, `listed` as allowed, or
 * `refused`.
 */
export type OriginVerdict = 'absent' | 'same' | 'listed' | 'refused'

/** The parts of a request that decide. */
export interface OriginFacts {
  /** The `Origin` header. */
  readonly origin: string | undefined
  /** The `Host` header (HTTP/2: `:authority`). */
  readonly host: string | undefined
  /** Whether this process ended the TLS of the connection. */
  readonly encrypted: boolean
}

type Headers = Readonly<Record<string, string>>

const NONE: Headers = Object.freeze({})

/** Stands for every origin in a list of allowed ones. */
const ANY = '*'

const WEB_ORIGIN = /^(https?):\/\/(.+)$/i
// No white space, comma, user name or path: a list of origins, or a whole URL, is not an origin.
const AUTHORITY = /^(\[[0-9a-f:.]+\]|[^\s,:/?#@\\[\]]+)(?::([0-9]{1,5}))?$/i
// Other schemes are for pages of apps (`capacitor://localhost`): they can be listed, never be the same.
const LISTABLE = /^[a-z][a-z0-9+.-]*:\/\/(?:\[[0-9a-f:.]+\]|[^\s,:/?#@\\[\]*]+)(?::[0-9]{1,5})?$/i

const DEFAULT_PORTS: ReadonlyMap<string, string> = new Map([
  ['http', '80'],
  ['https', '443'],
])

/**
 * Judges the origin of a request. Pure.
 *
 * When this process did not end TLS, a proxy may have: then `https` and `http` both count as this server's scheme.
 *
 * @param allowedOrigins entries as {@link assertOrigins} lets them through
 */
export function originVerdict(facts: OriginFacts, allowedOrigins: readonly string[]): OriginVerdict {
  const { origin } = facts
  if (origin === undefined) return 'absent'
  if (isSameOrigin(origin, facts)) return 'same'
  if ((allowedOrigins.includes(ANY) && origin !== 'null') || isNamed(origin, allowedOrigins)) return 'listed'
  return 'refused'
}

/**
 * Whether what a browser sends along by itself (cookies) may speak for its user: where the page is of this server or on the list by
 * name, or no page is behind the request. CORS keeps credentials from other pages' reads, but nothing keeps them from WebSockets.
 */
export function mayUseCookies(facts: OriginFacts, allowedOrigins: readonly string[]): boolean {
  const { origin } = facts
  return origin === undefined || isSameOrigin(origin, facts) || isNamed(origin, allowedOrigins)
}

/**
 * The headers that let a page read the answer (CORS), for requests that {@link originVerdict} did not refuse. An origin that the list
 * names may send credentials; one that only `*` covers may not.
 */
export function accessHeaders(
  origin: string | undefined,
  verdict: OriginVerdict,
  allowedOrigins: readonly string[],
): Headers {
  // Without a list no answer depends on the origin, and most servers have none.
  if (allowedOrigins.length === 0) return NONE
  if (origin === undefined || verdict === 'refused') return { Vary: 'Origin' }
  if (isNamed(origin, allowedOrigins)) {
    return {
      'Access-Control-Allow-Origin': origin,
      'Access-Control-Allow-Credentials': 'true',
      'Access-Control-Expose-Headers': EXPOSED,
      Vary: 'Origin',
    }
  }
  if (verdict !== 'listed') return { Vary: 'Origin' }
  return { 'Access-Control-Allow-Origin': ANY, 'Access-Control-Expose-Headers': EXPOSED, Vary: 'Origin' }
}

/** What scripts need of an answer besides its body and the headers that CORS shows anyway. */
const EXPOSED = 'Allow, Retry-After'

/** What a preflight is told, besides {@link accessHeaders}; both are lists as in a header (`GET, POST`). */
export interface PreflightRules {
  readonly methods: string
  readonly headers: string
  /** How long the browser may remember this; ten minutes unless given. */
  readonly maxAgeSeconds?: number
}

/** The answer to a preflight request (`OPTIONS` with `Access-Control-Request-Method`), besides {@link accessHeaders}. */
export function preflightHeaders({ methods, headers, maxAgeSeconds = 600 }: PreflightRules): Headers {
  return {
    'Access-Control-Allow-Methods': methods,
    'Access-Control-Allow-Headers': headers,
    'Access-Control-Max-Age': String(maxAgeSeconds),
  }
}

/**
 * Checks a list of allowed origins: each is `*` or a scheme, a host and perhaps a port. `null` cannot be listed: every sandboxed page
 * and every local file has that origin.
 *
 * @throws {MisuseError} (code `invalid-option`) naming the first entry that is not allowed
 */
export function assertOrigins(origins: readonly string[]): void {
  for (const origin of origins) {
    if (origin === ANY || (typeof origin === 'string' && LISTABLE.test(origin))) continue
    const allowed =
      'an origin such as "https://app.example" (scheme, host and port, no path, no final slash), or "*"'
    throw new MisuseError(
      'invalid-option',
      `allowedOrigins has ${quote(origin)}: each entry must be ${allowed}.`,
    )
  }
}

/**
 * Whether the `Host` of a request names this server. A page whose name was pointed at this machine (DNS rebinding) is of the "same
 * origin" as what it calls, but it cannot hide its name here.
 *
 * @param allowedHosts names without a port, IPv6 addresses with or without brackets; `null` allows all
 */
export function isAllowedHost(host: string | undefined, allowedHosts: readonly string[] | null): boolean {
  if (allowedHosts === null) return true
  const name = AUTHORITY.exec(host ?? '')?.[1]
  if (name === undefined) return false
  const bare = bareName(name)
  return allowedHosts.some((allowed) => bareName(allowed) === bare)
}

// uri-host and port (RFC 9110, section 7.2): empty where the target has no authority. A comma would be one of two hosts that were joined.
const HOST = /^(?:\[[0-9a-f:.]+\]|[\w.~!$&'()*+;=%-]*)(?::\d*)?$/i

/** The detail of the problem where {@link isHost} is not met. */
export const NO_HOST = 'The Host header is not one host with perhaps a port.'

/** Whether a `Host` can be one, once (RFC 9112, section 3.2: else the answer is 400); none at all is for the server to judge. */
export function isHost(host: string | undefined): boolean {
  return host === undefined || HOST.test(host)
}

function bareName(host: string): string {
  return host.replace(/^\[(.*)\]$/, '$1').toLowerCase()
}

function isSameOrigin(origin: string, { host, encrypted }: OriginFacts): boolean {
  const [, scheme, authority] = WEB_ORIGIN.exec(origin.toLowerCase()) ?? []
  if (scheme === undefined || authority === undefined || host === undefined) return false
  if (encrypted && scheme !== 'https') return false
  const page = AUTHORITY.exec(authority)
  const here = AUTHORITY.exec(host.toLowerCase())
  if (page === null || here === null) return false
  // A browser leaves the scheme's own port out of both; the scheme is the page's, or it would not be the same origin.
  const defaultPort = DEFAULT_PORTS.get(scheme)
  return page[1] === here[1] && (page[2] ?? defaultPort) === (here[2] ?? defaultPort)
}

/** Whether the list has this very origin. `null` is nobody in particular, so it cannot be meant. */
function isNamed(origin: string, allowedOrigins: readonly string[]): boolean {
  if (origin === 'null' || origin === ANY || allowedOrigins.length === 0) return false
  const wanted = withoutDefaultPort(origin)
  return allowedOrigins.some((allowed) => withoutDefaultPort(allowed) === wanted)
}

function withoutDefaultPort(origin: string): string {
  const text = origin.toLowerCase()
  if (text.startsWith('https://')) return text.replace(/:443$/, '')
  if (text.startsWith('http://')) return text.replace(/:80$/, '')
  return text
}
