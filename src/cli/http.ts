/** What `publish` and `subscribe` share: the server's URL, its refusals, and networks that fail. */
import { InvalidArgumentError } from 'commander'
import { ERRORS, type ErrorEntry } from '../errors.ts'
import { EXIT, Failure } from './failure.ts'

/** Where the server is unless `--url` says otherwise. */
export const DEFAULT_URL = 'http://127.0.0.1:8000'

/** How long a server may take to begin its answer. */
export const ANSWER_TIMEOUT_MS = 10_000

/** Why there was no answer that one can use. */
export interface Fault {
  readonly text: string
  /** Whether trying again later may help. */
  readonly comeBack: boolean
}

/**
 * Reads a server's URL, such as the argument of `--url`.
 *
 * @throws {InvalidArgumentError} for anything but an http or https URL
 * @throws {Failure} (wrong usage) for one with credentials; commander's error would show them
 */
export function parseServerUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new InvalidArgumentError(`Give a URL such as ${DEFAULT_URL}.`)
  }
  if (url.username !== '' || url.password !== '') {
    throw new Failure(EXIT.usage, [
      'the URL must not hold a user or a password (it is not shown): give an API key with GROUPCAST_API_KEY.',
    ])
  }
  return url
}

/** The URL of a path on the server, which may itself be below a path of a proxy. */
export function urlOf(server: URL, path: string, query?: URLSearchParams): URL {
  const url = new URL(server)
  url.pathname = server.pathname.replace(/\/+$/, '') + path
  url.search = query === undefined ? '' : query.toString()
  url.hash = ''
  return url
}

/**
 * The header for a key or a token; none where it is missing or empty.
 *
 * @throws {Failure} (wrong usage) for what no header can hold
 */
export function authorization(
  what: 'API key' | 'token',
  text: string | undefined,
): { authorization?: string } {
  if (text === undefined || text === '') return {}
  if (!/^[\x21-\x7e]+$/.test(text)) {
    throw new Failure(EXIT.usage, [
      `the ${what} must be visible ASCII characters without spaces (it is not shown).`,
    ])
  }
  return { authorization: `Bearer ${text}` }
}

/** An answer as `fetch` and `node:http` both can give it. */
export interface RefusingAnswer {
  readonly status: number
  readonly location: string | null
  readonly body: AsyncIterable<Uint8Array> | null
}

/** What a status other than success means, with the problem document's own words where there is one. */
export async function refusalOf({ status, location, body }: RefusingAnswer): Promise<Fault> {
  if (status >= 300 && status < 400) {
    return {
      text: `the server sends elsewhere (${status}): give ${location ?? 'the other URL'} with --url.`,
      comeBack: false,
    }
  }
  const { code, detail } = problemIn(await readStart(body))
  const entry =
    code !== null && Object.hasOwn(ERRORS, code) ? (ERRORS as Record<string, ErrorEntry>)[code] : undefined
  const what = code === null ? String(status) : `${status} ${code}`
  return {
    text: `the server refused (${what})${detail === null ? '.' : `: ${detail}`}`,
    comeBack: entry?.comeBack ?? (status >= 500 || status === 429 || status === 408),
  }
}

/** The members of a problem document (RFC 9457) that say what is wrong; both `null` for another body. */
function problemIn(body: string): { code: string | null; detail: string | null } {
  let problem: Record<string, unknown>
  try {
    problem = Object(JSON.parse(body))
  } catch {
    return { code: null, detail: null }
  }
  const { code, detail, title } = problem
  return {
    code: typeof code === 'string' ? code : null,
    detail: typeof detail === 'string' ? detail : typeof title === 'string' ? title : null,
  }
}

const MOST_OF_REFUSAL = 64 * 1024

/** The start of a body: enough for a problem document, and no more of a page that is none. */
async function readStart(body: AsyncIterable<Uint8Array> | null): Promise<string> {
  const chunks: Uint8Array[] = []
  let size = 0
  try {
    for await (const chunk of body ?? []) {
      chunks.push(chunk)
      size += chunk.length
      if (size >= MOST_OF_REFUSAL) break
    }
  } catch {
    // What came before the connection broke may still say why.
  }
  return Buffer.concat(chunks).toString()
}

/** What a failed request or a broken connection means. */
export function networkFault(error: unknown, url: URL): Fault {
  const { code, message } = rootOf(error)
  const known = NETWORK_FAULTS.get(code)
  if (known !== undefined) return { text: known(url), comeBack: true }
  const certificate = /CERT|SELF_SIGNED|ISSUER|VERIFY/.test(code)
  if (certificate)
    return { text: `the certificate of ${url.origin} is not trusted (${code}).`, comeBack: false }
  if (/^(?:HPE_|EPROTO|ERR_SSL)/.test(code)) {
    return {
      text: `what listens at ${url.origin} does not speak ${url.protocol.slice(0, -1)} (${code}).`,
      comeBack: false,
    }
  }
  return {
    text: `the request to ${url.origin} failed: ${message}${code === '' ? '' : ` (${code})`}.`,
    comeBack: false,
  }
}

const lost = (url: URL) => `the connection to ${url.origin} was lost.`
const late = ({ origin }: URL) => `${origin} does not answer: check the address and the network.`
const unknown = ({ hostname }: URL) => `there is no host ${hostname}: check --url and the network.`

const NETWORK_FAULTS: ReadonlyMap<string, (url: URL) => string> = new Map([
  [
    'ECONNREFUSED',
    ({ origin }) =>
      `nothing listens at ${origin}: start it with groupcast serve, or give its address with --url.`,
  ],
  ['ENOTFOUND', unknown],
  ['EAI_AGAIN', unknown],
  ['ECONNRESET', lost],
  ['ECONNABORTED', lost],
  ['EPIPE', lost],
  ['UND_ERR_SOCKET', lost],
  ['UND_ERR_BODY_TIMEOUT', lost],
  ['TimeoutError', late],
  ['ETIMEDOUT', late],
  ['EHOSTUNREACH', late],
  ['EHOSTDOWN', late],
  ['ENETUNREACH', late],
  ['ENETDOWN', late],
  ['UND_ERR_CONNECT_TIMEOUT', late],
  ['UND_ERR_HEADERS_TIMEOUT', late],
])

/** `fetch` hides the reason in `cause`, and attempts at several addresses in `errors`. */
function rootOf(error: unknown): { code: string; message: string } {
  if (!(error instanceof Error)) return { code: '', message: String(error) }
  if (error instanceof AggregateError && error.errors.length > 0) return rootOf(error.errors[0])
  const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
  if (code === '' && error.cause instanceof Error) return rootOf(error.cause)
  return { code: error.name === 'TimeoutError' ? error.name : code, message: error.message }
}
