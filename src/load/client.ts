/** One client of a load: a socket, its handshake, and what it gets. */
import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { ChunkScanner } from './chunk-scanner.ts'
import { EventScanner } from './event-scanner.ts'
import { HeadReader, type LoadTransport, maskedFrame, openingRequest, refusal } from './handshake.ts'
import type { Scanner } from './scanner.ts'
import type { Account, Totals } from './tally.ts'
import { type FrameSink, WebSocketScanner } from './websocket-scanner.ts'

/** Where a client connects and how. */
export interface ClientTarget {
  readonly url: URL
  readonly transport: LoadTransport
  /** Path and query. */
  readonly target: string
  /** Address of this machine to connect from; `null`: whichever the system takes. */
  readonly localAddress: string | null
  /** A text frame to send first, for servers with a handshake of their own on top. */
  readonly hello: string | null
  /** How much `crawl` reads; `null`: the client never crawls. Not over TLS, which decrypts as it likes. */
  readonly bytesPerSecond: number | null
}

/** Hears what becomes of a client. */
export interface ClientOwner {
  opened(client: Client): void
  /** The connection ended, or never began; not called after `leave`. */
  ended(client: Client, why: string): void
  /** Bytes were read. */
  read(): void
}

// All clients of a process read into the same memory: what is read is scanned before the next socket is.
const READ_BUFFER = Buffer.allocUnsafeSlow(256 * 1024)

/** Engine.IO's heartbeat is a message of its own, which clients answer (`2` and `3`). */
const ENGINE_PING = 0x32
const OPCODE_TEXT = 1
const OPCODE_CLOSE = 8
const OPCODE_PONG = 10

export class Client implements FrameSink {
  readonly transport: LoadTransport
  readonly #account: Account
  readonly #owner: ClientOwner
  readonly #totals: Totals
  readonly #hello: string | null
  readonly #socket: Socket
  #head: HeadReader | null = new HeadReader()
  #scanner: Scanner | null = null
  #isOpen = false
  #isOver = false
  #closeCode: number | null = null
  #crawling: NodeJS.Timeout | null = null

  constructor(target: ClientTarget, account: Account, totals: Totals, owner: ClientOwner) {
    this.transport = target.transport
    this.#account = account
    this.#owner = owner
    this.#totals = totals
    this.#hello = target.hello
    this.#socket = this.#connect(target)
    this.#socket.on('error', (error: NodeJS.ErrnoException) => this.#end(error.code ?? error.message))
    this.#socket.on('close', () => this.#end('the connection was closed'))
  }

  /** Whether the handshake succeeded, whatever came later. */
  get wasOpen(): boolean {
    return this.#isOpen
  }

  /** Stops reading, so that what is sent piles up at the server. */
  stop(): void {
    this.#socket.pause()
  }

  /** Reads on, as fast as it can. */
  resume(): void {
    this.#stopCrawling()
    this.#socket.resume()
  }

  /** Reads on, so many bytes a second. */
  crawl(): void {
    this.#stopCrawling()
    this.#socket.pause()
    this.#crawling = setInterval(() => this.#socket.resume(), 1_000)
  }

  /** The code with which the server closed a WebSocket; `null`: it did not, or gave none. */
  get closeCode(): number | null {
    return this.#closeCode
  }

  /** Closes the connection. */
  leave(): void {
    this.#isOver = true
    this.#stopCrawling()
    // A reset leaves no port waiting behind: a load may need all there are again a second later.
    this.#socket.resetAndDestroy()
  }

  #stopCrawling(): void {
    if (this.#crawling !== null) clearInterval(this.#crawling)
    this.#crawling = null
  }

  #connect({ url, transport, target, localAddress, bytesPerSecond }: ClientTarget): Socket {
    const isSecure = url.protocol === 'https:'
    const port = Number(url.port) || (isSecure ? 443 : 80)
    const host = url.hostname.replace(/^\[|\]$/g, '')
    const request = openingRequest(transport, url.host, target)
    const from = localAddress === null ? {} : { localAddress }
    if (isSecure) {
      const socket = connectTls({ host, port, ...from, servername: host, ALPNProtocols: ['http/1.1'] })
      socket.once('secureConnect', () => socket.write(request))
      // TLS decrypts into buffers of its own.
      socket.on('data', (bytes: Buffer) => this.#read(bytes, bytes.length))
      return socket
    }
    const buffer = bytesPerSecond === null ? READ_BUFFER : Buffer.allocUnsafeSlow(bytesPerSecond)
    const onread = {
      buffer,
      callback: (length: number) => {
        this.#read(buffer, length)
        return this.#crawling === null
      },
    }
    const socket = connectTcp({ host, port, ...from, noDelay: true, onread })
    socket.once('connect', () => socket.write(request))
    return socket
  }

  #read(bytes: Buffer, length: number): void {
    if (this.#isOver) return
    this.#totals.bytes += length
    this.#totals.clock.tick()
    try {
      const start = this.#head === null ? 0 : this.#readHead(this.#head, bytes, length)
      if (start < length) this.#scanner?.scan(bytes, start, length)
    } catch (error) {
      this.#end(error instanceof Error ? error.message : String(error))
    }
    this.#owner.read()
  }

  /** @returns where the body begins; `length` while there is none */
  #readHead(reader: HeadReader, bytes: Buffer, length: number): number {
    const found = reader.read(bytes, 0, length)
    if (found === null) return length
    this.#head = null
    const why = refusal(this.transport, found.head)
    if (why !== null) {
      this.#end(`refused: ${why}`)
      return length
    }
    if (this.transport === 'websocket') {
      this.#scanner = new WebSocketScanner(this)
    } else {
      const events = new EventScanner(this)
      const isChunked = found.head.headers.get('transfer-encoding')?.toLowerCase() === 'chunked'
      this.#scanner = isChunked ? new ChunkScanner(events) : events
    }
    if (this.#hello !== null) this.#socket.write(maskedFrame(OPCODE_TEXT, Buffer.from(this.#hello)))
    this.#isOpen = true
    this.#owner.opened(this)
    return found.body
  }

  message(bytes: Buffer, start: number, end: number, isWhole: boolean): void {
    if (end - start === 1 && bytes[start] === ENGINE_PING && this.#hello !== null) {
      this.#socket.write(maskedFrame(OPCODE_TEXT, Buffer.from('3')))
      return
    }
    this.#account.add(bytes, start, end, isWhole)
  }

  wantsWhole(): boolean {
    return this.#account.wantsWhole?.() === true
  }

  event(text: string): void {
    this.#account.event(text)
  }

  ping(payload: Buffer): void {
    this.#socket.write(maskedFrame(OPCODE_PONG, payload))
  }

  close(code: number): void {
    this.#closeCode = code
    // The answer that servers wait for (RFC 6455, section 5.5.1); it may be empty.
    this.#socket.write(maskedFrame(OPCODE_CLOSE, Buffer.alloc(0)))
    this.#end('')
  }

  #end(why: string): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#stopCrawling()
    this.#socket.destroySoon()
    this.#owner.ended(this, this.#closeCode === null ? why : `closed with code ${this.#closeCode}`)
  }
}
