import type { Clock } from '../clock.ts'
import type { ChannelLayer, Replay, ReplayedPublication } from '../layers/layer.ts'
import { Publication } from '../publication.ts'
import type { GroupRules } from './group-rules.ts'

/** Where a live publication stands that came while the past was on its way: it is among the past, or goes before it, or after it. */
export type Place = 'repeated' | 'older' | 'later'

/**
 * Where the past goes among what was held back for it. What is older goes before it, and so does all that came before the last of that, of
 * whatever group: a cursor says that everything up to it has come, so nothing live may overtake.
 */
export function aroundPast<T>(
  held: readonly T[],
  placeOf: (live: T) => Place,
): { readonly before: readonly T[]; readonly after: readonly T[] } {
  const places = held.map(placeOf)
  const middle = places.lastIndexOf('older') + 1
  const isNew = (_live: T, index: number) => places[index] !== 'repeated'
  const kept = held.filter(isNew)
  const count = held.slice(0, middle).filter(isNew).length
  return { before: kept.slice(0, count), after: kept.slice(count) }
}

/** What a client is to get before what is live: the past of its groups. */
export interface Past {
  /** Oldest first. */
  readonly publications: readonly Publication[]
  /** Groups whose past cannot be given without a hole. */
  readonly lost: readonly string[]
  /** The position that these make up for. */
  readonly cursor: string
  placeOf(live: Pick<Publication, 'group' | 'cursor'>): Place
}

/** How the past travels: `resumed` moves the client's cursor on; `joined` does not, since it is older than what the client has of other groups. */
export type Manner = 'resumed' | 'joined'

/** Most bytes of publications that are kept for others who want the same past: their texts and frames, about. */
const SHARED_BYTES = 32 * 1024 * 1024
/** What keeping one costs besides its texts: the objects, and a frame in one format. */
const ENTRY_BYTES = 600
/** The text, inside an envelope, and as a frame. */
const COPIES = 3
/** So long after the first of them they are let go: clients that come back together do so within seconds. */
const SHARED_MS = 10_000

/**
 * The past of groups, as the layer keeps it. When a thousand clients come back at once, each publication is framed once for all of
 * them: what was recalled stays here for a while, by its cursor.
 */
export class Recall {
  readonly #layer: ChannelLayer
  readonly #started: Promise<void>
  readonly #rules: GroupRules
  readonly #clock: Clock
  readonly #shared = new Map<string, Publication>()
  #sharedBytes = 0
  #stopTimer: (() => void) | null = null

  /** @param started resolves when the layer can be used */
  constructor(layer: ChannelLayer, started: Promise<void>, rules: GroupRules, clock: Clock) {
    this.#layer = layer
    this.#started = started
    this.#rules = rules
    this.#clock = clock
  }

  /** Whether any group keeps history. */
  get isOn(): boolean {
    return this.#rules.keepHistory
  }

  /** Where a client is that has got nothing yet: whatever comes later, it will get. `null` where the layer does not know yet. */
  get position(): string | null {
    return this.#layer.position
  }

  /**
   * Resolves when the position is that of now, or cannot be known: the failure is for those who ask the layer for something. An older one would
   * do for what a client missed, but not for one that is new: it would get what was sent before it came.
   */
  async refresh(): Promise<void> {
    try {
      await this.#started
      await this.#layer.refresh()
    } catch {
      // Whoever joins a group will hear of it.
    }
  }

  keepsHistory(group: string): boolean {
    return this.#rules.historyOf(group) !== null
  }

  /** What groups got after a cursor: all of it, or it is lost. Rejects with the layer's error. */
  async resume(groups: readonly string[], after: string): Promise<Past> {
    const replay = await this.#layer.replay({ groups: new Map(groups.map((group) => [group, null])), after })
    const concerned = new Set(groups)
    return {
      ...this.#pastOf(replay, 'resumed'),
      // What is lost is in the snapshot that the client loads.
      placeOf: ({ group, cursor }) =>
        cursor !== null && concerned.has(group ?? '') && replay.covers(cursor) ? 'repeated' : 'later',
    }
  }

  /** The newest of groups, so many of each. Rejects with the layer's error. */
  async newest(counts: ReadonlyMap<string, number>, manner: Manner): Promise<Past> {
    const replay = await this.#layer.replay({ groups: counts, after: null })
    const given = new Set(replay.publications.map(({ publication }) => publication.cursor))
    return {
      ...this.#pastOf(replay, manner),
      placeOf({ group, cursor }) {
        if (cursor === null || !counts.has(group ?? '') || !replay.covers(cursor)) return 'later'
        // More came since the client joined than it wants of the past.
        return given.has(cursor) ? 'repeated' : 'older'
      },
    }
  }

  /** A part of what a group keeps. Rejects with the layer's error. */
  read(
    group: string,
    { after, limit }: { readonly after: string | null; readonly limit: number },
  ): Promise<Replay> {
    return this.#layer.replay({ groups: new Map([[group, limit]]), after })
  }

  /** Forgets what it shares. */
  forget(): void {
    this.#stopTimer?.()
    this.#stopTimer = null
    this.#shared.clear()
    this.#sharedBytes = 0
  }

  #pastOf({ publications, lost, cursor }: Replay, manner: Manner): Omit<Past, 'placeOf'> {
    return {
      publications: publications.map((replayed) => this.#publicationOf(replayed, manner)),
      lost,
      cursor,
    }
  }

  #publicationOf({ group, publication: { json, cursor } }: ReplayedPublication, manner: Manner): Publication {
    const slow = this.#rules.slowOf(group)
    if (cursor === null) return new Publication(group, json, null, slow)
    const key = manner === 'joined' ? `past ${cursor}` : cursor
    const shared = this.#shared.get(key)
    if (shared !== undefined) return shared
    const made = makePublication(group, json, cursor, slow, manner)
    this.#share(key, made)
    return made
  }

  /** Nothing makes room: when all come back at once, each walks through all of it, and would find the oldest gone. */
  #share(key: string, publication: Publication): void {
    const bytes = publication.json.length * COPIES + ENTRY_BYTES
    if (this.#sharedBytes + bytes > SHARED_BYTES) return
    this.#shared.set(key, publication)
    this.#sharedBytes += bytes
    this.#stopTimer ??= this.#clock.after(SHARED_MS, () => this.forget())
  }
}

function makePublication(
  group: string,
  json: string,
  cursor: string,
  slow: Publication['slow'],
  manner: Manner,
): Publication {
  return manner === 'joined'
    ? new Publication(group, json, null, slow, cursor)
    : new Publication(group, json, cursor, slow)
}
