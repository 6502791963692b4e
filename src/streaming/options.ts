import { type Clock, systemClock } from '../clock.ts'
import { MisuseError } from '../errors.ts'
import { quote } from '../names.ts'
import { assertKnownOptions, DEFAULT_LIMITS, invalidLimit, isLimit } from '../options.ts'

/** How pieces become the bytes of a body; see `docs/streaming.md`. */
export type StreamFormatName = 'text' | 'ndjson' | 'sse'

/** The options of `streamedResponse`. All have defaults. */
export interface StreamedResponseOptions {
  /** `text` (the default): strings and bytes as they are. `ndjson`: a line of JSON each. `sse`: an event each, numbered. */
  readonly format?: StreamFormatName
  /** The format's unless given. */
  readonly contentType?: string
  /** 200 unless given. */
  readonly status?: number
  /** They replace what the format would say under the same names. */
  readonly headers?: Readonly<Record<string, string>>
  /** Stops the stream, visibly, and its source. */
  readonly signal?: AbortSignal | undefined
  /** `sse`: the id of the first event; the others follow. A client that comes back says in `Last-Event-ID` which it had last. */
  readonly firstIndex?: number
  /** `sse`: how often a comment keeps a silent stream awake; 25 s unless given, `false` for never. */
  readonly heartbeatMs?: number | false
  /** Hears of what the source throws, once: no client is told. Default: `console.error`. */
  readonly onError?: (error: unknown) => void
  /** Time; tests turn it by hand. */
  readonly clock?: Clock
}

/** The options of `streamResponse`. All have defaults. */
export interface StreamResponseOptions extends StreamedResponseOptions {
  /**
   * When status and headers go out. `first-piece` (`text`, `ndjson`): with the first piece, so that a source that fails at once is
   * answered by an error status. `at-once` (`sse`): the client knows that it is connected before there is anything to say.
   */
  readonly head?: 'first-piece' | 'at-once'
  /** A client that takes nothing for so long while something waits for it has left; 2 minutes unless given. */
  readonly maxStallMs?: number
}

/** The options with their defaults. */
export interface ResolvedStreamOptions {
  readonly format: StreamFormatName
  /** `null`: whatever it would be, else 200. */
  readonly status: number | null
  /** What was asked for, names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  /** What holds where nothing else was asked for. */
  readonly defaultHeaders: Readonly<Record<string, string>>
  readonly signal: AbortSignal | null
  readonly firstIndex: number
  readonly heartbeatMs: number | false
  readonly head: 'first-piece' | 'at-once'
  readonly maxStallMs: number
  readonly clock: Clock
  readonly onError: (error: unknown) => void
}

const CONTENT_TYPES: Readonly<Record<StreamFormatName, string>> = {
  text: 'text/plain; charset=utf-8',
  ndjson: 'application/x-ndjson',
  sse: 'text/event-stream; charset=utf-8',
}

const BODY_OPTIONS = [
  'format',
  'contentType',
  'status',
  'headers',
  'signal',
  'firstIndex',
  'heartbeatMs',
  'onError',
  'clock',
]
const KNOWN = {
  streamedResponse: BODY_OPTIONS,
  streamResponse: [...BODY_OPTIONS, 'head', 'maxStallMs'],
}

const isString = (value: unknown) => typeof value === 'string'
const isObject = (value: unknown) => typeof value === 'object' && value !== null
// A body must be possible: not so with 1xx, 204, 205 and 304 (RFC 9110, section 6.4.1).
const isStatus = (value: unknown) =>
  Number.isInteger(value) &&
  (value as number) >= 200 &&
  (value as number) <= 599 &&
  ![204, 205, 304].includes(value as number)

const CHECKS: readonly (readonly [keyof StreamResponseOptions, (value: unknown) => boolean, string])[] = [
  ['format', (value) => Object.hasOwn(CONTENT_TYPES, String(value)), '"text", "ndjson" or "sse"'],
  ['contentType', isString, 'a media type'],
  ['status', isStatus, 'an HTTP status whose answers have a body'],
  ['headers', isObject, 'an object of header values by name'],
  ['signal', (value) => value instanceof AbortSignal, 'an AbortSignal'],
  [
    'firstIndex',
    (value) => Number.isSafeInteger(value) && (value as number) >= 0,
    'a whole number that is not negative',
  ],
  ['onError', (value) => typeof value === 'function', 'a function'],
  ['head', (value) => value === 'first-piece' || value === 'at-once', '"first-piece" or "at-once"'],
]

/**
 * Fills in the defaults and checks each option.
 *
 * @throws {MisuseError} `invalid-option` naming the option, the value and what is allowed
 */
export function resolveStreamOptions(
  where: keyof typeof KNOWN,
  options: StreamResponseOptions,
): ResolvedStreamOptions {
  assertKnownOptions(where, options, KNOWN[where])
  for (const [name, isValid, allowed] of CHECKS) {
    const value = options[name]
    if (value === undefined || isValid(value)) continue
    throw new MisuseError('invalid-option', `${where} has ${name}: ${quote(value)}: it must be ${allowed}.`)
  }
  const { format = 'text', maxStallMs = DEFAULT_LIMITS.maxStallMs } = options
  if (!isLimit(maxStallMs)) throw invalidLimit('maxStallMs', maxStallMs)
  return Object.freeze({
    format,
    status: options.status ?? null,
    headers: givenHeaders(options),
    defaultHeaders: { 'content-type': CONTENT_TYPES[format], ...PIECE_BY_PIECE },
    signal: options.signal ?? null,
    firstIndex: options.firstIndex ?? 0,
    heartbeatMs: heartbeatOf(where, format, options.heartbeatMs),
    head: options.head ?? (format === 'sse' ? 'at-once' : 'first-piece'),
    maxStallMs,
    clock: options.clock ?? systemClock,
    onError: options.onError ?? ((error: unknown) => console.error(`groupcast: ${where}:`, error)),
  })
}

/** Only an event stream has something to say that is no piece. */
function heartbeatOf(
  where: string,
  format: StreamFormatName,
  given: number | false | undefined,
): number | false {
  if (format !== 'sse') {
    if (given === undefined || given === false) return false
    throw new MisuseError(
      'invalid-option',
      `${where} has heartbeatMs: ${given}: format "${format}" has no heartbeat.`,
    )
  }
  const heartbeatMs = given ?? DEFAULT_LIMITS.heartbeatMs
  if (heartbeatMs !== false && !isLimit(heartbeatMs))
    throw invalidLimit('heartbeatMs', heartbeatMs, ', or false')
  return heartbeatMs
}

/** What pieces need to arrive one by one. */
const PIECE_BY_PIECE = Object.freeze({
  // `no-transform` keeps compressing proxies and middleware from holding pieces back.
  'cache-control': 'no-cache, no-store, no-transform, private',
  // nginx buffers responses unless told not to.
  'x-accel-buffering': 'no',
  // Browsers hold text back while they guess what it may be.
  'x-content-type-options': 'nosniff',
})

function givenHeaders({
  contentType,
  headers = {},
}: StreamResponseOptions): Readonly<Record<string, string>> {
  const given = Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value] as const)
  return { ...(contentType !== undefined && { 'content-type': contentType }), ...Object.fromEntries(given) }
}
