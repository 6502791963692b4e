// @ts-check
/** One hostile client: a bare socket that says what it is told to, and what became of it. */
import { connect } from 'node:net'

/** More of an answer is not looked at, whatever comes. */
const MOST_HELD = 64 * 1024

export class HostileClient {
  /** @type {import('node:net').Socket} */ #socket
  #timers = /** @type {Set<NodeJS.Timeout>} */ (new Set())
  #received = Buffer.alloc(0)
  #isUpgraded = false
  #hasLeft = false
  #isOver = false
  /** @type {NodeJS.ErrnoException | null} */ #error = null
  /** @type {number | null} */ #status = null
  /** @type {number | null} */ #closeCode = null
  #onAnswer = () => {}
  /** Calls with what became of it, once. @type {(outcome: string) => void} */
  onOver = () => {}

  /** @param {{ port: number, localAddress: string }} where */
  constructor({ port, localAddress }) {
    const socket = connect({ host: '127.0.0.1', port, localAddress, noDelay: true, allowHalfOpen: false })
    this.#socket = socket
    socket.on('data', (chunk) => this.#take(chunk))
    socket.on('error', (error) => {
      this.#error = error
    })
    socket.on('close', () => this.#closed())
  }

  get bytesWritten() {
    return this.#socket.bytesWritten
  }

  /** What could not be written yet: who floods waits for it. */
  get isCongested() {
    return this.#socket.writableNeedDrain
  }

  /** @param {string | Buffer} bytes */
  write(bytes) {
    if (this.#socket.writable) this.#socket.write(bytes)
  }

  /** Again and again, for as long as it is connected. @param {number} ms @param {() => void} work */
  every(ms, work) {
    this.#timers.add(setInterval(work, ms))
  }

  /** Once. @param {number} ms @param {() => void} work */
  after(ms, work) {
    this.#timers.add(setTimeout(work, ms))
  }

  /** Calls when the first answer has come: for a WebSocket, when it is open. @param {() => void} work */
  whenAnswered(work) {
    this.#onAnswer = work
  }

  /** Reads nothing any more. */
  stopReading() {
    this.#socket.pause()
  }

  /** Leaves by itself. */
  leave() {
    this.#hasLeft = true
    this.#socket.destroy()
  }

  /** Leaves by RST. */
  reset() {
    this.#hasLeft = true
    this.#socket.resetAndDestroy()
  }

  /** @param {Buffer} chunk */
  #take(chunk) {
    if (this.#received.length > MOST_HELD) this.#received = this.#received.subarray(-1024)
    this.#received = Buffer.concat([this.#received, chunk])
    if (this.#status === null) this.#readHead()
    if (this.#isUpgraded) this.#readFrames()
  }

  #readHead() {
    const end = this.#received.indexOf('\r\n\r\n')
    if (end === -1) return
    const status = /^HTTP\/1\.[01] (\d{3})/.exec(this.#received.toString('latin1', 0, 16))?.[1]
    this.#status = Number(status ?? 0)
    if (this.#status === 101) {
      this.#isUpgraded = true
      this.#received = this.#received.subarray(end + 4)
    }
    this.#onAnswer()
  }

  #readFrames() {
    for (;;) {
      const bytes = this.#received
      if (bytes.length < 2) return
      const short = (bytes[1] ?? 0) & 0x7f
      const head = short < 126 ? 2 : short === 126 ? 4 : 10
      if (bytes.length < head) return
      const length =
        short < 126 ? short : short === 126 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2))
      if (bytes.length < head + length) return
      if (((bytes[0] ?? 0) & 0x0f) === 8) {
        this.#closeCode = length >= 2 ? bytes.readUInt16BE(head) : 1005
        // As a client should; it is of no more use.
        this.#socket.end()
      }
      this.#received = bytes.subarray(head + length)
    }
  }

  #closed() {
    if (this.#isOver) return
    this.#isOver = true
    for (const timer of this.#timers) clearInterval(timer)
    this.#timers.clear()
    this.onOver(this.#outcome())
  }

  #outcome() {
    if (this.#closeCode !== null) return `close ${this.#closeCode}`
    if (this.#status !== null && this.#status !== 101 && this.#status !== 200) return `status ${this.#status}`
    if (this.#hasLeft) return 'left'
    if (this.#error?.code === 'ECONNREFUSED') return 'not let in'
    const how = this.#error?.code === 'ECONNRESET' ? 'reset' : 'cut'
    return this.#status === null ? `${how} unanswered` : how
  }
}
