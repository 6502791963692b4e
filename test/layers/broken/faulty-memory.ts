/**
 * Memory layers that lose and find a broker of make-believe, for the suite about failing brokers: sound ones, and those with one fault each. What a
 * real driver does with sockets these do with flags.
 */
import { errorCodeOf, GroupcastError } from '../../../src/errors.ts'
import type { ChannelLayer, LayerSink, LayerStart } from '../../../src/layers/layer.ts'
import { type MemoryBroker, memoryBroker, memoryLayer } from '../../../src/layers/memory.ts'
import type { BrokerNodes, FaultyWire } from '../../../src/testing/index.ts'

/** What a driver may do wrong. */
export type Fault =
  | 'rejects at the start'
  | 'gives no reason'
  | 'sends later'
  | 'sends again'
  | 'says that it was not sent, and it was'
  | 'says that it was sent, and it was not'
  | 'ends receives'
  | 'says nothing of the loss'
  | 'reports each attempt'
  | 'never notices a stall'
  | 'forgets its groups'
  | 'remembers groups that were discarded'
  | 'recovers nothing'
  | 'recovers what trimming left'
  | 'recovers after it is ready'
  | 'recovers from the beginning'
  | 'takes an empty broker for the same'

const STALL_MS = 30

const unavailable = () => new GroupcastError('layer-unavailable', 'The broker is gone: nothing was sent.')
const unknown = () => new GroupcastError('layer-timeout', 'The broker is gone: it may have been sent.')
const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

/** Nodes of one make-believe broker, all with the fault. */
export function faultyMemory(count: number, fault: Fault | null): BrokerNodes {
  const broker = memoryBroker()
  const layers = Array.from({ length: count }, () => new FaultyLayer(broker, fault))
  return {
    layers: layers.map((layer) => layer.face()),
    wires: layers.map(wireOf),
    broker: {
      keepsHistory: true,
      async kill() {
        for (const layer of layers) layer.sever()
      },
      async start() {
        for (const layer of layers) layer.mend()
      },
      pause() {
        for (const layer of layers) layer.stall()
      },
      resume() {
        for (const layer of layers) if (layer.isStalled) layer.mend()
      },
      async forget() {
        await layers[0]?.flush()
        for (const layer of layers) layer.forgotten()
      },
    },
    dispose() {},
  }
}

function wireOf(layer: FaultyLayer): FaultyWire {
  return {
    ...{ host: 'nowhere', port: 0 },
    cut: () => layer.sever(),
    stall: () => layer.stall(),
    cutAfter: (bytes) => void pause(bytes % 7).then(() => layer.sever()),
    mend: () => layer.mend(),
    close: async () => {},
  }
}

class FaultyLayer {
  readonly #inner: ChannelLayer
  readonly #fault: Fault | null
  readonly #added = new Set<string>()
  readonly #later: (() => Promise<unknown>)[] = []
  readonly #receives = new Set<AbortController>()
  #start: LayerStart | null = null
  #position: string | null = null
  /** The network, and what the layer knows of it. */
  #isUp = true
  #isReady = false
  isStalled = false
  #isClosed = false

  constructor(broker: MemoryBroker, fault: Fault | null) {
    this.#inner = memoryLayer({ broker })
    this.#fault = fault
  }

