/** Numbers over the last minute, in slots of time: how many arrived, or how many there were. */

/** How far back a plot looks. */
export const WINDOW_MS = 60_000
/** The plot of rates moves on in these steps. */
const RATE_SLOT_MS = 250
const SLOTS_A_SECOND = 1000 / RATE_SLOT_MS
const RATE_SLOTS = WINDOW_MS / RATE_SLOT_MS

/** Counts arrivals; says how many there were in the second before each slot of the last minute. */
export class RateHistory {
  /** A ring: the second before the oldest point is needed too. */
  #counts = new Float64Array(RATE_SLOTS + SLOTS_A_SECOND + 1)
  #slot = slotAt(performance.now())

  record() {
    this.#advance(performance.now())
    this.#counts[this.#index(this.#slot)]++
  }

  /** A rate for each slot, the oldest first, without the slot that is still filling. */
  points() {
    this.#advance(performance.now())
    const oldest = this.#slot - RATE_SLOTS
    return Array.from({ length: RATE_SLOTS }, (_, i) => this.#rateAt(oldest + i))
  }

  clear() {
    this.#counts.fill(0)
  }

  /** How many arrived in the second that ends with a slot. */
  #rateAt(slot) {
    let sum = 0
    for (let i = 0; i < SLOTS_A_SECOND; i++) sum += this.#counts[this.#index(slot - i)]
    return sum
  }

  /** Slots are counted from the page's start, so the minute before it has negative ones. */
  #index(slot) {
    const length = this.#counts.length
    return ((slot % length) + length) % length
  }

  /** Empties the slots that have passed since the last call: the ring holds what was there a minute ago. */
  #advance(now) {
    const slot = slotAt(now)
    const passed = Math.min(slot - this.#slot, this.#counts.length)
    for (let i = 0; i < passed; i++) this.#counts[this.#index(slot - i)] = 0
    this.#slot = slot
  }
}

function slotAt(now) {
  return Math.floor(now / RATE_SLOT_MS)
}

const GAUGE_SLOTS = WINDOW_MS / 1000

/** Keeps one value a second; `null` for seconds in which nobody asked. */
export class GaugeHistory {
  #values = new Map()

  record(value) {
    const second = Math.floor(performance.now() / 1000)
    this.#values.set(second, value)
    for (const old of this.#values.keys()) if (old < second - GAUGE_SLOTS - 1) this.#values.delete(old)
  }

  /** A value for each second, the oldest first. */
  points() {
    const now = Math.floor(performance.now() / 1000)
    return Array.from({ length: GAUGE_SLOTS }, (_, i) => this.#at(now - GAUGE_SLOTS + 1 + i))
  }

  /** Answers take a moment: a second without its own value shows that of the second before. */
  #at(second) {
    return this.#values.get(second) ?? this.#values.get(second - 1) ?? null
  }
}
