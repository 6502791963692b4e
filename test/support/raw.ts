/** Clients made of a bare socket: they say exactly the bytes they are told to, however wrong, and answer nothing by themselves. */
import { connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { onTestFinished } from 'vitest'
import { CERTIFICATE } from './certificate.ts'
import { until } from './until.ts'

/** Opcodes of RFC 6455, section 5.2. */
export const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const

/** The sample key of RFC 6455, section 1.3. */
const SAMPLE_KEY = 'dGhlIHNhbXBsZSBub25jZQ=='

export interface Frame {
  readonly opcode: number
  readonly payload: Buffer
}

export interface FrameParts {
  readonly fin?: boolean
  /** The three reserved bits, as a number from 0 to 7. */
  readonly reserved?: number
  readonly isMasked?: boolean
  /** The length to declare, where it is not the payload's. */
  readonly declaredLength?: number
}

/** A connected socket, and everything that came over it. */
export class RawClient {
  readonly socket: Socket
  /** The server sent FIN. */
  isEnded = false
  /** The socket is gone; `error` says why, when it did not end in peace. */
  isClosed = false
  error: NodeJS.ErrnoException | null = null
  /** How many bytes came. */
  size = 0
  readonly #chunks: Buffer[] = []
  /** Where the frames begin: after the 101 response. */
  #framesFrom = -1

  constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (chunk) => {
      this.size += chunk.length
      this.#chunks.push(chunk)
    })
    socket.on('end', () => {
      this.isEnded = true
    })
    socket.on('error', (error) => {
      this.error = error
    })
    socket.on('close', () => {
      this.isClosed = true
    })
  }

  /** All bytes that came. */
  get bytes(): Buffer {
    if (this.#chunks.length > 1) this.#chunks.splice(0, this.#chunks.length, Buffer.concat(this.#chunks))
    return this.#chunks[0] ?? Buffer.alloc(0)
  }

  get text(): string {
    return this.bytes.toString('latin1')
  }

  /** The status of the first response; `null` before it came. */
  get status(): number | null {
    const status = /^HTTP\/1\.1 (\d{3})/.exec(this.text)?.[1]
    return status === undefined ? null : Number(status)
  }

  /** The frames that came after the handshake. */
  get frames(): Frame[] {
    return parseFrames(this.bytes.subarray(this.#framesFrom))
  }

  /** Code and reason of the server's close frame; `null` before it came. */
  get closeFrame(): { code: number; reason: string } | null {
    const frame = this.frames.find(({ opcode }) => opcode === OPCODE.close)
    if (frame === undefined) return null
    return { code: frame.payload.readUInt16BE(0), reason: frame.payload.subarray(2).toString() }
  }

  write(data: string | Buffer): void {
    this.socket.write(data)
  }

  send(opcode: number, payload: string | Buffer, parts?: FrameParts): void {
    this.write(encodeFrame(opcode, payload, parts))
  }

  /** Sends FIN. */
  end(): void {
    this.socket.end()
  }

  /** Sends RST. */
  reset(): void {
    this.socket.resetAndDestroy()
  }

  /** Waits for the 101 of a handshake that was written. */
  async upgraded(): Promise<this> {
    await until('the server has switched protocols', () => this.text.includes('\r\n\r\n') || this.isClosed)
    if (this.status !== 101) throw new Error(`The handshake was answered by ${this.text || this.error}`)
    this.#framesFrom = this.text.indexOf('\r\n\r\n') + 4
    return this
  }
}

/** Connects to the host of a URL, through TLS where it is of `https`. The client is gone with the test. */
export async function connectRaw(url: string): Promise<RawClient> {
  const { protocol, hostname, port } = new URL(url)
  // Half-open: what this end does when the server ends is the test's choice.
  const options = { host: hostname, port: Number(port), allowHalfOpen: true }
  const socket = protocol === 'https:' ? connectTls({ ...options, ca: CERTIFICATE.cert }) : connect(options)
  const client = new RawClient(socket)
  onTestFinished(() => {
    socket.destroy()
  })
  await until('the socket is connected', () => !socket.connecting || client.isClosed)
  return client
}

/** Connects, shakes hands as a WebSocket, and from then on says nothing by itself. */
export async function openRawWebSocket(
  url: string,
  path: string,
  headers?: Readonly<Record<string, string>>,
): Promise<RawClient> {
  const client = await connectRaw(url)
  client.write(handshake(path, headers))
  return client.upgraded()
}

/** A request head with the usual `Host`. */
export function requestHead(
  method: string,
  target: string,
  headers: Readonly<Record<string, string>> = {},
  version = 'HTTP/1.1',
): string {
  const fields = { Host: '127.0.0.1', ...headers }
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`)
  return `${method} ${target} ${version}\r\n${lines.join('')}\r\n`
}

/** A WebSocket handshake; a header given as `null` is left out. */
export function handshake(target: string, headers: Readonly<Record<string, string | null>> = {}): string {
  const fields: Record<string, string | null> = {
    Connection: 'Upgrade',
    Upgrade: 'websocket',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': SAMPLE_KEY,
    ...headers,
  }
  const present = Object.entries(fields).filter((field): field is [string, string] => field[1] !== null)
  return requestHead('GET', target, Object.fromEntries(present))
}

/** A client's frame; right unless `parts` make it wrong. */
export function encodeFrame(opcode: number, payload: string | Buffer, parts: FrameParts = {}): Buffer {
  const { fin = true, reserved = 0, isMasked = true } = parts
  const data = Buffer.from(payload as string)
  const length = parts.declaredLength ?? data.length
  const first = (fin ? 0x80 : 0) | (reserved << 4) | opcode
  const maskBit = isMasked ? 0x80 : 0
  const head = Buffer.alloc(length < 126 ? 2 : length < 65_536 ? 4 : 10)
  head[0] = first
  if (length < 126) {
    head[1] = maskBit | length
  } else if (length < 65_536) {
    head[1] = maskBit | 126
    head.writeUInt16BE(length, 2)
  } else {
    head[1] = maskBit | 127
    head.writeBigUInt64BE(BigInt(length), 2)
  }
  if (!isMasked) return Buffer.concat([head, data])
  const mask = Buffer.from([0x11, 0x22, 0x33, 0x44])
  for (let i = 0; i < data.length; i++) data[i] = (data[i] ?? 0) ^ (mask[i % 4] ?? 0)
  return Buffer.concat([head, mask, data])
}

/** The whole frames at the start of a server's bytes. @throws for what no server may send: masks and reserved bits */
export function parseFrames(bytes: Buffer): Frame[] {
  const frames: Frame[] = []
  let at = 0
  while (bytes.length - at >= 2) {
    const first = bytes[at] ?? 0
    const second = bytes[at + 1] ?? 0
    if ((first & 0x70) !== 0 || (second & 0x80) !== 0)
      throw new Error(`A server sent the frame head ${first} ${second}`)
    let length = second
    let head = 2
    if (second === 126) {
      if (bytes.length - at < 4) break
      length = bytes.readUInt16BE(at + 2)
      head = 4
    } else if (second === 127) {
      if (bytes.length - at < 10) break
      length = Number(bytes.readBigUInt64BE(at + 2))
      head = 10
    }
    if (bytes.length - at < head + length) break
    frames.push({ opcode: first & 0x0f, payload: bytes.subarray(at + head, at + head + length) })
    at += head + length
  }
  return frames
}

/** An HTTP/1.1 response cut into its parts. */
export interface RawResponse {
  readonly status: number
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>
  /** The body without its framing. */
  readonly body: string
  /** Whether the framing says that the body has ended. */
  readonly isComplete: boolean
  /** What follows on the connection. */
  readonly rest: Buffer
}

/** The first response of a connection's bytes; `null` while its head is not whole. */
export function parseResponse(bytes: Buffer): RawResponse | null {
  const headEnd = bytes.indexOf('\r\n\r\n')
  if (headEnd === -1) return null
  const [statusLine = '', ...lines] = bytes.subarray(0, headEnd).toString('latin1').split('\r\n')
  const status = Number(statusLine.split(' ')[1])
  const headers = new Map<string, string>()
  for (const line of lines) {
    const colon = line.indexOf(':')
    headers.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim())
  }
  const body = bytes.subarray(headEnd + 4)
  if (headers.get('transfer-encoding') === 'chunked') return { status, headers, ...parseChunks(body) }
  const length = headers.get('content-length')
  // Without a length the end of the connection is the end of the body.
  const size = length === undefined ? body.length : Number(length)
  return {
    status,
    headers,
    body: body.subarray(0, size).toString(),
    isComplete: length !== undefined && body.length >= size,
    rest: body.subarray(size),
  }
}

function parseChunks(bytes: Buffer): Pick<RawResponse, 'body' | 'isComplete' | 'rest'> {
  const parts: Buffer[] = []
  let at = 0
  for (;;) {
    const lineEnd = bytes.indexOf('\r\n', at)
    const size = lineEnd === -1 ? Number.NaN : Number.parseInt(bytes.subarray(at, lineEnd).toString(), 16)
    const end = lineEnd + 2 + size
    if (lineEnd === -1 || bytes.length < end) {
      return { body: Buffer.concat(parts).toString(), isComplete: false, rest: bytes.subarray(at) }
    }
    // uWebSockets.js ends a chunk when it begins the next.
    if (bytes.length < end + 2) {
      parts.push(bytes.subarray(lineEnd + 2, end))
      return { body: Buffer.concat(parts).toString(), isComplete: false, rest: bytes.subarray(end) }
    }
    if (size === 0) {
      // Trailers may come before the empty line.
      const trailersEnd = bytes.indexOf('\r\n\r\n', lineEnd)
      const isComplete = trailersEnd !== -1
      const rest = bytes.subarray(isComplete ? trailersEnd + 4 : at)
      return { body: Buffer.concat(parts).toString(), isComplete, rest }
    }
    if (Number.isNaN(size) || bytes.toString('latin1', end, end + 2) !== '\r\n') {
      throw new Error(`Not a chunk: ${JSON.stringify(bytes.toString('latin1', at, at + 40))}`)
    }
    parts.push(bytes.subarray(lineEnd + 2, end))
    at = end + 2
  }
}
