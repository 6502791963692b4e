/**
 * The two ways to listen, as any page would write them: a `WebSocket` that reconnects, and an `EventSource`, which does
 * so by itself. Neither touches the document. Both report to the same handlers:
 *
 * - `onState(state, detail)`: `connecting`, `open`, `reconnecting` or `refused` (and will not come back)
 * - `onOpen(open)`: what the hub says about the connection, where this format says it
 * - `onMessage(text)`: a message, as the text that arrived
 * - `onControl(text, name)`: any other text of the protocol, and the name of its event where it has one
 */

const ENVELOPE_PROTOCOL = 'groupcast.v1'
const RETRY_FIRST_MS = 500
const RETRY_MOST_MS = 30_000
/** A connection that lived this long was a good one: the next loss starts again with a short wait. */
const STABLE_MS = 5_000

/** RFC 6455's codes after which the same attempt would fail again; the rest pass with time. */
const FINAL_CODES = [1000, 1002, 1003, 1007, 1008, 1009, 1010]

/** Whether the hub wants a client back that it closed with this code: 4000–4499 yes, 4500–4999 no. */
function isComeBackCode(code) {
  return code >= 4000 ? code < 4500 : !FINAL_CODES.includes(code)
}

/** Exponential, and between half and all of it at random, so that a restart is not followed by a stampede. */
function retryDelayMs(attempt) {
  const ceiling = Math.min(RETRY_MOST_MS, RETRY_FIRST_MS * 2 ** attempt)
  return ceiling / 2 + (Math.random() * ceiling) / 2
}

/** A WebSocket. `url(cursor)` gives its address; `cursor` is the last that an envelope carried, or `null`. */
export class WebSocketConnection {
  #url
  #envelope
  #handlers
  #websocket = null
  #timer = 0
  #attempt = 0
  #openedAt = 0
  #cursor = null

  constructor({ url, envelope, handlers }) {
    this.#url = url
    this.#envelope = envelope
    this.#handlers = handlers
  }

  open() {
    this.#handlers.onState('connecting')
    this.#connect()
  }

  close() {
    clearTimeout(this.#timer)
    const websocket = this.#websocket
    // Events of a connection that was left are nobody's business any more.
    this.#websocket = null
    websocket?.close(1000)
  }

  #connect() {
    const url = this.#url(this.#cursor)
    const websocket = this.#envelope ? new WebSocket(url, ENVELOPE_PROTOCOL) : new WebSocket(url)
    this.#websocket = websocket
    this.#openedAt = 0
    const isCurrent = () => this.#websocket === websocket
    websocket.onopen = () => isCurrent() && this.#opened()
    websocket.onmessage = (event) => isCurrent() && this.#received(event.data)
    websocket.onclose = (event) => isCurrent() && this.#closed(event)
  }

  #opened() {
    this.#openedAt = performance.now()
    this.#handlers.onState('open')
  }

  #received(text) {
    if (!this.#envelope) receivePlain(text, this.#handlers)
    else this.#cursor = receiveEnvelope(text, this.#handlers) ?? this.#cursor
  }

  #closed({ code, reason }) {
    const why = `Closed with ${code}${reason ? ` (${reason})` : ''}.`
    if (!isComeBackCode(code)) {
      this.#websocket = null
      this.#handlers.onState('refused', `${why} This code asks clients not to come back.`)
      return
    }
    const wasStable = this.#openedAt > 0 && performance.now() - this.#openedAt > STABLE_MS
    this.#attempt = wasStable ? 0 : this.#attempt + 1
    const delayMs = retryDelayMs(this.#attempt)
    this.#handlers.onState('reconnecting', `${why} Next attempt in ${(delayMs / 1000).toFixed(1)} s.`)
    this.#timer = setTimeout(() => this.#connect(), delayMs)
  }
}

/** An EventSource: it reconnects by itself, and sends the last id that it saw. */
export class EventSourceConnection {
  #url
  #envelope
  #handlers
  #source = null

  constructor({ url, envelope, handlers }) {
    this.#url = url
    this.#envelope = envelope
    this.#handlers = handlers
  }

  open() {
    this.#handlers.onState('connecting')
    const source = new EventSource(this.#url(null))
    this.#source = source
    source.onopen = () => this.#handlers.onState('open')
    source.onerror = () => this.#failed(source.readyState)
    source.onmessage = (event) => this.#received(event.data)
    source.addEventListener('groupcast.open', (event) => {
      this.#handlers.onControl(event.data, event.type)
      this.#handlers.onOpen(JSON.parse(event.data))
    })
    source.addEventListener('groupcast.reset', (event) => {
      this.#handlers.onControl(event.data, event.type)
    })
    source.addEventListener('groupcast.close', (event) => {
      this.#handlers.onControl(event.data, event.type)
      this.#told(JSON.parse(event.data))
    })
  }

  close() {
    this.#source?.close()
    this.#source = null
  }

  #received(text) {
    if (!this.#envelope) this.#handlers.onMessage(text)
    else receiveEnvelope(text, { ...this.#handlers, onClose: (close) => this.#told(close) })
  }

  /** The server said that it will end the stream. EventSource would come back whatever the code: stop it where it must not. */
  #told({ code, reason }) {
    if (!this.#source || isComeBackCode(code)) return
    this.close()
    this.#handlers.onState('refused', `Closed with ${code}${reason ? ` (${reason})` : ''}.`)
  }

  #failed(readyState) {
    if (!this.#source) return
    if (readyState !== EventSource.CLOSED) {
      this.#handlers.onState('reconnecting', 'The stream ended. The browser reconnects by itself.')
      return
    }
    this.close()
    this.#handlers.onState('refused', 'The answer was not an event stream: EventSource stops for good.')
  }
}

/** Plain WebSocket text: a message, unless its type is one that is reserved for the hub. */
function receivePlain(text, handlers) {
  if (text.startsWith('{"type":"groupcast.')) handlers.onControl(text)
  else handlers.onMessage(text)
}

/** An envelope, over either transport. Gives its cursor, where it has one. */
function receiveEnvelope(text, handlers) {
  const envelope = JSON.parse(text)
  if ('message' in envelope) {
    handlers.onMessage(text)
    return envelope.cursor
  }
  handlers.onControl(text)
  if ('open' in envelope) handlers.onOpen(envelope.open)
  if ('close' in envelope) handlers.onClose?.(envelope.close)
  return envelope.cursor ?? (envelope.open ?? envelope.reset)?.cursor
}
