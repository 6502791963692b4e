/**
 * uWebSockets.js as version 20.30 has it, without sockets: what it does with what it is given to write, word for word, its faults included. The
 * test is the network: it says how much the system takes. So a million ways in which writes fall short can be tried in seconds.
 */
import { encodeTextFrame } from '../../src/wire/websocket.ts'

const CORK_BYTES = 16 * 1024
const NOTHING: Buffer = Buffer.alloc(0)

type Handler = (...given: never[]) => void

/** What all sockets of a loop share. */
class Loop {
  corked: Socket | null = null
  cork = NOTHING
  hasWriteFailed = false
  isParsing = false
}

/** `AsyncSocket.h` and what of `libusockets` is below it. */
class Socket {
  /** How much more the system takes. */
  room = Number.POSITIVE_INFINITY
  /** All that it took. */
  readonly taken: Buffer[] = []
  isPolled = false
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
    if (count < bytes.length) this.isPolled = true
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

  /** `cork` of both kinds. */
  within(write: () => void): void {
    const { loop } = this
    if (loop.corked !== null) {
      write()
      return
    }
    loop.corked = this
    write()
    ;(loop.corked as Socket | null)?.uncork()
  }

  /** What the loop does with a socket that can be written to. */
  writable(onWritable: () => void): void {
    if (!this.isPolled || this.isClosed) return
    this.loop.hasWriteFailed = false
    onWritable()
    if (!this.loop.hasWriteFailed) this.isPolled = false
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
  #hasHead = false

  constructor(app: FakeApp) {
    super(app.loop)
    this.app = app
  }

  /** What came to the client. */
  get bytes(): Buffer {
    return Buffer.concat(this.taken)
  }

  /** The request comes; promises go on before it is parsed to its end. */
  async ask(url: string, headers: Record<string, string>): Promise<void> {
    const isUpgrade = headers.upgrade === 'websocket'
    const route = isUpgrade ? this.app.web?.upgrade : this.app.routes.get('get')
    await this.inHandler(() =>
      (route as (...given: unknown[]) => void)(this.#response(), requestOf(url, headers), {}),
    )
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
    this.uncork()
  }

  /** The system takes so much more. */
  take(bytes: number): void {
    this.room += bytes
    this.writable(() => (this.#web === null ? this.#onWritable?.(0) : this.#drain(this.#web)))
  }

  /** The client is gone. */
  cut(): void {
    if (this.isClosed) return
    this.isClosed = true
    if (this.#web === null) this.#onAborted()
    else this.#web.close?.(...([this.#socket, 1006, new ArrayBuffer(0)] as never[]))
  }

  #drain(web: Record<string, Handler>): void {
    const before = this.buffer.length
    this.put(NOTHING)
    if (before === 0 || before > this.buffer.length) web.drain?.(this.#socket as never)
  }

  #alive(): void {
    if (this.isClosed) throw new Error('Invalid access of closed uWS object')
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
        return !this.put(Buffer.from(chunk))
      },
      end: () => {
        this.#alive()
        this.put(Buffer.from('\r\n0\r\n\r\n'))
        this.isClosed = true
      },
      close: () => this.cut(),
      cork: (write: () => void) => {
        this.#alive()
        this.within(write)
      },
      onAborted: (listener: () => void) => {
        this.#onAborted = listener
      },
      onWritable: (listener: (offset: number) => boolean) => {
        this.#onWritable = listener
      },
      pause() {},
      resume() {},
      getRemoteAddress: () => new Uint8Array([127, 0, 0, 1]).buffer,
      upgrade: (userData: unknown) => {
        this.#alive()
        if (this.loop.isParsing && this.loop.corked !== this) {
          throw new Error('It would be taken for the socket whose request is parsed: the process would end.')
        }
        this.put(Buffer.from('HTTP/1.1 101 Switching Protocols\r\n\r\n'))
        this.#web = this.app.web as Record<string, Handler>
        this.#userData = userData
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
  readonly routes = new Map<string, Handler>()
  web: Record<string, Handler> | null = null

  client(): FakeSocket {
    return new FakeSocket(this)
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

function requestOf(url: string, headers: Record<string, string>) {
  const [path = '', query] = url.split('?')
  const all: Record<string, string> = { host: 'localhost', ...headers }
  return {
    getMethod: () => 'get',
    getUrl: () => path,
    getQuery: () => query,
    getHeader: (name: string) => all[name] ?? '',
    forEach(visit: (name: string, value: string) => void) {
      for (const name in all) visit(name, all[name] ?? '')
    },
    setYield() {},
  }
}
