/**
 * One table says what every error means: to whom it belongs, how a WebSocket closes with it, which HTTP
 * status carries it and whether the client should come back. Types, `docs/errors.md` and tests come from it.
 *
 * Close codes 4000–4499 mean "reconnect", 4500–4999 mean "do not"; codes below 4000 are RFC 6455's (section 7.4).
 */

/** Whose fault an error is, and so where it goes: see {@link ERRORS}. */
export type Audience =
  /** The developer's misuse: thrown at the call. */
  | 'developer'
  /** A client's fault: a protocol error or a close, never an exception in the application. */
  | 'client'
  /** The infrastructure's fault: rejects the promise that somebody awaits, else goes to `onError`. */
  | 'infrastructure'

/** One row of the error table. */
export interface ErrorEntry {
  readonly audience: Audience
  /** WebSocket close code. */
  readonly closeCode: number
  /** Status of an HTTP answer. */
  readonly httpStatus: number
  /** Whether a client should reconnect or repeat its request. */
  readonly comeBack: boolean
  /** What clients are told: safe to show, free of internals. */
  readonly message: string
  /** What to do about it, for the reader of the docs. */
  readonly remedy: string
}

const entry = (
  audience: Audience,
  closeCode: number,
  httpStatus: number,
  comeBack: boolean,
  message: string,
  remedy: string,
): ErrorEntry => Object.freeze({ audience, closeCode, httpStatus, comeBack, message, remedy })

