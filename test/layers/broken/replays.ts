/** What layers that break history are made of. */
import type { HistoryBounds } from '../../../src/history.ts'
import { decodeCursor, encodeCursor } from '../../../src/layers/cursor.ts'
import type { ChannelLayer, LayerStart, Replay, ReplayRequest } from '../../../src/layers/layer.ts'
import type { LayerConformanceOptions } from '../../../src/testing/index.ts'
import { each } from './broken-layer.ts'

/** Layers whose replays differ: made of a sound one, or of further requests. */
export function replaying(
  change: (request: ReplayRequest, inner: ChannelLayer) => Promise<Partial<Replay>> | Partial<Replay>,
): LayerConformanceOptions['create'] {
  return each((inner) => ({
    async replay(request) {
      const changes = await change(request, inner)
      return { ...(await inner.replay(request)), ...changes }
    },
  }))
}

/** Layers that ask for something else than they are asked for. */
export function asking(
  change: (request: ReplayRequest, inner: ChannelLayer) => Partial<ReplayRequest>,
): LayerConformanceOptions['create'] {
  return each((inner) => ({
    replay: (request) => inner.replay({ ...request, ...change(request, inner) }),
  }))
}

/** Layers that give groups other bounds than they should. */
export function bounded(
  change: (bounds: HistoryBounds, group: string) => HistoryBounds | null,
): LayerConformanceOptions['create'] {
  return each((inner) =>
    withHistoryOf(inner, (group, bounds) => (bounds === null ? null : change(bounds, group))),
  )
}

/** A `start` that changes which groups keep history. */
export function withHistoryOf(
  inner: ChannelLayer,
  change: (group: string, bounds: HistoryBounds | null) => HistoryBounds | null,
): Pick<ChannelLayer, 'start'> {
  return {
    start: (start: LayerStart) =>
      inner.start({ ...start, historyOf: (group) => change(group, start.historyOf(group)) }),
  }
}

export const AMPLE: HistoryBounds = { count: 10_000, ageMs: 1e9, bytes: 1e9 }

/** The number in a cursor of the memory layer; `NaN` for others. */
export function sequenceOf(cursor: string | null): number {
  return cursor === null ? Number.NaN : (decodeCursor(cursor)?.sequence ?? Number.NaN)
}

/** A cursor with another number. */
export function shifted(cursor: string, by: number): string {
  const position = decodeCursor(cursor)
  return position === null ? cursor : encodeCursor(position.epoch, Math.max(0, position.sequence + by))
}

/** Where a layer is, in words of the memory layer. */
export async function positionOf(inner: ChannelLayer): Promise<string> {
  return (await inner.replay({ after: null, groups: new Map() })).cursor
}

/** All that groups keep. */
export function newest(inner: ChannelLayer, groups: Iterable<string>): Promise<Replay> {
  return inner.replay({ after: null, groups: new Map([...groups].map((group) => [group, null])) })
}

export function isAfter(replayed: Replay['publications'][number], cursor: string): boolean {
  return sequenceOf(replayed.publication.cursor) > sequenceOf(cursor)
}
