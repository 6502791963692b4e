// @ts-check
/** Clients that speak the protocol as the page describes it, without the library: nobody sorts out repeats for them. */
import { get } from 'node:http'
import { EventSource } from 'eventsource'
import { createParser } from 'eventsource-parser'
import { WebSocket } from 'ws'
import { between, pick } from './random.mjs'

/** @typedef {import('./library-client.mjs').ClientParts} ClientParts */
/** @typedef {import('./witness.mjs').Witness} Witness */
/** @typedef {{ text: (text: string) => void, ended: () => void }} Reading */

const WAIT_MS = /** @type {const} */ ([0, 20])

/** Envelopes over another transport after each cut. Remembers a cursor, and nothing else. */
export class EnvelopeClient {
  /** @type {ClientParts} */ #parts
  /** @type {string | null} */ #cursor = null
  #isClosed = false
  /** @type {NodeJS.Timeout | undefined} */ #waiting
  #end = () => {}

  /** @param {ClientParts} parts */
  constructor(parts) {
    this.#parts = parts
    this.#open()
  }

  close() {
    this.#isClosed = true
    clearTimeout(this.#waiting)
    this.#end()
  }

  #open() {
    const { url, witness, random } = this.#parts
    const target = urlOf(url, witness.groups)
    if (this.#cursor !== null) target.searchParams.set('cursor', this.#cursor)
    let isOver = false
    const transport = pick(random, TRANSPORTS)
    const end = transport(target, {
      text: (text) => {
        if (!isOver) this.#take(JSON.parse(text))
      },
      ended: () => {
        if (isOver) return
        isOver = true
        if (!this.#isClosed) this.#waiting = setTimeout(() => this.#open(), between(random, WAIT_MS))
      },
    })
    this.#end = () => {
      isOver = true
      end()
    }
  }

  /** @param {any} envelope */
  #take({ open, group, cursor, message, reset }) {
    const { witness } = this.#parts
    if (reset) witness.reset(reset.groups)
    if (message) witness.received(group, message)
    this.#cursor = cursor ?? reset?.cursor ?? open?.cursor ?? this.#cursor
    if (open) witness.opened(this.#cursor)
  }
}

/** An EventSource that follows the rules of WHATWG HTML, section 9.2: it comes back by itself and names its last event. */
export class EventSourceClient {
  /** @type {EventSource} */ #source

  /** @param {ClientParts} parts */
  constructor({ url, witness }) {
    const source = new EventSource(urlOf(url, witness.groups))
    this.#source = source
    /** @type {string | null} */
    let first = null
    source.addEventListener('groupcast.open', ({ data }) => {
      first ??= JSON.parse(data).cursor
      witness.opened(first)
    })
    source.addEventListener('groupcast.reset', ({ data }) => witness.reset(JSON.parse(data).groups))
    source.addEventListener('message', ({ data }) => witness.received(null, JSON.parse(data)))
    source.addEventListener('error', () => {
      if (source.readyState === source.CLOSED) witness.oddities.push('the EventSource has given up')
    })
  }

  close() {
    this.#source.close()
  }
}

/** @type {readonly ((url: URL, reading: Reading) => () => void)[]} */
const TRANSPORTS = [overWebSocket, overWebSocket, overEventStream, overLines]

/** @param {URL} url @param {Reading} reading */
function overWebSocket(url, { text, ended }) {
  const socket = new WebSocket(String(url).replace('http', 'ws'), ['groupcast.v1'])
  socket.on('message', (data) => text(String(data)))
  socket.on('error', () => {})
  socket.on('close', ended)
  return () => socket.terminate()
}

/** @param {URL} url @param {Reading} reading */
function overEventStream(url, { text, ended }) {
  const target = new URL(url)
  target.searchParams.set('envelope', '1')
  const parser = createParser({ onEvent: ({ data }) => text(data) })
  return overStream(target, 'text/event-stream', (chunk) => parser.feed(chunk), ended)
}

/** @param {URL} url @param {Reading} reading */
function overLines(url, { text, ended }) {
  let rest = ''
  const read = (/** @type {string} */ chunk) => {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) if (line !== '') text(line)
  }
  return overStream(url, 'application/x-ndjson', read, ended)
}

/** @param {URL} url @param {string} accept @param {(chunk: string) => void} read @param {() => void} ended */
function overStream(url, accept, read, ended) {
  const request = get(url, { headers: { accept }, agent: false }, (response) => {
    if (response.statusCode !== 200) request.destroy()
    else response.setEncoding('utf8').on('data', read)
    response.on('error', () => {}).on('close', ended)
  })
  request.on('error', ended)
  return () => request.destroy()
}

/** @param {string} url @param {readonly string[]} groups */
function urlOf(url, groups) {
  const target = new URL(url)
  for (const group of groups) target.searchParams.append('group', group)
  return target
}
