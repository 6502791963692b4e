/** Clients that remember where they are, on every transport, over other people's implementations: fetch, eventsource-parser, ws. */
import { createParser } from 'eventsource-parser'
import { onTestFinished } from 'vitest'
import { WebSocket } from 'ws'
import { within } from '../support/until.ts'

export const KINDS = ['sse', 'sse+envelope', 'ndjson', 'websocket+envelope', 'websocket'] as const
export type Kind = (typeof KINDS)[number]
/** Those that are shown cursors. */
export const KINDS_WITH_CURSOR = KINDS.slice(0, 4)

export interface Where {
  readonly groups: readonly string[]
  readonly cursor?: string
  readonly history?: number
}

/** One client and what it heard. */
export class HistoryClient {
  /** In order: the `n` of each message, `past` before it where it came as that; `reset a,b`. */
  readonly heard: string[] = []
  /** From where it would resume. */
  cursor: string | null = null
  /** The cursor of each message, in order. */
  readonly cursors: (string | null)[] = []
  readonly replies: unknown[] = []
  /** Sends a command; of WebSockets only. */
  send: (command: object) => void = () => {}
  close: () => void = () => {}

  /** A message, alone or in its envelope, or a control object; `id` is that of its event. */
  take(text: string, id: string | null): void {
    const value = JSON.parse(text) as Record<string, unknown>
    if (value.type === 'groupcast.reset') this.#reset(value)
    else if (value.type !== undefined) this.#message(value, id)
    else this.#envelope(value)
  }

  /** A named event. */
  takeNamed(name: string, text: string, id: string | null): void {
    if (name === 'groupcast.reset') this.#reset(JSON.parse(text) as Record<string, unknown>)
    this.cursor = id ?? this.cursor
  }

  #envelope({ message, cursor = null, past, ...control }: Record<string, unknown>): void {
    if (message !== undefined) {
      this.#message(message as Record<string, unknown>, cursor as string | null, past !== undefined)
    } else if ('open' in control) {
      this.cursor = (control.open as { cursor?: string }).cursor ?? null
    } else if (cursor !== null) {
      this.cursor = cursor as string
    } else if ('reset' in control) {
      this.#reset(control.reset as Record<string, unknown>)
    } else {
      this.replies.push(control)
    }
  }

  #message({ n }: Record<string, unknown>, cursor: string | null, isPast = false): void {
    this.heard.push(isPast ? `past ${n}` : String(n))
    this.cursors.push(cursor)
    this.cursor = cursor ?? this.cursor
  }

  #reset({ groups, cursor }: Record<string, unknown>): void {
    this.heard.push(`reset ${(groups as string[]).join()}`)
    this.cursor = cursor as string
  }
}

/** Connects to the event streams of a server; let in when it resolves. It ends with the test. */
export async function connect(
  kind: Kind,
  url: string,
  { groups, cursor, history }: Where,
): Promise<HistoryClient> {
  const query = new URLSearchParams()
  for (const group of groups) query.append('group', group)
  if (history !== undefined) query.set('history', String(history))
  // An event stream brings its cursor in the header, as an EventSource that reconnects does.
  if (cursor !== undefined && kind !== 'sse') query.set('cursor', cursor)
  if (kind === 'sse+envelope') query.set('envelope', '1')
  const headers = cursor === undefined || kind !== 'sse' ? {} : { 'last-event-id': cursor }
  const address = `${url}/events?${query}`
  const client = new HistoryClient()
  const opened = kind.startsWith('websocket')
    ? openSocket(client, address, kind === 'websocket' ? [] : ['groupcast.v1'])
    : openStream(client, address, { ...headers, accept: kind === 'ndjson' ? LINES : EVENTS })
  onTestFinished(() => client.close())
  await within('the client is let in', opened)
  return client
}

const LINES = 'application/x-ndjson'
const EVENTS = 'text/event-stream'

function openSocket(client: HistoryClient, url: string, protocols: string[]): Promise<void> {
  const socket = new WebSocket(url.replace(/^http/, 'ws'), protocols)
  client.close = () => socket.terminate()
  client.send = (command) => socket.send(JSON.stringify(command))
  socket.on('message', (data) => client.take(String(data), null))
  return new Promise((resolve, reject) => {
    socket.on('open', () => resolve())
    socket.on('error', reject)
  })
}

async function openStream(
  client: HistoryClient,
  url: string,
  headers: Readonly<Record<string, string>> & { readonly accept: string },
): Promise<void> {
  const controller = new AbortController()
  client.close = () => controller.abort()
  const response = await fetch(url, { headers, signal: controller.signal })
  if (response.status !== 200 || response.body === null) throw new Error(`answered ${response.status}`)
  const feed = headers.accept === LINES ? linesInto(client) : eventsInto(client)
  const read = async (body: AsyncIterable<Uint8Array>) => {
    const decoder = new TextDecoder()
    for await (const chunk of body) feed(decoder.decode(chunk, { stream: true }))
  }
  // It ends when the client is closed.
  read(response.body).catch(() => {})
}

function eventsInto(client: HistoryClient): (text: string) => void {
  const parser = createParser({
    onEvent({ event, data, id = null }) {
      if (event === undefined) client.take(data, id as string | null)
      else client.takeNamed(event, data, id as string | null)
    },
  })
  return (text) => parser.feed(text)
}

function linesInto(client: HistoryClient): (text: string) => void {
  let rest = ''
  return (text) => {
    const lines = (rest + text).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) if (line !== '') client.take(line, null)
  }
}
