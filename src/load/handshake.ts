/** What clients say first, and how the answer is read. */

/** What a client of a load speaks. */
export type LoadTransport = 'websocket' | 'sse'

/** Any key will do for a load (RFC 6455, section 1.3 gives this one), and with one for all the answer can be checked without hashing. */
const KEY = 'dGhlIHNhbXBsZSBub25jZQ=='
const ACCEPT = 's3pPLMBiTxaQ9kYGzzhZRbK+xOo='

/** The request that opens a connection. `target` is the path with its query. */
export function openingRequest(transport: LoadTransport, host: string, target: string): string {
  const start = `GET ${target} HTTP/1.1\r\nHost: ${host}\r\n`
  if (transport === 'sse') return `${start}Accept: text/event-stream\r\n\r\n`
  return `${start}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${KEY}\r\n\r\n`
}

/** The head of an answer. */
export interface AnswerHead {
  readonly status: number
  readonly headers: ReadonlyMap<string, string>
}

const LONGEST_HEAD = 16 * 1024

/** Collects the head of an answer, however it is cut. */
export class HeadReader {
  #text = ''

  /** @returns the head and where the body begins in `bytes`, or `null` while it is incomplete; a head that is too long has status 0 */
  read(bytes: Buffer, start: number, end: number): { head: AnswerHead; body: number } | null {
    const before = this.#text.length
    this.#text += bytes.toString('latin1', start, end)
    const blank = this.#text.indexOf('\r\n\r\n')
    if (blank === -1) {
      return this.#text.length > LONGEST_HEAD ? { head: { status: 0, headers: new Map() }, body: end } : null
    }
    const head = parseHead(this.#text.slice(0, blank))
    this.#text = ''
    return { head, body: start + blank + 4 - before }
  }
}

function parseHead(text: string): AnswerHead {
  const [line = '', ...rest] = text.split('\r\n')
  const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(line)?.[1] ?? 0)
  const headers = new Map<string, string>()
  for (const field of rest) {
    const colon = field.indexOf(':')
    if (colon > 0) headers.set(field.slice(0, colon).toLowerCase(), field.slice(colon + 1).trim())
  }
  return { status, headers }
}

/** Why an answer does not open the connection, or `null` when it does. */
export function refusal(transport: LoadTransport, { status, headers }: AnswerHead): string | null {
  if (status === 0) return 'the answer is not HTTP'
  const wanted = transport === 'websocket' ? 101 : 200
  if (status !== wanted) return `status ${status}`
  if (transport === 'websocket' && headers.get('sec-websocket-accept') !== ACCEPT) {
    return 'a Sec-WebSocket-Accept that does not fit the key'
  }
  if (transport === 'sse' && !headers.get('content-type')?.startsWith('text/event-stream')) {
    return `content type ${headers.get('content-type') ?? 'missing'}`
  }
  return null
}

/** A masked frame, as clients must send them (RFC 6455, section 5.3), for payloads below 126 bytes. */
export function maskedFrame(opcode: number, payload: Buffer): Buffer {
  // The mask keeps proxies from being fooled by scripts; a mask of zeros is valid and leaves the payload as it is.
  return Buffer.concat([Buffer.from([0x80 | opcode, 0x80 | payload.length, 0, 0, 0, 0]), payload])
}
