/** The check that holds slow readers against their policy: it must not pass a hub that breaks it. */
import { describe, expect, test } from 'vitest'
import { isKept } from '../../bench/lib/policies.mjs'
import { NumberReader, numberedMessage } from '../../src/load/numbered.ts'
import { SlowTally } from '../../src/load/slow-tally.ts'

const SIZE = 16_384
const SENT = { first: 0, end: 200, size: SIZE, keys: 0, stoppedMs: 1_000 }

/** A reader that got messages and, as objects, what it was told. */
function report(...parts: readonly (readonly [from: number, to: number] | { readonly dropped: number })[]) {
  const tally = new SlowTally('sse', new NumberReader(), SENT.first, SENT.keys)
  for (const part of parts) {
    if ('dropped' in part) tally.event(`{"type":"groupcast.dropped","count":${part.dropped}}`)
    else {
      for (let n = part[0]; n < part[1]; n++) {
        const bytes = Buffer.from(numberedMessage(n, SIZE))
        tally.add(bytes, 0, bytes.length)
      }
    }
  }
  return tally.report
}

describe('drop', () => {
  test('the oldest of what waited, told where they were', () => {
    expect(isKept('drop', report([0, 80], { dropped: 70 }, [150, 200]), SENT)).toBe(true)
    expect(
      isKept('drop', report([0, 80], { dropped: 10 }, [90, 100], { dropped: 50 }, [150, 200]), SENT),
    ).toBe(true)
  })

  // Symptom: a hub that drops what is new, and sends the last message all the same, passed.
  test.each([
    ['the newest but one', report([0, 130], { dropped: 69 }, [199, 200])],
    ['some of the newest', report([0, 120], { dropped: 60 }, [180, 200])],
    ['told too late', report([0, 80], [150, 160], { dropped: 70 }, [160, 200])],
    ['told too early', report([0, 40], { dropped: 70 }, [40, 80], [150, 200])],
    ['not told', report([0, 80], [150, 200])],
    ['told too few', report([0, 80], { dropped: 69 }, [150, 200])],
    ['the last is missing', report([0, 80], { dropped: 70 }, [150, 199])],
  ])('%s', (_what, broken) => {
    expect(isKept('drop', broken, SENT)).toBe(false)
  })
})
