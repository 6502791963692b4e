/** Core NATS as far as nodes need it that talk on one subject: who listens gets what is sent, its own too, a moment later. */
import type { Msg } from '@nats-io/transport-node'
import type { TurnWire } from '../../src/layers/nats/turn.ts'

type Handler = (msg: Msg) => void

export class Bus {
  /** What was sent, as `subject text`. */
  readonly said: string[] = []
  /** All who listen, and where. */
  readonly #handlers = new Map<Handler, string>()
  /** How much of what is sent next nobody gets. */
  deafFor = 0

  /** How many subscriptions there are. */
  get listeners(): number {
    return this.#handlers.size
  }

  /** A connection, until it is cut. */
  wire(): TurnWire & { cut(): void } {
    const handlers = new Set<Handler>()
    const drop = (handler: Handler) => void this.#handlers.delete(handler)
    let isCut = false
    return {
      publish: (subject, text) => {
        if (!isCut) this.#send(subject, text)
      },
      subscribe: (subject, handler) => {
        handlers.add(handler)
        this.#handlers.set(handler, subject)
        return { unsubscribe: () => drop(handler) }
      },
      flush: () => new Promise((resolve) => setImmediate(resolve)),
      cut: () => {
        isCut = true
        for (const handler of handlers) drop(handler)
      },
    }
  }

  #send(subject: string, text: string): void {
    this.said.push(`${subject} ${text}`)
    if (this.deafFor > 0) {
      this.deafFor--
      return
    }
    const msg = { subject, data: Buffer.from(text) } as unknown as Msg
    for (const [handler, heard] of this.#handlers) if (heard === subject) setImmediate(handler, msg)
  }
}
