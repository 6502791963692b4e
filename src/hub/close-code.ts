import { MisuseError } from '../errors.ts'
import { quote } from '../names.ts'
import { MAX_REASON_BYTES } from '../wire/websocket.ts'

// Those an endpoint may send (RFC 6455, section 7.4, and the IANA registry), less those that a WebSocket library sends by itself.
const STANDARD_CODES = [1000, 1001, 1008, 1011, 1012, 1013]

function isCloseCode(code: unknown): code is number {
  return (
    Number.isInteger(code) &&
    (STANDARD_CODES.includes(code as number) || ((code as number) >= 3000 && (code as number) <= 4999))
  )
}

/** @throws {MisuseError} `invalid-option` for codes that may not be sent and reasons that do not fit */
export function assertClose(code: unknown, reason: unknown): void {
  if (!isCloseCode(code)) {
    throw new MisuseError(
      'invalid-option',
      `${quote(code)} is not a close code to send: use ${STANDARD_CODES.join(', ')} or 3000–4999 (4000–4499 reconnect, 4500–4999 do not).`,
    )
  }
  if (typeof reason !== 'string' || Buffer.byteLength(reason) > MAX_REASON_BYTES) {
    throw new MisuseError('invalid-option', `A close reason is at most ${MAX_REASON_BYTES} bytes of UTF-8.`)
  }
}
