import { UncarriableError, type ValueSink } from './values.ts'

/**
 * Writes JSON text. What JSON has no word for: bytes become a text in base64, and `NaN` and the infinities become `null`, as `JSON.stringify`
 * writes them. Numbers with a fraction keep it (`1.0`).
 */
export class JsonSink implements ValueSink {
  #json = ''
  #isFirst = true

  /** What was written. */
  get json(): string {
    return this.#json
  }

  openMap(): void {
    this.#open('{')
  }

  closeMap(): void {
    this.#close('}')
  }

  openList(): void {
    this.#open('[')
  }

  closeList(): void {
    this.#close(']')
  }

  key(text: string): void {
    this.#put(`${JSON.stringify(text)}:`)
    this.#isFirst = true
  }

  text(text: string): void {
    this.#put(JSON.stringify(text))
  }

  integer(digits: string): void {
    this.#put(digits)
  }

  float(value: number): void {
    if (!Number.isFinite(value)) this.#put('null')
    else if (Object.is(value, -0)) this.#put('-0.0')
    else this.#put(Number.isInteger(value) && Math.abs(value) < 1e21 ? `${value}.0` : `${value}`)
  }

  constant(value: boolean | null): void {
    this.#put(`${value}`)
  }

  binary(value: Buffer): void {
    this.#put(`"${value.toString('base64')}"`)
  }

  #open(bracket: string): void {
    this.#put(bracket)
    this.#isFirst = true
  }

  #close(bracket: string): void {
    this.#json += bracket
    this.#isFirst = false
  }

  #put(text: string): void {
    if (!this.#isFirst) this.#json += ','
    this.#json += text
    this.#isFirst = false
  }
}

/** Python reads no whole number of more digits. */
const MOST_DIGITS = 4_300

/** Writes JSON that a consumer of Django can use: see {@link MsgpackSink} for what it cannot. Python has whole numbers far beyond 64 bits. */
export class CheckedJsonSink extends JsonSink {
  override key(text: string): void {
    assertWellFormed(text)
    super.key(text)
  }

  override text(text: string): void {
    assertWellFormed(text)
    super.text(text)
  }

  override integer(digits: string): void {
    if (digits.replace('-', '').length > MOST_DIGITS)
      throw new UncarriableError(`it has a whole number of more than ${MOST_DIGITS} digits`)
    super.integer(digits)
  }

  override float(value: number): void {
    assertFinite(value)
    super.float(value)
  }
}

/** @throws {UncarriableError} for what no UTF-8 can hold, and no consumer of Django could send on */
export function assertWellFormed(text: string): void {
  if (!text.isWellFormed()) throw new UncarriableError('it has a text with half of a surrogate pair')
}

/** @throws {UncarriableError} */
export function assertFinite(value: number): void {
  if (!Number.isFinite(value)) throw new UncarriableError('it has a number that is too large for a double')
}
