import { report } from './platform.ts'

type Listener = (...values: never[]) => unknown

/** Functions by what they listen to. */
export interface Listeners {
  /** @returns what removes it again */
  add(name: string, listener: Listener): () => void
  /** Calls those that are there now. One that throws does not keep the others from hearing. */
  tell(name: string, ...values: unknown[]): void
}

export function createListeners(): Listeners {
  // An entry for each call: a function that was added twice is removed once.
  const entries = new Set<readonly [name: string, listener: Listener]>()
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
