import type { Clock } from '../clock.ts'
import type { Limits } from '../options.ts'
import type { Link } from '../transports/backend.ts'

/** A connection as the heartbeats see it. */
export interface Beating {
  readonly link: Link | null
  /** Set by any sign of life, cleared when a heartbeat is sent. */
  isAlive: boolean
  /** Nothing is read from it, so what it answers is not heard. */
  readonly isPaused: boolean
  /** Where {@link Heartbeats} keeps it. */
  heartbeatSlot: number
  /** While it is congested: what waits in its link, and since when as much. */
  stall: { readonly bytes: number; readonly since: number } | null
  /** It answered nothing for `deadAfterMs`, or took nothing for `maxStallMs`. */
  died(): void
}

/** The limits that heartbeats keep. */
export type HeartbeatLimits = Pick<Limits, 'heartbeatMs' | 'deadAfterMs' | 'maxStallMs'>

/** Heartbeats are spread over this many slots, so that a hundred thousand connections are not pinged in one turn. */
const SLOTS = 25

/** Heartbeats of all connections, from one timer. */
export class Heartbeats {
  readonly #slots: Set<Beating>[] = Array.from({ length: SLOTS }, () => new Set<Beating>())
  readonly #limits: HeartbeatLimits
  readonly #clock: Clock
  readonly #stop: () => void
  /** Who was asked and when, oldest first. */
  readonly #asked = new Map<Beating, number>()
  #next = 0

  /** @param limits `heartbeatMs: false`: no heartbeats, no timer */
  constructor(limits: HeartbeatLimits, clock: Clock) {
    const { heartbeatMs } = limits
    this.#limits = limits
    this.#clock = clock
    this.#stop = heartbeatMs === false ? () => {} : clock.every(heartbeatMs / SLOTS, () => this.#tick())
  }

  /** Connections that get heartbeats. */
  get size(): number {
    return this.#slots.reduce((sum, slot) => sum + slot.size, 0)
  }

  add(connection: Beating): void {
    // The slot that has just been served: the first heartbeat comes after a whole interval.
    connection.heartbeatSlot = (this.#next + SLOTS - 1) % SLOTS
    this.#slots[connection.heartbeatSlot]?.add(connection)
  }

  remove(connection: Beating): void {
    this.#slots[connection.heartbeatSlot]?.delete(connection)
    this.#asked.delete(connection)
  }

  close(): void {
    this.#stop()
    this.#asked.clear()
  }

  #tick(): void {
    this.#bury()
    const slot = this.#slots[this.#next] as Set<Beating>
    this.#next = (this.#next + 1) % SLOTS
    const now = this.#clock.now()
    for (const connection of slot) {
      const { link } = connection
      if (link === null) continue
      if (!link.writable) {
        this.#mindStall(connection, link, now)
        continue
      }
      connection.stall = null
      if (!link.heartbeat() || !link.answersHeartbeats) continue
      // Silent since it was asked before: the older question counts. It is still open where heartbeats come faster than deaths.
      if (!connection.isAlive && this.#asked.has(connection)) continue
      connection.isAlive = false
      // Deleted first, to come last in the map.
      this.#asked.delete(connection)
      this.#asked.set(connection, now)
    }
  }

  /** A congested client is not asked. It may be alive and slow: then it takes a little now and then. */
  #mindStall(connection: Beating, link: Link, now: number): void {
    const bytes = link.bufferedBytes
    if (connection.stall?.bytes !== bytes) connection.stall = { bytes, since: now }
    else if (now - connection.stall.since >= this.#limits.maxStallMs) connection.died()
  }

  #bury(): void {
    const due = this.#clock.now() - this.#limits.deadAfterMs
    for (const [connection, at] of this.#asked) {
      if (at > due) return
      this.#asked.delete(connection)
      if (!connection.isAlive && !connection.isPaused) connection.died()
    }
  }
}
