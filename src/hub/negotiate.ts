import type { ConnectionRequest } from '../transports/backend.ts'
import { ENVELOPE_PROTOCOL } from '../wire/websocket.ts'
import type { Transport } from '../wire/wire-format.ts'

/** What a client asks for at a consumer's URL. */
export interface Wish {
  readonly transport: Transport
  readonly envelope: boolean
}

/** The transport that a GET request asks for, or `null` where it accepts none of ours. */
export function negotiate(request: ConnectionRequest): Wish | null {
  if (isWebSocketUpgrade(request)) {
    return { transport: 'websocket', envelope: offersProtocol(request, ENVELOPE_PROTOCOL) }
  }
  const transport = preferredStream(request.header('accept'))
  if (transport === null) return null
  return { transport, envelope: transport === 'ndjson' || request.query.get('envelope') === '1' }
}

/** RFC 6455, section 4.2.1: the `Upgrade` header holds `websocket`, in any case, perhaps among others. */
export function isWebSocketUpgrade(request: ConnectionRequest): boolean {
  return listHas(request.header('upgrade'), 'websocket') && listHas(request.header('connection'), 'upgrade')
}

function offersProtocol(request: ConnectionRequest, protocol: string): boolean {
  const offered = request.header('sec-websocket-protocol') ?? ''
  return offered.split(',').some((name) => name.trim() === protocol)
}

function listHas(header: string | undefined, token: string): boolean {
  return header?.split(',').some((item) => item.trim().toLowerCase() === token) ?? false
}

const STREAMS = [
  { transport: 'sse', type: 'text', subtype: 'event-stream' },
  { transport: 'ndjson', type: 'application', subtype: 'x-ndjson' },
] as const

/**
 * The stream that an `Accept` header likes best (RFC 9110, section 12.5.1): the most specific range decides about each, SSE wins
 * where both are liked equally. No header accepts all.
 */
function preferredStream(accept: string | undefined): 'sse' | 'ndjson' | null {
  if (accept === undefined || accept.trim() === '') return 'sse'
  const ranges = accept.split(',').map(parseRange)
  let best: 'sse' | 'ndjson' | null = null
  let bestQuality = 0
  for (const { transport, type, subtype } of STREAMS) {
    const quality = qualityOf(ranges, type, subtype)
    if (quality > bestQuality) {
      best = transport
      bestQuality = quality
    }
  }
  return best
}

interface MediaRange {
  readonly type: string
  readonly subtype: string
  readonly quality: number
}

function parseRange(text: string): MediaRange {
  const [range = '', ...parameters] = text.toLowerCase().split(';')
  const [type = '', subtype = ''] = range.trim().split('/')
  const weight = parameters
    .map((parameter) => parameter.trim())
    .find((parameter) => parameter.startsWith('q='))
  const quality = weight === undefined ? 1 : Number(weight.slice(2))
  return { type, subtype, quality: quality >= 0 && quality <= 1 ? quality : 0 }
}

function qualityOf(ranges: readonly MediaRange[], type: string, subtype: string): number {
  const matching = ranges
    .filter((range) => range.type === '*' || range.type === type)
    .filter((range) => range.subtype === '*' || (range.type === type && range.subtype === subtype))
  const specificity = ({ type, subtype }: MediaRange) => (subtype !== '*' ? 2 : type !== '*' ? 1 : 0)
  matching.sort((a, b) => specificity(b) - specificity(a))
  return matching[0]?.quality ?? 0
}
