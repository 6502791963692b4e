/** Who is dead, decided from what links say. Real sockets are in test/transports; a client that takes nothing for minutes is a fake here. */
import { manualClock } from 'groupcast/testing'
import { expect, test } from 'vitest'
import { type Beating, Heartbeats } from '../../src/hub/heartbeats.ts'
import type { Link } from '../../src/transports/backend.ts'

const LIMITS = { heartbeatMs: 25_000, deadAfterMs: 10_000, maxStallMs: 120_000 }

function fakeConnection(answersHeartbeats: boolean) {
  const state = { writable: true, bufferedBytes: 0, beats: 0, died: 0 }
  const link = {
    answersHeartbeats,
    get writable() {
      return state.writable
    },
    get bufferedBytes() {
      return state.bufferedBytes
    },
    heartbeat() {
      state.beats++
      return true
    },
  } as unknown as Link
  const connection: Beating = {
    link,
    isAlive: true,
    isPaused: false,
    heartbeatSlot: 0,
    stall: null,
    died: () => void state.died++,
  }
  return { state, connection }
}

// Symptom: a client that vanished while something waited for it stayed for ever. Cause: a congested link was not asked, and
// nothing else looked at it.
test.each([true, false])(
  'a congested client that takes nothing for maxStallMs is dead (it answers heartbeats: %s)',
  (answers) => {
    const clock = manualClock()
    const heartbeats = new Heartbeats(LIMITS, clock)
    const stalled = fakeConnection(answers)
    const slow = fakeConnection(answers)
    for (const { connection, state } of [stalled, slow]) {
      heartbeats.add(connection)
      state.writable = false
      state.bufferedBytes = 100_000
    }
    for (let second = 0; second < 100; second++) {
      clock.advance(1_000)
      // It takes a little every now and then.
      if (second % 60 === 0) slow.state.bufferedBytes -= 1
    }
    expect(stalled.state.died).toBe(0)
    for (let second = 100; second < 600; second++) {
      clock.advance(1_000)
      if (second % 60 === 0) slow.state.bufferedBytes -= 1
      if (stalled.state.died > 0) heartbeats.remove(stalled.connection)
    }
    expect(stalled.state).toMatchObject({ died: 1, beats: 0 })
    expect(slow.state).toMatchObject({ died: 0, beats: 0 })
    slow.state.writable = true
    clock.advance(25_000)
    expect(slow.state.beats).toBe(1)
    heartbeats.close()
  },
)
