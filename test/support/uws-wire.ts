/**
 * The writing side of uWebSockets.js as its C++ does it, without sockets: one cork buffer of 16 KiB for all connections of a thread, a buffer for
 * each of what the system did not take, failures of an uncork that nobody is told of, and a drain handler after which it may stop waiting.
 * A test is the system: it says how many bytes that takes, and when.
 */
import type { UwsResponse, UwsWebSocket, UwsWebSocketBehavior } from '../../src/transports/uws/uws.ts'

const CORK_BYTES = 16 * 1024

/** What all connections of a thread share. */
export class UwsLoop {
  corked: UwsWire | null = null
  cork: Buffer = Buffer.alloc(0)
  hasFailed = false
}

/** `AsyncSocket` and the system's socket below it. */
export class UwsWire {
  /** What the system took, in order. */
  readonly taken: Buffer[] = []
  isClosed = false
  /** How many bytes it takes before the client has read some. */
  room = Number.POSITIVE_INFINITY
  readonly loop: UwsLoop
  #buffer: Buffer = Buffer.alloc(0)
  #isWaiting = false

  constructor(loop: UwsLoop) {
    this.loop = loop
  }

  get isCorked(): boolean {
    return this.loop.corked === this
  }

  get canCork(): boolean {
    return this.loop.corked === null
  }

  get buffered(): number {
    return this.#buffer.length
  }

  get bufferedAndCorked(): number {
    return this.#buffer.length + (this.isCorked ? this.loop.cork.length : 0)
  }

  /** Whether the system will say when it takes more. */
  get isWaiting(): boolean {
    return this.#isWaiting && !this.isClosed
  }

  /** Runs a handler with the cork, as all handlers of what came in are run; microtasks run inside, too. */
  async within(handler: () => void): Promise<void> {
    const isOurs = this.canCork
    if (isOurs) this.loop.corked = this
    handler()
    for (let i = 0; i < 20; i++) await Promise.resolve()
    if (isOurs) this.uncork()
  }

  corking(write: () => void): void {
    if (this.isCorked || !this.canCork) {
      write()
      return
    }
    this.loop.corked = this
    write()
    this.uncork()
  }

  /** @returns whether the system took all */
  uncork(): boolean {
    const bytes = this.loop.cork
    this.loop.corked = null
    this.loop.cork = Buffer.alloc(0)
    return bytes.length === 0 || this.write(bytes)
  }

  /** @returns whether it was taken, or is in the cork */
  write(bytes: Buffer): boolean {
    if (this.isClosed) return true
    if (this.#buffer.length > 0) {
      this.#buffer = this.#buffer.subarray(this.#system(this.#buffer))
      if (this.#buffer.length > 0) {
        this.#buffer = Buffer.concat([this.#buffer, bytes])
        return false
      }
    }
    if (bytes.length === 0) return true
    if (!this.isCorked) return this.#writeOut(bytes)
    if (this.loop.cork.length + bytes.length <= CORK_BYTES) {
      this.loop.cork = Buffer.concat([this.loop.cork, bytes])
      return true
    }
    // Builds before 20.77 lose it when the system does not take all of the cork.
    return this.uncork() && this.#writeOut(bytes)
  }

  /** Room for a message of a WebSocket, which is framed in place. */
  message(bytes: Buffer): 0 | 1 {
    const fits = this.loop.cork.length + bytes.length < CORK_BYTES
    if (this.#buffer.length === 0 && (this.isCorked || this.canCork) && fits) {
      if (this.isCorked) {
        this.loop.cork = Buffer.concat([this.loop.cork, bytes])
        return 1
      }
      this.loop.corked = this
      this.loop.cork = bytes
      return this.uncork() ? 1 : 0
    }
    const ours = this.isCorked ? this.loop.cork : Buffer.alloc(0)
    if (this.isCorked) this.loop.cork = Buffer.alloc(0)
    this.#buffer = Buffer.concat([this.#buffer, ours, bytes])
    return this.write(Buffer.alloc(0)) ? 1 : 0
  }

  #writeOut(bytes: Buffer): boolean {
    const length = this.#system(bytes)
    if (length < bytes.length) this.#buffer = Buffer.concat([this.#buffer, bytes.subarray(length)])
    return length === bytes.length
  }

  #system(bytes: Buffer): number {
    const length = Math.min(this.room, bytes.length)
    this.room -= length
    if (length > 0) this.taken.push(Buffer.from(bytes.subarray(0, length)))
    if (length < bytes.length) {
      this.#isWaiting = true
      this.loop.hasFailed = true
    }
    return length
  }

  /** The system takes more: `handler` is run, and unless a write failed in it nobody waits any more. */
  async writable(handler: () => void): Promise<void> {
    this.loop.hasFailed = false
    handler()
    for (let i = 0; i < 20; i++) await Promise.resolve()
    if (!this.loop.hasFailed) this.#isWaiting = false
  }
}

/** A WebSocket; its frames are a length of four bytes and the message, pings have none. */
export class UwsFakeSocket implements UwsWebSocket {
  readonly wire: UwsWire
  #behavior: UwsWebSocketBehavior
  #userData: unknown

  constructor(wire: UwsWire, behavior: UwsWebSocketBehavior, userData: unknown) {
    this.wire = wire
    this.#behavior = behavior
    this.#userData = userData
  }

