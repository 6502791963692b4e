import type { Batch } from '../batch.ts'
import type { Limits } from '../options.ts'
import { type Relief, type ReliefOptions, relieve, type SlowPolicy } from '../slow.ts'
import type { Turn } from './turn.ts'

/** Dropping goes down to this part of the limit: a walk through a backlog then pays for a quarter of it in new messages. */
const TARGET = 3 / 4

/** Why a backlog is made smaller: it is over its own limit, the hub's total is, or it is about to be written. */
export type Occasion = 'limit' | 'total' | 'writing'

/** What waits for slow readers, in the whole hub. */
export class Backlog {
  readonly #turn: Turn
  readonly #maxTotalBytes: number
  readonly #options: Readonly<Record<Occasion, Readonly<Record<SlowPolicy, ReliefOptions>>>>
  #totalBytes = 0
  // Many readers are slow in the same way: equal backlogs are made smaller once in a turn.
  readonly #reliefs = new WeakMap<Batch, { root: Batch; options: ReliefOptions; relief: Relief }>()

  constructor(turn: Turn, { maxBacklogBytes, maxTotalBacklogBytes }: Limits) {
    this.#turn = turn
    this.#maxTotalBytes = maxTotalBacklogBytes
    this.#options = {
      limit: optionsFor(Math.floor(maxBacklogBytes * TARGET)),
      total: optionsFor(0),
      writing: optionsFor(Number.POSITIVE_INFINITY),
    }
  }

  /** Bytes that slow readers hold; what several share counts once. Those with less than an early flush are not counted. */
  get totalBytes(): number {
    return this.#totalBytes
  }

  get isOverTotal(): boolean {
    return this.#totalBytes > this.#maxTotalBytes
  }

  /** An outbox holds `next` as its backlog, in place of `previous`. */
  changed(previous: Batch | null, next: Batch | null): void {
    this.#totalBytes += (next?.hold() ?? 0) - (previous?.letGo() ?? 0)
  }

  /** What the policies leave of a backlog. */
  relieve(batch: Batch, policy: SlowPolicy, occasion: Occasion): Relief {
    const options = this.#options[occasion][policy]
    const root = this.#turn.root(batch.format)
    const known = this.#reliefs.get(batch)
    if (known !== undefined && known.root === root && known.options === options) return known.relief
    const relief = relieve(batch, root, options)
    this.#reliefs.set(batch, { root, options, relief })
    return relief
  }
}

function optionsFor(targetBytes: number): Record<SlowPolicy, ReliefOptions> {
  return {
    close: { policy: 'close', targetBytes },
    drop: { policy: 'drop', targetBytes },
    latest: { policy: 'latest', targetBytes },
  }
}
