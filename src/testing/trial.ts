/** What conformance cases are written with: started nodes on a fresh broker, fences, time. */
import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import { systemClock } from '../clock.ts'
import { ChannelFullError } from '../errors.ts'
import type { HistoryBounds } from '../history.ts'
import type { LayerCapabilities } from '../layers/layer.ts'
import { keptGroups } from './kept-groups.ts'
import type { ConformanceClient, ConformanceNodes, LayerConformanceOptions } from './layer-options.ts'
import { type ManualClock, manualClock } from './manual-clock.ts'
import { Patience } from './patience.ts'
import { fenceOf, TestNode } from './test-node.ts'
import { assertWithoutHistory } from './without-history.ts'
import { assertWithoutQueues } from './without-queues.ts'

/** A case before it has a driver. */
export interface CaseSpec {
  readonly title: string
  /** Nodes without which the case makes no sense: 1 unless given. */
  readonly minNodes?: number
  /** Capacity of channels; the driver's default unless given. */
  readonly capacity?: number
  /** Whether messages expire after the suite's `expiryMs`, rather than after the driver's default. */
  readonly expires?: true
  /**
   * A manual clock: the case is left out without one. History and queues: where a layer does not have the capability, the case is that
   * it does cleanly without (obligations 23 and 6).
   */
  readonly needs?: 'manual clock' | 'history' | 'queues'
  run(trial: Trial): Promise<void>
}

/** The options of the suite, filled in. */
export type TrialOptions = Required<LayerConformanceOptions>

/** Runs one case from fresh layers to closed ones. */
export async function runCase(spec: CaseSpec, options: TrialOptions): Promise<void> {
  const trial = await Trial.begin(spec, options)
  try {
    await trial.start()
    await trial.ready()
    // What a driver cannot do it must not do silently: instead of such a case there is this.
    if (spec.needs === 'history' && !trial.keepsHistory) await assertWithoutHistory(trial.nodes)
    else if (spec.needs === 'queues' && !trial.keepsQueues)
      await assertWithoutQueues(trial.nodes, trial.patience)
    else await spec.run(trial)
    await trial.close()
    trial.assertSinksRespected()
  } finally {
    // Again, for a case that failed before it came to that. Why is known; that it cannot close besides adds
    // nothing.
    await trial.close().catch(() => {})
    await trial.dispose()
  }
}

/** One run of a case. */
export class Trial {
  readonly nodes: readonly TestNode[]
  readonly expiryMs: number
  readonly seed: number
  readonly patience: Patience
  readonly #spec: CaseSpec
  readonly #options: TrialOptions
  readonly #made: ConformanceNodes
  readonly #clock: ManualClock | null
  readonly #historyOf: (group: string) => HistoryBounds | null
  readonly #others: Trial[] = []
  #fences = 0

  /** Makes the layers; `start` starts them. */
  static async begin(spec: CaseSpec, options: TrialOptions): Promise<Trial> {
    const clock = options.clock === 'manual' ? manualClock() : null
    const made = await options.create(options.nodes, {
      clock: clock ?? systemClock,
      ...(spec.capacity === undefined ? {} : { capacity: spec.capacity }),
      ...(spec.expires === undefined ? {} : { expiryMs: options.expiryMs }),
    })
    return new Trial(spec, options, made, clock)
  }

