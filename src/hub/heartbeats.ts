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
  /** While it is congested: what waits in its link, and since when as much. Also cleared when the link has drained meanwhile. */
  stall: { readonly bytes: number; readonly since: number } | null
  /** Heartbeats that it has not answered. */
  unanswered: number
  /** Bytes written to it before the last heartbeat, and before the last one after which it owed no answer: so many it has read. */
  askedBytes: number
  readBytes: number
  /** It answered nothing for `deadAfterMs`, or took nothing for `maxStallMs`. */
  died(): void
}

/** The limits that heartbeats keep. */
export type HeartbeatLimits = Pick<Limits, 'heartbeatMs' | 'deadAfterMs' | 'maxStallMs'>

/** Heartbeats are spread over this many slots, so that a hundred thousand connections are not pinged in one turn. */
const SLOTS = 25

/**
 * The slowest reader that counts as alive takes a byte in this time: 1 KB/s, with a fifth to spare. What the system holds for a client
 * cannot be seen, so it is given time for all that may be there.
 */
const MS_PER_BYTE = 1.25
/** More than systems hold for one connection, at both ends, as a rule. */
const MOST_UNREAD_BYTES = 8 * 1024 * 1024

/** Heartbeats of all connections, from one timer. */
export class Heartbeats {
  readonly #slots: Set<Beating>[] = Array.from({ length: SLOTS }, () => new Set<Beating>())
  readonly #limits: HeartbeatLimits
  readonly #clock: Clock
  readonly #stop: () => void
  /** Who was asked and when, oldest first. */
  readonly #asked = new Map<Beating, number>()
  /** Who has not answered in time, and may have much to read before it comes to the question; until when it may. */
  readonly #late = new Map<Beating, number>()
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
    this.#late.delete(connection)
  }

  close(): void {
    this.#stop()
    this.#asked.clear()
    this.#late.clear()
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
      if (link.answersHeartbeats) this.#ask(connection, link, now)
      else link.heartbeat()
    }
  }

  #ask(connection: Beating, link: Link, now: number): void {
    const { writtenBytes } = link
    if (!link.heartbeat()) return
    if (connection.unanswered === 0) connection.readBytes = connection.askedBytes
    connection.unanswered++
    connection.askedBytes = writtenBytes
    // Silent since it was asked before: the older question counts. It is still open where heartbeats come faster than deaths.
    if (!connection.isAlive && (this.#asked.has(connection) || this.#late.has(connection))) return
    connection.isAlive = false
    // Deleted first, to come last in the map.
    this.#asked.delete(connection)
    this.#asked.set(connection, now)
  }

  /** A congested client is not asked. It may be alive and slow: then it takes a little now and then, which shows when a write is done. */
  #mindStall(connection: Beating, link: Link, now: number): void {
    const bytes = link.bufferedBytes
    const mostMs = this.#limits.maxStallMs + bytes * MS_PER_BYTE
    if (connection.stall?.bytes !== bytes) connection.stall = { bytes, since: now }
    else if (now - connection.stall.since >= mostMs) connection.died()
  }

  #bury(): void {
    const now = this.#clock.now()
    for (const [connection, at] of this.#asked) {
      if (at + this.#limits.deadAfterMs > now) break
      this.#asked.delete(connection)
      if (!connection.isAlive && !connection.isPaused) this.#late.set(connection, at + patienceMs(connection))
    }
    for (const [connection, until] of this.#late) {
      if (!connection.isAlive && !connection.isPaused && until > now) continue
      this.#late.delete(connection)
      if (!connection.isAlive && !connection.isPaused) connection.died()
    }
  }
}

/** How long a living client may take to come to the question: it lies behind what was written before it. */
function patienceMs({ askedBytes, readBytes }: Beating): number {
  return Math.min(askedBytes - readBytes, MOST_UNREAD_BYTES) * MS_PER_BYTE
}
