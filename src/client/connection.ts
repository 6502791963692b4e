import { ClientError, type ClientErrorCode, closedWith, lost } from './client-error.ts'
import type { ClientTransport, Link, LinkEvents, Target } from './link.ts'
import type { Settings } from './options.ts'
import { openEventStream } from './sse-link.ts'
import { openWebSocket } from './websocket-link.ts'

/** What a hub says: `docs/protocol.md` lists the envelopes. */
export interface Envelope {
  readonly open?: { readonly connection: string; readonly heartbeatMs: number; readonly cursor?: string }
  readonly group?: string | null
  readonly cursor?: string | null
  readonly past?: string
  readonly message?: { readonly type: string }
  readonly reset?: { readonly groups: readonly string[]; readonly cursor?: string }
  readonly dropped?: { readonly count: number }
  readonly left?: { readonly groups: readonly string[] }
  readonly expiring?: { readonly inMs: number }
  readonly reply?: number | null
  readonly result?: unknown
  readonly error?: { readonly code: ClientErrorCode; readonly message: string }
  readonly close?: { readonly code: number; readonly reason: string }
}

/** Who hears what a connection brings. */
export interface ConnectionOwner {
  opened(cursor: string | undefined): void
  /** Messages, resets, what was dropped, groups that were left, and that the token is about to expire. */
  received(envelope: Envelope): void
}

const LINKS = { websocket: openWebSocket, sse: openEventStream } as const satisfies Record<
  ClientTransport,
  (target: Target, settings: Settings, events: LinkEvents) => Link
>

type Settle = (error: unknown, result?: unknown) => void

/** One connection, from the attempt to open it until it ends. */
export interface Connection {
  readonly transport: ClientTransport
  /** Resolves with why when it is over, also when it never opened. */
  readonly ended: Promise<ClientError>
  /** As the hub calls it; empty until it is open. */
  id: string
  /** When it opened, if it did. */
  openedAt: number
  /** Whether commands can be sent. */
  isOpen: boolean
  /** How long the server asks to wait before coming back. */
  retryMs: number
  /**
   * Sends a command. Resolves with the result of its reply.
   *
   * @throws {ClientError} `disconnected`, `reply-timeout`, or the code with which the hub refused
   */
  request(command: object): Promise<unknown>
  /** Ends it. What comes after that is not heard. */
  end(reason: ClientError): void
  /** Gives it up where it has been silent for too long. Timers stand still while a page is frozen, so it can be called at any time. */
  checkSilence(): void
}

/** Opens a connection and watches over its opening, its silence and its replies. */
export function openConnection(
  transport: ClientTransport,
  target: Target,
  settings: Settings,
  owner: ConnectionOwner,
): Connection {
  const { clock, openTimeoutMs, replyTimeoutMs, silenceMs } = settings
  const replies = new Map<number, Settle>()
  let link: Link | undefined
  let isOver = false
  let lastReply = 0
  // Nothing for `patienceMs` after `seenAt`: it is given up.
  let patienceMs = openTimeoutMs
  let seenAt = clock.now()
  let stopWatch = () => {}
  let resolveEnded: (reason: ClientError) => void = () => {}

  const end = (reason: ClientError) => {
    if (isOver) return
    isOver = true
    connection.isOpen = false
    stopWatch()
    link?.close()
    for (const settle of replies.values()) settle(disconnected(reason))
    resolveEnded(reason)
  }

  const checkSilence = () => {
    stopWatch()
    if (isOver || !patienceMs) return
    const leftMs = seenAt + patienceMs - clock.now()
    if (leftMs <= 0) end(lost(`Silent ${patienceMs} ms`))
    // Not set anew for every message: a timer that is too early looks again.
    else stopWatch = clock.after(leftMs, checkSilence)
  }

  const take = (envelope: Envelope) => {
    const { open, reply, result, error, close } = envelope
    if (open) {
      connection.id = open.connection
      connection.openedAt = seenAt = clock.now()
      connection.isOpen = true
      patienceMs = open.heartbeatMs && open.heartbeatMs + silenceMs
      checkSilence()
      owner.opened(open.cursor)
    } else if (reply) replies.get(reply)?.(error && new ClientError(error.code, error.message), result)
    else if (close) end(closedWith(close.code, close.reason))
    else owner.received(envelope)
  }

  const request = (command: object) =>
    new Promise((resolve, reject) => {
      const reply = ++lastReply
      const text = JSON.stringify({ ...command, reply })
      const abort = new AbortController()
      const settle: Settle = (error, result) => {
        if (!replies.delete(reply)) return
        cancel()
        if (!error) return resolve(result)
        // A post that hangs must not hold up those behind it.
        abort.abort()
        reject(error)
      }
      const cancel = clock.after(replyTimeoutMs, () =>
        settle(new ClientError('reply-timeout', 'No answer: it may have arrived')),
      )
      replies.set(reply, settle)
      link?.send(text, connection.id, abort.signal)?.catch((error) => {
        settle(error instanceof ClientError ? error : disconnected(error))
        // `unknown-connection`: the stream is cut, and this end has not heard of it. Joins are asked for again.
        if (/unk/.test(error.code)) end(disconnected(error))
      })
    })

  const connection: Connection = {
    transport,
    ended: new Promise((resolve) => {
      resolveEnded = resolve
    }),
    id: '',
    openedAt: 0,
    isOpen: false,
    retryMs: 0,
    request,
    end,
    checkSilence,
  }
  checkSilence()
  try {
    link = LINKS[transport](target, settings, {
      seen() {
        // Until it is open only `open` counts.
        if (connection.isOpen) seenAt = clock.now()
      },
      text(text) {
        if (isOver) return
        try {
          take(JSON.parse(text))
        } catch (error) {
          // To leave it out would be to lose a message unnoticed; over a new connection it comes again.
          end(lost('No envelope', error))
        }
      },
      retry(ms) {
        connection.retryMs = ms
      },
      ended: end,
    })
  } catch (error) {
    end(lost(`No ${transport}`, error))
  }
  return connection
}

function disconnected(cause: unknown): ClientError {
  return new ClientError('disconnected', 'No connection: it may have arrived', {
    cause,
  })
}
