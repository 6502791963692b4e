/** What a WebSocket handshake must have (RFC 6455, section 4.2.1), the same for all server back ends: `ws` and uWebSockets.js check less. */
import type { ConnectionRequest } from './backend.ts'

/** What else an answer of 400 says (RFC 6455, section 4.4). */
export const HANDSHAKE_HEADERS = Object.freeze({ 'Sec-WebSocket-Version': '13, 8' })
export const NO_HANDSHAKE = 'This is not a WebSocket handshake.'

const KEY = /^[+/0-9A-Za-z]{22}==$/
const TOKEN = "[\\w!#$%&'*+.^`|~-]+"
const GAP = '[\\t ]*'
const PROTOCOLS = listOf(TOKEN)
// A quoted value must be a token once the quotes are gone (section 9.1), so it holds no comma.
const PARAMETER = `${GAP};${GAP}${TOKEN}(?:${GAP}=${GAP}(?:${TOKEN}|"${TOKEN}"))?`
const EXTENSIONS = listOf(`${TOKEN}(?:${PARAMETER})*`)

function listOf(item: string): RegExp {
  return new RegExp(`^${item}(?:${GAP},${GAP}${item})*$`)
}

/** Whether a request for an upgrade can become a WebSocket; no consumer hears of one that cannot. */
export function isHandshake(request: ConnectionRequest): boolean {
  const version = request.header('sec-websocket-version')
  return (
    request.method === 'GET' &&
    request.header('host') !== undefined &&
    request.header('upgrade')?.trim().toLowerCase() === 'websocket' &&
    (version === '13' || version === '8') &&
    KEY.test(request.header('sec-websocket-key') ?? '') &&
    isProtocolList(request.header('sec-websocket-protocol')) &&
    isExtensionList(request.header('sec-websocket-extensions'))
  )
}

/** Of tokens without repetition (section 4.1). */
function isProtocolList(text: string | undefined): boolean {
  if (text === undefined) return true
  if (!PROTOCOLS.test(text)) return false
  const names = text.split(',').map((name) => name.trim())
  return new Set(names).size === names.length
}

/** None of them is taken, but what cannot be read must fail the handshake (section 9.1). */
function isExtensionList(text: string | undefined): boolean {
  return text === undefined || EXTENSIONS.test(text)
}