/** The error table. Keys are the `code` of errors, problem documents and replies. */
export const ERRORS = Object.freeze({
  'bad-request': entry(
    'client',
    4500,
    400,
    false,
    'The request is malformed.',
    'The detail names the part; correct it and send again.',
  ),
  unauthorized: entry(
    'client',
    4501,
    401,
    false,
    'This needs valid credentials.',
    'Send a token, as docs/auth.md says; to the HTTP API `Authorization: Bearer <key>` with one of the keys in `apiKeys`.',
  ),
  'invalid-token': entry(
    'client',
    4507,
    401,
    false,
    'The token is not valid.',
    'The detail says why: it has expired, is not signed by a known key, or is meant for somebody else. Get a new one.',
  ),
  revoked: entry(
    'client',
    4508,
    401,
    false,
    'This access was withdrawn.',
    'The connections of the identity were revoked, and its tokens of before with them. Only a newer token is good.',
  ),
  'token-expired': entry(
    'client',
    4014,
    401,
    true,
    'The token of this connection has expired.',
    'Come back with a new token; or refresh it in time, as the client library does through `getToken`.',
  ),
  forbidden: entry(
    'client',
    4503,
    403,
    false,
    'This is not allowed.',
    'A consumer or the configuration of the group refused it; ask for a group that allows it.',
  ),
  'not-found': entry(
    'client',
    4504,
    404,
    false,
    'Nothing is served at this URL.',
    'Check the path against the consumers and the routes of the server.',
  ),
  'method-not-allowed': entry(
    'client',
    4505,
    405,
    false,
    'This method is not supported here.',
    'The `Allow` header lists the methods.',
  ),
  'not-acceptable': entry(
    'client',
    4506,
    406,
    false,
    'None of the accepted media types can be served here.',
    'Accept `text/event-stream` or `application/x-ndjson`, or upgrade to a WebSocket.',
  ),
  'unsupported-media-type': entry(
    'client',
    1003,
    415,
    false,
    'This media type is not supported here.',
    'Send JSON: text frames on a WebSocket, `application/json` (or `application/x-ndjson` where a route takes it) over HTTP.',
  ),
  'message-too-large': entry(
    'client',
    1009,
    413,
    false,
    'The message is larger than the limit.',
    'Send less, or raise `maxMessageBytes` (clients) or `maxBodyBytes` (HTTP API).',
  ),
  'invalid-json': entry(
    'client',
    1007,
    400,
    false,
    'The text is not valid JSON.',
    'Send one JSON text (RFC 8259) in UTF-8.',
  ),
  'json-too-deep': entry(
    'client',
    4513,
    400,
    false,
    'The JSON is nested deeper than the limit.',
    'Flatten the message, or raise `maxJsonDepth`.',
  ),
  'invalid-message': entry(
    'client',
    4522,
    422,
    false,
    'The message does not have the expected form.',
    'A message is a JSON object with a string `type` that does not start with `groupcast.`; where the hub has schemas it must also fit the one of its type.',
  ),
  'invalid-name': entry(
    'client',
    4520,
    400,
    false,
    'The group or channel name is not valid.',
    'Names are 1–255 characters of `A-Z a-z 0-9 . _ ~ : @ # $ / -`.',
  ),
  'too-many-groups': entry(
    'client',
    4521,
    400,
    false,
    'The connection is in as many groups as the limit allows.',
    'Leave a group first, open a second connection, or raise `maxGroupsPerConnection`.',
  ),
  'origin-not-allowed': entry(
    'client',
    4523,
    403,
    false,
    'Pages of this origin may not connect.',
    'Serve the page from the same origin, or list its origin in `allowedOrigins`.',
  ),
  'unknown-connection': entry(
    'client',
    4524,
    404,
    false,
    'There is no such connection.',
    'It has ended, or its id is wrong: the `open` envelope carries the id.',
  ),
  'not-supported': entry(
    'client',
    4525,
    422,
    false,
    'The consumer at this URL does not take this.',
    'Give the consumer a `receive` (for messages) or an `authorize` (for join and publish).',
  ),
  'history-not-available': entry(
    'client',
    4526,
    404,
    false,
    'This group keeps no history.',
    'Give the groups a `history` (an option of `createHub`, a key of the configuration), and a layer that keeps it.',
  ),
  'history-lost': entry(
    'client',
    4527,
    410,
    false,
    'What came after this cursor is not all kept any more.',
    'Load the state anew and go on from the current cursor; or let the group keep more `history`.',
  ),
  'too-many-messages': entry(
    'client',
    4029,
    429,
    true,
    'More messages are waiting for this connection’s consumer than the limit allows.',
    'Wait for the answers to earlier messages, or raise `maxPendingMessages`.',
  ),
  'rate-exceeded': entry(
    'client',
    4028,
    429,
    true,
    'This is more than the rate allows.',
    'Wait as long as `retryAfterMs` (`Retry-After`, the reason of the close) says; whoever goes on is closed. The text names the rate: one of `rates`.',
  ),
  'too-many-connections': entry(
    'client',
    4031,
    429,
    true,
    'There are as many connections from this address as the limit allows.',
    'Close some, or raise `rates.connectionsPerAddress`. Where all clients seem to have one address, name the proxy in `trustedProxies`.',
  ),
  'body-timeout': entry(
    'client',
    4017,
    408,
    true,
    'The body of the request took too long.',
    'Send it faster, or raise `bodyTimeoutMs`.',
  ),
  'slow-consumer': entry(
    'client',
    4008,
    503,
    true,
    'The connection does not read as fast as its groups write.',
    'Come back: a new connection starts with an empty backlog. Read faster, join less, or raise `maxBacklogBytes` (`maxTotalBacklogBytes`, where all clients together are too much).',
  ),
  'slow-handlers': entry(
    'infrastructure',
    4009,
    503,
    true,
    'The server handles messages for this connection more slowly than its groups write.',
    'The consumer’s `handlers` took longer than messages came, until `maxBacklogBytes` waited for them. Make them faster, handle fewer types, or choose `drop` or `latest` (`slow`).',
  ),
  'handshake-timeout': entry(
    'infrastructure',
    4011,
    503,
    true,
    'The server took too long to accept the connection.',
    'A consumer’s `connect` did not settle within `handshakeTimeoutMs`.',
  ),
  'authentication-timeout': entry(
    'infrastructure',
    4015,
    503,
    true,
    'The server took too long to find out who you are.',
    'The hook `authenticate` did not settle within `authenticateTimeoutMs`.',
  ),
  'authentication-unavailable': entry(
    'infrastructure',
    4016,
    503,
    true,
    'The server cannot find out who you are at the moment.',
    'As many clients wait for `authenticate` as may (`maxAuthentications`), the keys at `jwksUrl` cannot be fetched, or too many tickets wait.',
  ),
  'heartbeat-timeout': entry(
    'client',
    4010,
    408,
    true,
    'The connection did not answer the heartbeat.',
    'The client is gone or stalled; it should reconnect.',
  ),
  restarting: entry(
    'infrastructure',
    1012,
    503,
    true,
    'The server is restarting.',
    'Reconnect after a short, random wait.',
  ),
  'internal-error': entry(
    'infrastructure',
    1011,
    500,
    true,
    'The server failed to handle this.',
    'The cause went to the hub’s `onError` (the server logs it).',
  ),
  'stream-failed': entry(
    'infrastructure',
    1011,
    500,
    true,
    'The stream failed: what came before is not the whole.',
    'The source threw, or yielded what cannot be sent; the cause rejected the promise of the stream or went to `onError`.',
  ),
  'stream-aborted': entry(
    'infrastructure',
    1011,
    503,
    true,
    'The stream was stopped before its end.',
    'The application aborted the `signal` that it had given to the stream.',
  ),
  'channel-full': entry(
    'infrastructure',
    4030,
    503,
    true,
    'The channel holds as many messages as its capacity.',
    'Repeat later (`Retry-After`), add readers, or raise the layer’s `capacity`.',
  ),
  'layer-unavailable': entry(
    'infrastructure',
    4012,
    503,
    true,
    'The service cannot be reached at the moment.',
    'The broker of the channel layer is down, or refused; the text says which. Nothing was sent: repeat when `/ready` says so.',
  ),
  'layer-timeout': entry(
    'infrastructure',
    4013,
    504,
    true,
    'The service did not answer in time.',
    'The broker of the channel layer was lost, or did not answer, while this was under way: it may have been sent or not. Repeat it where a second one does no harm.',
  ),
  'journal-in-use': entry(
    'infrastructure',
    1011,
    500,
    true,
    'The server failed to handle this.',
    'Another process has this journal: end it, or give each hub a directory of its own. Nothing needs to be removed after a crash.',
  ),
  'journal-failed': entry(
    'infrastructure',
    1011,
    500,
    true,
    'The server failed to handle this.',
    'The journal could not be written; the text says why. The hub goes on with its history in memory, and a restart forgets it. Mend the disk, then restart the hub.',
  ),
  'journal-damaged': entry(
    'infrastructure',
    1011,
    500,
    true,
    'The server failed to handle this.',
    'Part of the journal could not be read; the text says what, and what became of the history. Nothing is to be done, but look at the disk if it comes back.',
  ),
  'invalid-option': entry(
    'developer',
    1011,
    500,
    false,
    'An option is not valid.',
    'The text names the option, the value and what is allowed.',
  ),
  'hub-closed': entry(
    'developer',
    1012,
    503,
    true,
    'The hub is closed.',
    'Create a new hub; `close()` is final.',
  ),
})

