/** Subscribes over a WebSocket. */
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { WebSocket } from 'ws'
import { ENVELOPE_PROTOCOL } from '../../wire/websocket.ts'
import { ANSWER_TIMEOUT_MS, networkFault, refusalOf } from '../http.ts'
import { Inbox } from './inbox.ts'
import { readEnvelope } from './texts.ts'
import { addressOf, closedWith, type Ending, LOST, type Received, type Target } from './transport.ts'

/** How long the server may take to answer a close. */
const CLOSE_WAIT_MS = 500

/** See `Connect`. */
export async function* connectWebSocket(
  target: Target,
  signal: AbortSignal,
): AsyncGenerator<Received, Ending> {
  const inbox = new Inbox<Received, Ending>()
  const socket = open(target)
  listen(socket, target, inbox)
  const stop = () => inbox.end(LOST)
  signal.addEventListener('abort', stop, { once: true })
  if (signal.aborted) stop()
  try {
    return yield* inbox.read()
  } finally {
    signal.removeEventListener('abort', stop)
    await close(socket)
  }
}

function open(target: Target): WebSocket {
  const address = addressOf(target)
  address.protocol = address.protocol === 'https:' ? 'wss:' : 'ws:'
  return new WebSocket(address, [ENVELOPE_PROTOCOL], {
    handshakeTimeout: ANSWER_TIMEOUT_MS,
    perMessageDeflate: false,
    headers: target.authorization,
  })
}

function listen(socket: WebSocket, { url, envelope }: Target, inbox: Inbox<Received, Ending>): void {
  socket.on('open', () => inbox.push({ kind: 'open' }))
  socket.on('message', (data, isBinary) => {
    if (isBinary) return inbox.push({ kind: 'notice', text: 'left out a binary frame.', cursor: null })
    const meaning = readEnvelope(String(data), envelope)
    if (meaning?.kind === 'close') inbox.end(meaning.ending)
    else if (meaning !== null) inbox.push(meaning)
  })
  socket.on('unexpected-response', (_, response) => {
    void refusal(response).then((ending) => {
      inbox.end(ending)
      response.destroy()
    })
  })
  // `ws` tells of an error first and of the close after it, whose 1006 would say less.
  socket.on('error', (error) => inbox.end({ ...networkFault(timeoutOf(error), url), code: null }))
  socket.on('close', (code, reason) => inbox.end(code === 1006 ? LOST : closedWith(code, String(reason))))
}

async function refusal(response: IncomingMessage): Promise<Ending> {
  response.setTimeout(ANSWER_TIMEOUT_MS, () => response.destroy())
  const fault = await refusalOf({
    status: response.statusCode ?? 0,
    location: response.headers.location ?? null,
    body: response,
  })
  return { ...fault, code: null }
}

/** `ws` has a text but no code for a handshake that takes too long. */
function timeoutOf(error: Error): Error {
  return error.message === 'Opening handshake has timed out'
    ? Object.assign(error, { code: 'ETIMEDOUT' })
    : error
}

async function close(socket: WebSocket): Promise<void> {
  if (socket.readyState === WebSocket.OPEN) {
    socket.close(1000)
    const closed = once(socket, 'close').catch(() => {})
    await Promise.race([closed, delay(CLOSE_WAIT_MS)])
  }
  socket.terminate()
}
