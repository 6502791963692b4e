/**
 * uWebSockets.js as version 20.30 has it, without sockets: what it does with what it is given to write, word for word, its faults included. The
 * test is the network: it says how much the system takes. So a million ways in which writes fall short can be tried in seconds.
 */
import { encodeTextFrame } from '../../src/wire/websocket.ts'

const CORK_BYTES = 16 * 1024
/** What sockets are polled for. */
const READABLE = 1
const WRITABLE = 2
/** Of four seconds: ten, rounded up. */
const TIMEOUT_TICKS = 3
/** A body that comes at this rate puts its clock back. */
const RECEIVED_BYTES = 16 * 1024 * 10
const NOTHING: Buffer = Buffer.alloc(0)

type Handler = (...given: never[]) => void

/** What all sockets of a loop share. */
class Loop {
  corked: Socket | null = null
  cork = NOTHING
  hasWriteFailed = false
  isParsing = false
  /** What the last socket was polled for that was paused: one without a buffer, one with. */
  readonly paused: [number, number] = [0, 0]
  ticks = 0
}

/** `AsyncSocket.h` and what of `libusockets` is below it. */
class Socket {
  /** How much more the system takes. */
  room = Number.POSITIVE_INFINITY
  /** All that it took. */
  readonly taken: Buffer[] = []
  /** What it is polled for. */
  events = READABLE
  isClosed = false
  buffer = NOTHING
  readonly loop: Loop

  constructor(loop: Loop) {
    this.loop = loop
  }

  /** `send(2)` and `writev(2)`. */
  system(bytes: Buffer): number {
    const count = Math.min(this.room, bytes.length)
    this.room -= count
    if (count > 0) this.taken.push(Buffer.from(bytes.subarray(0, count)))
    if (count < bytes.length) this.events = READABLE | WRITABLE
    return count
  }

  /** `us_socket_write` */
  raw(bytes: Buffer): number {
    const count = this.system(bytes)
    if (count < bytes.length) this.loop.hasWriteFailed = true
    return count
  }

  /** `AsyncSocket::write`. @returns whether it failed */
  put(bytes: Buffer): boolean {
    const { loop } = this
    if (this.isClosed) return false
    if (this.buffer.length > 0) {
      const written = this.raw(this.buffer)
      if (written < this.buffer.length) {
        this.buffer = Buffer.concat([this.buffer.subarray(written), bytes])
        return true
      }
      this.buffer = NOTHING
    }
    if (bytes.length === 0) return false
    if (loop.corked === this) {
      if (loop.cork.length + bytes.length > CORK_BYTES) return this.uncork(bytes)
      loop.cork = Buffer.concat([loop.cork, bytes])
      return false
    }
    const written = this.raw(bytes)
    if (written < bytes.length) this.buffer = Buffer.concat([this.buffer, bytes.subarray(written)])
    return written < bytes.length
  }

  /** `AsyncSocket::uncork`: what comes with it is lost when the cork did not leave whole. */
  uncork(bytes = NOTHING): boolean {
    const { loop } = this
    if (loop.corked !== this) return false
    loop.corked = null
    const { cork } = loop
    loop.cork = NOTHING
    if (cork.length > 0 && this.put(cork)) return true
    return this.put(bytes)
  }

  /** `cork` of both kinds. @returns whether the uncorking failed */
  within(write: () => void): boolean {
    const { loop } = this
    if (loop.corked !== null) {
      write()
      return false
    }
    loop.corked = this
    write()
    return (loop.corked as Socket | null)?.uncork() ?? false
  }

  /** `throttle_helper`: what it was polled for it has in common with all others. */
  throttle(isPaused: boolean): void {
    const kind = this.buffer.length > 0 ? 1 : 0
    if (!isPaused) this.events = this.loop.paused[kind]
    else {
      if (this.events !== 0) this.loop.paused[kind] = this.events
      this.events = 0
    }
  }

