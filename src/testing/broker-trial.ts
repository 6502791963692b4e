/** What cases about failing brokers are written with. */
import assert from 'node:assert/strict'
import { errorCodeOf } from '../errors.ts'
import type { FaultyBroker } from './broker-conformance.ts'
import type { FaultyWire } from './faulty-wire.ts'
import { messageOf, type TestNode } from './test-node.ts'
import type { Trial } from './trial.ts'

/** A case about a failing broker. */
export interface BrokerSpec {
  readonly title: string
  /** Whether the broker is there when the nodes start: it is unless this says otherwise. */
  readonly begins?: 'down'
  run(faulty: FaultyTrial): Promise<void>
}

/** One run of such a case. */
interface FaultyTrial {
  readonly trial: Trial
  /** That of each node. */
  readonly wires: readonly FaultyWire[]
  readonly broker: FaultyBroker
}

/** What came of sending a number. */
export interface Sent {
  readonly group: string
  readonly n: number
  readonly outcome: 'sent' | 'not sent' | 'unknown'
}

/** Sends a number to a group, and fails when that rejects otherwise than the contract says. */
export async function attempt(trial: Trial, node: TestNode, group: string, n: number): Promise<Sent> {
  const sending = node.layer.groupSend(group, messageOf(n)).then(
    () => 'sent' as const,
    (error: unknown) => {
      const code = errorCodeOf(error)
      if (code === 'layer-unavailable') return 'not sent' as const
      assert.equal(
        code,
        'layer-timeout',
        `groupSend must reject with one of the two codes, not with ${error}`,
      )
      return 'unknown' as const
    },
  )
  return { group, n, outcome: await trial.patience.within(sending, 'groupSend to settle') }
}

/** Sends numbers from all nodes by turns, a few at once, until it is told to stop. */
export function publishOn(
  trial: Trial,
  groups: readonly string[],
): { stop(): Promise<readonly Sent[]>; readonly count: number } {
  const results: Promise<Sent>[] = []
  let isOver = false
  const publishing = (async () => {
    while (!isOver) {
      for (const group of groups) {
        const n = results.length
        results.push(attempt(trial, trial.node(n), group, n))
      }
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
  })()
  return {
    get count() {
      return results.length
    },
    async stop() {
      isOver = true
      await publishing
      return Promise.all(results)
    },
  }
}

/** Fails unless a node got each number at most once, all that were sent in groups that it has not lost, and none that was not. */
export function assertHonest(node: TestNode, sent: readonly Sent[], seed: number): void {
  const lost = new Set(node.sink.recoveries.flatMap(({ lost }) => lost))
  const isKept = (group: string) => group.startsWith('kept.')
  for (const group of new Set(sent.map((one) => one.group))) {
    const got = node.numbers(group)
    const why = `of ${group}, with seed ${seed}`
    assert.equal(new Set(got).size, got.length, `a publication came twice ${why}`)
    const of = (outcome: Sent['outcome']) =>
      sent.filter((one) => one.group === group && one.outcome === outcome).map(({ n }) => n)
    const refused = new Set(of('not sent'))
    assert.deepEqual(
      got.filter((n) => refused.has(n)),
      [],
      `what was not sent came all the same ${why}`,
    )
    if (!isKept(group) || lost.has(group)) continue
    const there = new Set(got)
    assert.deepEqual(
      of('sent').filter((n) => !there.has(n)),
      [],
      `what was sent did not come ${why}`,
    )
  }
}
