import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import type { ConnectionRequest } from '../backend.ts'
import type { TrustedProxies } from '../trusted-proxies.ts'
import { headOf } from './head.ts'

/** A snapshot of a node:http or node:http2 request: keeps the headers, lets go of the request and its socket. */
export class NodeRequest implements ConnectionRequest {
  readonly method: string
  readonly url: string
  readonly remoteAddress: string
  readonly encrypted: boolean
  readonly #headers: IncomingHttpHeaders

  constructor(request: IncomingMessage, trustedProxies: TrustedProxies) {
    this.method = request.method ?? 'GET'
    const { url, headers } = headOf(request)
    this.url = url
    this.remoteAddress = trustedProxies.clientOf(
      request.socket.remoteAddress ?? '',
      trustedProxies.isNone ? undefined : request.headers['x-forwarded-for']?.toString(),
    )
    this.encrypted = 'encrypted' in request.socket
    this.#headers = headers
  }

  get path(): string {
    const end = this.url.indexOf('?')
    return end === -1 ? this.url : this.url.slice(0, end)
  }

  get query(): URLSearchParams {
    const start = this.url.indexOf('?')
    return new URLSearchParams(start === -1 ? '' : this.url.slice(start + 1))
  }

  header(name: string): string | undefined {
    const key = name.toLowerCase()
    // HTTP/2 has `:authority` in place of `Host` (RFC 9113, section 8.3.1).
    const value = this.#headers[key] ?? (key === 'host' ? this.#headers[':authority'] : undefined)
    return Array.isArray(value) ? value.join(', ') : value
  }
}
