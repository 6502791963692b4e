/**
 * WebSocket framing (RFC 6455): complete frames, so that one `socket.write` of shared bytes reaches every client. And bare messages, for
 * server back ends that take no framed bytes.
 */
import type { Publication } from '../publication.ts'
import type { Control, WireFormat } from './wire-format.ts'

/** The subprotocol whose frames are envelopes. */
export const ENVELOPE_PROTOCOL = 'groupcast.v1'

const FIN_TEXT = 0x81
const FIN_PING = 0x89

/** A ping without payload. Every conforming client answers it by itself (RFC 6455 section 5.5.3). */
const PING_FRAME: Buffer = Buffer.from([FIN_PING, 0])

/** How the bytes travel below the format: `framed` as RFC 6455 has them, `bare` through a back end that frames each message by itself. */
export type MessageFraming = 'framed' | 'bare'

/** A wire format of WebSockets, which also says how to keep one awake. */
export interface WebSocketFormat extends WireFormat {
  /** What is written to keep the client awake, the ping included where the format is framed; may be empty where it is not. */
  readonly heartbeat: Buffer
}

type Encode = (text: string) => Buffer

const encodeBare: Encode = (text) => Buffer.from(text)

/** One unmasked text frame, as servers send them (RFC 6455 section 5.2). */
export function encodeTextFrame(text: string): Buffer {
  const length = Buffer.byteLength(text)
  const header = length < 126 ? 2 : length < 65_536 ? 4 : 10
  const frame = Buffer.allocUnsafe(header + length)
  frame[0] = FIN_TEXT
  if (header === 2) {
    frame[1] = length
  } else if (header === 4) {
    frame[1] = 126
    frame.writeUInt16BE(length, 2)
  } else {
    frame[1] = 127
    frame.writeUInt32BE(0, 2)
    frame.writeUInt32BE(length, 6)
  }
  frame.write(text, header)
  return frame
}

/** The longest reason that fits a close frame, in bytes of UTF-8 (RFC 6455, section 5.5). */
export const MAX_REASON_BYTES = 123

/** The reason cut to what fits a close frame, at a character's edge. */
export function fittingReason(reason: string): string {
  if (Buffer.byteLength(reason) <= MAX_REASON_BYTES) return reason
  const cut = Buffer.from(reason).subarray(0, MAX_REASON_BYTES - Buffer.byteLength('…'))
  // A character cut in two decodes to U+FFFD at the end.
  return `${cut.toString().replace(/\uFFFD+$/, '')}…`
}

const SHOWN: ReadonlySet<string> = new Set(['reset', 'dropped', 'left', 'expiring'])

/** Each message as its own JSON text: what a plain `new WebSocket(url)` gets. Of the control objects only those in `SHOWN` are shown. */
function plainFormat(name: string, encode: Encode, heartbeat: Buffer): WebSocketFormat {
  return {
    name,
    transport: 'websocket',
    envelope: false,
    heartbeat,
    frame: (publication: Publication) => encode(publication.json),
    control(control: Control) {
      const [kind, fields] = Object.entries(control)[0] ?? []
      if (kind === undefined || !SHOWN.has(kind)) return null
      return encode(JSON.stringify({ type: `groupcast.${kind}`, ...(fields as object) }))
    },
  }
}

/** Envelopes: subprotocol `groupcast.v1`. The close code and reason travel in the close frame. */
function envelopeFormat(name: string, encode: Encode, heartbeat: Buffer): WebSocketFormat {
  return {
    name,
    transport: 'websocket',
    envelope: true,
    heartbeat,
    frame: (publication: Publication) => encode(publication.envelope),
    control: (control: Control) => ('close' in control ? null : encode(JSON.stringify(control))),
  }
}

// No browser shows a ping to scripts: the empty envelope behind it lets a client notice that its connection has fallen silent.
const EMPTY_ENVELOPE = '{}'

export const websocketPlain: WebSocketFormat = plainFormat('websocket', encodeTextFrame, PING_FRAME)
export const websocketEnvelope: WebSocketFormat = envelopeFormat(
  'websocket+envelope',
  encodeTextFrame,
  Buffer.concat([PING_FRAME, encodeTextFrame(EMPTY_ENVELOPE)]),
)

const barePlain = plainFormat('websocket/bare', encodeBare, Buffer.alloc(0))
const bareEnvelope = envelopeFormat('websocket+envelope/bare', encodeBare, encodeBare(EMPTY_ENVELOPE))

/** The one instance of each WebSocket format: connections share frames by the identity of their format. */
export function websocketFormat(envelope: boolean, framing: MessageFraming): WebSocketFormat {
  if (framing === 'bare') return envelope ? bareEnvelope : barePlain
  return envelope ? websocketEnvelope : websocketPlain
}
