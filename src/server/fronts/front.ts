/** What the standalone server listens with: one of the server back ends, with API and page beside the hub. */
import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { createSecureContext } from 'node:tls'
import type { Api } from '../../api/contract.ts'
import { ERRORS, MisuseError } from '../../errors.ts'
import type { Hub } from '../../hub/hub-api.ts'
import type { AnyMessages } from '../../message.ts'
import { PROBLEM_TYPE, problemText } from '../../problem.ts'
import type { ServerBackend } from '../../transports/backend.ts'
import type { Config } from '../config/schema.ts'
import type { PlaygroundAsset } from '../playground/assets.ts'

/** What a front serves. */
export interface Served {
  readonly hub: Hub<AnyMessages, never>
  readonly api: Api
  readonly pages: ReadonlyMap<string, PlaygroundAsset>
}

/** See the head of this file. */
export interface Front {
  readonly backend: ServerBackend<never>
  /**
   * Listens. Resolves with the URL when it accepts connections.
   *
   * @throws the error of `listen`: `EADDRINUSE`, `EACCES`, …
   */
  listen(served: Served): Promise<string>
  /** Accepts no more connections. */
  stopAccepting(): void
  /** Resolves when no request is under way that is not the hub's. */
  idle(): Promise<void>
  /** Cuts the connections without a request, and the others as soon as they have none. */
  end(): void
  /** Cuts all connections. Resolves when they are closed. */
  cut(): Promise<void>
}

/** The answer to a request that is none of the hub's and none of the API's. */
export function pageAnswer(
  pages: Served['pages'],
  method: string,
  path: string,
): {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | Buffer
} {
  const page = pages.get(path)
  if (page === undefined) return problemAnswer('not-found')
  if (method !== 'GET' && method !== 'HEAD')
    return problemAnswer('method-not-allowed', { Allow: 'GET, HEAD' })
  return {
    status: 200,
    headers: { ...page.headers, 'Content-Length': String(page.body.length) },
    body: page.body,
  }
}

function problemAnswer(
  code: 'not-found' | 'method-not-allowed',
  headers: Readonly<Record<string, string>> = {},
) {
  const body = problemText(code)
  const length = String(Buffer.byteLength(body))
  return {
    status: ERRORS[code].httpStatus,
    headers: { ...headers, 'Content-Type': PROBLEM_TYPE, 'Content-Length': length },
    body,
  }
}

/** The URL of a listening socket. A name stays as it was given; an address of IPv6 needs brackets (RFC 3986, section 3.2.2). */
export function urlOf({ host, tls }: Config, port: number): string {
  const name = isIP(host) === 6 ? `[${host}]` : host
  return `${tls.cert === false ? 'http' : 'https'}://${name}:${port}`
}

/**
 * The key and certificate of the configuration; `null` where there are none.
 *
 * @throws {MisuseError} `invalid-option` where they cannot be read, or do not belong together
 */
export function tlsOf({
  tls: { cert, key },
}: Config): { readonly cert: Buffer; readonly key: Buffer } | null {
  if (cert === false || key === false) return null
  try {
    const read = { cert: readFileSync(cert), key: readFileSync(key) }
    createSecureContext(read)
    return read
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new MisuseError('invalid-option', `tls.cert (${cert}) and tls.key (${key}) cannot be used: ${why}`)
  }
}
