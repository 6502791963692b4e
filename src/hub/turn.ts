import { Batch } from '../batch.ts'
import type { Publication } from '../publication.ts'
import type { WireFormat } from '../wire/wire-format.ts'

/** Whatever has something to write at the end of the turn. */
export interface Pending {
  flush(): void
}

/** Whatever has to see what became of a write. */
export interface Looking {
  look(): void
}

/** Who gets publications: a group. */
export interface Receivers {
  /** Hands its members publications, oldest first. */
  append(publications: readonly Publication[]): void
}

/** A run of publications as long as this is handed to the members: what is written before the turn ends need not wait for it. */
const RUN_BYTES = 32 * 1024

/**
 * One turn of the event loop, as the hub writes: everything that is sent to a connection while callbacks run goes out in one
 * write when they are done. `setImmediate` runs after all readable sockets were read, so an idle hub adds no latency, and load
 * batches itself.
 */
export class Turn {
  #roots = new Map<WireFormat, Batch>()
  #pending: Pending[] = []
  #written: Batch[] = []
  #looking: Looking[] = []
  #isScheduled = false
  /** Whose publications wait to be handed out; `null` when none do. */
  #receivers: Receivers | null = null
  #run: Publication[] = []
  #runBytes = 0
  readonly #grown: Batch[] = []
  readonly #onFailure: (error: unknown) => void

  /** @param onFailure hears of a flush that throws: the others of the turn go on */
  constructor(onFailure: (error: unknown) => void = rethrow) {
    this.#onFailure = onFailure
  }

  /** The empty batch of this turn and format. All connections that have nothing pending start from it, so that they share. */
  root(format: WireFormat): Batch {
    let root = this.#roots.get(format)
    if (root === undefined) {
      root = Batch.root(format, this.#grown)
      this.#roots.set(format, root)
      this.#schedule()
    }
    return root
  }

  /**
   * A publication for all members of a group. While publications of one group follow each other they are collected, so that its
   * members are walked once for all of them (bench: fan-out, 10 and 100 a turn). They get them at the end of the turn, or as
   * soon as anything else happens that must come after: see `settle`.
   */
  deliver(receivers: Receivers, publication: Publication): void {
    if (receivers !== this.#receivers) {
      this.settle()
      this.#receivers = receivers
      this.#schedule()
    }
    this.#run.push(publication)
    this.#runBytes += publication.json.length
    if (this.#runBytes > RUN_BYTES) this.settle()
  }

  /** Hands out what was collected. To be called before members of a group change and before anything is sent to one of them alone. */
  settle(): void {
    const receivers = this.#receivers
    if (receivers === null) return
    const run = this.#run
    this.#receivers = null
    this.#run = []
    this.#runBytes = 0
    try {
      receivers.append(run)
    } catch (error) {
      this.#onFailure(error)
    }
  }

  /** `pending.flush()` runs at the end of the turn. To be added twice does no harm. */
  add(pending: Pending): void {
    this.#pending.push(pending)
    this.#schedule()
  }

  /** The batch was written: its concatenated bytes are forgotten at the end of the turn, when all who share it have written. */
  wrote(batch: Batch): void {
    this.#written.push(batch)
    this.#schedule()
  }

  /**
   * `looking.look()` runs when links have heard from the system what became of their writes: at the end of the turn, or of the next one where
   * it is called at the end.
   */
  later(looking: Looking): void {
    this.#looking.push(looking)
    this.#schedule()
  }

  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    setImmediate(this.#end)
  }

  // A field, so that `setImmediate` gets the same function every turn.
  readonly #end = (): void => {
    // What comes to be looked at from here on belongs to the next turn.
    const looking = this.#looking
    if (looking.length > 0) this.#looking = []
    this.settle()
    this.#isScheduled = false
    const pending = this.#pending
    this.#pending = []
    for (let i = 0; i < pending.length; i++) this.#flush(pending[i] as Pending)
    for (let i = 0; i < looking.length; i++) this.#look(looking[i] as Looking)
    for (const batch of this.#written) batch.release()
    this.#written.length = 0
    for (const batch of this.#grown) batch.forgetChildren()
    this.#grown.length = 0
    this.#roots.clear()
    if (this.#looking.length > 0) this.#schedule()
  }

  #look(looking: Looking): void {
    try {
      looking.look()
    } catch (error) {
      this.#onFailure(error)
    }
  }

  #flush(pending: Pending): void {
    try {
      pending.flush()
    } catch (error) {
      this.#onFailure(error)
    }
  }
}

function rethrow(error: unknown): never {
  throw error
}
