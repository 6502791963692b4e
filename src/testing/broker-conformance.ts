/** Obligations 24 to 29: what a layer whose broker is another process does when that fails. */
import { MisuseError } from '../errors.ts'
import type { ChannelLayer } from '../layers/layer.ts'
import { quote } from '../names.ts'
import { backCases } from './broker-cases/back.ts'
import { lossCases } from './broker-cases/loss.ts'
import { stallCases } from './broker-cases/stall.ts'
import { startCases } from './broker-cases/start.ts'
import type { BrokerSpec } from './broker-trial.ts'
import type { FaultyWire } from './faulty-wire.ts'
import type { ConformanceCase } from './layer-options.ts'
import { Trial } from './trial.ts'

/** A broker that runs as a process of its own, for one case. */
export interface FaultyBroker {
  /** Whether history is there again after {@link kill} and {@link start}. */
  readonly keepsHistory: boolean
  /** Ends it without warning: SIGKILL. Resolves when it is gone. */
  kill(): Promise<void>
  /** Starts it again, on the same port, with what it kept. Resolves when it accepts connections. */
  start(): Promise<void>
  /** Stops it where it is: SIGSTOP. Its connections stay open. */
  pause(): void
  /** SIGCONT. */
  resume(): void
  /** Forgets all that layers keep there, while it runs: another operator's mistake. */
  forget(): Promise<void>
}

/** The nodes of one case, each with a wire of its own, and their broker. */
export interface BrokerNodes {
  /** Not started. */
  readonly layers: readonly ChannelLayer[]
  /** That of each layer. */
  readonly wires: readonly FaultyWire[]
  readonly broker: FaultyBroker
  /** Called when the case is over, whether it passed or not: ends whatever `create` began. */
  dispose(): unknown
}

/** How {@link brokerConformance} gets at a driver and its broker. */
export interface BrokerConformanceOptions {
  /** Makes `count` layers on a broker of their own, each connected through a `faultyWire`. Cases run one after another, or not. */
  create(count: number): Promise<BrokerNodes>
  /** How long anything may take before the case fails: 20 000 ms unless given. Twice what obligation 28 allows. */
  readonly deadlineMs?: number
  /** Repeats what a case does at random; failures print theirs. */
  readonly seed?: number
}

/**
 * All that the contract of channel layers asks of a driver when its broker fails, as cases for any test runner. They cut wires, kill and stop the
 * broker; some wait until a stalled connection is noticed, which takes up to 10 s.
 *
 * @throws {MisuseError} (code `invalid-option`) for numbers that are not positive
 */
export function brokerConformance(options: BrokerConformanceOptions): ConformanceCase[] {
  const { deadlineMs = 20_000, seed = Math.floor(Math.random() * 2 ** 32) } = options
  if (!(deadlineMs >= 1)) {
    throw new MisuseError('invalid-option', `deadlineMs is ${quote(deadlineMs)}: it must be a number from 1.`)
  }
  return CASES.map((spec) => ({
    obligation: Number.parseInt(spec.title, 10),
    title: spec.title,
    run: () => runCase(spec, { create: options.create, deadlineMs, seed }),
  }))
}

const CASES: readonly BrokerSpec[] = [...startCases, ...lossCases, ...stallCases, ...backCases]

const NODES = 3

async function runCase(spec: BrokerSpec, options: Required<BrokerConformanceOptions>): Promise<void> {
  const { deadlineMs, seed } = options
  const made = await options.create(NODES)
  const trial = await Trial.begin(
    { title: spec.title, run: async () => {} },
    { ...{ clock: 'real', nodes: NODES, expiryMs: 60_000, deadlineMs, seed }, create: () => made },
  )
  try {
    if (spec.begins === 'down') await made.broker.kill()
    await trial.start()
    if (spec.begins !== 'down') for (const node of trial.nodes) await node.ready()
    await spec.run({ trial, wires: made.wires, broker: made.broker })
    await trial.close()
    trial.assertSinksRespected()
  } finally {
    made.broker.resume()
    for (const wire of made.wires) wire.mend()
    await trial.close().catch(() => {})
    await trial.dispose()
  }
}
