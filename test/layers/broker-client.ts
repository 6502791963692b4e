/**
 * A broker in this process that answers as slowly as one at the end of a wire, for the skeleton of
 * `docs/writing-a-layer.md`.
 */
import type { Clock } from '../../src/clock.ts'
import { Mailboxes } from '../../src/mailboxes.ts'

/** What the skeleton needs of a broker. Calls of one client take effect in order. */
export interface BrokerClient {
  subscribe(subject: string, listener: (text: string) => void): Promise<void>
  unsubscribe(subject: string): Promise<void>
  publish(subject: string, text: string): Promise<void>
  /** `false`: as many messages wait as the capacity. */
  push(queue: string, text: string, limits: { capacity: number; expiryMs: number }): Promise<boolean>
  pop(queue: string, signal: AbortSignal): Promise<string>
  /** Empties all queues whose names start so. */
  clear(prefix: string): Promise<void>
}

/** A broker for one case of the suite; `connect` gives each node a client of its own. */
export class SlowBroker {
  readonly #queues: Mailboxes
  readonly #subscribers: { subjects: Map<string, (text: string) => void>; arrives: Later }[] = []

  constructor(options: { clock: Clock; capacity: number; expiryMs: number }) {
    this.#queues = new Mailboxes(options)
  }

  connect(): BrokerClient {
    const subjects = new Map<string, (text: string) => void>()
    this.#subscribers.push({ subjects, arrives: later() })
    const onceThere = later()
    return {
      subscribe: (subject, listener) => onceThere(() => void subjects.set(subject, listener)),
      unsubscribe: (subject) => onceThere(() => void subjects.delete(subject)),
      publish: (subject, text) => onceThere(() => this.#publish(subject, text)),
      push: (queue, text) => onceThere(() => this.#queues.push(queue, text)),
      pop: (queue, signal) => this.#queues.pull(queue, signal),
      clear: () => onceThere(() => this.#queues.clear()),
    }
  }

  #publish(subject: string, text: string): void {
    for (const { subjects, arrives } of this.#subscribers) {
      const listener = subjects.get(subject)
      if (listener !== undefined) void arrives(() => listener(text))
    }
  }
}

/** Does things a moment later, in order. */
type Later = <T>(act: () => T) => Promise<T>

function later(): Later {
  let before: Promise<unknown> = Promise.resolve()
  return (act) => {
    const done = before.then(() => new Promise(setImmediate)).then(act)
    before = done.catch(() => {})
    return done
  }
}
