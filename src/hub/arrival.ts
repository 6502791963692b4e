import type { Past, Recall } from './recall.ts'

/** What a client at the door is to get of the past. Lives until it is let in. */
export class Arrival {
  readonly #recall: Recall
  /** From where it wants to resume; `null`: it is new. */
  readonly #after: string | null
  /** Where it was when it knocked, before it was in any group: all that it gets live comes later. */
  readonly #knocked: string | null
  /** How many of the newest messages it wants, by group. */
  #counts: Map<string, number> | null = null
  /** Groups of whose past it may have nothing. */
  #denied: Set<string> | null = null
  /** What it must be told before its past: groups of which it has missed something. */
  reset: { readonly groups: readonly string[]; readonly cursor: string } | null = null
  /** It brought a cursor, and is in groups that keep history. */
  hasResumed = false
  /** It has a cursor, or gets one with the first message of its past. */
  #hasCursor = false

  constructor(recall: Recall, after: string | null) {
    this.#recall = recall
    this.#after = after
    this.#knocked = recall.position
  }

  /** The cursor that it starts with, unless it brought one or gets one with its past. */
  get cursor(): string | null {
    return this.#hasCursor ? null : this.#knocked
  }

  /** It joins a group and wants so many of its newest messages, or may have none (`null`); the last join of a group counts. */
  wants(group: string, count: number | null): void {
    if (count === null) {
      this.#denied ??= new Set()
      this.#denied.add(group)
    } else this.#denied?.delete(group)
    if (count === null || count === 0) {
      this.#counts?.delete(group)
      return
    }
    this.#counts ??= new Map()
    this.#counts.set(group, count)
  }

  /** The past of the groups that it has joined by now; `null`: none. Rejects with the layer's error. */
  async past(groups: readonly string[]): Promise<Past | null> {
    const kept = groups.filter(
      (group) => this.#recall.keepsHistory(group) && this.#denied?.has(group) !== true,
    )
    if (kept.length === 0) return null
    if (this.#after !== null) {
      this.#hasCursor = true
      this.hasResumed = true
      return this.#resume(kept, this.#after)
    }
    if (this.#counts === null || this.#counts.size === 0) return this.#sinceKnocked(kept)
    return this.#newest(kept, this.#counts)
  }

  /** Joining takes its time: what its groups got meanwhile comes after the cursor that it starts with, so it must not be missing. */
  async #sinceKnocked(groups: readonly string[]): Promise<Past | null> {
    return this.#knocked === null ? null : this.#resume(groups, this.#knocked)
  }

  /**
   * A reset comes first, and must not move the cursor over what follows: cut in the middle, the client would never hear of the rest. Nor may
   * it come last: with the cursor of a message before it, the client would never hear of the reset.
   */
  async #resume(groups: readonly string[], after: string): Promise<Past> {
    const past = await this.#recall.resume(groups, after)
    const { publications, lost, cursor } = past
    if (lost.length > 0) this.reset = { groups: lost, cursor: publications.length === 0 ? cursor : after }
    return past
  }

  /** The newest of some groups, then what all groups got since it knocked: in order, so that the cursor of each is one to resume from. */
  async #newest(groups: readonly string[], counts: ReadonlyMap<string, number>): Promise<Past> {
    const wanted = new Map(groups.flatMap((group) => entryOf(counts, group)))
    const newest = await this.#recall.newest(wanted, 'resumed')
    if (this.#knocked === null) return this.#startingWith(newest)
    const since = await this.#recall.resume(groups, this.#knocked)
    // More came meanwhile than a group keeps: what it has now, and what was held back for the client. That is older in part, of other groups:
    // cursors ahead of it would say that it has come.
    if (since.lost.length > 0) return { ...(await this.#recall.newest(wanted, 'joined')), lost: [] }
    // By cursor: large publications are not shared, so they are not the same objects.
    const later = new Set(since.publications.map(({ cursor }) => cursor))
    const older = newest.publications.filter(({ cursor }) => !later.has(cursor))
    return this.#startingWith({ ...since, publications: [...older, ...since.publications] })
  }

  /** Its first cursor comes with the past, if there is any. */
  #startingWith(past: Past): Past {
    this.#hasCursor = past.publications.length > 0
    return past
  }
}

function entryOf(counts: ReadonlyMap<string, number>, group: string): [string, number][] {
  const count = counts.get(group)
  return count === undefined ? [] : [[group, count]]
}
