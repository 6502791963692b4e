import { MAX_DEPTH, UncarriableError, type ValueSink } from './values.ts'

/**
 * Reads a JSON text, and what Python's `json.dumps` writes beyond JSON: `NaN`, `Infinity` and `-Infinity`.
 *
 * @throws {UncarriableError} for other text, and for nesting beyond {@link MAX_DEPTH}
 */
export function readJson(text: string, sink: ValueSink): void {
  new JsonSource(text, sink).read()
}

const SPACE = /[ \t\r\n]*/y
const NUMBER = /-?(?:0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?/y
/** A text that means what it says. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: JSON has them as escapes only.
const PLAIN = /"[^"\\\u0000-\u001f]*"/y
const BACKSLASH = 0x5c

const WORDS: readonly (readonly [word: string, take: (sink: ValueSink) => void])[] = [
  ['true', (sink) => sink.constant(true)],
  ['false', (sink) => sink.constant(false)],
  ['null', (sink) => sink.constant(null)],
  ['NaN', (sink) => sink.float(Number.NaN)],
  ['Infinity', (sink) => sink.float(Number.POSITIVE_INFINITY)],
  ['-Infinity', (sink) => sink.float(Number.NEGATIVE_INFINITY)],
]

class JsonSource {
  readonly #text: string
  readonly #sink: ValueSink
  #at = 0
  #depth = 0

  constructor(text: string, sink: ValueSink) {
    this.#text = text
    this.#sink = sink
  }

  read(): void {
    this.#value()
    this.#skipSpace()
    if (this.#at < this.#text.length) this.#fail()
  }

  #value(): void {
    this.#skipSpace()
    switch (this.#text[this.#at]) {
      case '{':
        this.#map()
        break
      case '[':
        this.#list()
        break
      case '"':
        this.#sink.text(this.#string())
        break
      default:
        this.#scalar()
    }
  }

  #map(): void {
    this.#open()
    this.#sink.openMap()
    if (!this.#takes('}')) {
      do {
        this.#skipSpace()
        if (this.#text[this.#at] !== '"') this.#fail()
        this.#sink.key(this.#string())
        if (!this.#takes(':')) this.#fail()
        this.#value()
      } while (this.#takes(','))
      if (!this.#takes('}')) this.#fail()
    }
    this.#sink.closeMap()
    this.#depth--
  }

  #list(): void {
    this.#open()
    this.#sink.openList()
    if (!this.#takes(']')) {
      do this.#value()
      while (this.#takes(','))
      if (!this.#takes(']')) this.#fail()
    }
    this.#sink.closeList()
    this.#depth--
  }

  #open(): void {
    this.#at++
    if (++this.#depth > MAX_DEPTH) {
      throw new UncarriableError(`it is nested deeper than ${MAX_DEPTH} levels`)
    }
  }

  #string(): string {
    const start = this.#at
    PLAIN.lastIndex = start
    if (PLAIN.test(this.#text)) {
      this.#at = PLAIN.lastIndex
      return this.#text.slice(start + 1, this.#at - 1)
    }
    let end = this.#text.indexOf('"', start + 1)
    while (end !== -1 && this.#isEscaped(end)) end = this.#text.indexOf('"', end + 1)
    if (end === -1) this.#fail()
    this.#at = end + 1
    try {
      // Escapes and what is not allowed in a string are the engine's business.
      return JSON.parse(this.#text.slice(start, end + 1)) as string
    } catch {
      this.#fail(start)
    }
  }

  #isEscaped(quoteAt: number): boolean {
    let first = quoteAt
    while (this.#text.charCodeAt(first - 1) === BACKSLASH) first--
    return (quoteAt - first) % 2 === 1
  }

  #scalar(): void {
    NUMBER.lastIndex = this.#at
    const found = NUMBER.exec(this.#text)
    if (found !== null) {
      const [digits, fraction, exponent] = found
      this.#at += digits.length
      if (fraction === undefined && exponent === undefined) this.#sink.integer(digits)
      else this.#sink.float(Number(digits))
      return
    }
    const word = WORDS.find(([name]) => this.#text.startsWith(name, this.#at))
    if (word === undefined) this.#fail()
    this.#at += word[0].length
    word[1](this.#sink)
  }

  #takes(char: string): boolean {
    this.#skipSpace()
    if (this.#text[this.#at] !== char) return false
    this.#at++
    return true
  }

  #skipSpace(): void {
    // Texts of JSON.stringify have none: looking is cheaper than matching.
    if (this.#text.charCodeAt(this.#at) > 0x20) return
    SPACE.lastIndex = this.#at
    SPACE.test(this.#text)
    this.#at = SPACE.lastIndex
  }

  #fail(at = this.#at): never {
    throw new UncarriableError(`it is not JSON at character ${at}`)
  }
}
