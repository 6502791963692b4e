/** A network without sockets: every attempt to connect lies still until the test says what becomes of it. */
import type { ClientTransport } from '../../src/client/link.ts'
import { until } from '../support/until.ts'

/** One attempt to connect, as the server's side has it. */
export interface Attempt {
  readonly transport: ClientTransport
  readonly url: URL
  /** Subprotocols of a WebSocket. */
  readonly protocols: readonly string[]
  /** Headers of a request. */
  readonly headers: Headers
  /** Sends text: a frame, or a piece of the event stream. */
  text(text: string): void
  say(envelope: unknown): void
  open(more?: object): void
  heartbeat(): void
  /** Closes with a code, as a hub does. */
  close(code: number, reason?: string): void
  /** Ends it without a word; before it was open: it cannot be opened. */
  cut(): void
  /** Commands that the client sent. */
  readonly commands: Command[]
  reply(n: number, answer: object): void
  readonly isOver: boolean
}

interface Command {
  readonly reply: number
  readonly [name: string]: unknown
}

/** An attempt over SSE: it can be refused. */
export interface StreamAttempt extends Attempt {
  answer(status: number, headers?: Readonly<Record<string, string>>, body?: string): void
}

/** What a test makes of posts: a `Response`, or an exception. Unless set, posts are accepted. */
type AnswerPost = (request: RequestInit) => Response | Promise<Response>

export class FakeNetwork {
  readonly attempts: Attempt[] = []
  answerPost: AnswerPost = () => new Response('{}', { status: 202 })
  /** Thrown by the WebSocket's constructor. */
  socketError: Error | null = null
  readonly #seen = { count: 0 }

  /** The next attempt that the test has not looked at yet. */
  async next(): Promise<Attempt> {
    const n = this.#seen.count++
    await until(`attempt ${n + 1} was made`, () => this.attempts.length > n)
    return this.attempts[n] as Attempt
  }

  /** Waits until there is an attempt, without a timer. */
  async attempted(): Promise<void> {
    while (this.attempts.length === 0) await new Promise(setImmediate)
  }

  /** Waits until all that can happen without time going on has happened, and fails if there was another attempt. */
  async quiet(): Promise<void> {
    for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate)
    const { length } = this.attempts
    if (length > this.#seen.count) throw new Error(`There was attempt ${length} that nobody waited for.`)
  }

  /** For the option `WebSocket`. */
  get WebSocket() {
    const network = this
    return class extends FakeWebSocket {
      constructor(url: string, protocols: string[]) {
        super(url, protocols)
        if (network.socketError !== null) throw network.socketError
        network.attempts.push(this.attempt)
      }
    }
  }

  /** For the option `fetch`. */
  readonly fetch: typeof globalThis.fetch = async (input, init = {}) => {
    if (init.method === 'POST') {
      const id = new Headers(init.headers).get('groupcast-connection')
      const attempt = this.attempts[Number(id)]
      attempt?.commands.push(JSON.parse(String(init.body)))
      return this.answerPost({ ...init, url: String(input) } as RequestInit)
    }
    return new Promise((resolve, reject) => {
      this.attempts.push(fakeStream(this.attempts.length, String(input), init, resolve, reject))
    })
  }
}

class FakeWebSocket extends EventTarget {
  readonly attempt: Attempt
  #isOver = false

  constructor(url: string, protocols: readonly string[]) {
    super()
    const text = (data: string) => this.#fire('message', { data })
    const over = (code: number, reason: string) => {
      this.#isOver = true
      if (code === 1006) this.#fire('error', {})
      this.#fire('close', { code, reason })
    }
    const isOver = () => this.#isOver
    this.attempt = {
      transport: 'websocket',
      url: new URL(url),
      protocols,
      headers: new Headers(),
      text,
      ...saying(text, () => 'websocket'),
      heartbeat: () => text('{}'),
      close: (code, reason = '') => over(code, reason),
      cut: () => over(1006, ''),
      commands: [],
      get isOver() {
        return isOver()
      },
    }
  }

  send(text: string): void {
    this.attempt.commands.push(JSON.parse(text))
  }

  close(code: number): void {
    if (this.#isOver) return
    this.#isOver = true
    // Later, as a real one, when the other end has answered.
    setImmediate(() => this.#fire('close', { code, reason: '' }))
  }

  #fire(type: string, fields: object): void {
    this.dispatchEvent(Object.assign(new Event(type), fields))
  }
}

function saying(text: (text: string) => void, id: () => string) {
  const say = (envelope: unknown) => text(JSON.stringify(envelope))
  return {
    say,
    open: (more?: object) => say({ open: { connection: id(), heartbeatMs: 25_000, ...more } }),
    reply: (n: number, answer: object) => say({ reply: n, ...answer }),
  }
}

function fakeStream(
  n: number,
  url: string,
  init: RequestInit,
  resolve: (response: Response) => void,
  reject: (error: unknown) => void,
): StreamAttempt {
  let body: ReadableStreamDefaultController<Uint8Array> | null = null
  let isOver = false
  const controller = () => {
    if (body !== null) return body
    const stream = new ReadableStream<Uint8Array>({
      start(started) {
        body = started
      },
    })
    resolve(new Response(stream, { headers: { 'Content-Type': 'text/event-stream; charset=utf-8' } }))
    return body as unknown as ReadableStreamDefaultController<Uint8Array>
  }
  const fail = (error: unknown) => {
    isOver = true
    if (body === null) reject(error)
    else body.error(error)
  }
  init.signal?.addEventListener('abort', () => {
    if (!isOver) fail(new DOMException('aborted', 'AbortError'))
  })
  const text = (raw: string) => controller().enqueue(new TextEncoder().encode(raw))
  const event = (data: string) => text(`data: ${data}\n\n`)
  return {
    transport: 'sse',
    url: new URL(url),
    protocols: [],
    headers: new Headers(init.headers),
    text,
    ...saying(event, () => String(n)),
    heartbeat: () => text(':\n\n'),
    close(code, reason = '') {
      event(JSON.stringify({ close: { code, reason } }))
      if (!isOver) controller().close()
      isOver = true
    },
    cut: () => fail(new TypeError('network error')),
    answer(status, headers = {}, answerBody = '{}') {
      isOver = true
      resolve(new Response(status === 204 ? null : answerBody, { status, headers }))
    },
    commands: [],
    get isOver() {
      return isOver
    },
  }
}
