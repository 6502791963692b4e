import { CHANNEL_KEY, UncarriableError, type ValueSink } from './values.ts'

/**
 * Passes a message on to another sink and looks at its top: its `type`, which must be a text, and whom it is for, which is not passed on.
 */
export class MessageFilter implements ValueSink {
  readonly #to: ValueSink
  #depth = 0
  #key = ''
  #type: string | null = null
  /** What `__asgi_channel__` names. */
  #channels: string[] | null = null

  constructor(to: ValueSink) {
    this.#to = to
  }

  /** @throws {UncarriableError} when the message had none */
  get type(): string {
    if (this.#type === null || this.#type === '')
      throw new UncarriableError('it has no "type" that is a text')
    return this.#type
  }

  /** Whom the message is for; `null` when it does not say. */
  get channels(): readonly string[] | null {
    return this.#channels
  }

  openMap(): void {
    if (this.#isChannel) this.#notChannels()
    if (this.#depth++ === 1) this.#other()
    this.#to.openMap()
  }

  closeMap(): void {
    this.#depth--
    this.#to.closeMap()
  }

  openList(): void {
    if (this.#depth === 0) throw new UncarriableError('it is not a map')
    const isChannel = this.#isChannel
    if (this.#depth++ === 1) this.#other()
    if (!isChannel) this.#to.openList()
    else if (this.#depth > 2) this.#notChannels()
  }

  closeList(): void {
    this.#depth--
    if (!this.#isChannel) this.#to.closeList()
  }

  key(text: string): void {
    if (this.#depth === 1) {
      this.#key = text
      if (text === CHANNEL_KEY) {
        this.#channels = []
        return
      }
    }
    this.#to.key(text)
  }

  text(text: string): void {
    if (this.#isChannel) {
      this.#channels?.push(text)
      return
    }
    if (this.#depth === 0) throw new UncarriableError('it is not a map')
    // The last of several counts, as in Python and in JavaScript.
    if (this.#depth === 1 && this.#key === 'type') this.#type = text
    this.#to.text(text)
  }

  integer(digits: string): void {
    this.#scalar()
    this.#to.integer(digits)
  }

  float(value: number): void {
    this.#scalar()
    this.#to.float(value)
  }

  constant(value: boolean | null): void {
    this.#scalar()
    this.#to.constant(value)
  }

  binary(value: Buffer): void {
    this.#scalar()
    this.#to.binary(value)
  }

  #scalar(): void {
    if (this.#depth === 0) throw new UncarriableError('it is not a map')
    if (this.#isChannel) this.#notChannels()
    if (this.#depth === 1) this.#other()
  }

  /** The value is not a text. */
  #other(): void {
    if (this.#key === 'type') this.#type = null
  }

  get #isChannel(): boolean {
    return this.#depth >= 1 && this.#key === CHANNEL_KEY
  }

  #notChannels(): never {
    throw new UncarriableError(`its ${CHANNEL_KEY} is not a list of texts`)
  }
}
