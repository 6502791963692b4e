/** Sends what a row says over a socket of its own, and holds everything that comes back against its answer. */
import { STATUS_CODES } from 'node:http'
import { connect } from 'node:net'
import { expect } from 'vitest'
import { ERRORS } from '../../src/errors.ts'
import { parseResponse, RawClient } from '../support/raw.ts'
import { serverKind } from '../support/servers.ts'
import { until } from '../support/until.ts'
import { acceptOf, closing, frame, get, SAMPLE_KEY } from './bytes.ts'
import type { Answer, HttpAnswer, HttpAnswers, Row, Stage, WebSocketAnswer } from './row.ts'

const OPCODE = { close: 8, ping: 9, pong: 10 } as const

/** @throws what is not as the row says */
export async function runRow(row: Row, stage: Stage): Promise<void> {
  const client = await connectTo(stage.url)
  try {
    const answer = answerOf(row)
    client.write(typeof row.send === 'function' ? await row.send(stage) : row.send)
    if (answer.kind === 'http') await expectAnswers(client, answer, row)
    else await expectWebSocket(client, answer, row)
  } finally {
    client.socket.destroy()
  }
}

function answerOf({ answer }: Row): Answer {
  return 'why' in answer ? answer[serverKind.name] : answer
}

async function connectTo(url: string): Promise<RawClient> {
  const { hostname, port } = new URL(url)
  const client = new RawClient(
    connect({ host: hostname, port: Number(port), allowHalfOpen: true, noDelay: true }),
  )
  await until('the socket is connected', () => !client.socket.connecting || client.isClosed)
  return client
}

// --- HTTP ---

/** Nobody serves it: its answer shows that the connection is in step, and that no other request was made of the bytes. */
const PROBE = get('/is-the-connection-in-step')
const PROBED: HttpAnswer = { status: 404, problem: { code: 'not-found' } }

async function expectAnswers(
  client: RawClient,
  { answers, after }: HttpAnswers,
  { later }: Row,
): Promise<void> {
  const isOver = () => client.isEnded || client.isClosed
  const wanted = [...answers]
  const count = () => readAnswers(client, wanted).filter(({ isComplete }) => isComplete).length
  if (later !== undefined) {
    await until('it is answered', () => count() >= 1 || isOver())
    client.write(later)
  }
  if (after === 'waits') client.end()
  if (after === 'open') {
    await until('it is answered', () => count() >= answers.length || isOver())
    client.write(PROBE)
    wanted.push(PROBED)
    await until('the next request is answered', () => count() >= wanted.length || isOver())
  } else if (after === 'stream') {
    const { body } = answers.at(-1) ?? {}
    const isThere = () => (body as RegExp).test(readAnswers(client, wanted).at(-1)?.body ?? '')
    await until('the stream has begun', () => isThere() || isOver())
  } else {
    await until('the connection is closed', isOver)
  }
  const seen = readAnswers(client, wanted)
  expect(seen.map((answer, i) => shown(answer, wanted[i]))).toEqual(wanted.map(meant))
  expect(isOver() ? 'closed' : 'open').toBe(after === 'closed' || after === 'waits' ? 'closed' : 'open')
}

interface Seen {
  readonly line: string
  readonly headers: ReadonlyMap<string, string>
  readonly body: string
  readonly isComplete: boolean
}

/** All answers that have come, and what is none as the last. */
function readAnswers(client: RawClient, wanted: readonly HttpAnswer[]): Seen[] {
  const seen: Seen[] = []
  let rest = client.bytes
  while (rest.length > 0) {
    const headEnd = rest.indexOf('\r\n\r\n')
    const response = parseResponse(rest)
    if (response === null) {
      seen.push({ line: rest.toString('latin1'), headers: new Map(), body: '', isComplete: false })
      break
    }
    const line = rest.subarray(0, rest.indexOf('\r\n')).toString('latin1')
    const { status, headers } = response
    const isBare = status < 200 || status === 204 || status === 304 || wanted[seen.length]?.isHead === true
    if (isBare) {
      seen.push({ line, headers, body: '', isComplete: true })
      rest = rest.subarray(headEnd + 4)
      continue
    }
    // Without a length the end of the connection is the end of the body.
    const isFramed = headers.has('content-length') || headers.has('transfer-encoding')
    seen.push({
      line,
      headers,
      body: response.body,
      isComplete: isFramed ? response.isComplete : client.isEnded,
    })
    if (!response.isComplete) break
    rest = response.rest
  }
  return seen
}