/** Every error a user of groupcast can meet has one of these codes. */
export type ErrorCode = keyof typeof ERRORS

/** What an error of groupcast has beyond an ordinary one, whatever its class. */
export interface HasErrorCode {
  readonly code: ErrorCode
}

// Plain JavaScript can pass anything, and an error without a row of the table could not be told to a client.
function assertErrorCode(code: unknown): void {
  if (typeof code === 'string' && Object.hasOwn(ERRORS, code)) return
  throw new MisuseError(
    'invalid-option',
    `There is no error code ${JSON.stringify(code)}: see docs/errors.md.`,
  )
}

/** An error of groupcast; `code` is a key of {@link ERRORS}. The text is for developers and logs, not for clients. */
export class GroupcastError extends Error implements HasErrorCode {
  override readonly name: string = 'GroupcastError'
  readonly code: ErrorCode

  /** @throws {MisuseError} `invalid-option` for a code that is not in the table */
  constructor(code: ErrorCode, text?: string, options?: ErrorOptions) {
    assertErrorCode(code)
    super(text ?? ERRORS[code].message, options)
    this.code = code
  }
}

/**
 * Thrown (or rejected with) by an application's hook to say: the client is at fault. The connection or request ends
 * with this code, the client is told the `reason`, and nothing goes to `onError`. It has no stack trace.
 *
 * @example
 * async connect(connection) {
 *   if (!members.has(connection.params.room)) throw new Refusal('forbidden', 'Members only')
 * }
 */
