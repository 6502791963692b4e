/** Publishes numbered messages over a hub's HTTP API, on one connection, so that their order is that of their numbers. */
import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { Histogram } from 'hdr-histogram-js'
import { monotonicMs } from './clocks.ts'
import { intendedMs, microsecondHistogram, recordMs, type Schedule } from './latency.ts'
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

/** What one request may bring, where more than that has become due while the one before was under way. */
const MOST_MESSAGES_EACH = 1_000
const MOST_BYTES_EACH = 1024 * 1024

/**
 * One request is under way at a time: not every server reads one behind another that it has not answered, and uWebSockets.js closes the
 * connection for it. What becomes due meanwhile goes into the next request, all in one, so that a slow server is not asked less often for more.
 */
export class Publisher {
  /** How late messages left, against the schedule: one entry for each batch. */
  readonly lateness: Histogram = microsecondHistogram()
  readonly #options: PublisherOptions
  readonly #url: URL
  /** The path of the API's base, without a slash at its end. */
  readonly #base: string
  /** `null`: none yet, or the server closed it while nothing was under way, as servers do with idle ones. */
  #socket: Socket | null = null
  #schedule: Schedule | null = null
  /** What waits for the answer to the request that is under way, in runs of numbers. */
  readonly #queue: { first: number; end: number }[] = []
  /** Messages of the request that is under way; `0`: none is. */
  #underWay = 0
  /** The most that were sent at once: they stay in one request. */
  #batch = 1
  #refused = 0
  #failure: string | null = null
  readonly #idle = new Set<{ settle(): void; timer: NodeJS.Timeout }>()
  #messages = 0
  #isLost = false

  /** Connects with the first message. */
  constructor(options: PublisherOptions) {
    this.#options = options
    this.#url = new URL(options.url)
    this.#base = this.#url.pathname.replace(/\/+$/, '')
  }

  /** Messages handed to the connection; others may wait. */
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

  /**
   * Sends messages `first` up to but not `end`: one as a request of its own, several as lines of one. While a request is under way they wait for
   * its answer, and then leave together with all others that do.
   */
  send(first: number, end: number): void {
    if (this.#isLost) return
    const last = this.#queue.at(-1)
    if (last?.end === first) last.end = end
    else this.#queue.push({ first, end })
    this.#batch = Math.max(this.#batch, end - first)
    if (this.#underWay === 0) this.#sendNext()
  }

  /**
   * Sends on schedule, whatever the server does: an open loop. Resolves when the last message was due.
   *
   * @param signal ends it early: what waits is not sent any more
   */
  async run(schedule: Schedule, signal?: AbortSignal): Promise<void> {
    this.#schedule = schedule
    signal?.addEventListener('abort', () => this.stop(), { once: true })
    await runSchedule(schedule, (first, end) => this.send(first, end), signal)
  }

  /** Resolves when all requests were answered, or the connection was lost, or no answer has come for so long. */
  async settled(timeoutMs: number): Promise<void> {
    if (this.#isLost || (this.#underWay === 0 && this.#queue.length === 0)) return
    await new Promise<void>((resolve) => {
      const settle = () => {
        clearTimeout(timer)
        this.#idle.delete(waiting)
        resolve()
      }
      const timer = setTimeout(settle, timeoutMs)
      const waiting = { settle, timer }
      this.#idle.add(waiting)
    })
  }

  /** What waits is not sent any more. @returns how many messages that was */
  stop(): number {
    const unsent = this.#queue.splice(0).reduce((sum, { first, end }) => sum + end - first, 0)
    if (this.#underWay === 0) this.#wake()
    return unsent
  }

  close(): void {
    this.#isLost = true
    this.#socket?.destroy()
    this.#wake()
  }

  #sendNext(): void {
    const run = this.#queue[0]
    if (run === undefined) {
      this.#wake()
      return
    }
    const { first } = run
    const fitting = Math.min(MOST_MESSAGES_EACH, Math.floor(MOST_BYTES_EACH / this.#options.size))
    const end = Math.min(run.end, first + Math.max(this.#batch, fitting))
    if (end === run.end) this.#queue.shift()
    else run.first = end
    this.#underWay = end - first
    this.#messages += end - first
    this.#recordLateness(first, end)
    this.#socket ??= this.#connect()
    this.#socket.write(end - first === 1 ? this.#single(first) : this.#bulk(first, end))
  }

  #recordLateness(first: number, end: number): void {
    const schedule = this.#schedule
    if (schedule === null) return
    const nowMs = monotonicMs()
    for (let n = first; n < end; n += schedule.batch) {
      recordMs(this.lateness, nowMs - intendedMs(schedule, n))
    }
  }

  #connect(): Socket {
    const url = this.#url
    const host = url.hostname.replace(/^\[|\]$/g, '')
    const socket =
      url.protocol === 'https:'
        ? connectTls({ host, port: Number(url.port) || 443, servername: host, ALPNProtocols: ['http/1.1'] })
        : connectTcp({ host, port: Number(url.port) || 80, noDelay: true })
    const reader = new ResponseReader((answer) => this.#answered(answer))
    // One that has had its last answer is no longer the publishing connection, whatever becomes of it.
    const isCurrent = () => this.#socket === socket
    socket.on('data', (bytes: Buffer) => {
      try {
        if (isCurrent()) reader.read(bytes)
      } catch (error) {
        this.#fail(String(error))
      }
    })
    socket.on('error', (error) => {
      if (isCurrent()) this.#fail(`the publishing connection failed: ${error.message}`)
    })
    socket.on('close', () => {
      if (!isCurrent()) return
      this.#socket = null
      if (this.#underWay > 0) this.#fail('the server closed the publishing connection')
    })
    return socket
  }

  #single(n: number): string {
    const { groups, size } = this.#options
    const group = encodeURIComponent(groups[n % groups.length] ?? '')
    return this.#post(`/api/groups/${group}/messages`, 'application/json', numberedMessage(n, size))
  }

  #bulk(first: number, end: number): string {
    const { groups, size } = this.#options
    let body = ''
    for (let n = first; n < end; n++) {
      const name = JSON.stringify(groups[n % groups.length])
      body += `{"groups":[${name}],"message":${numberedMessage(n, size)}}\n`
    }
    return this.#post('/api/publish', 'application/x-ndjson', body)
  }

  #post(path: string, contentType: string, body: string): string {
    const { apiKey } = this.#options
    const authorization = apiKey === null ? '' : `Authorization: Bearer ${apiKey}\r\n`
    const length = Buffer.byteLength(body)
    return `POST ${this.#base}${path} HTTP/1.1\r\nHost: ${this.#url.host}\r\nContent-Type: ${contentType}\r\n${authorization}Content-Length: ${length}\r\n\r\n${body}`
  }

  #answered({ status, errors, body, isLast }: Answer): void {
    if (status !== 200 || errors > 0) {
      this.#refused += status === 200 ? errors : this.#underWay
      const text = body.slice(0, 300)
      // Where there is no API, it is a proxy that answers: the URL shows that it was the wrong one to ask.
      const where = `${this.#url.origin}${this.#base}/api`
      this.#failure ??= status === 200 ? text : `status ${status} from ${where}: ${text}`
    }
    this.#underWay = 0
    for (const { timer } of this.#idle) timer.refresh()
    if (isLast) {
      this.#socket?.end()
      this.#socket = null
    }
    this.#sendNext()
  }

  #fail(why: string): void {
    if (this.#isLost) return
    this.#failure ??= why
    this.#isLost = true
    this.#socket?.destroy()
    this.#wake()
  }

  #wake(): void {
    for (const { settle } of this.#idle) settle()
  }
}