  private constructor(
    spec: CaseSpec,
    options: TrialOptions,
    made: ConformanceNodes,
    clock: ManualClock | null,
  ) {
    assert.equal(made.layers.length, options.nodes, 'create() must return as many layers as it was asked for')
    this.#historyOf = keptGroups(options.expiryMs)
    this.patience = new Patience(options.deadlineMs)
    this.nodes = made.layers.map((layer) => new TestNode(layer, this.#historyOf, this.patience))
    this.expiryMs = options.expiryMs
    this.seed = options.seed
    this.#spec = spec
    this.#options = options
    this.#made = made
    this.#clock = clock
  }

  /** Whether the layers say that they can replay. */
  get keepsHistory(): boolean {
    return this.#declared('replay') === true
  }

  /** Whether the layers say that they keep messages of channels for readers that come later. */
  get keepsQueues(): boolean {
    return this.#declared('queues') === true
  }

  /** Whether the layers say that they keep the order of one sender across groups. */
  get keepsOrderAcrossGroups(): boolean {
    return this.#declared('order') === 'sender'
  }

  #declared(capability: keyof LayerCapabilities): unknown {
    const [declared, ...others] = new Set(this.nodes.map(({ layer }) => layer.capabilities[capability]))
    assert.deepEqual(others, [], 'all nodes must declare the same capabilities')
    const allowed: readonly unknown[] = capability === 'order' ? ['sender', 'group'] : [true, false]
    assert.ok(allowed.includes(declared), `capabilities.${capability} is ${allowed.join(' or ')}`)
    return declared
  }

  async start(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.start()))
  }

  /** Resolves when no node says any more that its broker cannot be used: its first attempt may have failed (obligation 24), as on a busy machine. */
  async ready(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.sink.isDown && node.ready()))
  }

  /** Other layers, started, that know nothing of these. They end with this trial. */
  async another(): Promise<Trial> {
    const other = await Trial.begin(this.#spec, this.#options)
    this.#others.push(other)
    await other.start()
    await other.ready()
    return other
  }

  get first(): TestNode {
    return this.node(0)
  }

  /** Another node than the first, where there is one. */
  get last(): TestNode {
    return this.node(this.nodes.length - 1)
  }

  /** The nodes by turns: the first for 0, the second for 1, … and round again. */
  node(turn: number): TestNode {
    return this.nodes[turn % this.nodes.length] as TestNode
  }

  /** What became of the drivers' clients. */
  async clients(): Promise<readonly ConformanceClient[]> {
    return (await this.#made.clients?.()) ?? []
  }

  /** Lets time go on for the layers. */
  async advance(ms: number): Promise<void> {
    if (this.#clock === null) await delay(ms)
    else this.#clock.advance(ms)
  }

  /** All nodes add the groups. */
  async addAll(...groups: string[]): Promise<void> {
    await Promise.all(groups.flatMap((group) => this.nodes.map((node) => node.add(group))))
  }

  /**
   * Resolves when everything that `from` sent to groups has reached every node that it is going to reach:
   * publications of one sender arrive in order, so what is not there when a later one is will never be.
   * Proves absence without a sleep. Where order holds within a group only, each group gets a fence of its own.
   */
  async fence(from: TestNode): Promise<void> {
    const n = this.#fences++
    const open = this.nodes.filter((node) => !node.sink.isClosed)
    if (this.keepsOrderAcrossGroups) {
      await this.#fenceGroup(from, `fence.${n}`, open, fenceOf(n))
    } else {
      const groups = new Set(open.flatMap((node) => [...node.sink.groups]))
      for (const group of groups) {
        const members = open.filter((node) => node.sink.groups.has(group))
        // A group with history would keep the fence; those have one order, which one of their own shows.
        const fenced = this.#historyOf(group) === null ? group : `kept.fence.${n}`
        await this.#fenceGroup(from, fenced, members, fenceOf(n))
      }
    }
    // For a layer that repeats a publication a moment later.
    await new Promise(setImmediate)
  }

  async #fenceGroup(
    from: TestNode,
    group: string,
    members: readonly TestNode[],
    fence: string,
  ): Promise<void> {
    await Promise.all(members.map((node) => node.add(group)))
    await from.publishJson(group, fence)
    await Promise.all(members.map((node) => node.fenced(group, fence)))
  }

  /** Fails unless the channel is empty: the next message is the one that is sent now. */
  async assertEmpty(channel: string, why: string): Promise<void> {
    await this.first.send(channel, FENCE)
    assert.equal(await this.last.take(channel), FENCE, why)
  }

  /** Fails unless the sending rejects because the channel is full. */
  async assertFull(sending: Promise<unknown>, channel: string): Promise<void> {
    const error = await rejection(sending)
    assert.ok(error instanceof ChannelFullError, `it must reject with ChannelFullError, not with ${error}`)
    assert.equal(error.channel, channel, 'ChannelFullError names the channel')
  }

  /** Closes the layers that are open. */
  async close(): Promise<void> {
    await Promise.all([...this.nodes, ...this.#others].map((one) => one.close()))
  }

  /** Ends what `create` began. */
  async dispose(): Promise<void> {
    for (const other of this.#others) await other.dispose()
    await this.#made.dispose?.()
  }

  /** Fails if a layer called a sink when it may not. */
  assertSinksRespected(): void {
    assert.deepEqual(
      this.nodes.flatMap((node) => node.sink.violations),
      [],
    )
  }
}

/** A number that no case sends otherwise. */
const FENCE = -1

/** What the promise rejects with; fails when it resolves. */
export async function rejection(promise: Promise<unknown>): Promise<unknown> {
  let value: unknown
  try {
    value = await promise
  } catch (error) {
    return error
  }
  assert.fail(`It must reject, but resolved with ${JSON.stringify(value)}`)
}

/** The whole numbers from `from` up to and without `end`. */
export function range(from: number, end: number): number[] {
  return Array.from({ length: end - from }, (_, index) => from + index)
}