export class Refusal extends GroupcastError {
  override readonly name = 'Refusal'
  /** Told to the client; the table's message unless given. */
  readonly reason: string
  /** When the client may try again, in milliseconds from now; `null`: that is not known. */
  readonly retryAfterMs: number | null

  /** @throws {MisuseError} `invalid-option` for a code that is not in the table, a reason that is no text, and a time that is none */
  constructor(
    code: ErrorCode = 'forbidden',
    reason?: string,
    { retryAfterMs = null }: { readonly retryAfterMs?: number | null } = {},
  ) {
    assertErrorCode(code)
    // It is for a client, and floods of clients are refused: where it was made costs more to find out than the rest of a refusal (bench: soak).
    const { stackTraceLimit } = Error
    Error.stackTraceLimit = 0
    super(code, reason)
    Error.stackTraceLimit = stackTraceLimit
    if (reason !== undefined && typeof reason !== 'string') {
      throw new MisuseError('invalid-option', 'The reason of a Refusal is a text that the client may read.')
    }
    if (retryAfterMs !== null && !(Number.isSafeInteger(retryAfterMs) && retryAfterMs >= 0)) {
      throw new MisuseError('invalid-option', 'retryAfterMs of a Refusal is a whole number of milliseconds.')
    }
    this.reason = reason ?? ERRORS[code].message
    this.retryAfterMs = retryAfterMs
  }
}

/** A `TypeError` with a code: the developer's misuse, thrown at the call. */
export class MisuseError extends TypeError implements HasErrorCode {
  override readonly name = 'MisuseError'
  readonly code: ErrorCode

  constructor(code: ErrorCode, text: string) {
    super(text)
    this.code = code
  }
}

/** `send` met a channel that holds as many unread messages as its capacity. Nothing was sent. */
export class ChannelFullError extends GroupcastError {
  override readonly name = 'ChannelFullError'
  readonly channel: string

  constructor(channel: string) {
    super(
      'channel-full',
      `Channel "${channel}" is full: nothing was sent. Repeat later, add readers, or raise the layer's capacity.`,
    )
    this.channel = channel
  }
}

/** The code of any error of groupcast, or `null` for other values. */
export function errorCodeOf(error: unknown): ErrorCode | null {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return null
  return Object.hasOwn(ERRORS, error.code) ? (error.code as ErrorCode) : null
}

/** The code whose table entry closes with `closeCode`, for texts; `null` where several or none do. */
export function errorCodeForClose(closeCode: number): ErrorCode | null {
  const codes = (Object.keys(ERRORS) as ErrorCode[]).filter((code) => ERRORS[code].closeCode === closeCode)
  return codes.length === 1 ? (codes[0] ?? null) : null
}

/** Whether a client that was closed with this code should reconnect. */
export function isComeBackCode(closeCode: number): boolean {
  if (closeCode >= 4000) return closeCode < 4500
  // RFC 6455: 1000 normal, 1002 protocol error, 1003 unsupported data, 1007 bad payload, 1008 policy, 1009 too big,
  // 1010 extension: repeating the same would fail again. The rest (going away, abnormal, internal error, restart,
  // try again later, bad gateway) pass with time.
  return ![1000, 1002, 1003, 1007, 1008, 1009, 1010].includes(closeCode)
}
