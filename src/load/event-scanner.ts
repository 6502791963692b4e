/** Counts the events of an event stream (WHATWG HTML, section 9.2.6) by their blank lines. */
import { WINDOW_BYTES } from './numbered.ts'
import type { MessageSink, Scanner } from './scanner.ts'

const LF = 10
const CR = 13
const COLON = 0x3a
const SPACE = 0x20
/** Most bytes of line ends at the end of an event: beside the window, since they are not shown. */
const MAX_LINE_ENDS = 4
/** First byte of a field named `data`. */
const D = 0x64

/**
 * A message is an event that has data and no name of its own, as `onmessage` sees them. What comes after the first
 * {@link WINDOW_BYTES} of an event is not looked at unless the sink asks for it, nor are the lines after one that begins the event with `data`: servers
 * write the name first.
 */
export class EventScanner implements Scanner {
  readonly #sink: MessageSink
  /** Only line ends since the last event. */
  #isBetween = true
  /** Line ends since the last other byte, while an event is going on. */
  #lineEnds = 0
  #wasCr = false
  /** The start of an event that was cut; made when first needed. */
  #carry: Buffer | null = null
  #carried = 0
  #isCut = false
  /** What is shown of an event that was cut: more than the window where the sink wants all of it. */
  #window = WINDOW_BYTES
  #isTruncated = false

  constructor(sink: MessageSink) {
    this.#sink = sink
  }

  scan(bytes: Buffer, start: number, end: number): void {
    let from = start
    let at = start
    while (at < end) {
      if (this.#isBetween) {
        while (at < end && isLineEnd(bytes[at] as number)) at++
        if (at === end) return
        this.#isBetween = false
        from = at
      }
      const run = this.#lineEnds > 0 ? at : nextRun(bytes, at, end)
      if (run === end) break
      at = this.#readRun(bytes, run, end)
      if (this.#lineEnds >= 2) {
        this.#end(bytes, from, run)
      } else if (at < end) {
        this.#lineEnds = 0
        this.#wasCr = false
      }
    }
    if (!this.#isBetween) this.#keep(bytes, from, end)
  }

  /** Counts line ends, CRLF as one, until an event is complete or another byte comes. @returns the place after them */
  #readRun(bytes: Buffer, start: number, end: number): number {
    let at = start
    for (; at < end && this.#lineEnds < 2; at++) {
      const byte = bytes[at] as number
      if (byte !== LF && byte !== CR) break
      if (byte === CR || !this.#wasCr) this.#lineEnds++
      this.#wasCr = byte === CR
    }
    return at
  }

  #end(bytes: Buffer, from: number, to: number): void {
    this.#isBetween = true
    this.#lineEnds = 0
    this.#wasCr = false
    if (this.#isCut) {
      this.#keep(bytes, from, to)
      const carry = this.#carry as Buffer
      // The line ends of its end were kept where it was cut between them.
      while (this.#carried > 0 && isLineEnd(carry[this.#carried - 1] as number)) this.#carried--
      const shown = this.#isTruncated ? Math.min(this.#carried, this.#window) : this.#carried
      this.#event(carry, 0, shown, shown)
      // One that was compared in whole may have been of any size.
      if (this.#carried > WINDOW_BYTES) this.#carry = null
      this.#window = WINDOW_BYTES
      this.#carried = 0
      this.#isCut = false
      this.#isTruncated = false
    } else {
      const isLong = to - from > WINDOW_BYTES
      this.#event(bytes, from, to, isLong && !this.#wantsWhole() ? from + WINDOW_BYTES : to)
    }
  }

  #wantsWhole(): boolean {
    return this.#sink.wantsWhole?.() === true
  }

  #keep(bytes: Buffer, from: number, to: number): void {
    this.#isCut = true
    let text = to
    while (text > from && isLineEnd(bytes[text - 1] as number)) text--
    // Asked when the event turns out to be longer than the window: until then all of it is there.
    if (text > from && this.#carried + text - from > this.#window && !this.#isTruncated) {
      if (this.#wantsWhole()) this.#window = Number.POSITIVE_INFINITY
      else this.#isTruncated = true
    }
    const taken = Math.min(to - from, this.#window + MAX_LINE_ENDS - this.#carried)
    if (taken <= 0) return
    bytes.copy(this.#carryFor(this.#carried + taken), this.#carried, from, from + taken)
    this.#carried += taken
  }

  #carryFor(bytes: number): Buffer {
    const carry = this.#carry
    if (carry !== null && carry.length >= bytes) return carry
    // By doubling: an event may come in many pieces.
    this.#carry = Buffer.allocUnsafe(Math.max(bytes, WINDOW_BYTES, (carry?.length ?? 0) * 2))
    carry?.copy(this.#carry, 0, 0, this.#carried)
    return this.#carry
  }

  #event(bytes: Buffer, start: number, end: number, shown: number): void {
    // The usual case first: data alone.
    const isPlain = bytes[start] === D && bytes[start + 4] === COLON
    const text = isPlain ? '' : bytes.toString('latin1', start, shown)
    if (isPlain || isMessage(text)) {
      this.#sink.message(bytes, start, shown, shown === end && !this.#isTruncated)
    } else {
      this.#sink.event?.(text)
    }
  }
}

function isLineEnd(byte: number): boolean {
  return byte === LF || byte === CR
}

/**
 * Where the next two line ends in a row begin, or those at the very end, or `end`. Every second byte is enough to meet two in a row,
 * and JSON has no raw control characters, so that one comparison a step decides (bench: fan-out SSE at 100 messages a turn).
 */
function nextRun(bytes: Buffer, start: number, end: number): number {
  for (let at = start + 1; at < end; at += 2) {
    if ((bytes[at] as number) > CR || !isLineEnd(bytes[at] as number)) continue
    const isFirst = !isLineEnd(bytes[at - 1] as number)
    if (isFirst && at + 1 < end && !isLineEnd(bytes[at + 1] as number)) continue
    let run = at
    while (run > start && isLineEnd(bytes[run - 1] as number)) run--
    return run
  }
  return end > start && isLineEnd(bytes[end - 1] as number) ? end - 1 : end
}

/** Reads an event line by line, as far as it is shown. */
function isMessage(text: string): boolean {
  let hasData = false
  for (const line of text.split(/\r\n|\r|\n/)) {
    const colon = line.indexOf(':')
    const field = colon === -1 ? line : line.slice(0, colon)
    if (field === 'data') hasData = true
    if (field !== 'event' || colon === -1) continue
    const value = line.slice(colon + (line.charCodeAt(colon + 1) === SPACE ? 2 : 1))
    if (value !== '' && value !== 'message') return false
  }
  return hasData
}
