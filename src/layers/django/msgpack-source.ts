import { MAX_DEPTH, UncarriableError, type ValueSink } from './values.ts'

/**
 * Reads one msgpack value, with the rules of Python's `msgpack.unpackb`: texts are UTF-8, keys of maps are texts, nothing follows.
 *
 * @throws {UncarriableError} for bytes that are not that, for ext types (timestamps), and for nesting beyond {@link MAX_DEPTH}
 */
export function readMsgpack(bytes: Buffer, sink: ValueSink): void {
  new MsgpackSource(bytes, sink).read()
}

const STRICT = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

class MsgpackSource {
  readonly #bytes: Buffer
  readonly #sink: ValueSink
  #at = 0
  #depth = 0

  constructor(bytes: Buffer, sink: ValueSink) {
    this.#bytes = bytes
    this.#sink = sink
  }

  read(): void {
    this.#value()
    const left = this.#bytes.length - this.#at
    if (left > 0) throw new UncarriableError(`it is msgpack with ${left} bytes behind its end`)
  }

  #value(): void {
    const byte = this.#uint(1)
    if (byte <= 0x7f) this.#sink.integer(`${byte}`)
    else if (byte <= 0x8f) this.#map(byte & 0x0f)
    else if (byte <= 0x9f) this.#list(byte & 0x0f)
    else if (byte <= 0xbf) this.#sink.text(this.#text(byte & 0x1f))
    else if (byte >= 0xe0) this.#sink.integer(`${byte - 0x100}`)
    else this.#long(byte)
  }

  /** What begins with a byte of its own, by what it is. */
  #long(byte: number): void {
    if (byte >= 0xd9 && byte <= 0xdb) this.#sink.text(this.#text(this.#sizeAfter(byte - 0xd9)))
    else if (byte >= 0xca && byte <= 0xd3) this.#number(byte)
    else if (byte <= 0xc3) this.#constant(byte)
    else if (byte <= 0xc6) this.#sink.binary(this.#take(this.#sizeAfter(byte - 0xc4)))
    else if (byte === 0xdc || byte === 0xdd) this.#list(this.#sizeAfter(byte - 0xdb))
    else if (byte === 0xde || byte === 0xdf) this.#map(this.#sizeAfter(byte - 0xdd))
    else throw new UncarriableError('it has a value of a msgpack extension, such as a timestamp')
  }

  #constant(byte: number): void {
    if (byte === 0xc1) throw new UncarriableError('it is not msgpack: there is no type 0xc1')
    this.#sink.constant(byte === 0xc0 ? null : byte === 0xc3)
  }

  #number(byte: number): void {
    if (byte === 0xca) this.#sink.float(this.#take(4).readFloatBE())
    else if (byte === 0xcb) this.#sink.float(this.#take(8).readDoubleBE())
    else if (byte <= 0xce) this.#sink.integer(`${this.#sizeAfter(byte - 0xcc)}`)
    else if (byte === 0xcf) this.#sink.integer(`${this.#take(8).readBigUInt64BE()}`)
    else if (byte === 0xd3) this.#sink.integer(`${this.#take(8).readBigInt64BE()}`)
    else {
      const size = 1 << (byte - 0xd0)
      this.#sink.integer(`${this.#take(size).readIntBE(0, size)}`)
    }
  }

  #map(count: number): void {
    this.#open(2 * count)
    this.#sink.openMap()
    for (let i = 0; i < count; i++) {
      this.#sink.key(this.#key())
      this.#value()
    }
    this.#sink.closeMap()
    this.#depth--
  }

  #list(count: number): void {
    this.#open(count)
    this.#sink.openList()
    for (let i = 0; i < count; i++) this.#value()
    this.#sink.closeList()
    this.#depth--
  }

  #open(values: number): void {
    if (++this.#depth > MAX_DEPTH) {
      throw new UncarriableError(`it is nested deeper than ${MAX_DEPTH} levels`)
    }
    // A value takes a byte at least: a header that promises more must not keep the loop busy.
    if (values > this.#bytes.length - this.#at) this.#tooShort()
  }

  #key(): string {
    const byte = this.#uint(1)
    if (byte >= 0xa0 && byte <= 0xbf) return this.#text(byte & 0x1f)
    if (byte >= 0xd9 && byte <= 0xdb) return this.#text(this.#sizeAfter(byte - 0xd9))
    throw new UncarriableError('it has a key that is not a text')
  }

  #text(length: number): string {
    const bytes = this.#take(length)
    const text = bytes.toString('utf8')
    // What `toString` puts where the bytes are not UTF-8; it may also have been sent.
    if (!text.includes('\ufffd')) return text
    try {
      return STRICT.decode(bytes)
    } catch {
      throw new UncarriableError('it has a text that is not UTF-8')
    }
  }

  /** A number of 1, 2 or 4 bytes: which, says the byte before by its place among its kind. */
  #sizeAfter(place: number): number {
    return this.#uint(1 << place)
  }

  #uint(size: number): number {
    return this.#take(size).readUIntBE(0, size)
  }

  #take(length: number): Buffer {
    const start = this.#at
    this.#at += length
    if (this.#at > this.#bytes.length) this.#tooShort()
    return this.#bytes.subarray(start, this.#at)
  }

  #tooShort(): never {
    throw new UncarriableError('it is msgpack that ends too early')
  }
}
