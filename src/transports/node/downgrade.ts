import type { IncomingMessage } from 'node:http'
import type { Server, Socket } from 'node:net'

/** node:http forgets the headers beyond this many, unless the server's `maxHeadersCount` says otherwise; 0 keeps all. */
const MAX_HEADERS = 1_000

/**
 * Goes on with an upgrade as the plain request that it also is (RFC 9110, section 7.8: a server may ignore `Upgrade`, and must in
 * HTTP/1.0). A server that listens for upgrades gets those to HTTP/2 too, which curl (`--http2`) and Java's HttpClient ask for with
 * ordinary requests; node:http has given up the connection by then. So the request is put back in front of what follows
 * it, without the headers of the upgrade, and the server is handed the connection once more.
 *
 * @returns whether it did; not when some of its headers may be lost, and with them the length of its body
 */
export function downgrade(server: Server, request: IncomingMessage, socket: Socket, head: Buffer): boolean {
  const most = (server as { maxHeadersCount?: number | null }).maxHeadersCount ?? MAX_HEADERS
  if (most > 0 && request.rawHeaders.length >= 2 * most) return false
  if (head.length > 0) socket.unshift(head)
  socket.unshift(plainHead(request))
  // Of a TLS server, `connection` is what comes before the TLS handshake.
  server.emit('encrypted' in socket ? 'secureConnection' : 'connection', socket)
  return true
}

const HOP = /^(?:upgrade|http2-settings)$/i

function plainHead({ method, url, httpVersion, rawHeaders }: IncomingMessage): Buffer {
  const lines = [`${method} ${url} HTTP/${httpVersion}`]
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] ?? ''
    let value = rawHeaders[i + 1] ?? ''
    if (HOP.test(name)) continue
    if (name.toLowerCase() === 'connection') {
      value = value
        .split(',')
        .filter((option) => !HOP.test(option.trim()))
        .join(',')
    }
    lines.push(`${name}: ${value}`)
  }
  // As node:http reads them; what it parsed cannot hold a line break.
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1')
}
