/**
 * Memory layers of one broker that can lose it, as a layer with a broker elsewhere would: calls reject, publications pass by, and on the way back
 * the sink hears of what it missed. Each knows where it is from what it has got.
 */
import { GroupcastError } from '../../src/errors.ts'
import type { ChannelLayer, LayerSink } from '../../src/layers/layer.ts'
import { type MemoryBroker, memoryBroker, memoryLayer } from '../../src/layers/memory.ts'

export interface SeverableLayer extends ChannelLayer {
  sever(reason?: string): void
  /** Back again. `lost`: groups of which it is said that nobody knows what they got. */
  restore(lost?: readonly string[]): Promise<void>
}

export function severableLayer(broker: MemoryBroker = memoryBroker()): SeverableLayer {
  const inner = memoryLayer({ broker })
  const added = new Set<string>()
  let sink: LayerSink
  let historyOf: (group: string) => unknown = () => null
  let position: string | null = null
  let isSevered = false
  const through =
    <A extends unknown[], T>(call: (...args: A) => Promise<T>) =>
    async (...args: A): Promise<T> => {
      if (isSevered) throw new GroupcastError('layer-unavailable', 'The broker is gone: nothing was sent.')
      return call(...args)
    }
  return {
    name: 'severable',
    capabilities: inner.capabilities,
    async start(start) {
      sink = start.sink
      historyOf = start.historyOf
      await inner.start({
        ...start,
        sink: {
          deliver(group, publication) {
            if (isSevered) return
            sink.deliver(group, publication)
            position = publication.cursor ?? position
          },
          receive: (channel, json) => sink.receive(channel, json),
          status: (status) => sink.status(status),
        },
      })
      position = inner.position
    },
    groupAdd: through(async (group: string) => {
      await inner.groupAdd(group)
      added.add(group)
    }),
    async groupDiscard(group) {
      added.delete(group)
      await inner.groupDiscard(group)
    },
    groupSend: through((group: string, json: string) => inner.groupSend(group, json)),
    get position() {
      return position
    },
    refresh: through(async () => {
      position = inner.position
    }),
    replay: through(async (request: Parameters<ChannelLayer['replay']>[0]) => {
      const replay = await inner.replay(request)
      position = replay.cursor
      return replay
    }),
    channelOf: (nodeId, localId) => inner.channelOf(nodeId, localId),
    send: through((channel: string, json: string) => inner.send(channel, json)),
    receive: (channel, signal) => inner.receive(channel, signal),
    flush: through(() => inner.flush()),
    close: () => inner.close(),
    sever(reason = 'The broker is gone.') {
      isSevered = true
      sink.status({ state: 'connecting', reason })
    },
    async restore(lost = []) {
      const groups = [...added].filter((group) => historyOf(group) !== null)
      const asked = groups.filter((group) => !lost.includes(group))
      const after = position
      const replay = await inner.replay({ groups: new Map(asked.map((group) => [group, null])), after })
      isSevered = false
      position = replay.cursor
      const gone = [...replay.lost, ...lost.filter((group) => added.has(group))]
      sink.recovered?.({ publications: replay.publications, lost: gone, after, cursor: replay.cursor })
      sink.status({ state: 'ready' })
    },
  }
}
