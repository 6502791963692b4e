import type { Transport } from '../wire/wire-format.ts'
import type { LiveConnection } from './live-connection.ts'

/** All connections of one hub, from the knock at the door to the end of `disconnect`. */
export class Connections {
  readonly #byLocalId = new Map<string, LiveConnection>()
  /** Gone, but a hook of theirs may still run. */
  readonly #ending = new Set<LiveConnection>()
  readonly #open: Record<Transport, number> = { websocket: 0, sse: 0, ndjson: 0 }
  /** At the door. */
  readonly #connecting = new Set<LiveConnection>()
  #onIdle: (() => void) | null = null

  get size(): number {
    return this.#byLocalId.size + this.#ending.size
  }

  /** Connections that were let in and live, by transport: a copy. */
  get open(): Record<Transport, number> {
    return { ...this.#open }
  }

  get(localId: string): LiveConnection | undefined {
    return this.#byLocalId.get(localId)
  }

  all(): LiveConnection[] {
    return [...this.#byLocalId.values()]
  }

  connecting(connection: LiveConnection): void {
    this.#connecting.add(connection)
    this.#byLocalId.set(connection.localId, connection)
  }

  opened(connection: LiveConnection): void {
    this.#connecting.delete(connection)
    this.#open[connection.transport]++
  }

  closed(connection: LiveConnection): void {
    this.#byLocalId.delete(connection.localId)
    this.#ending.add(connection)
    if (!this.#connecting.delete(connection)) this.#open[connection.transport]--
  }

  finished(connection: LiveConnection): void {
    this.#ending.delete(connection)
    if (this.size === 0) this.#onIdle?.()
  }

  /** Resolves when no connection is left and no hook runs. */
  idle(): Promise<void> {
    if (this.size === 0) return Promise.resolve()
    return new Promise((resolve) => {
      this.#onIdle = resolve
    })
  }
}