  #assertOpen(): void {
    if (this.wire.isClosed) throw new Error('Invalid access of closed uWS.WebSocket/SSLWebSocket.')
  }

  send(message: Uint8Array | ArrayBuffer): number {
    this.#assertOpen()
    const bytes = Buffer.from(message as Uint8Array)
    const head = Buffer.alloc(4)
    head.writeUInt32BE(bytes.length)
    return this.wire.message(Buffer.concat([head, bytes]))
  }

  ping(): number {
    this.#assertOpen()
    return this.wire.message(Buffer.alloc(4))
  }

  end(code: number): void {
    this.#assertOpen()
    this.#close(code)
  }

  close(): void {
    this.#assertOpen()
    this.#close(1006)
  }

  #close(code: number): void {
    this.wire.isClosed = true
    this.#behavior.close(this, code, new ArrayBuffer(0))
  }

  cork(send: () => void): void {
    this.#assertOpen()
    this.wire.corking(send)
  }

  getBufferedAmount(): number {
    this.#assertOpen()
    return this.wire.bufferedAndCorked
  }

  getUserData(): unknown {
    return this.#userData
  }

  /** The client sends a text. */
  async say(text: string): Promise<void> {
    if (this.wire.isClosed) return
    const bytes = new TextEncoder().encode(text)
    await this.wire.within(() => this.#behavior.message(this, bytes.buffer as ArrayBuffer, false))
  }

  async writable(): Promise<void> {
    await this.wire.writable(() => {
      const before = this.wire.buffered
      this.wire.write(Buffer.alloc(0))
      if (before === 0 || before > this.wire.buffered) this.#behavior.drain(this)
    })
  }

  /** The texts that the client has. */
  texts(): string[] {
    const bytes = Buffer.concat(this.wire.taken)
    const texts: string[] = []
    for (let at = 0; at + 4 <= bytes.length; ) {
      const end = at + 4 + bytes.readUInt32BE(at)
      if (end > bytes.length) break
      if (end > at + 4) texts.push(bytes.toString('utf8', at + 4, end))
      at = end
    }
    return texts
  }
}

/** A response, in chunks once it is written to. */
export class UwsFakeResponse implements UwsResponse {
  readonly wire: UwsWire
  /** What `upgrade` makes of it. */
  socket: UwsFakeSocket | null = null
  #onAborted: (() => void) | null = null
  #onWritable: ((offset: number) => boolean) | null = null
  #behavior: UwsWebSocketBehavior
  #hasHead = false

  constructor(wire: UwsWire, behavior: UwsWebSocketBehavior) {
    this.wire = wire
    this.#behavior = behavior
  }

  writeStatus(status: string): UwsResponse {
    this.wire.write(Buffer.from(`HTTP/1.1 ${status}\r\n`))
    return this
  }

  writeHeader(name: string, value: string): UwsResponse {
    this.wire.write(Buffer.from(`${name}: ${value}\r\n`))
    return this
  }

  write(chunk: string | Uint8Array | ArrayBuffer): boolean {
    if (this.wire.isClosed) throw new Error('uWS.HttpResponse must not be accessed after it was aborted.')
    const bytes = Buffer.from(chunk as Uint8Array)
    if (bytes.length === 0) return true
    if (!this.#hasHead) this.writeHeader('Transfer-Encoding', 'chunked')
    this.#hasHead = true
    this.wire.write(Buffer.from('\r\n'))
    this.wire.write(Buffer.from(bytes.length.toString(16)))
    this.wire.write(Buffer.from('\r\n'))
    return this.wire.write(bytes)
  }

  end(): UwsResponse {
    this.wire.write(Buffer.from('\r\n0\r\n\r\n'))
    return this
  }

  endWithoutBody(): UwsResponse {
    return this.end()
  }

  close(): UwsResponse {
    this.wire.isClosed = true
    this.#onAborted?.()
    return this
  }

  cork(write: () => void): UwsResponse {
    if (this.wire.isClosed) throw new Error('uWS.HttpResponse must not be accessed after it was aborted.')
    this.wire.corking(write)
    return this
  }

  onAborted(handler: () => void): UwsResponse {
    this.#onAborted = handler
    return this
  }

  onData(): UwsResponse {
    return this
  }

  onWritable(handler: (offset: number) => boolean): UwsResponse {
    this.#onWritable = handler
    return this
  }

  pause(): void {}
  resume(): void {}

  getRemoteAddress(): ArrayBuffer {
    return new Uint8Array([127, 0, 0, 1]).buffer
  }

  upgrade(userData: unknown): void {
    this.wire.write(Buffer.alloc(0))
    this.socket = new UwsFakeSocket(this.wire, this.#behavior, userData)
    this.#behavior.open(this.socket)
  }

  async writable(): Promise<void> {
    if (this.socket !== null) await this.socket.writable()
    else
      await this.wire.writable(() => {
        if (this.#onWritable === null) this.wire.write(Buffer.alloc(0))
        else this.#onWritable(0)
      })
  }

  /** The lines that the client of a stream has. */
  lines(): string[] {
    const bytes = Buffer.concat(this.wire.taken)
    const head = bytes.indexOf('\r\n\r\n')
    const parts: Buffer[] = []
    for (let at = head + 2; head !== -1 && at + 2 < bytes.length; ) {
      const start = bytes.indexOf('\r\n', at + 2)
      if (start === -1) break
      const length = Number.parseInt(bytes.toString('latin1', at + 2, start), 16)
      const end = start + 2 + length
      parts.push(bytes.subarray(start + 2, Math.min(end, bytes.length)))
      at = end
    }
    return Buffer.concat(parts).toString().split('\n').slice(0, -1)
  }
}