  get #sink(): LayerSink | undefined {
    return this.#start?.sink
  }

  face(): ChannelLayer {
    const inner = this.#inner
    const position = () => this.#position
    return {
      name: 'faulty memory',
      capabilities: inner.capabilities,
      start: (start) => this.#begin(start),
      groupAdd: (group) =>
        this.#call(async () => {
          await inner.groupAdd(group)
          this.#added.add(group)
        }),
      groupDiscard: async (group) => {
        if (this.#isClosed) throw new GroupcastError('hub-closed')
        if (this.#fault === 'remembers groups that were discarded' && !this.#isReady) return
        this.#added.delete(group)
        await inner.groupDiscard(group)
      },
      groupSend: (group, json) => this.#call(() => inner.groupSend(group, json)),
      get position() {
        return position()
      },
      refresh: () =>
        this.#call(async () => {
          this.#position = inner.position
        }),
      replay: (request) => this.#call(() => inner.replay(request)),
      channelOf: (nodeId, localId) => inner.channelOf(nodeId, localId),
      send: (channel, json) => this.#call(() => inner.send(channel, json)),
      receive: (channel, signal) => this.#receive(channel, signal),
      flush: () => this.#call(() => inner.flush()),
      close: async () => {
        this.#isClosed = true
        await inner.close()
      },
    }
  }

  async #begin(start: LayerStart): Promise<void> {
    const { sink } = start
    if (!this.#isUp && this.#fault === 'rejects at the start') throw unavailable()
    await this.#inner.start({
      ...start,
      sink: {
        deliver: (group, publication) => {
          // What this node does not hear it gets on the way back.
          if (!this.#isReady || this.isStalled) return
          sink.deliver(group, publication)
          this.#position = publication.cursor ?? this.#position
        },
        receive: (channel, json) => sink.receive(channel, json),
        status() {},
      },
    })
    this.#start = start
    this.#position = this.#inner.position
    this.#isReady = this.#isUp
    sink.status(this.#isUp ? { state: 'ready' } : this.#connecting())
  }

  #connecting() {
    return {
      state: 'connecting' as const,
      ...(this.#fault !== 'gives no reason' && { reason: 'It is gone.' }),
    }
  }

  async #call<T>(call: () => Promise<T>): Promise<T> {
    if (this.#isClosed) throw new GroupcastError('hub-closed')
    if (this.#isReady && !this.isStalled) return this.#answered(call)
    if (this.#isReady) {
      if (this.#fault === 'sends again') this.#later.push(call, call)
      await pause(STALL_MS)
      throw unknown()
    }
    if (this.#fault === 'sends later') this.#later.push(call)
    throw unavailable()
  }

  async #answered<T>(call: () => Promise<T>): Promise<T> {
    if (this.#fault === 'says that it was sent, and it was not' && Math.random() < 0.2) return null as T
    const result = await call()
    if (this.#fault === 'says that it was not sent, and it was' && Math.random() < 0.2) throw unavailable()
    return result
  }

  async #receive(channel: string, signal?: AbortSignal): Promise<string> {
    const ending = new AbortController()
    this.#receives.add(ending)
    const signals = signal === undefined ? [ending.signal] : [ending.signal, signal]
    return this.#inner.receive(channel, AbortSignal.any(signals)).finally(() => this.#receives.delete(ending))
  }

  sever(): void {
    if (!this.#isUp) return
    this.#isUp = false
    const wasReady = this.#isReady
    this.#isReady = false
    if (this.#fault === 'ends receives') for (const receive of this.#receives) receive.abort(unavailable())
    if (!wasReady || this.#fault === 'says nothing of the loss') return
    this.#sink?.status(this.#connecting())
    const reports = this.#fault === 'reports each attempt' ? 10 : 1
    for (let turn = 0; turn < reports; turn++) this.#sink?.report?.(unavailable())
  }

  stall(): void {
    this.isStalled = true
    if (this.#fault === 'never notices a stall') return
    void pause(STALL_MS).then(() => {
      if (this.isStalled) this.sever()
    })
  }

  forgotten(): void {
    if (this.#fault === 'takes an empty broker for the same') return
    this.sever()
    this.mend()
  }

  flush(): Promise<void> {
    return this.#inner.flush()
  }

  mend(): void {
    const wasUp = this.#isUp
    this.#isUp = true
    this.isStalled = false
    if (wasUp || this.#isClosed || this.#start === null) return
    this.#recover().catch((error) => {
      if (errorCodeOf(error) !== 'hub-closed') throw error
    })
  }

  async #recover(): Promise<void> {
    const { historyOf } = this.#start as LayerStart
    const groups = [...this.#added].filter((group) => historyOf(group) !== null)
    const after = this.#fault === 'recovers from the beginning' ? null : this.#position
    const request = { groups: new Map(groups.map((group) => [group, null] as const)), after }
    const replay = await this.#inner.replay(request)
    let { lost, publications } = replay
    if (this.#fault === 'recovers what trimming left' && lost.length > 0) {
      publications = (await this.#inner.replay({ ...request, after: null })).publications
      lost = []
    }
    const recovered = () => {
      const from = this.#position
      this.#position = replay.cursor
      if (this.#fault !== 'recovers nothing')
        this.#sink?.recovered?.({ publications, lost, after: from, cursor: replay.cursor })
    }
    if (!this.#isUp) return
    if (this.#fault === 'forgets its groups')
      for (const group of this.#added) await this.#inner.groupDiscard(group)
    if (this.#fault !== 'recovers after it is ready') recovered()
    this.#isReady = true
    this.#sink?.status({ state: 'ready' })
    if (this.#fault === 'recovers after it is ready') recovered()
    for (const call of this.#later.splice(0)) await call().catch(() => {})
  }
}
