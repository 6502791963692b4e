/** Binds the API to uWebSockets.js. */
import { statusLine } from '../transports/uws/answer.ts'
import { type BodyReader, Exchange, WholeBody } from '../transports/uws/body.ts'
import { type Framing, framingOf, refuseFraming } from '../transports/uws/framing.ts'
import type { PacedWriter } from '../transports/uws/paced-response.ts'
import { type RequestSettings, UwsConnectionRequest } from '../transports/uws/request.ts'
import type { UwsRequest, UwsResponse } from '../transports/uws/uws.ts'
import { tooLarge } from './body.ts'
import { type Api, type ApiRequest, type ApiResponse, ClientGone, type RequestBody } from './contract.ts'

/** How long a client may go on sending a body that nobody reads. */
const LINGER_MS = 1000

/**
 * From so many characters on an answer is written at the client's pace, in chunks: uWebSockets.js would keep what the system does not take of it, and cut a
 * client that reads nothing for ten seconds. What is smaller the system takes at once, nearly always.
 */
const LARGE_BYTES = 32 * 1024

/** White space in JSON: nothing else is streamed to those who are read from at the same time. */
const FILLER = Buffer.from('\n')

/**
 * Answers the API's requests on an app of uWebSockets.js.
 *
 * @param settings as of the back end, for who the client is
 * @param follow gets the work on each request that is taken, which never rejects; for whoever waits for the last answer
 * @returns a handler that takes a request and says so, or leaves it unanswered and returns `false`
 */
export function uwsApiHandler(
  api: Api,
  settings: RequestSettings,
  follow: (work: Promise<void>) => void = ignore,
): (response: UwsResponse, request: UwsRequest) => boolean {
  return (response, request) => {
    const apiRequest = new UwsApiRequest(request, response, settings)
    const framing = framingOf(apiRequest)
    if (framing.fault !== null) {
      refuseFraming(response, framing.fault, apiRequest.method)
      return true
    }
    const answer = api.handle(apiRequest)
    if (answer === null) return false
    apiRequest.keep()
    // After `handle`, which has taken nothing of the body yet: what comes, comes when this handler has returned.
    const exchange = apiRequest.begin(response, framing)
    const work = answer
      .then((ready) => write(exchange, ready, apiRequest.method === 'HEAD'))
      .catch(() => {
        if (!exchange.isOver) response.close()
      })
    follow(work)
    return true
  }
}

function ignore(): void {}

class UwsApiRequest extends UwsConnectionRequest implements ApiRequest {
  #exchange: Exchange | null = null
  /** Who asked for the body before it could come. */
  #reader: BodyReader | null = null

  begin(response: UwsResponse, { isLast }: Framing): Exchange {
    const hasBody = this.#hasBody
    // An answer that has no body cannot come before that of the request: it would have to be begun with one.
    const isBare = this.method === 'HEAD' || this.method === 'OPTIONS'
    this.#exchange = new Exchange(response, hasBody, isLast || (hasBody && isBare))
    if (this.#reader !== null) this.#exchange.read(this.#reader)
    return this.#exchange
  }

  get body(): RequestBody {
    return {
      collect: (maxBytes) => this.#collect(maxBytes),
      [Symbol.asyncIterator]: () => this.#chunks(),
    }
  }

  get #hasBody(): boolean {
    const length = this.header('content-length')
    return (length !== undefined && length !== '0') || this.header('transfer-encoding') !== undefined
  }

  #collect(maxBytes: number): Promise<Uint8Array> {
    // Its client may wait for an answer before it sends any of it.
    if (Number(this.header('content-length')) > maxBytes) return Promise.reject(tooLarge('body', maxBytes))
    return new Promise((resolve, reject) => {
      const done = (body: Buffer | 'too-large' | 'gone') => {
        if (body === 'too-large') reject(tooLarge('body', maxBytes))
        else if (body === 'gone') reject(new ClientGone())
        else resolve(body)
      }
      this.#read(new WholeBody(maxBytes, done))
    })
  }

  #read(reader: BodyReader): void {
    if (this.#exchange === null) this.#reader = reader
    else this.#exchange.read(reader)
  }

  async *#chunks(): AsyncGenerator<Uint8Array, void, void> {
    const queue: (Uint8Array | 'end' | 'gone')[] = []
    let wake = () => {}
    const put = (item: Uint8Array | 'end' | 'gone') => {
      queue.push(item)
      wake()
      // No more until it was taken: the client shall wait, not this process.
      return false
    }
    this.#read({ isPatient: true, chunk: put, end: () => void put('end'), gone: () => void put('gone') })
    for (;;) {
      while (queue.length === 0) {
        this.#exchange?.goOn()
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
      const item = queue.shift()
      if (item === 'end' || item === undefined) return
      if (item === 'gone') throw new ClientGone()
      yield item
    }
  }
}

async function write(exchange: Exchange, answer: ApiResponse, isHead: boolean): Promise<void> {
  const { status, headers, body } = answer
  if (typeof body !== 'string') await new StreamedAnswer(exchange, answer).write(body)
  else if (body.length < LARGE_BYTES || isHead || !exchange.isPlain) {
    exchange.answer({ status, headers, body }, LINGER_MS, isHead)
  } else await new StreamedAnswer(exchange, answer).write(piecesOf(body))
}

/**
 * The last byte is on its own: whether all is taken of one write the next one says. What is ended before that uWebSockets.js keeps for ten seconds
 * only.
 */
function piecesOf(body: string): readonly Buffer[] {
  const bytes = Buffer.from(body)
  return [bytes.subarray(0, -1), bytes.subarray(-1)]
}

/** Writes a body as it is made, at the client's pace; when the client leaves, the making ends. */
class StreamedAnswer implements PacedWriter {
  readonly filler = FILLER
  readonly #exchange: Exchange
  readonly #answer: Pick<ApiResponse, 'status' | 'headers'>
  #wake = ignore

  constructor(exchange: Exchange, answer: ApiResponse) {
    this.#exchange = exchange
    this.#answer = answer
    exchange.onOver = () => this.#wake()
    if (!exchange.isOver) exchange.pace.open(this)
  }

  async write(body: AsyncIterable<string> | readonly Buffer[]): Promise<void> {
    const exchange = this.#exchange
    const { pace } = exchange
    try {
      for await (const piece of body) {
        // Not at the end of a handler that has read more of the body: one cork holds all that is written there, and what does not fit is lost
        // where the system takes nothing more (builds before 20.77).
        await new Promise((resolve) => setImmediate(resolve))
        if (exchange.isOver) return
        pace.put(typeof piece === 'string' ? Buffer.from(piece) : piece)
        if (pace.isCongested) await this.#drain()
      }
      if (exchange.isOver) return
      if (!pace.hasHead) {
        exchange.answer({ ...this.#answer, body: '' }, LINGER_MS)
        return
      }
      exchange.endStreamed()
    } catch {
      // Cut off rather than ended, so that the client cannot take it for the whole. The API has reported the cause.
      pace.cut()
    }
  }

  writeHead(response: UwsResponse): void {
    const { status, headers } = this.#answer
    response.writeStatus(statusLine(status))
    // Who is told will close; a response that was begun cannot do it by itself (see `Exchange`).
    if (this.#exchange.isLast) response.writeHeader('Connection', 'close')
    for (const name in headers) {
      // Those that are written in parts are written in chunks.
      if (name !== 'Content-Length') response.writeHeader(name, headers[name] ?? '')
    }
  }

  drained(): void {
    this.#wake()
  }

  #drain(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve
    })
  }
}