  /** What the loop does with a socket that can be written to. */
  writable(onWritable: () => void): void {
    if ((this.events & WRITABLE) === 0 || this.isClosed) return
    this.loop.hasWriteFailed = false
    onWritable()
    if (!this.loop.hasWriteFailed) this.events &= READABLE
  }
}

/** A client, from its request on. */
export class FakeSocket extends Socket {
  readonly app: FakeApp
  /** The behaviour of its WebSocket, once it is one. */
  #web: Record<string, Handler> | null = null
  #userData: unknown = null
  #onAborted = () => {}
  #onWritable: ((offset: number) => boolean) | null = null
  #onData: ((chunk: ArrayBuffer, isLast: boolean) => void) | null = null
  #hasHead = false
  /** Its response has ended; what is left of it may still be in the buffer. */
  isEnded = false
  #closes = false
  /** When it is cut, in {@link Loop.ticks}. */
  #deadline = Number.POSITIVE_INFINITY
  isCutByClock = false
  #received = 0
  /** What the client has sent of its body and nobody has read. */
  #unread: { readonly bytes: Buffer; readonly isLast: boolean }[] = []

  constructor(app: FakeApp) {
    super(app.loop)
    this.app = app
    app.sockets.add(this)
  }

  /** There is nobody to write to any more. */
  get isOver(): boolean {
    return this.isClosed || this.isEnded
  }

  /** How much of the body was sent and not read. */
  get unreadBytes(): number {
    return this.#unread.reduce((sum, { bytes }) => sum + bytes.length, 0)
  }

  /** What came to the client. */
  get bytes(): Buffer {
    return Buffer.concat(this.taken)
  }

