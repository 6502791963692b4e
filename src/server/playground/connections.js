/**
 * The ways to listen: the client library, as an application would use it, and what browsers have by themselves, for looking at the wire.
 * None touches the document. All report to the same handlers:
 *
 * - `onState(state, { detail, waitMs })`: `connecting`, `open`, `waiting` (to come back; `waitMs` where it is known) or `ended` (for good)
 * - `onOpen({ connection, cursor, transport })`: after that, what is known of the connection, where it is told
 * - `onMessage(text, { group, cursor })`: a message, as it is shown
 * - `onCursor(cursor)`: a position that came without a message
 * - `onReset({ groups, cursor })`: messages of these groups may have been missed
 * - `onControl(text, name)`: any other text of the protocol, and the name of its event where it has one
 * - `onNote(text)`: what else happened
 */
import { isComeBackCode } from './client/client-error.js'
import { connect } from './client/index.js'

const ENVELOPE_PROTOCOL = 'groupcast.v1'
/** Longer than the library's own: so one can watch it wait. */
const FIRST_WAIT_MS = 3_000

/** `groupcast/client`: comes back by itself, and resumes where the groups keep history. */
export class LibraryConnection {
  #url
  #options
  #handlers
  /** Those that it is in, or has asked for. */
  #groups
  #client = null
  #isDropped = false

  /** @param options `url` of the consumer, `groups`, `transports`: those of `connect` */
  constructor({ url, groups, handlers, ...options }) {
    this.#url = url
    this.#groups = groups
    this.#options = options
    this.#handlers = handlers
  }

  open() {
    const { onState, onReset, onNote } = this.#handlers
    onState('connecting')
    const client = connect(this.#url, {
      ...this.#options,
      groups: this.#groups,
      firstWaitMs: FIRST_WAIT_MS,
      // Who was dropped to show what happens stays away for long enough to see it.
      random: () => (this.#isDropped ? 1 : Math.random()),
    })
    this.#client = client
    client.onState((state, reason, waitMs) => this.#stateChanged(state, reason, waitMs))
    client.on('*', (message, { group }) => this.#received(message, group))
    client.onReset((reset) => onReset(reset))
    client.onDropped((count) => onNote(`The hub dropped ${count} messages: this page reads too slowly.`))
  }

  #received(message, group) {
    // The client's own: that of a message may be older, where it is of the past of a group.
    const { cursor } = this.#client
    this.#handlers.onMessage(JSON.stringify(message), { group, cursor })
  }

  close() {
    const client = this.#client
    // What a client says that was left is nobody's business any more.
    this.#client = null
    client?.close()
  }

  /** Stays away for as long as it ever would, the next time that it loses its connection. */
  willBeDropped() {
    this.#isDropped = true
  }

  /** Joins and leaves what is new and what is gone. */
  moveTo(groups) {
    const before = this.#groups
    this.#groups = groups
    for (const group of groups) if (!before.includes(group)) this.#change('join', group)
    for (const group of before) if (!groups.includes(group)) this.#change('leave', group)
  }

  async #change(kind, group) {
    const client = this.#client
    try {
      await client[kind](group)
      if (client === this.#client) this.#handlers.onNote(`${kind === 'join' ? 'Joined' : 'Left'} ${group}.`)
    } catch (error) {
      if (client === this.#client) this.#handlers.onNote(`Cannot ${kind} ${group}: ${error.message}`)
    }
  }

  #stateChanged(state, reason, waitMs) {
    const client = this.#client
    if (client === null) return
    const { onState, onOpen } = this.#handlers
    const detail = reason === null ? undefined : sentence(reason.message)
    onState(state === 'closed' ? 'ended' : state, { detail, waitMs })
    if (state === 'waiting') this.#isDropped = false
    if (state === 'open') {
      const { connectionId, cursor, transport } = client
      onOpen({ connection: connectionId, cursor, transport })
    }
  }
}

/** A plain `WebSocket`: says what came, and does not come back. */
export class WebSocketConnection {
  #url
  #envelope
  #handlers
  #websocket = null

