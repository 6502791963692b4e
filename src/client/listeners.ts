import { report } from './platform.ts'

/** A type of messages, or a number for whatever else there is to hear. */
type ListenedTo = string | number
type Listener = (...values: never[]) => unknown

/** Functions by what they listen to. */
export interface Listeners {
  /** @returns what removes it again */
  add(name: ListenedTo, listener: Listener): () => void
  /** Calls those that are there now. One that throws does not keep the others from hearing. */
  tell(name: ListenedTo, ...values: unknown[]): void
}

export function createListeners(): Listeners {
  // An entry for each call: a function that was added twice is removed once.
  const entries = new Set<readonly [name: ListenedTo, listener: Listener]>()
  return {
    add(name, listener) {
      const entry = [name, listener] as const
      entries.add(entry)
      return () => entries.delete(entry)
    },
    tell(name, ...values) {
      for (const [wanted, listener] of [...entries]) {
        if (wanted !== name) continue
        try {
          listener(...(values as never[]))
        } catch (error) {
          report(error)
        }
      }
    },
  }
}
