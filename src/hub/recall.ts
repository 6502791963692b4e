import type { ChannelLayer, Replay, ReplayedPublication, ReplayRequest } from '../layers/layer.ts'
import { Publication } from '../publication.ts'
import type { GroupRules } from './group-rules.ts'

/** What a client is to get before what is live: the past of its groups. */
export interface Past {
  /** Oldest first. */
  readonly publications: readonly Publication[]
  /** Groups whose past cannot be given without a hole. */
  readonly lost: readonly string[]
  /** The position that these make up for. */
  readonly cursor: string
  /** Whether a live publication of a group that keeps history is from before that position: it is among the past, or lost with it. */
  covers(publication: Pick<Publication, 'cursor'>): boolean
}

/** How the past travels: `resumed` moves the client's cursor on; `joined` does not, since it is older than what the client has of other groups. */
type Manner = 'resumed' | 'joined'

/** Most bytes of JSON whose frames are kept for others who want the same past. */
const SHARED_BYTES = 4 * 1024 * 1024

/**
 * The past of groups, as the layer keeps it. When a thousand clients come back at once, each publication is framed once for all of
 * them: the last that were recalled stay here, by their cursors.
 */
export class Recall {
  readonly #layer: ChannelLayer
  readonly #rules: GroupRules
  /** The least recently used first. */
  readonly #shared = new Map<string, Publication>()
  #sharedBytes = 0

  constructor(layer: ChannelLayer, rules: GroupRules) {
    this.#layer = layer
    this.#rules = rules
  }

  /** Whether any group keeps history. */
  get isOn(): boolean {
    return this.#rules.keepHistory
  }

  /** Where a client is that has got nothing yet: whatever comes later, it will get. `null` where no group keeps history. */
  get position(): string | null {
    return this.#layer.position
  }

  keepsHistory(group: string): boolean {
    return this.#rules.historyOf(group) !== null
  }

  /** What groups got after a cursor. Rejects with the layer's error. */
  resume(groups: readonly string[], after: string): Promise<Past> {
    const all = new Map(groups.map((group) => [group, null]))
    return this.#recall({ groups: all, after }, 'resumed')
  }

  /** The newest of groups, so many of each, for a client that has nothing of any. Rejects with the layer's error. */
  newest(counts: ReadonlyMap<string, number>): Promise<Past> {
    return this.#recall({ groups: counts, after: null }, 'resumed')
  }

  /** The newest of one group, for a client that has more recent messages of others. Rejects with the layer's error. */
  newestOf(group: string, count: number): Promise<Past> {
    return this.#recall({ groups: new Map([[group, count]]), after: null }, 'joined')
  }

  /** A part of what a group keeps. Rejects with the layer's error. */
  read(
    group: string,
    { after, limit }: { readonly after: string | null; readonly limit: number },
  ): Promise<Replay> {
    return this.#layer.replay({ groups: new Map([[group, limit]]), after })
  }

  async #recall(request: ReplayRequest, manner: Manner): Promise<Past> {
    const replay = await this.#layer.replay(request)
    return {
      publications: replay.publications.map((replayed) => this.#publicationOf(replayed, manner)),
      lost: replay.lost,
      cursor: replay.cursor,
      covers: ({ cursor }) => cursor !== null && replay.covers(cursor),
    }
  }

  #publicationOf({ group, publication: { json, cursor } }: ReplayedPublication, manner: Manner): Publication {
    const slow = this.#rules.slowOf(group)
    if (cursor === null) return new Publication(group, json, null, slow)
    const key = manner === 'joined' ? `past ${cursor}` : cursor
    const known = this.#shared.get(key)
    const shared = known ?? makePublication(group, json, cursor, slow, manner)
    // Deleted first, to come last in the map.
    this.#shared.delete(key)
    this.#shared.set(key, shared)
    if (known === undefined) this.#mind(json.length)
    return shared
  }

  #mind(bytes: number): void {
    this.#sharedBytes += bytes
    for (const [key, { json }] of this.#shared) {
      if (this.#sharedBytes <= SHARED_BYTES) return
      this.#shared.delete(key)
      this.#sharedBytes -= json.length
    }
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
