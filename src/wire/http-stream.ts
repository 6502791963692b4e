/** The two formats of a streamed HTTP response: Server-Sent Events (WHATWG HTML, section 9.2) and lines of JSON. */
import type { Publication } from '../publication.ts'
import { type Control, cursorOf, type WireFormat } from './wire-format.ts'

/** How the bytes travel below the format: `chunked` is HTTP/1.1 (RFC 9112, section 7.1), `raw` is HTTP/2 and HTTP/1.0. */
export type Framing = 'chunked' | 'raw'

const CRLF = '\r\n'

/** Wraps bytes into one chunk of a chunked body. */
export function sealChunk(bytes: Buffer): Buffer {
  const size = bytes.length.toString(16)
  const chunk = Buffer.allocUnsafe(size.length + bytes.length + 4)
  chunk.write(size + CRLF, 0, 'latin1')
  bytes.copy(chunk, size.length + 2)
  chunk.write(CRLF, size.length + 2 + bytes.length, 'latin1')
  return chunk
}

/** The fields of one event of an event stream. */
export interface EventFields {
  readonly data?: string
  readonly id?: string | null
  readonly event?: string
  readonly retryMs?: number | undefined
}

// All three line ends of the event stream grammar, CRLF first so that it counts once.
const LINE_END = /\r\n|\r|\n/
const BREAKS_FIELD = /[\r\n\0]/

/**
 * One event, ended by its blank line. Data may hold any text: each of its lines becomes a `data:` line of its own.
 *
 * @throws {RangeError} when `id` or `event` holds CR, LF or NUL, which no event stream can carry
 */
export function encodeEvent(fields: EventFields): string {
  let text = ''
  if (fields.retryMs !== undefined) text += `retry: ${Math.round(fields.retryMs)}\n`
  if (fields.event !== undefined) text += `event: ${fieldValue('event', fields.event)}\n`
  if (fields.id !== undefined && fields.id !== null) text += `id: ${fieldValue('id', fields.id)}\n`
  if (fields.data !== undefined) {
    // JSON of a publication is always one line; the search for a break is cheaper than a split.
    if (LINE_END.test(fields.data)) for (const line of fields.data.split(LINE_END)) text += `data: ${line}\n`
    else text += `data: ${fields.data}\n`
  }
  return `${text}\n`
}

function fieldValue(field: string, value: string): string {
  if (BREAKS_FIELD.test(value))
    throw new RangeError(`The ${field} field of an event cannot hold CR, LF or NUL.`)
  return value
}

/** The least that an EventSource is told to wait. Browsers add nothing of their own: told 3 ms, they try 100 times a second. */
const LEAST_RETRY_MS = 1_000

/** How long an EventSource shall wait: at random, so that the clients of a hub that went away do not come back all at once. */
export function randomRetryMs(spreadMs: number): number {
  return LEAST_RETRY_MS + Math.ceil(Math.random() * spreadMs)
}

/** A comment: keeps proxies and clients awake, invisible to `EventSource`. */
const SSE_HEARTBEAT = Buffer.from(':\n\n')
/** An empty line between two JSON lines, which readers of ndjson skip. */
const NDJSON_HEARTBEAT = Buffer.from('\n')

/** A wire format of a streamed response, which also says how to start one and keep it awake. */
export interface StreamFormat extends WireFormat {
  readonly contentType: string
  readonly heartbeat: Buffer
}

function ssePlain(framing: Framing): StreamFormat {
  return {
    name: `sse/${framing}`,
    transport: 'sse',
    envelope: false,
    contentType: 'text/event-stream; charset=utf-8',
    frame: (publication: Publication) =>
      Buffer.from(encodeEvent({ id: publication.cursor, data: publication.json })),
    control(control: Control, retryMs?: number) {
      // No data, no event: an EventSource remembers the id and calls nobody (WHATWG HTML, section 9.2.6).
      if ('cursor' in control) return Buffer.from(encodeEvent({ id: control.cursor }))
      // Named events: `onmessage` sees publications only.
      const [name, value] = namedControl(control)
      const fields = {
        event: `groupcast.${name}`,
        id: cursorOf(control),
        data: JSON.stringify(value),
        retryMs,
      }
      return Buffer.from(encodeEvent(fields))
    },
    ...framed(SSE_HEARTBEAT, framing),
  }
}

function namedControl(
  control: Exclude<Control, { readonly cursor: string }>,
): [name: string, value: unknown] {
  if ('open' in control) return ['open', control.open]
  if ('reset' in control) return ['reset', control.reset]
  if ('dropped' in control) return ['dropped', control.dropped]
  if ('left' in control) return ['left', control.left]
  if ('expiring' in control) return ['expiring', control.expiring]
  if ('close' in control) return ['close', control.close]
  return ['reply', control]
}

function sseEnvelope(framing: Framing): StreamFormat {
  return {
    name: `sse+envelope/${framing}`,
    transport: 'sse',
    envelope: true,
    contentType: 'text/event-stream; charset=utf-8',
    frame: (publication: Publication) =>
      Buffer.from(encodeEvent({ id: publication.cursor, data: publication.envelope })),
    control: (control: Control, retryMs?: number) =>
      Buffer.from(encodeEvent({ id: cursorOf(control), data: JSON.stringify(control), retryMs })),
    ...framed(SSE_HEARTBEAT, framing),
  }
}

function ndjson(framing: Framing): StreamFormat {
  return {
    name: `ndjson/${framing}`,
    transport: 'ndjson',
    envelope: true,
    contentType: 'application/x-ndjson',
    frame: (publication: Publication) => Buffer.from(`${publication.envelope}\n`),
    control: (control: Control) => Buffer.from(`${JSON.stringify(control)}\n`),
    ...framed(NDJSON_HEARTBEAT, framing),
  }
}

function framed(heartbeat: Buffer, framing: Framing): Pick<StreamFormat, 'heartbeat' | 'seal'> {
  return framing === 'chunked' ? { heartbeat: sealChunk(heartbeat), seal: sealChunk } : { heartbeat }
}

const FORMATS = {
  chunked: { sse: ssePlain('chunked'), sseEnvelope: sseEnvelope('chunked'), ndjson: ndjson('chunked') },
  raw: { sse: ssePlain('raw'), sseEnvelope: sseEnvelope('raw'), ndjson: ndjson('raw') },
}

/** The one instance of each stream format: connections share frames by the identity of their format. */
export function streamFormat(transport: 'sse' | 'ndjson', envelope: boolean, framing: Framing): StreamFormat {
  const formats = FORMATS[framing]
  if (transport === 'ndjson') return formats.ndjson
  return envelope ? formats.sseEnvelope : formats.sse
}
