/** Publishes numbered messages over a hub's HTTP API, on one connection, so that their order is that of their numbers. */
import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { Histogram } from 'hdr-histogram-js'
import { microsecondHistogram, type Schedule } from './latency.ts'
import { numberedMessage } from './numbered.ts'
import { type Answer, ResponseReader } from './response-reader.ts'
import { runSchedule } from './run-schedule.ts'

export interface PublisherOptions {
  /** What the HTTP API is below: `http://127.0.0.1:8000`, or `https://example.com/base`. */
  readonly url: string
  readonly groups: readonly string[]
  /** Bytes of each message's JSON text. */
  readonly size: number
  readonly apiKey: string | null
}

export class Publisher {
  /** How late requests left, against the schedule. */
  readonly lateness: Histogram = microsecondHistogram()
  readonly #options: PublisherOptions
  readonly #url: URL
  /** The path of the API's base, without a slash at its end. */
  readonly #base: string
  /** `null`: none yet, or the server closed it while nothing was under way, as servers do with idle ones. */
  #socket: Socket | null = null
  #requests = 0
  #answers = 0
  #refused = 0
  #failure: string | null = null
  readonly #idle = new Set<() => void>()
  #messages = 0
  #isLost = false

  /** Connects with the first message. */
  constructor(options: PublisherOptions) {
    this.#options = options
    this.#url = new URL(options.url)
    this.#base = this.#url.pathname.replace(/\/+$/, '')
  }

  /** Messages handed to the connection. */
  get messages(): number {
    return this.#messages
  }

  /** Messages that the server refused. */
  get refused(): number {
    return this.#refused
  }

  /** Why messages were refused or could not be sent; `null` while all is well. */
  get failure(): string | null {
    return this.#failure
  }

  /** Sends messages `first` up to but not `end`: one as a request of its own, several as lines of one. */
  send(first: number, end: number): void {
    if (this.#isLost) return
    this.#socket ??= this.#connect()
    this.#socket.write(end - first === 1 ? this.#single(first) : this.#bulk(first, end))
    this.#requests++
    this.#messages += end - first
  }

  /**
   * Sends on schedule, whatever the server does: an open loop. Resolves when the last message was sent.
   *
   * @param signal ends it early
   */
  async run(schedule: Schedule, signal?: AbortSignal): Promise<void> {
    await runSchedule(schedule, (first, end) => this.send(first, end), this.lateness, signal)
  }

  /** Resolves when all requests were answered, or the connection was lost, or the time is up. */
  async settled(timeoutMs: number): Promise<void> {
    if (this.#answers === this.#requests || this.#isLost) return
    await new Promise<void>((resolve) => {
      const settle = () => {
        clearTimeout(timer)
        this.#idle.delete(settle)
        resolve()
      }
      const timer = setTimeout(settle, timeoutMs)
      this.#idle.add(settle)
    })
  }

  close(): void {
    this.#isLost = true
    this.#socket?.destroy()
    this.#wake()
  }

  #connect(): Socket {
    const url = this.#url
    const host = url.hostname.replace(/^\[|\]$/g, '')
    const socket =
      url.protocol === 'https:'
        ? connectTls({ host, port: Number(url.port) || 443, servername: host, ALPNProtocols: ['http/1.1'] })
        : connectTcp({ host, port: Number(url.port) || 80, noDelay: true })
    const reader = new ResponseReader((answer) => this.#answered(answer))
    socket.on('data', (bytes: Buffer) => {
      try {
        reader.read(bytes)
      } catch (error) {
        this.#fail(String(error))
      }
    })
    socket.on('error', (error) => this.#fail(`the publishing connection failed: ${error.message}`))
    socket.on('close', () => {
      this.#socket = null
      if (this.#answers < this.#requests) this.#fail('the server closed the publishing connection')
    })
    return socket
  }

  #single(n: number): string {
    const { groups, size } = this.#options
    const group = encodeURIComponent(groups[n % groups.length] ?? '')
    return this.#request(`/api/groups/${group}/messages`, 'application/json', numberedMessage(n, size))
  }

  #bulk(first: number, end: number): string {
    const { groups, size } = this.#options
    let body = ''
    for (let n = first; n < end; n++) {
      const name = JSON.stringify(groups[n % groups.length])
      body += `{"groups":[${name}],"message":${numberedMessage(n, size)}}\n`
    }
    return this.#request('/api/publish', 'application/x-ndjson', body)
  }

  #request(path: string, contentType: string, body: string): string {
    const { apiKey } = this.#options
    const authorization = apiKey === null ? '' : `Authorization: Bearer ${apiKey}\r\n`
    const length = Buffer.byteLength(body)
    return `POST ${this.#base}${path} HTTP/1.1\r\nHost: ${this.#url.host}\r\nContent-Type: ${contentType}\r\n${authorization}Content-Length: ${length}\r\n\r\n${body}`
  }

  #answered({ status, errors, body }: Answer): void {
    this.#answers++
    if (status !== 200 || errors > 0) {
      this.#refused += Math.max(1, errors)
      const text = body.slice(0, 300)
      // Where there is no API, it is a proxy that answers: the URL shows that it was the wrong one to ask.
      const where = `${this.#url.origin}${this.#base}/api`
      this.#failure ??= status === 200 ? text : `status ${status} from ${where}: ${text}`
    }
    if (this.#answers === this.#requests) this.#wake()
  }

  #fail(why: string): void {
    if (this.#isLost) return
    this.#failure ??= why
    this.#isLost = true
    this.#socket?.destroy()
    this.#wake()
  }

  #wake(): void {
    for (const settle of this.#idle) settle()
  }
}
