/** Bytes as the RFCs have them, and as they must not be: every part of a request or a frame can be made wrong. */
import { createHash } from 'node:crypto'

/** The sample key of RFC 6455, section 1.3, and what a server makes of it. */
export const SAMPLE_KEY = 'dGhlIHNhbXBsZSBub25jZQ=='
export const SAMPLE_ACCEPT = 's3pPLMBiTxaQ9kYGzzhZRbK+xOo='

/** What a server makes of a key (RFC 6455, section 4.2.2). */
export const acceptOf = (key: string): string =>
  createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')

/** Lines as they are, each with CRLF, and the empty one that ends a head. */
export const lines = (...all: readonly string[]): string => `${all.join('\r\n')}\r\n\r\n`

const HOST = 'Host: 127.0.0.1'

/** A request without a body. */
export const ask = (requestLine: string, ...more: readonly string[]): string =>
  lines(`${requestLine} HTTP/1.1`, HOST, ...more)

export const get = (target: string, ...more: readonly string[]): string => ask(`GET ${target}`, ...more)

/** A request with this body and these headers, none of which is about its length. */
export const send = (requestLine: string, headers: readonly string[], body: string | Buffer): Buffer =>
  Buffer.concat([Buffer.from(ask(requestLine, ...headers)), Buffer.from(body as string)])

/** The opening handshake of a client. `null` leaves a header out; a list sends it several times. */
export function shake(
  changes: Readonly<Record<string, string | null | readonly string[]>> = {},
  requestLine = 'GET /echo HTTP/1.1',
): string {
  const fields = {
    Host: '127.0.0.1',
    Upgrade: 'websocket',
    Connection: 'Upgrade',
    'Sec-WebSocket-Key': SAMPLE_KEY,
    'Sec-WebSocket-Version': '13',
    ...changes,
  }
  const headers = Object.entries(fields).flatMap(([name, value]) =>
    value === null ? [] : [value].flat().map((each) => `${name}: ${each}`),
  )
  return lines(requestLine, ...headers)
}

/** How a frame is written; right unless told otherwise. */
export interface FrameForm {
  readonly fin?: boolean
  /** The three reserved bits, the first of them the highest. */
  readonly rsv?: number
  /** Four bytes; `null`: not masked. */
  readonly mask?: readonly number[] | null
  /** The width of the length: 7, 7+16 or 7+64 bits; the least that holds it unless given. */
  readonly width?: 7 | 16 | 64
  /** The length to declare, where it is not the payload's. */
  readonly declared?: number | bigint
}

/** A frame of a client (RFC 6455, section 5.2). */
export function frame(opcode: number, payload: string | Buffer = '', form: FrameForm = {}): Buffer {
  const { fin = true, rsv = 0, mask = [0x37, 0xfa, 0x21, 0x3d] } = form
  const data = Buffer.from(payload as string)
  const declared = form.declared ?? data.length
  const width = form.width ?? (declared < 126 ? 7 : declared < 65_536 ? 16 : 64)
  const bit = mask === null ? 0 : 0x80
  const first = (fin ? 0x80 : 0) | (rsv << 4) | opcode
  const masked = mask === null ? data : data.map((byte, i) => byte ^ (mask[i % 4] ?? 0))
  return Buffer.concat([
    Buffer.from([first]),
    lengthOf(declared, width, bit),
    Buffer.from(mask ?? []),
    masked,
  ])
}

function lengthOf(length: number | bigint, width: 7 | 16 | 64, bit: number): Buffer {
  if (width === 7) return Buffer.from([bit | Number(length)])
  const bytes = Buffer.alloc(width === 16 ? 3 : 9)
  bytes[0] = bit | (width === 16 ? 126 : 127)
  if (width === 16) bytes.writeUInt16BE(Number(length), 1)
  else bytes.writeBigUInt64BE(BigInt(length), 1)
  return bytes
}

export const text = (payload: string | Buffer, form?: FrameForm): Buffer => frame(1, payload, form)
/** The first part of a message. */
export const begin = (payload: string | Buffer): Buffer => frame(1, payload, { fin: false })
/** A part in the middle of one. */
export const more = (payload: string | Buffer): Buffer => frame(0, payload, { fin: false })
/** Its last part. */
export const last = (payload: string | Buffer): Buffer => frame(0, payload)
export const ping = (payload: string | Buffer = '', form?: FrameForm): Buffer => frame(9, payload, form)
export const pong = (payload: string | Buffer = '', form?: FrameForm): Buffer => frame(10, payload, form)

/** The payload of a close frame (RFC 6455, section 5.5.1). */
export function closing(code: number, reason: string | Buffer = ''): Buffer {
  const head = Buffer.alloc(2)
  head.writeUInt16BE(code)
  return Buffer.concat([head, Buffer.from(reason as string)])
}

export const close = (code: number, reason?: string | Buffer): Buffer => frame(8, closing(code, reason))

/** Bytes as they stand in an RFC: `81 85 37 fa`. */
export const hex = (digits: string): Buffer => Buffer.from(digits.replaceAll(' ', ''), 'hex')
