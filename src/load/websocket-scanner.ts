/** Hops over the frames of a WebSocket as a client receives them (RFC 6455, section 5.2): unmasked, without extensions. */
import { WINDOW_BYTES } from './numbered.ts'
import { type MessageSink, ScanError, type Scanner } from './scanner.ts'

/** Hears of messages and of control frames. */
export interface FrameSink extends MessageSink {
  /** A ping, to be answered with the same payload. Valid until this returns. */
  ping(payload: Buffer): void
  /** A close frame; 1005 where it has no code. */
  close(code: number): void
}

const LONGEST_HEAD = 10
const OPCODE_CONTINUATION = 0
const OPCODE_TEXT = 1
const OPCODE_BINARY = 2
const OPCODE_CLOSE = 8
const OPCODE_PING = 9
const OPCODE_PONG = 10

/** A message counts when the head of its first frame and as much of its text as the sink looks at have come. */
export class WebSocketScanner implements Scanner {
  readonly #sink: FrameSink
  /** Bytes of the last frame's payload that are still to come. */
  #skip = 0
  /** The start of a frame that was cut before enough of it was there; made when first needed. */
  #carry: Buffer | null = null
  #carried = 0
  /** How much of the frame at hand is shown, where it is longer than the window; `0`: the sink was not asked yet. */
  #window = 0

  constructor(sink: FrameSink) {
    this.#sink = sink
  }

  /** @throws {ScanError} on bytes that no server may send */
  scan(bytes: Buffer, start: number, end: number): void {
    let at = this.#carried > 0 ? this.#resume(bytes, start, end) : start
    at += this.#skip
    // The hot path: a header, a number and a hop (bench: fan-out at 100 messages a turn is bound by it).
    while (at + 2 <= end) {
      const short = bytes[at + 1] as number
      const head = headBytes(short)
      if (at + head > end) break
      const length = short < 126 ? short : lengthAt(bytes, at, short)
      const shown = length <= WINDOW_BYTES ? length : this.#longWindow(length)
      if (at + head + shown > end) break
      this.#frame(bytes, at, at + head, shown, length)
      at += head + length
    }
    this.#skip = at > end ? at - end : 0
    if (at < end) this.#keep(bytes, at, end)
  }

  #longWindow(length: number): number {
    if (this.#window === 0) this.#window = this.#sink.wantsWhole?.() === true ? length : WINDOW_BYTES
    return this.#window
  }

  #keep(bytes: Buffer, at: number, end: number): void {
    const carry = this.#carryFor(end - at)
    bytes.copy(carry, this.#carried, at, end)
    this.#carried += end - at
  }

  /** Where frames that are cut are kept, with room for so many bytes, or for what is shown as a rule. */
  #carryFor(bytes: number): Buffer {
    const carry = this.#carry
    if (carry !== null && carry.length >= bytes) return carry
    this.#carry = Buffer.allocUnsafe(Math.max(bytes, LONGEST_HEAD + WINDOW_BYTES))
    carry?.copy(this.#carry, 0, 0, this.#carried)
    return this.#carry
  }

  /** Completes the frame that was cut. @returns where the rest of its payload begins */
  #resume(bytes: Buffer, start: number, end: number): number {
    let carry = this.#carry as Buffer
    let at = start
    for (;;) {
      const needed = this.#neededOf(carry)
      if (this.#carried >= needed) break
      const taken = Math.min(needed - this.#carried, end - at)
      if (taken === 0) return end
      carry = this.#carryFor(needed)
      bytes.copy(carry, this.#carried, at, at + taken)
      this.#carried += taken
      at += taken
    }
    const head = headBytes(carry[1] as number)
    const length = lengthAt(carry, 0, carry[1] as number)
    const shown = length <= WINDOW_BYTES ? length : this.#longWindow(length)
    this.#carried = 0
    // One that was compared in whole may have been of any size.
    if (shown > WINDOW_BYTES) this.#carry = null
    this.#frame(carry, 0, head, shown, length)
    this.#skip = length - shown
    return at
  }

  /** How many bytes of the carried frame are needed, as far as its start tells. */
  #neededOf(carry: Buffer): number {
    if (this.#carried < 2) return 2
    const short = carry[1] as number
    const head = headBytes(short)
    if (this.#carried < head) return head
    const length = lengthAt(carry, 0, short)
    return head + (length <= WINDOW_BYTES ? length : this.#longWindow(length))
  }

  #frame(bytes: Buffer, at: number, payload: number, shown: number, length: number): void {
    const first = bytes[at] as number
    const opcode = first & 0x0f
    this.#window = 0
    if ((first & 0x70) !== 0)
      throw new ScanError('a WebSocket frame has reserved bits: an extension nobody asked for.')
    if (opcode === OPCODE_TEXT || opcode === OPCODE_BINARY) {
      this.#sink.message(bytes, payload, payload + shown, shown === length && first >= 0x80)
    } else if (opcode === OPCODE_PING) {
      this.#sink.ping(bytes.subarray(payload, payload + shown))
    } else if (opcode === OPCODE_CLOSE) {
      this.#sink.close(shown < 2 ? 1005 : bytes.readUInt16BE(payload))
    } else if (opcode !== OPCODE_CONTINUATION && opcode !== OPCODE_PONG) {
      throw new ScanError(`a WebSocket frame has the unknown opcode ${opcode}.`)
    }
  }
}

/** @throws {ScanError} for a masked frame */
function headBytes(short: number): number {
  if (short < 126) return 2
  if (short === 126) return 4
  if (short === 127) return LONGEST_HEAD
  throw new ScanError('a WebSocket frame from the server is masked.')
}

function lengthAt(bytes: Buffer, at: number, short: number): number {
  if (short < 126) return short
  if (short === 126) return bytes.readUInt16BE(at + 2)
  return bytes.readUInt32BE(at + 2) * 2 ** 32 + bytes.readUInt32BE(at + 6)
}
