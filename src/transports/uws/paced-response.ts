import { keepWaiting, type Patient, stopWaiting } from './clocks.ts'
import type { UwsResponse } from './uws.ts'

/**
 * Most bytes of one corked write, its chunk header besides. Builds before 20.77 lose a chunk, and keep its header, when it does not fit into
 * the cork buffer (16 KiB) and the system takes nothing more.
 */
const SLICE_BYTES = 14 * 1024
/** Of the first one, which has the head of the response before it. */
const FIRST_SLICE_BYTES = 8 * 1024

const FIRST_PROBE_MS = 2
const MAX_PROBE_MS = 500
/** How long a client may take nothing while it is not read from: whether it is still there cannot be seen. */
const MAX_STALL_MS = 60_000

/** What is written at the client's pace. */
export interface PacedWriter {
  /** Means nothing to the client wherever a `put` ends; one byte or more. */
  readonly filler: Uint8Array
  /** Writes status and headers, in the cork of the first bytes. */
  writeHead(response: UwsResponse): void
  /** The client takes more again. */
  drained(): void
}

/** What the callback of `cork` writes: one function for all, so that a write makes no closure (bench: fan-out SSE). */
let corked: PacedResponse | null = null
let corkedBytes: Uint8Array = Buffer.alloc(0)
let isTaken = true

function writeCorked(): void {
  isTaken = (corked as PacedResponse).writeInCork(corkedBytes)
}

/** A cork around nothing sends what uWebSockets.js holds of the response; where that is nothing, it does nothing. */
function nothing(): void {}

/**
 * A response of many writes, to a client that may read slowly, and may itself send slowly what is answered. uWebSockets.js takes whatever it is
 * given, without bound, and cannot be asked how much that is: so what follows a write that the system did not take whole waits in a queue here.
 *
 * To write and to be read from are one in uWebSockets.js: what pauses the reading of a socket ends the waiting for when it can be written to,
 * and a write that falls short makes it read again. So a response that is paused stays so after each write, and tries again by itself.
 */
export class PacedResponse implements Patient {
  /** `null` once it has ended: every call would throw. */
  #response: UwsResponse | null
  #writer: PacedWriter | null = null
  #hasHead = false
  #queue: Queue | null = null
  #isCongested = false
  #isPaused = false
  #part: Set<Patient> | null = null
  #probe: NodeJS.Timeout | null = null
  #probeMs = FIRST_PROBE_MS
  #stalledMs = 0

  constructor(response: UwsResponse) {
    this.#response = response
  }

  /** It has ended, or its client has left. */
  get isOver(): boolean {
    return this.#response === null
  }

  /** Whether what is put waits. */
  get isCongested(): boolean {
    return this.#isCongested
  }

  /** How much of it waits here. */
  get queuedBytes(): number {
    return this.#queue?.bytes ?? 0
  }

  get hasHead(): boolean {
    return this.#hasHead
  }

