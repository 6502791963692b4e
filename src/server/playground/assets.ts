/** The files of the playground page, ready to be served: where each lives on the server, its bytes and its headers. */
import { readdir, readFile } from 'node:fs/promises'

/** One file of the page. */
export interface PlaygroundAsset {
  /** The path on the server, without a query. */
  readonly path: string
  readonly body: Buffer
  /** All headers of the answer but `Content-Length` and what belongs to the connection. */
  readonly headers: Readonly<Record<string, string>>
}

const HTML = 'text/html; charset=utf-8'
const CSS = 'text/css; charset=utf-8'
const JAVASCRIPT = 'text/javascript; charset=utf-8'
const SVG = 'image/svg+xml'

const PAGE = 'index.html'

/** Name of each file beside this module, with its content type. */
const CONTENT_TYPES: Readonly<Record<string, string>> = {
  [PAGE]: HTML,
  'icon.svg': SVG,
  'playground.css': CSS,
  'api.js': JAVASCRIPT,
  'burst.js': JAVASCRIPT,
  'clipboard.js': JAVASCRIPT,
  'connections.js': JAVASCRIPT,
  'counts.js': JAVASCRIPT,
  'feed.js': JAVASCRIPT,
  'groups.js': JAVASCRIPT,
  'highlight.js': JAVASCRIPT,
  'history.js': JAVASCRIPT,
  'panel.js': JAVASCRIPT,
  'places.js': JAVASCRIPT,
  'playground.js': JAVASCRIPT,
  'plot.js': JAVASCRIPT,
  'publish.js': JAVASCRIPT,
  'resumption.js': JAVASCRIPT,
  'transports.js': JAVASCRIPT,
}

/**
 * The client library as applications get it, which the page imports from `./client/`. Its built files, also where this module runs from
 * source: browsers read no TypeScript.
 */
const CLIENT = new URL('../../../dist/client/', import.meta.url)

/** `'self'` covers `ws:` and `wss:` of the same host and port too (CSP Level 3, section 6.7.2.8). */
const CONTENT_SECURITY_POLICY = [
  "default-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "object-src 'none'",
].join('; ')

const SECURITY_HEADERS = {
  'Content-Security-Policy': CONTENT_SECURITY_POLICY,
  'X-Content-Type-Options': 'nosniff',
  // The address holds the names of groups, which are no other server's business.
  'Referrer-Policy': 'no-referrer',
  'Cache-Control': 'no-cache',
}

/**
 * Reads the page's files.
 *
 * @param options.eventsPath where the hub serves its events, as the page shall use it
 * @returns a map from the path on the server (`/`, `/playground/playground.css`, …) to what is served there, to `GET` and `HEAD`
 * @throws the error of reading (`ENOENT`) where the repository was not built
 */
export async function loadPlayground(options: {
  readonly eventsPath: string
}): Promise<ReadonlyMap<string, PlaygroundAsset>> {
  const [page, client] = await Promise.all([loadPage(options.eventsPath), loadClient()])
  return new Map([...page, ...client].map((asset) => [asset.path, asset]))
}

function loadPage(eventsPath: string): Promise<PlaygroundAsset[]> {
  return Promise.all(
    Object.entries(CONTENT_TYPES).map(async ([name, contentType]) => {
      const body = await readFile(new URL(name, import.meta.url))
      if (name !== PAGE) return asset(`/playground/${name}`, contentType, body)
      return asset('/', contentType, Buffer.from(withEventsPath(body.toString(), eventsPath)))
    }),
  )
}

async function loadClient(): Promise<PlaygroundAsset[]> {
  const names = (await readdir(CLIENT)).filter((name) => name.endsWith('.js'))
  return Promise.all(
    names.map(async (name) =>
      asset(`/playground/client/${name}`, JAVASCRIPT, await readFile(new URL(name, CLIENT))),
    ),
  )
}

function asset(path: string, contentType: string, body: Buffer): PlaygroundAsset {
  return { path, body, headers: Object.freeze({ ...SECURITY_HEADERS, 'Content-Type': contentType }) }
}

const EVENTS_PATH = /(<meta name="groupcast-events-path" content=")[^"]*(")/

function withEventsPath(html: string, eventsPath: string): string {
  return html.replace(EVENTS_PATH, (_, before: string, after: string) => {
    return `${before}${escapeAttribute(eventsPath)}${after}`
  })
}

function escapeAttribute(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;')
}
