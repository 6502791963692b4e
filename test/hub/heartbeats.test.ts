/** Who is dead, decided from what links say. Real sockets are in test/transports; a client that takes nothing for minutes is a fake here. */
import { manualClock } from 'groupcast/testing'
import { describe, expect, test } from 'vitest'
import { type Beating, Heartbeats } from '../../src/hub/heartbeats.ts'
import type { Link } from '../../src/transports/backend.ts'

const LIMITS = { heartbeatMs: 25_000, deadAfterMs: 10_000, maxStallMs: 120_000 }

function fakeConnection(answersHeartbeats: boolean) {
  const state = { writable: true, bufferedBytes: 0, writtenBytes: 0, beats: 0, died: 0 }
  const link = {
    answersHeartbeats,
    get writable() {
      return state.writable
    },
    get bufferedBytes() {
      return state.bufferedBytes
    },
    get writtenBytes() {
      return state.writtenBytes
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
    unanswered: 0,
    askedBytes: 0,
    readBytes: 0,
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
      state.bufferedBytes = 16_000
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

// Symptom: a client that read 1 KB/s was cut in the middle of a long message. Cause: what is taken of a write shows when all of it is.
test('a congested client is given the time that 1 KB/s needs for what waits in its link', () => {
  const clock = manualClock()
  const heartbeats = new Heartbeats(LIMITS, clock)
  const { connection, state } = fakeConnection(true)
  heartbeats.add(connection)
  state.writable = false
  state.bufferedBytes = 2 ** 20
  clock.advance(2 ** 20)
  expect(state.died).toBe(0)
  clock.advance(2 ** 19)
  expect(state.died).toBeGreaterThan(0)
  heartbeats.close()
})

// Symptom: a client that drained between two looks was cut when the next write was as large as the last. Cause: equal counts were taken
// for one and the same write.
test('what waits is not taken for what waited before it', () => {
  const clock = manualClock()
  const heartbeats = new Heartbeats(LIMITS, clock)
  const { connection, state } = fakeConnection(true)
  heartbeats.add(connection)
  state.writable = false
  state.bufferedBytes = 64_000
  for (let minute = 0; minute < 10; minute++) {
    // As a connection does when its link has drained.
    connection.stall = null
    clock.advance(60_000)
  }
  expect(state.died).toBe(0)
  heartbeats.close()
})

describe('a WebSocket that reads slowly and is not congested', () => {
  /** Reads so many bytes a second of what is written, heartbeats included, and answers each when it comes to it. */
  function reader(bytesPerSecond: number) {
    const clock = manualClock()
    const heartbeats = new Heartbeats(LIMITS, clock)
    const { connection, state } = fakeConnection(true)
    heartbeats.add(connection)
    const questions: number[] = []
    let readBytes = 0
    return {
      connection,
      state,
      seconds(count: number, writtenASecond: number) {
        for (let second = 0; second < count && state.died === 0; second++) {
          state.writtenBytes += writtenASecond
          const before = state.beats
          clock.advance(1_000)
          if (state.beats > before) questions.push(state.writtenBytes)
          readBytes = Math.min(state.writtenBytes, readBytes + bytesPerSecond)
          while ((questions[0] ?? Number.POSITIVE_INFINITY) <= readBytes) {
            questions.shift()
            connection.isAlive = true
            connection.unanswered = Math.max(0, connection.unanswered - 1)
          }
        }
        return state.died
      },
    }
  }

  // Symptom: a client at 1 KB/s was dead after its first heartbeat. Cause: the heartbeat lay behind what the system held for it.
  test('may answer as late as 1 KB/s allows', () => {
    const slow = reader(1_000)
    expect(slow.seconds(100, 25_000)).toBe(0)
    expect(slow.seconds(2_500, 0)).toBe(0)
    expect(slow.seconds(1_000, 900)).toBe(0)
    expect(slow.state.beats).toBeGreaterThan(100)
  })

  test('also when it sends something now and then, which is no answer', () => {
    const slow = reader(1_000)
    slow.seconds(10, 60_000)
    for (let i = 0; i < 15; i++) {
      slow.connection.isAlive = true
      expect(slow.seconds(40, 0)).toBe(0)
    }
  })

  test('is dead when it does not, and when it has read all and says nothing', () => {
    const stopped = reader(0)
    expect(stopped.seconds(25, 25_000)).toBe(0)
    expect(stopped.seconds(25 * 25, 0)).toBe(0)
    expect(stopped.seconds(25 * 10, 0)).toBe(1)
    const silent = reader(0)
    expect(silent.seconds(34, 10)).toBe(0)
    expect(silent.seconds(2, 10)).toBe(1)
  })
})
