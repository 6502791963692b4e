/** What the URL of `groupcast bench` means: where the streams are, and where the HTTP API is. */
import { EXIT, Failure } from './failure.ts'
import { urlOf } from './http.ts'

/** Where a load goes. */
export interface BenchTarget {
  /** The streams' server. */
  readonly url: string
  /** The whole path of the streams, with its query. */
  readonly path: string
  /** The HTTP API is at `/api` below this. */
  readonly apiUrl: string
}

/**
 * The streams are at `path` below the URL, as they are for `subscribe --url`, and the API is at `/api` below it, as it is for
 * `publish --url`. The URL of the streams themselves, which ends in `path`, will do as well.
 *
 * @param apiUrl what the API is below where it is not below the same URL; `null`: it is
 * @throws {Failure} (wrong usage) for a URL with a query, which belongs to the streams alone
 */
export function benchTarget(given: URL, path: string, apiUrl: URL | null): BenchTarget {
  if (given.search !== '') {
    throw new Failure(EXIT.usage, [
      'the URL must not have a query: give it with the path of the streams, as --path "/events?key=value".',
    ])
  }
  const base = withoutStreams(given, path)
  const streams = withoutEndingSlashes(base.pathname) + path
  return { url: given.origin, path: streams, apiUrl: urlOf(apiUrl ?? base, '').href }
}

/** `https://host/base/events` is `https://host/base`. */
function withoutStreams(given: URL, path: string): URL {
  const base = urlOf(given, '')
  // As URLs write it: `/ä` is `/%C3%A4`.
  const ending = withoutEndingSlashes(new URL(given.origin + path).pathname)
  const pathname = withoutEndingSlashes(base.pathname)
  if (ending !== '' && pathname.endsWith(ending)) base.pathname = pathname.slice(0, -ending.length)
  return base
}

function withoutEndingSlashes(path: string): string {
  return path.replace(/\/+$/, '')
}
