/** How the conformance suite of channel layers meets a driver and a test runner. */
import type { Clock } from '../clock.ts'
import type { ChannelLayer } from '../layers/layer.ts'

/**
 * What the layers of one case are to be made with. Hand it on: the names are those that drivers use for these
 * options.
 */
export interface ConformanceSetup {
  /**
   * The clock that expiry must follow; the machine's unless {@link LayerConformanceOptions.clock} is
   * `manual`.
   */
  readonly clock: Clock
  /** Absent: leave the driver's default, 100. */
  readonly capacity?: number
  /** Absent: leave the driver's default, 60 000. */
  readonly expiryMs?: number
}

/** The nodes of one case. */
export interface ConformanceNodes {
  /** One layer a node, not started, all of one broker. The case starts and closes them. */
  readonly layers: readonly ChannelLayer[]
  /**
   * What became of the drivers' clients, asked when all layers are closed. Leave it out where a driver has
   * none.
   */
  clients?(): readonly ConformanceClient[] | Promise<readonly ConformanceClient[]>
  /** Called when the case is over, whether it passed or not: ends whatever `create` began. */
  dispose?(): unknown
}

/** A client of a broker that a driver uses. */
export interface ConformanceClient {
  /** Whether the driver was given it, rather than opened it. */
  readonly isGiven: boolean
  readonly isOpen: boolean
}

/** How {@link layerConformance} gets at a driver. */
export interface LayerConformanceOptions {
  /**
   * Makes `count` layers that see each other, and nothing that other cases did: a fresh broker, or a fresh
   * prefix of names on a shared one. Cases may run at the same time.
   */
  create(count: number, setup: ConformanceSetup): ConformanceNodes | Promise<ConformanceNodes>
  /**
   * `manual`: expiry follows `setup.clock`, which the suite turns by hand. `real` (the default): expiry
   * follows a clock that nobody can turn, such as a broker's, and the suite waits.
   */
  readonly clock?: 'manual' | 'real'
  /** Nodes a case has: 3 unless given. With 1, what needs a second node is not checked. */
  readonly nodes?: number
  /**
   * Expiry in the cases about it, and the age of history in those about that: 1000 ms unless given. In real time, well
   * above a round trip, for cases wait several times as long.
   */
  readonly expiryMs?: number
  /** How long anything may take before the case fails: 3000 ms unless given. */
  readonly deadlineMs?: number
  /** Repeats what a case does at random; failures print theirs. */
  readonly seed?: number
}

/** One thing that a driver must do. Give `title` and `run` to any test runner. */
export interface ConformanceCase {
  /** The number in the list at the head of the contract, `src/layers/layer.ts`. */
  readonly obligation: number
  /** Starts with the obligation's number, as in `7.2 …`. */
  readonly title: string
  /** Resolves when the driver does it, rejects (mostly with an `AssertionError`) when it does not. */
  readonly run: () => Promise<void>
}
