// @ts-check
/** Framing for the controls: their own, so that they measure nothing of the hub. */

/** One text frame. @param {string} text @returns {Buffer} */
export function webSocketFrame(text) {
  const payload = Buffer.from(text)
  const head = payload.length < 126 ? Buffer.from([0x81, payload.length]) : Buffer.from([0x81, 126, 0, 0])
  if (payload.length >= 126) head.writeUInt16BE(payload.length, 2)
  return Buffer.concat([head, payload])
}

/** One event. @param {string} text @returns {string} */
export function event(text) {
  return `data: ${text}\n\n`
}

/** One chunk of a chunked body. @param {Buffer} bytes @returns {Buffer} */
export function chunk(bytes) {
  return Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')])
}