  /** The request comes; promises go on before it is parsed to its end. */
  async ask(url: string, headers: Record<string, string>, method = 'get'): Promise<void> {
    const isUpgrade = headers.upgrade === 'websocket'
    const route = isUpgrade
      ? this.app.web?.upgrade
      : (this.app.routes.get(method) ?? this.app.routes.get('any'))
    await this.inHandler(() => {
      ;(route as (...given: unknown[]) => void)(this.#response(), requestOf(method, url, headers), {})
      if (this.#onData !== null && !this.isEnded) this.#timeout(TIMEOUT_TICKS)
    })
  }

  /** A handler of this socket, and the promises that go on at its end. */
  async inHandler(handler: () => void): Promise<void> {
    const { loop } = this
    loop.corked = this
    loop.isParsing = true
    handler()
    for (let i = 0; i < 60; i++) await null
    await new Promise<void>((resolve) => process.nextTick(resolve))
    loop.isParsing = false
    if (this.uncork() && this.#web === null) this.#timeout(TIMEOUT_TICKS)
  }

  /** The client sends of its body. */
  send(bytes: Buffer, isLast = false): void {
    this.#unread.push({ bytes, isLast })
  }

  /** Reads what was sent, if it reads: all of it at once. */
  async read(): Promise<void> {
    if ((this.events & READABLE) === 0 || this.isClosed || this.#unread.length === 0) return
    const parts = this.#unread
    this.#unread = []
    await this.inHandler(() => {
      for (const { bytes, isLast } of parts) {
        if (this.isClosed) return
        this.#receive(bytes, isLast)
      }
    })
  }

  #receive(bytes: Buffer, isLast: boolean): void {
    this.#received += bytes.length
    if (isLast) this.#timeout(null)
    else if (this.#received >= RECEIVED_BYTES) {
      this.#timeout(TIMEOUT_TICKS)
      this.#received = 0
    }
    this.#onData?.(new Uint8Array(bytes).buffer, isLast)
    if (isLast) this.#onData = null
  }

  /** The system takes so much more. */
  take(bytes: number): void {
    this.room += bytes
    this.written()
  }

  /** It can be written to, if the system takes anything and somebody waits for that. */
  written(): void {
    if (this.room <= 0) return
    this.writable(() => {
      if (this.#web !== null) this.#drain(this.#web)
      else if (this.#onWritable !== null) {
        this.#timeout(null)
        this.#onWritable(0)
      } else {
        this.put(NOTHING)
        this.#timeout(TIMEOUT_TICKS)
        this.#closeIfDone()
      }
    })
  }

  /** `us_internal_timer_sweep` */
  sweep(): void {
    if (this.isClosed || this.loop.ticks < this.#deadline) return
    this.isCutByClock = true
    this.cut()
  }

  /** The client is gone. */
  cut(): void {
    if (this.isClosed) return
    this.isClosed = true
    if (this.#web === null) this.#onAborted()
    else this.#web.close?.(...([this.#socket, 1006, new ArrayBuffer(0)] as never[]))
  }

  #timeout(ticks: number | null): void {
    this.#deadline = ticks === null ? Number.POSITIVE_INFINITY : this.loop.ticks + ticks
  }

  #closeIfDone(): void {
    if (this.#closes && this.isEnded && this.buffer.length === 0) this.isClosed = true
  }

  #drain(web: Record<string, Handler>): void {
    const before = this.buffer.length
    this.put(NOTHING)
    if (before === 0 || before > this.buffer.length) web.drain?.(this.#socket as never)
  }

  #alive(): void {
    if (this.isOver) throw new Error('Invalid access of closed uWS object')
  }

  #response(): object {
    const response = {
      writeStatus: (status: string) => this.#head(`HTTP/1.1 ${status}\r\n`, response),
      writeHeader: (name: string, value: string) => this.#head(`${name}: ${value}\r\n`, response),
      write: (chunk: Uint8Array) => {
        this.#alive()
        if (!this.#hasHead) this.put(Buffer.from('Transfer-Encoding: chunked\r\n'))
        this.#hasHead = true
        this.put(Buffer.from('\r\n'))
        this.put(Buffer.from(chunk.length.toString(16)))
        this.put(Buffer.from('\r\n'))
        const hasFailed = this.put(Buffer.from(chunk))
        if (hasFailed) this.#timeout(TIMEOUT_TICKS)
        return !hasFailed
      },
      end: (body: string | Uint8Array = '', closes = false) => {
        this.#alive()
        if (closes) this.#closes = true
        const bytes = Buffer.from(body as string)
        this.put(Buffer.from(this.#hasHead ? '\r\n0\r\n\r\n' : `Content-Length: ${bytes.length}\r\n\r\n`))
        this.put(bytes)
        this.isEnded = true
        this.#onAborted = () => {}
        this.#onWritable = null
        this.#timeout(TIMEOUT_TICKS)
      },
      close: () => {
        this.#alive()
        this.cut()
      },
      cork: (write: () => void) => {
        this.#alive()
        if (this.within(write) && this.#web === null) this.#timeout(TIMEOUT_TICKS)
        this.#closeIfDone()
      },
      onAborted: (listener: () => void) => {
        this.#onAborted = listener
      },
      onWritable: (listener: (offset: number) => boolean) => {
        this.#onWritable = listener
      },
      onData: (listener: (chunk: ArrayBuffer, isLast: boolean) => void) => {
        this.#onData = listener
      },
      pause: () => {
        this.#alive()
        this.throttle(true)
        this.#timeout(null)
      },
      resume: () => {
        this.#alive()
        this.throttle(false)
        this.#timeout(TIMEOUT_TICKS)
      },
      getRemoteAddress: () => new Uint8Array([127, 0, 0, 1]).buffer,
      upgrade: (userData: unknown) => {
        this.#alive()
        if (this.loop.isParsing && this.loop.corked !== this) {
          throw new Error('It would be taken for the socket whose request is parsed: the process would end.')
        }
        this.put(Buffer.from('HTTP/1.1 101 Switching Protocols\r\n\r\n'))
        this.#web = this.app.web as Record<string, Handler>
        this.#userData = userData
        this.#timeout(null)
        this.#web.open?.(this.#socket as never)
      },
    }
    return response
  }

  #head(text: string, response: object): object {
    this.#alive()
    this.put(Buffer.from(text))
    return response
  }

  readonly #socket = {
    send: (message: Uint8Array, _isBinary: boolean, compress: boolean) =>
      this.#send(Buffer.from(message), compress),
    ping: () => this.#frame(Buffer.from([0x89, 0])),
    end: (code: number) => {
      this.#frame(Buffer.from([0x88, 2, code >> 8, code & 255]))
      this.#closed(code)
    },
    close: () => this.cut(),
    cork: (write: () => void) => {
      this.#alive()
      this.within(write)
    },
    getBufferedAmount: () => {
      this.#alive()
      return this.buffer.length
    },
    getUserData: () => this.#userData,
  }

  #closed(code: number): void {
    this.isClosed = true
    this.#web?.close?.(...([this.#socket, code, new ArrayBuffer(0)] as never[]))
  }

  /** `WebSocket::send` */
  #send(message: Buffer, compress: boolean): number {
    this.#alive()
    const frame = encodeTextFrame(message.toString())
    const isLong = message.length >= CORK_BYTES && !compress
    if (!isLong || this.buffer.length > 0 || this.loop.cork.length > 0) return this.#frame(frame)
    const header = frame.length - message.length
    const written = this.system(frame)
    if (written === frame.length) return 1
    // Where not even all of the header was taken, the message is forgotten.
    this.buffer = Buffer.from(written > header ? frame.subarray(written) : frame.subarray(written, header))
    if (this.loop.corked === this) this.loop.corked = null
    return 0
  }

  /** `getSendBuffer` and what follows it. */
  #frame(frame: Buffer): number {
    this.#alive()
    const { loop } = this
    const mayCork = loop.corked === this || loop.corked === null
    if (this.buffer.length === 0 && mayCork && loop.cork.length + frame.length < CORK_BYTES) {
      const isCorked = loop.corked === this
      loop.corked = this
      loop.cork = Buffer.concat([loop.cork, frame])
      return isCorked || !this.uncork() ? 1 : 0
    }
    const cork = loop.corked === this ? loop.cork : NOTHING
    if (loop.corked === this) loop.cork = NOTHING
    this.buffer = Buffer.concat([this.buffer, cork, frame])
    return this.put(NOTHING) ? 0 : 1
  }
}

/** An app whose clients are made by `client`. */
export class FakeApp {
  readonly loop = new Loop()
  readonly sockets = new Set<FakeSocket>()
  readonly routes = new Map<string, Handler>()
  web: Record<string, Handler> | null = null

  client(): FakeSocket {
    return new FakeSocket(this)
  }

  /** The loop goes round once: whoever can be written to or read from is. */
  async turn(): Promise<void> {
    for (const socket of this.sockets) {
      socket.written()
      await socket.read()
    }
  }

  /** Four seconds have passed. */
  tick(): void {
    this.loop.ticks++
    for (const socket of this.sockets) socket.sweep()
  }

  ws(_pattern: string, behavior: Record<string, Handler>): void {
    this.web = behavior
  }

  listen(): void {}
}

for (const method of ['get', 'post', 'options', 'put', 'patch', 'del', 'head', 'connect', 'trace', 'any']) {
  Object.assign(FakeApp.prototype, {
    [method](this: FakeApp, _pattern: string, handler: Handler) {
      this.routes.set(method, handler)
    },
  })
}

function requestOf(method: string, url: string, headers: Record<string, string>) {
  const [path = '', query] = url.split('?')
  const all: Record<string, string> = { host: 'localhost', ...headers }
  return {
    getMethod: () => method,
    getUrl: () => path,
    getQuery: () => query,
    getHeader: (name: string) => all[name] ?? '',
    forEach(visit: (name: string, value: string) => void) {
      for (const name in all) visit(name, all[name] ?? '')
    },
    setYield() {},
  }
}
