import { Batch } from '../batch.ts'
import type { WireFormat } from '../wire/wire-format.ts'

/** Whatever has something to write at the end of the turn. */
export interface Pending {
  flush(): void
}

/**
 * One turn of the event loop, as the hub writes: everything that is sent to a connection while callbacks run goes out in one
 * write when they are done. `setImmediate` runs after all readable sockets were read, so an idle hub adds no latency, and load
 * batches itself.
 */
export class Turn {
  #roots = new Map<WireFormat, Batch>()
  #pending: Pending[] = []
  #written: Batch[] = []
  #isScheduled = false

  /** The empty batch of this turn and format. All connections that have nothing pending start from it, so that they share. */
  root(format: WireFormat): Batch {
    let root = this.#roots.get(format)
    if (root === undefined) {
      root = Batch.root(format)
      this.#roots.set(format, root)
      this.#schedule()
    }
    return root
  }

  /** `pending.flush()` runs at the end of the turn. Add it once a turn. */
  add(pending: Pending): void {
    this.#pending.push(pending)
    this.#schedule()
  }

  /** The batch was written: its concatenated bytes are forgotten at the end of the turn, when all who share it have written. */
  wrote(batch: Batch): void {
    this.#written.push(batch)
    this.#schedule()
  }

  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    setImmediate(this.#end)
  }

  // A field, so that `setImmediate` gets the same function every turn.
  readonly #end = (): void => {
    const pending = this.#pending
    this.#pending = []
    for (let i = 0; i < pending.length; i++) pending[i]?.flush()
    const written = this.#written
    this.#written = []
    for (let i = 0; i < written.length; i++) written[i]?.release()
    this.#roots.clear()
    this.#isScheduled = false
    // What the flushes themselves caused (a closing connection's last words) goes out in a turn of its own.
    if (this.#pending.length > 0) this.#schedule()
  }
}
