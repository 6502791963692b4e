import type { Link } from '../transports/backend.ts'
import type { MessageStream, StreamedMessages } from './message-stream.ts'

/** What a pace needs of its connection. */
export interface Paced {
  /** `null` until the client is let in. */
  readonly link: Link | null
}

/**
 * The pace of one client that is streamed to: its streams go on when what was sent before has left, and end when it leaves. Made for
 * the first stream of a connection; most have none.
 */
export class Pace {
  readonly #connection: Paced
  readonly #streams = new Set<MessageStream>()
  #waiting: (() => void)[] = []
  #isClosed = false

  constructor(connection: Paced) {
    this.#connection = connection
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  /**
   * Resolves when the client takes more, or has left. Never within the turn: what was sent in it goes out at its end. Not by the
   * hub's own turn: its list holds outboxes alone, which keeps the loop over them monomorphic (bench: fan-out).
   */
  ready(): Promise<void> {
    if (this.#isClosed) return Promise.resolve()
    return new Promise((resolve) => {
      this.#waiting.push(resolve)
      setImmediate(this.#check)
    })
  }

  /** Runs a stream; it ends with the connection. */
  async run(stream: MessageStream): Promise<StreamedMessages> {
    this.#streams.add(stream)
    try {
      return await stream.run()
    } finally {
      this.#streams.delete(stream)
    }
  }

  /** The client was let in, or its link can be written to again. */
  drained(): void {
    this.#check()
  }

  /** The connection is closing. */
  close(): void {
    this.#isClosed = true
    for (const stream of this.#streams) stream.leave()
    this.#wake()
  }

  readonly #check = (): void => {
    if (this.#connection.link?.writable === true) this.#wake()
  }

  #wake(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const resolve of waiting) resolve()
  }
}
