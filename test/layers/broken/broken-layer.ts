/** What deliberately broken layers are made of: memory layers on one broker, with a change. */
import type { ChannelLayer, LayerSink } from '../../../src/layers/layer.ts'
import { memoryBroker, memoryLayer } from '../../../src/layers/memory.ts'
import type { ConformanceSetup, LayerConformanceOptions } from '../../../src/testing/index.ts'

/** A layer with one fault. */
export interface BrokenLayer {
  /** Reads on from "a layer that". */
  readonly what: string
  /** Numbers of cases that must fail; all of the obligation that the fault breaks. */
  readonly caughtBy: readonly string[]
  readonly create: LayerConformanceOptions['create']
}

/** What makes a layer different from the one that it wraps. */
export type Change = (inner: ChannelLayer, setup: ConformanceSetup) => Partial<ChannelLayer>

/** Layers that are fine. */
export function soundLayers(count: number, setup: ConformanceSetup): ChannelLayer[] {
  const broker = memoryBroker(setup)
  return Array.from({ length: count }, () => memoryLayer({ broker }))
}

/** A layer that does what another does, but for the changes. */
export function changed(inner: ChannelLayer, changes: Partial<ChannelLayer>): ChannelLayer {
  const layer: ChannelLayer = {
    name: inner.name,
    capabilities: inner.capabilities,
    start: (start) => inner.start(start),
    groupAdd: (group) => inner.groupAdd(group),
    groupDiscard: (group) => inner.groupDiscard(group),
    groupSend: (group, json) => inner.groupSend(group, json),
    refresh: () => inner.refresh(),
    replay: (request) => inner.replay(request),
    channelOf: (nodeId, localId) => inner.channelOf(nodeId, localId),
    send: (channel, json) => inner.send(channel, json),
    receive: (channel, signal) => inner.receive(channel, signal),
    flush: () => inner.flush(),
    close: () => inner.close(),
    // What it is at the time: spread, it would be what it was when the layer was made.
    get position() {
      return inner.position
    },
  }
  return Object.defineProperties(layer, Object.getOwnPropertyDescriptors(changes))
}

/** All nodes changed; `begin` is called once a case, for state that they share. */
export function all(begin: () => Change): LayerConformanceOptions['create'] {
  return (count, setup) => {
    const change = begin()
    return { layers: soundLayers(count, setup).map((inner) => changed(inner, change(inner, setup))) }
  }
}

/** All nodes changed, none knowing of another. */
export function each(change: Change): LayerConformanceOptions['create'] {
  return all(() => change)
}

/** Nodes that are fine, of a broker with another configuration. */
export function configured(
  change: (setup: ConformanceSetup) => ConformanceSetup,
): LayerConformanceOptions['create'] {
  return (count, setup) => ({ layers: soundLayers(count, change(setup)) })
}

/** A `start` that puts something between the layer and its sink. */
export function withSink(
  inner: ChannelLayer,
  change: (sink: LayerSink) => Partial<LayerSink>,
): Pick<ChannelLayer, 'start'> {
  return {
    start({ sink, ...start }) {
      const same: LayerSink = {
        deliver: (group, publication) => sink.deliver(group, publication),
        receive: (channel, json) => sink.receive(channel, json),
        status: (status) => sink.status(status),
      }
      return inner.start({ ...start, sink: { ...same, ...change(sink) } })
    },
  }
}

/** The value of a key, made at the first call. */
export function entryOf<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const known = map.get(key)
  if (known !== undefined) return known
  const made = make()
  map.set(key, made)
  return made
}

/** Whether a channel belongs to a node. */
export function isNodeChannel(channel: string): boolean {
  return channel.includes('!')
}

/**
 * Layers that call one sink after another, also from within a sink's call, and let a sink's error through.
 */
export function naiveLayers(count: number, setup: ConformanceSetup): { layers: ChannelLayer[] } {
  const members = new Map<string, Set<LayerSink>>()
  const layers = soundLayers(count, setup).map((inner) => {
    let own: LayerSink
    return changed(inner, {
      start(start) {
        own = start.sink
        return inner.start(start)
      },
      groupAdd: async (group) => void entryOf(members, group, () => new Set()).add(own),
      async groupSend(group, json) {
        for (const sink of members.get(group) ?? []) sink.deliver(group, { json, cursor: null })
        return null
      },
    })
  })
  return { layers }
}