  constructor({ url, envelope, handlers }) {
    this.#url = url
    this.#envelope = envelope
    this.#handlers = handlers
  }

  open() {
    const { onState, onMessage, onControl } = this.#handlers
    onState('connecting')
    const websocket = this.#envelope ? new WebSocket(this.#url, ENVELOPE_PROTOCOL) : new WebSocket(this.#url)
    this.#websocket = websocket
    const isCurrent = () => this.#websocket === websocket
    websocket.onopen = () => isCurrent() && onState('open')
    websocket.onmessage = ({ data }) => {
      if (!isCurrent()) return
      if (this.#envelope) receiveEnvelope(data, this.#handlers)
      else if (data.startsWith('{"type":"groupcast.')) onControl(data)
      else onMessage(data, {})
    }
    websocket.onclose = (event) => isCurrent() && this.#closed(event)
  }

  close() {
    const websocket = this.#websocket
    this.#websocket = null
    websocket?.close(1000)
  }

  #closed(event) {
    this.#websocket = null
    const detail = `${closedText(event)} A WebSocket does not come back by itself: the client library does.`
    this.#handlers.onState('ended', { detail })
  }
}

/** A plain `EventSource`: it reconnects by itself, and sends the last id that it saw. */
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
    const { onState, onOpen, onReset } = this.#handlers
    onState('connecting')
    const source = new EventSource(this.#url)
    this.#source = source
    source.onopen = () => onState('open')
    source.onerror = () => this.#failed(source.readyState)
    source.onmessage = (event) => this.#received(event)
    this.#hear('open', onOpen)
    this.#hear('reset', onReset)
    this.#hear('close', (close) => this.#told(close))
  }

  close() {
    this.#source?.close()
    this.#source = null
  }

  /** Shows an event of the hub's as it came, and what it means. */
  #hear(name, meaning) {
    this.#source.addEventListener(`groupcast.${name}`, ({ data, type }) => {
      this.#handlers.onControl(data, type)
      meaning(JSON.parse(data))
    })
  }

  #received({ data, lastEventId }) {
    if (this.#envelope) receiveEnvelope(data, { ...this.#handlers, onClose: (close) => this.#told(close) })
    else this.#handlers.onMessage(data, { cursor: lastEventId })
  }

  /** The server said that it will end the stream. EventSource would come back whatever the code: stop it where it must not. */
  #told(close) {
    if (!this.#source || isComeBackCode(close.code)) return
    this.close()
    this.#handlers.onState('ended', { detail: closedText(close) })
  }

  #failed(readyState) {
    if (!this.#source) return
    if (readyState !== EventSource.CLOSED) {
      this.#handlers.onState('waiting', { detail: 'The stream ended. The browser reconnects by itself.' })
      return
    }
    this.close()
    const detail = 'The answer was not an event stream: EventSource stops for good.'
    this.#handlers.onState('ended', { detail })
  }
}

/** An envelope as it came, and what it means. */
function receiveEnvelope(text, handlers) {
  const envelope = JSON.parse(text)
  if ('message' in envelope) {
    handlers.onMessage(text, envelope)
    return
  }
  handlers.onControl(text)
  if ('open' in envelope) handlers.onOpen(envelope.open)
  if ('reset' in envelope) handlers.onReset(envelope.reset)
  if ('cursor' in envelope) handlers.onCursor(envelope.cursor)
  if ('close' in envelope) handlers.onClose?.(envelope.close)
}

function closedText({ code, reason }) {
  return `Closed with ${code}${reason ? ` (${reason})` : ''}.`
}

/** Texts of errors have no full stop. */
function sentence(text) {
  const trimmed = text.trim()
  return /[.!?]$/.test(trimmed) ? trimmed : `${trimmed}.`
}
