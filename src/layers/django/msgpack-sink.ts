import { assertFinite, assertWellFormed } from './json-sink.ts'
import { UncarriableError, type ValueSink } from './values.ts'

/** The bytes that say how long a value is, by the size of that number: 1, 2 and 4 bytes. */
interface Family {
  /** With the length in the byte itself, and up to which. */
  readonly short: number
  readonly most: number
  readonly long: readonly [one: number | null, two: number, four: number]
}

const TEXT: Family = { short: 0xa0, most: 31, long: [0xd9, 0xda, 0xdb] }
const BINARY: Family = { short: 0, most: -1, long: [0xc4, 0xc5, 0xc6] }
const LIST: Family = { short: 0x90, most: 15, long: [null, 0xdc, 0xdd] }
const MAP: Family = { short: 0x80, most: 15, long: [null, 0xde, 0xdf] }

const MOST_UINT64 = 2n ** 64n - 1n
const LEAST_INT64 = -(2n ** 63n)
/** Of a whole number of 64 bits, with its sign. */
const MOST_DIGITS = 20

/** A map with one entry more: what was written for its key and its value. */
export function withEntry(map: Buffer, entry: Buffer): Buffer {
  const first = map[0] as number
  const [count, size] =
    first === 0xde ? [map.readUInt16BE(1), 3] : first === 0xdf ? [map.readUInt32BE(1), 5] : [first & 0x0f, 1]
  const header = new MsgpackSink(8)
  header.header(MAP, count + 1)
  return Buffer.concat([header.bytes, map.subarray(size), entry])
}

/**
 * Writes msgpack as Python's `msgpack.packb` does: each value in its shortest form, numbers with a fraction as float64. It throws an
 * {@link UncarriableError} for whole numbers below -2^63 and above 2^64-1, for texts that are no Unicode and for infinities.
 */
export class MsgpackSink implements ValueSink {
  #bytes: Buffer
  #length = 0
  /** Where the open maps and lists begin, and how many entries each has. */
  readonly #starts: number[] = []
  readonly #counts: number[] = []

  constructor(expectedBytes = 256) {
    this.#bytes = Buffer.allocUnsafe(expectedBytes)
  }

  /** What was written. */
  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.#length)
  }

  openMap(): void {
    this.#open()
  }

  closeMap(): void {
    this.#close(MAP, 2)
  }

  openList(): void {
    this.#open()
  }

  closeList(): void {
    this.#close(LIST, 1)
  }

  key(text: string): void {
    this.text(text)
  }

  text(text: string): void {
    assertWellFormed(text)
    this.#count()
    const size = Buffer.byteLength(text)
    this.header(TEXT, size)
    this.#reserve(size)
    this.#length += this.#bytes.write(text, this.#length)
  }

  integer(digits: string): void {
    this.#count()
    // Fifteen digits and a sign are exact as a number.
    if (digits.length <= 15) this.#integer(Number(digits))
    // To read a million digits keeps the loop busy.
    else if (digits.length > MOST_DIGITS) refuseInteger()
    else this.#bigInteger(BigInt(digits))
  }

  float(value: number): void {
    assertFinite(value)
    this.#count()
    this.#byte(0xcb)
    this.#reserve(8)
    this.#length = this.#bytes.writeDoubleBE(value, this.#length)
  }

  constant(value: boolean | null): void {
    this.#count()
    if (value === null) this.#byte(0xc0)
    else this.#byte(value ? 0xc3 : 0xc2)
  }

  binary(value: Buffer): void {
    this.#count()
    this.header(BINARY, value.length)
    this.#reserve(value.length)
    this.#length += value.copy(this.#bytes, this.#length)
  }

  #integer(value: number): void {
    if (value >= -0x20 && value < 0x80) this.#byte(value & 0xff)
    else if (value >= 0) this.#unsigned(value)
    else this.#signed(value)
  }

  #unsigned(value: number): void {
    if (value < 0x100) this.#tagged(0xcc, value, 1)
    else if (value < 0x1_0000) this.#tagged(0xcd, value, 2)
    else if (value < 0x1_0000_0000) this.#tagged(0xce, value, 4)
    else this.#bigInteger(BigInt(value))
  }

  #signed(value: number): void {
    if (value >= -0x80) this.#tagged(0xd0, value + 0x100, 1)
    else if (value >= -0x8000) this.#tagged(0xd1, value + 0x1_0000, 2)
    else if (value >= -0x8000_0000) this.#tagged(0xd2, value + 0x1_0000_0000, 4)
    else this.#bigInteger(BigInt(value))
  }

  #bigInteger(value: bigint): void {
    if (value < LEAST_INT64 || value > MOST_UINT64) refuseInteger()
    this.#byte(value < 0n ? 0xd3 : 0xcf)
    this.#reserve(8)
    this.#length =
      value < 0n
        ? this.#bytes.writeBigInt64BE(value, this.#length)
        : this.#bytes.writeBigUInt64BE(value, this.#length)
  }

  #open(): void {
    this.#count()
    this.#starts.push(this.#length)
    this.#counts.push(0)
    this.#byte(0)
  }

  /** Writes the header, now that the count is known; there is a byte for it, which mostly is enough. */
  #close(family: Family, perEntry: number): void {
    const start = this.#starts.pop() as number
    const count = (this.#counts.pop() as number) / perEntry
    const end = this.#length
    const size = count <= family.most ? 1 : count < 0x1_0000 ? 3 : 5
    if (size > 1) {
      this.#reserve(size - 1)
      this.#bytes.copyWithin(start + size, start + 1, end)
    }
    this.#length = start
    this.header(family, count)
    this.#length = end + size - 1
  }

  /** How long what follows is. */
  header({ short, most, long: [one, two, four] }: Family, length: number): void {
    if (length <= most) this.#byte(short | length)
    else if (length < 0x100 && one !== null) this.#tagged(one, length, 1)
    else if (length < 0x1_0000) this.#tagged(two, length, 2)
    else this.#tagged(four, length, 4)
  }

  #count(): void {
    const last = this.#counts.length - 1
    if (last >= 0) (this.#counts[last] as number)++
  }

  #tagged(tag: number, value: number, size: number): void {
    this.#byte(tag)
    this.#reserve(size)
    this.#length = this.#bytes.writeUIntBE(value, this.#length, size)
  }

  #byte(value: number): void {
    this.#reserve(1)
    this.#bytes[this.#length++] = value
  }

  #reserve(size: number): void {
    const needed = this.#length + size
    if (needed <= this.#bytes.length) return
    const larger = Buffer.allocUnsafe(Math.max(needed, 2 * this.#bytes.length))
    this.#bytes.copy(larger, 0, 0, this.#length)
    this.#bytes = larger
  }
}

function refuseInteger(): never {
  throw new UncarriableError('it has a whole number beyond 64 bits (send it as a text)')
}
