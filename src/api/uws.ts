/** Binds the API to uWebSockets.js. */
import { endLast, sendAnswer, statusLine } from '../transports/uws/answer.ts'
import { type BodyReader, Exchange, WholeBody } from '../transports/uws/body.ts'
import { type Framing, framingOf, refuseFraming } from '../transports/uws/framing.ts'
import { type RequestSettings, UwsConnectionRequest } from '../transports/uws/request.ts'
import type { UwsRequest, UwsResponse } from '../transports/uws/uws.ts'
import { tooLarge } from './body.ts'
import { type Api, type ApiRequest, type ApiResponse, ClientGone, type RequestBody } from './contract.ts'

/** How long a client may go on sending a body that nobody reads. */
const LINGER_MS = 1000

/** Most bytes of one corked write of a streamed answer; see `transports/uws/stream.ts`. */
const SLICE_BYTES = 14 * 1024

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
    this.#read({ chunk: put, end: () => void put('end'), gone: () => void put('gone') })
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
  if (typeof body === 'string') exchange.answer({ status, headers, body }, LINGER_MS, isHead)
  else await writeStream(exchange, answer, body)
}

/** Writes a body as it is made, at the client's pace; when the client leaves, the making ends. */
async function writeStream(
  exchange: Exchange,
  { status, headers }: ApiResponse,
  body: AsyncIterable<string>,
): Promise<void> {
  const { response } = exchange
  let wake = () => {}
  exchange.onOver = () => wake()
  response.onWritable(() => {
    wake()
    return true
  })
  let hasHead = false
  const writeSlice = (slice: Buffer) => {
    let isTaken = true
    response.cork(() => {
      if (!hasHead) {
        hasHead = true
        response.writeStatus(statusLine(status))
        // Who is told will close; a response that was begun cannot do it by itself (see `Exchange`).
        if (exchange.isLast) response.writeHeader('Connection', 'close')
        for (const name in headers) response.writeHeader(name, headers[name] ?? '')
      }
      isTaken = response.write(slice)
    })
    return isTaken
  }
  try {
    for await (const text of body) {
      // Not at the end of a handler that has read more of the body: one cork holds all that is written there, and what does not fit is lost
      // where the system takes nothing more (builds before 20.77).
      await new Promise((resolve) => setImmediate(resolve))
      const bytes = Buffer.from(text)
      for (let at = 0; at < bytes.length; at += SLICE_BYTES) {
        if (exchange.isOver) return
        if (writeSlice(bytes.subarray(at, at + SLICE_BYTES))) continue
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
    }
    if (exchange.isOver) return
    exchange.over()
    if (hasHead && exchange.isLast) endLast(response)
    else if (hasHead) response.cork(() => response.end())
    else sendAnswer(response, { status, headers, body: '' }, { close: exchange.isLast })
  } catch {
    // Cut off rather than ended, so that the client cannot take it for the whole. The API has reported the cause.
    if (!exchange.isOver) response.close()
  }
}