/** What is looked at of an answer, in the form of {@link meant}. */
function shown({ line, headers, body }: Seen, wanted: HttpAnswer | undefined) {
  const names = Object.keys(wanted?.headers ?? {})
  const isProblem = wanted?.problem !== undefined && body.startsWith('{')
  return {
    line,
    headers: Object.fromEntries(names.map((name) => [name, headers.get(name) ?? null])),
    body: isProblem
      ? JSON.parse(body)
      : wanted?.body === undefined && wanted?.problem === undefined
        ? null
        : body,
  }
}

function meant({ status, headers = {}, problem, body }: HttpAnswer) {
  const fields = Object.entries(headers).map(([name, value]) => [name, matching(value)])
  return {
    line: `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    headers: Object.fromEntries(fields),
    body: problem === undefined ? matching(body ?? null) : documentOf(problem),
  }
}

function documentOf({ code, detail }: NonNullable<HttpAnswer['problem']>) {
  const { httpStatus: status, message: title } = ERRORS[code]
  return { type: 'about:blank', title, status, ...(detail !== undefined && { detail }), code }
}

function matching(value: string | RegExp | null): unknown {
  return value instanceof RegExp ? expect.stringMatching(value) : value
}

// --- WebSockets ---

async function expectWebSocket(client: RawClient, answer: WebSocketAnswer, row: Row): Promise<void> {
  await client.upgraded()
  expectHandshake(client, answer, row)
  for (const bytes of row.frames ?? []) client.write(bytes)
  const isOver = () => client.isEnded || client.isClosed
  if (answer.end === 'open' || row.later !== undefined) {
    // Pongs overtake what is written at the end of the turn.
    await until('all frames have come', () => client.frames.length >= answer.frames.length || isOver())
  }
  if (row.later !== undefined) client.write(row.later)
  if (answer.end === 'open') {
    client.write(frame(OPCODE.ping, 'end'))
    const isPonged = () => framesOf(client).some(([opcode, text]) => opcode === OPCODE.pong && text === 'end')
    await until('a last ping is answered', () => isPonged() || isOver())
    client.write(frame(OPCODE.close, closing(1000)))
  } else {
    const hasClosed = () => client.frames.some(({ opcode }) => opcode === OPCODE.close)
    await until('it is closed', () => hasClosed() || isOver())
    // As RFC 6455, 5.5.1, wants it; whoever closed first may have gone.
    const frameOfServer = client.frames.find(({ opcode }) => opcode === OPCODE.close)
    if (frameOfServer !== undefined) client.write(frame(OPCODE.close, frameOfServer.payload))
  }
  await until('the connection has ended', isOver)
  const wanted = [...answer.frames.map(([opcode, payload]) => [opcode, meantPayload(payload)])]
  if (answer.end === 'open') {
    wanted.push([OPCODE.pong, 'end'], [OPCODE.close, closing(1000).toString('hex')])
  } else if (answer.end !== 'cut') wanted.push([OPCODE.close, answer.end.toString('hex')])
  expect(framesOf(client)).toEqual(wanted)
}

function expectHandshake(client: RawClient, { headers = {} }: WebSocketAnswer, row: Row): void {
  const key = /Sec-WebSocket-Key: (.*)\r\n/.exec(String(row.send))?.[1] ?? SAMPLE_KEY
  const wanted = {
    upgrade: 'websocket',
    connection: 'Upgrade',
    'sec-websocket-accept': acceptOf(key),
    'sec-websocket-protocol': null,
    'sec-websocket-extensions': null,
    ...headers,
  }
  const head = parseResponse(client.bytes)?.headers
  expect(client.text.split('\r\n', 1)[0]).toBe('HTTP/1.1 101 Switching Protocols')
  const seen = Object.keys(wanted).map((name) => [name, head?.get(name) ?? null])
  expect(Object.fromEntries(seen)).toEqual(wanted)
}

/** Texts as texts, close frames in hexadecimal; pongs too where they are no text. */
function framesOf(client: RawClient): [opcode: number, payload: string][] {
  return client.frames.map(({ opcode, payload }) => [opcode, shownPayload(opcode, payload)])
}

function shownPayload(opcode: number, payload: Buffer): string {
  const text = payload.toString()
  return opcode === OPCODE.close || !Buffer.from(text).equals(payload) ? payload.toString('hex') : text
}

function meantPayload(payload: string | Buffer | RegExp): unknown {
  return typeof payload === 'string' || payload instanceof RegExp
    ? matching(payload)
    : payload.toString('hex')
}
