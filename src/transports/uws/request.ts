import type { ConnectionRequest } from '../backend.ts'
import type { TrustedProxies } from '../trusted-proxies.ts'
import type { UwsRequest, UwsResponse } from './uws.ts'

/** What is the same for all requests of one server. */
export interface RequestSettings {
  readonly encrypted: boolean
  readonly trustedProxies: TrustedProxies
}

/**
 * A request, whose headers are read when one is asked for, or by `keep`: in its handler, since uWebSockets.js keeps requests on the stack.
 * Most requests to an application are no consumer's, as their path says (bench: http-publish). The headers are one text: a connection that
 * lives for days keeps them (bench: idle-memory).
 */
export class UwsConnectionRequest implements ConnectionRequest {
  readonly method: string
  readonly url: string
  readonly encrypted: boolean
  readonly #trustedProxies: TrustedProxies
  /** `null` once the address was read. */
  #response: UwsResponse | null
  #remoteAddress = ''
  /** `\nname:value\nname:value\n`; neither can hold a line feed. */
  #headers = ''
  /** `null` once it was read. */
  #request: UwsRequest | null

  constructor(request: UwsRequest, response: UwsResponse, { encrypted, trustedProxies }: RequestSettings) {
    const query = request.getQuery()
    const path = request.getUrl()
    this.method = request.getMethod().toUpperCase()
    this.url = query === undefined || query === '' ? path : `${path}?${query}`
    this.encrypted = encrypted
    this.#request = request
    this.#response = response
    this.#trustedProxies = trustedProxies
  }

  /** Makes it a snapshot, which outlives the request. */
  keep(): void {
    this.#read()
    this.#readAddress()
  }

  get remoteAddress(): string {
    this.#readAddress()
    return this.#remoteAddress
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
    const mark = `\n${name.toLowerCase()}:`
    // As node:http does: a list of cookies has semicolons (RFC 6265, 4.2.1; RFC 9113, 8.2.3), and a comma may stand in a value.
    const between = mark === '\ncookie:' ? '; ' : ', '
    this.#read()
    const headers = this.#headers
    let value: string | undefined
    for (let at = headers.indexOf(mark); at !== -1; at = headers.indexOf(mark, at + 1)) {
      const start = at + mark.length
      const next = headers.slice(start, headers.indexOf('\n', start))
      value = value === undefined ? next : `${value}${between}${next}`
    }
    return value
  }

  #readAddress(): void {
    if (this.#response === null) return
    const peer = addressOf(this.#response.getRemoteAddress())
    this.#response = null
    const forwarded = this.#trustedProxies.isNone ? undefined : this.header('x-forwarded-for')
    this.#remoteAddress = this.#trustedProxies.clientOf(peer, forwarded)
  }

  #read(): void {
    if (this.#request === null) return
    this.#headers = headersOf(this.#request)
    this.#request = null
  }
}

function headersOf(request: UwsRequest): string {
  const parts = ['\n']
  request.forEach((name, value) => void parts.push(name, ':', value, '\n'))
  // Not by adding: a rope of short texts would be kept as it is.
  return parts.join('')
}

/** The bytes of an address as text, as Node writes it. */
export function addressOf(bytes: ArrayBuffer): string {
  const octets = new Uint8Array(bytes)
  if (octets.length === 4) return octets.join('.')
  if (octets.length !== 16) return ''
  const isMapped =
    octets.subarray(0, 10).every((octet) => octet === 0) && octets[10] === 255 && octets[11] === 255
  if (isMapped) return `::ffff:${octets.subarray(12).join('.')}`
  const view = new DataView(bytes)
  const groups = Array.from({ length: 8 }, (_, i) => view.getUint16(2 * i).toString(16))
  // The shortest form (RFC 5952), as a URL has it.
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1)
}
