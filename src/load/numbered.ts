/**
 * The messages of a load: numbered from 0 in the order in which they are published, at a place in the text that can be found without
 * decoding it.
 */

/** Digits of a number: what fits a small integer of V8, so that reading one allocates nothing. */
const DIGITS = 9

const HEAD = '{"type":"bench","n":"'
const KEY = '","key":"k'
const MIDDLE = '","pad":"'
const TAIL = '"}'

/** Bytes of the shortest message. */
export const MIN_MESSAGE_BYTES: number = HEAD.length + DIGITS + MIDDLE.length + TAIL.length

/** How many bytes from its start a scanner must show of a message, so that its number is among them. */
export const WINDOW_BYTES = 512

/**
 * The JSON text of a message.
 *
 * @param size bytes of the text; the pad fills it up from {@link MIN_MESSAGE_BYTES}
 * @param keys so many keys are taken in turn, for hubs that keep the newest message of each; `0`: none
 */
export function numberedMessage(n: number, size: number, keys = 0): string {
  const key = keys === 0 ? '' : KEY + (n % keys)
  const pad = 'x'.repeat(Math.max(0, size - MIN_MESSAGE_BYTES - key.length))
  return HEAD + String(n).padStart(DIGITS, '0') + key + MIDDLE + pad + TAIL
}

const QUOTE = 0x22
const COLON = 0x3a
const ZERO = 0x30
/** What stands before a number, its opening quote included. Other programs may put white space or fields around it. */
const MARK = Buffer.from('"n":"')

/**
 * Finds the number in a frame. All frames of a load are alike, so it looks where the last one was, and searches only when
 * something else is there.
 */
export class NumberReader {
  #offset = MARK.length

  /**
   * @param start where the frame's text begins in `bytes`
   * @param end one past the last byte that may be looked at
   * @returns the number, or -1 where the text has none
   */
  read(bytes: Buffer, start: number, end: number): number {
    const at = start + this.#offset
    // Quotes around the right count of digits: a shift by a byte or more shows.
    if (
      at + DIGITS < end &&
      bytes[at + DIGITS] === QUOTE &&
      bytes[at - 1] === QUOTE &&
      bytes[at - 2] === COLON
    ) {
      return digitsAt(bytes, at)
    }
    return this.#search(bytes, start, end)
  }

  #search(bytes: Buffer, start: number, end: number): number {
    // Not `bytes.subarray`: a shared read buffer is large, and `indexOf` would look through all of it for a text without number.
    const found = bytes.subarray(start, end).indexOf(MARK)
    if (found === -1) return -1
    const at = start + found + MARK.length
    if (at + DIGITS >= end || bytes[at + DIGITS] !== QUOTE) return -1
    this.#offset = at - start
    return digitsAt(bytes, at)
  }
}

function digitsAt(bytes: Buffer, at: number): number {
  let n = 0
  for (let i = at; i < at + DIGITS; i++) n = n * 10 + (bytes[i] as number) - ZERO
  return n
}