  /** uWebSockets.js cuts nobody from here on, neither for reading nor for sending slowly. */
  start(): void {
    if (this.#response !== null) this.#part ??= keepWaiting(this)
  }

  /** Says who writes. */
  open(writer: PacedWriter): void {
    this.#writer = writer
    this.#response?.onWritable(() => this.#writable())
    this.start()
  }

  /** Writes bytes, or has them wait. Not in a handler of the response itself: one cork holds all that is written there. */
  put(bytes: Buffer): void {
    for (let at = 0; at < bytes.length; ) {
      if (this.#isCongested) {
        this.#queue ??= new Queue()
        this.#queue.add(at === 0 ? bytes : bytes.subarray(at))
        return
      }
      const end = at + this.#most
      this.#send(at === 0 && end >= bytes.length ? bytes : bytes.subarray(at, end))
      at = end
    }
  }

  /** Reads nothing more of the request; what has been read already may still come. */
  pause(): void {
    if (this.#response === null) return
    this.#isPaused = true
    this.#response.pause()
    if (this.#isCongested) this.#probeLater()
  }

  /** Reads on. */
  resume(): void {
    if (!this.#isPaused || this.#response === null) return
    this.#isPaused = false
    this.#stopProbing()
    this.#response.resume()
    // Its clock runs now.
    this.start()
    // A write may have fallen short without a word; this one makes uWebSockets.js wait until the socket can be written to.
    this.#response.cork(nothing)
  }

  /** Ends the response. Below its bytes is the connection, which is the client's to use again. */
  end(): void {
    const response = this.#response
    if (response === null) return
    this.resume()
    this.over()
    response.cork(() => response.end())
  }

  /** Cuts the client. */
  cut(): void {
    this.#response?.close()
  }

  /** The client has left, or the response was ended by somebody else. */
  over(): void {
    this.#response = null
    this.#queue = null
    this.#stopProbing()
    if (this.#part !== null) stopWaiting(this, this.#part)
    this.#part = null
  }

  wait(): void {
    // While it is paused no clock runs, and to resume it would not be its own to say.
    if (this.#response === null || this.#isPaused) return
    // `resume` alone would stop uWebSockets.js from waiting until the socket can be written to.
    this.#response.pause()
    this.#response.resume()
  }

  /** Inside a cork. @returns whether the system took all before it, as far as can be told */
  writeInCork(bytes: Uint8Array): boolean {
    const response = this.#response
    if (response === null) return true
    if (!this.#hasHead) {
      this.#hasHead = true
      this.#writer?.writeHead(response)
    }
    return response.write(bytes)
  }

  // --- Inside ---

  get #most(): number {
    return this.#hasHead ? SLICE_BYTES : FIRST_SLICE_BYTES
  }

  #send(slice: Uint8Array): void {
    const response = this.#response
    if (response === null) return
    corked = this
    corkedBytes = slice
    response.cork(writeCorked)
    if (!isTaken) this.#isCongested = true
    if (this.#isPaused) this.pause()
  }

  /** The socket can be written to again. */
  #writable(): boolean {
    const response = this.#response
    if (response === null) return true
    if (this.#isPaused) {
      this.#tryAgain()
      return true
    }
    // What uWebSockets.js holds itself leaves with the next cork, and only with that.
    if (this.#queue === null) response.cork(nothing)
    if (!this.#isCongested) return true
    this.#isCongested = false
    this.#sendQueue()
    return true
  }

  /** What has waited, as far as it is taken. */
  #sendQueue(): void {
    while (!this.#isCongested && this.#queue !== null) {
      this.#send(this.#queue.take(this.#most))
      if (this.#queue?.bytes === 0) this.#queue = null
    }
    if (!this.#isCongested) this.#writer?.drained()
  }

  #probeLater(): void {
    if (this.#probe !== null) return
    this.#probe = setTimeout(() => {
      this.#probe = null
      this.#stalledMs += this.#probeMs
      this.#probeMs = Math.min(this.#probeMs * 2, MAX_PROBE_MS)
      this.#tryAgain()
    }, this.#probeMs)
    this.#probe.unref()
  }

  /**
   * Neither read from nor waited for until it can be written to, it says only by a write whether it takes more: a small one, since what it does not
   * take uWebSockets.js keeps.
   */
  #tryAgain(): void {
    if (!this.#isCongested) return
    if (this.#stalledMs >= MAX_STALL_MS) {
      this.cut()
      return
    }
    this.#isCongested = false
    const part = this.#queue?.take(1) ?? this.#writer?.filler
    if (this.#queue?.bytes === 0) this.#queue = null
    if (part !== undefined) this.#send(part)
    if (this.#isCongested) return
    this.#stopProbing()
    this.#sendQueue()
  }

  #stopProbing(): void {
    if (this.#probe !== null) clearTimeout(this.#probe)
    this.#probe = null
    this.#probeMs = FIRST_PROBE_MS
    this.#stalledMs = 0
  }
}

/** Bytes in the order in which they came, given out in slices. */
class Queue {
  bytes = 0
  /** Those before {@link #first} are gone. */
  #chunks: (Buffer | null)[] = []
  /** The first that has not been given out whole, and how much of it has been. */
  #first = 0
  #at = 0

  add(chunk: Buffer): void {
    this.#chunks.push(chunk)
    this.bytes += chunk.length
  }

  /** At most so many bytes, and at least one; of one chunk, so that nothing is copied. */
  take(most: number): Buffer {
    const chunk = this.#chunks[this.#first] as Buffer
    const slice = chunk.subarray(this.#at, this.#at + most)
    this.#at += slice.length
    this.bytes -= slice.length
    if (this.#at === chunk.length) this.#drop()
    return slice
  }

  #drop(): void {
    this.#at = 0
    this.#chunks[this.#first++] = null
    // Not one by one: to move all that follows each time would take its square.
    if (this.#first < 64 || this.#first * 2 < this.#chunks.length) return
    this.#chunks = this.#chunks.slice(this.#first)
    this.#first = 0
  }
}
