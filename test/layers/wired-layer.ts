/**
 * Memory layers as they would be at the end of a wire: what is asked for and what is delivered takes a while, each way in order. They prove that
 * cases of the suite do not lean on a layer that does everything at once.
 */
import type { ChannelLayer } from '../../src/layers/layer.ts'
import type { ConformanceSetup } from '../../src/testing/index.ts'
import { changed, soundLayers, withSink } from './broken/broken-layer.ts'

/** Layers that share a broker, each with its own wire. */
export function wiredLayers(count: number, setup: ConformanceSetup): ChannelLayer[] {
  return soundLayers(count, setup).map(wired)
}

function wired(inner: ChannelLayer): ChannelLayer {
  const there = later()
  const back = later()
  // What it got is what it knows of where it is.
  let position: string | null = null
  const around = withSink(inner, (sink) => ({
    deliver(group, publication) {
      void back(() => {
        sink.deliver(group, publication)
        position = publication.cursor ?? position
      })
    },
  }))
  return changed(inner, {
    async start(start) {
      await around.start(start)
      position = inner.position
    },
    get position() {
      return position
    },
    groupAdd: (group) => there(() => inner.groupAdd(group)),
    groupDiscard: (group) => there(() => inner.groupDiscard(group)),
    groupSend: (group, json) => there(() => inner.groupSend(group, json)),
    async refresh() {
      await there(() => inner.refresh())
      const now = inner.position
      await back(() => {
        position = now
      })
    },
    async replay(request) {
      const replay = await there(() => inner.replay(request))
      // Behind what was delivered before it was taken.
      return back(() => replay)
    },
    flush: () => there(() => inner.flush()),
  })
}

/** Does things some turns later, in order. */
function later(): <T>(act: () => Promise<T> | T) => Promise<T> {
  let before: Promise<unknown> = Promise.resolve()
  let calls = 0
  return (act) => {
    const turns = calls++ % 3
    const done = before.then(async () => {
      for (let turn = 0; turn < turns; turn++) await new Promise(setImmediate)
      return act()
    })
    before = done.catch(() => {})
    return done
  }
}
