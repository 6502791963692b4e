import type { AnyMessages } from '../message.ts'
import type { Client, ClientState, JoinOptions } from './client.ts'
import { ClientError } from './client-error.ts'
import { type Connection, type Envelope, openConnection } from './connection.ts'
import type { ClientTransport } from './link.ts'
import { createListeners } from './listeners.ts'
import { createMemberships } from './memberships.ts'
import type { Settings } from './options.ts'
import type { EventListenerLike } from './platform.ts'
import { createRepeats } from './repeats.ts'
import { createRoutes } from './routes.ts'

/** A connection that was open for so long was a success: the next wait is a short one again. */
const STABLE_MS = 10_000
/** Nobody is kept away for longer, whatever a server asks for. */
const LONGEST_WAIT_MS = 3_600_000

// What listeners listen to besides types of messages, which are texts.
const STATE = 0
const RESET = 1
const DROPPED = 2
const LEFT = 3

/**
 * Connects, waits and connects again, until it is closed. What lasts from one connection to the next is here.
 *
 * One closure for each client, not a class: 6 % less to load, since names of variables get shorter when minified and `this.` is gone.
 */
export function createClient(base: URL, settings: Settings): Client<AnyMessages> {
  const { clock, random, firstWaitMs, maxWaitMs, events, getToken } = settings
  const listeners = createListeners()
  const repeats = createRepeats()
  const memberships = createMemberships(settings.groups, repeats, (group) =>
    listeners.tell(RESET, { groups: [group] }),
  )
  const routes = createRoutes(settings, base)
  let state: ClientState = 'connecting'
  let cursor = settings.cursor
  let connection: Connection | undefined
  /** How often in a row it had to wait. */
  let waits = 0
  /** Something happened that makes waiting pointless. */
  let isUrgent = false
  /** The application has called `close()`. */
  let isDone = false
  let wake = () => {}

  const become = (next: ClientState, reason: ClientError | null = null, waitMs = 0) => {
    if (state === next) return
    state = next
    listeners.tell(STATE, state, reason, waitMs)
  }

  const opened = (start: string | null = null) => {
    cursor ??= start
    // What made the attempt urgent says nothing about what comes after it.
    isUrgent = false
    if (!connection) return
    routes.opened(connection.transport)
    memberships.opened(connection)
    become('open')
  }

  /** Where it fails, the hub closes in time, and the next connection asks for a token again. */
  const refresh = async () => connection?.request({ token: await getToken?.() })

  const received = ({
    group = null,
    cursor: position,
    past,
    message,
    reset,
    dropped,
    left,
    expiring,
  }: Envelope) => {
    // Not `past`: it is older than what has come of other groups.
    cursor = position ?? reset?.cursor ?? cursor
    const at = position ?? past ?? null
    if (message && !(group && at && repeats.isRepeat(group, at))) {
      for (const type of [message.type, '*']) listeners.tell(type, message, { group, cursor: at })
    }
    if (reset) listeners.tell(RESET, reset)
    if (dropped) listeners.tell(DROPPED, dropped.count)
    if (left) {
      left.groups.map(memberships.left)
      listeners.tell(LEFT, left.groups)
    }
    if (expiring) refresh().catch(() => {})
  }

  /** The consumer's URL with the groups and the cursor. */
  const target = (transport: ClientTransport) => {
    const url = new URL(base)
    const query = url.searchParams
    for (const group of memberships.groups) query.append('group', group)
    if (cursor) query.set('cursor', cursor)
    if (transport === 'sse') query.set('envelope', '1')
    return url.href
  }

  /** One connection, from the token until it ends. */
  const live = async (transport: ClientTransport): Promise<ClientError> => {
    let token: string | null | undefined
    try {
      token = await getToken?.()
    } catch (cause) {
      return new ClientError('no-token', 'getToken', { cause })
    }
    if (state === 'closed') return closedError()
    const where = { url: target(transport), postUrl: base.href, token }
    connection = openConnection(transport, where, settings, { opened, received })
    const reason = await connection.ended
    const openMs = clock.now() - connection.openedAt
    routes.ended(connection, openMs, reason)
    if (connection.id && openMs >= STABLE_MS) waits = 0
    return reason
  }

  /** Tries the transports in turn, until one opens or the hub has spoken, and stays until that ends. */
  const attempt = async () => {
    let reason = closedError()
    for (const transport of routes.order()) {
      reason = await live(transport)
      if (reason.code !== 'connection-lost' || connection?.id) break
    }
    return reason
  }

  /** Full jitter: at random up to a bound that doubles, so that the clients of a hub that restarts do not come back all at once. */
  const rest = (reason: ClientError) => {
    // `retry:` has its own jitter, made by the hub: it moves both bounds.
    const { retryMs = 0 } = connection ?? {}
    const boundMs = Math.min(Math.max(maxWaitMs, retryMs), Math.max(firstWaitMs, retryMs) * 2 ** waits++)
    const ms = Math.min(reason.retryAfterMs + random() * boundMs, LONGEST_WAIT_MS)
    become('waiting', reason, ms)
    return new Promise<void>((resolve) => {
      const cancel = clock.after(ms, resolve)
      wake = () => {
        cancel()
        resolve()
      }
      // By whoever heard that it waits.
      if (state === 'closed') wake()
    })
  }

  const run = async () => {
    while (state !== 'closed') {
      isUrgent = false
      become('connecting')
      const reason = await attempt()
      if (!reason.comeBack) finish(reason)
      else if (!isUrgent) await rest(reason)
    }
  }

  /** What there is of a connection is dead or about to be: try again without waiting. */
  const hurry = () => {
    isUrgent = true
    wake()
    // Not `connection-lost`: it is not the transport's fault.
    connection?.end(new ClientError('disconnected', 'No connection'))
  }

  const pageListeners: readonly (readonly [type: string, listener: EventListenerLike])[] = [
    ['online', hurry],
    // No connection survives the back/forward cache, but not every browser says so.
    ['pageshow', ({ persisted }: { persisted: boolean }) => persisted && hurry()],
    ['visibilitychange', () => connection?.checkSilence()],
  ]

  const finish = (reason: ClientError) => {
    if (state === 'closed') return
    if (events) for (const listener of pageListeners) events.removeEventListener(...listener)
    become('closed', reason)
    memberships.fail(reason)
    connection?.end(reason)
    wake()
  }

  /** Answers the application. What its own `close()` rejects need not be handled: unhandled, it would end a Node process. */
  const answer = <T>(ask: () => Promise<T>): Promise<T> => {
    const asked = state === 'closed' ? Promise.reject(closedError()) : ask()
    const answered: Promise<T> = asked.catch((error) => {
      if (isDone) answered.catch(() => {})
      throw error
    })
    return answered
  }

  const request = (command: object) =>
    answer(async () => {
      if (connection?.isOpen) return connection.request(command)
      throw new ClientError('not-connected', 'No connection')
    })

  const change = (kind: 'join' | 'leave', group: string, options?: JoinOptions) =>
    answer(() => memberships.change(kind, group, options, connection))

  if (events) for (const listener of pageListeners) events.addEventListener(...listener)
  run()

  return {
    get state() {
      return state
    },
    get transport() {
      return connection?.isOpen ? connection.transport : null
    },
    get connectionId() {
      return connection?.isOpen ? connection.id : null
    },
    get cursor() {
      return cursor
    },
    get groups() {
      return [...memberships.groups]
    },
    on: listeners.add,
    onState: (listener) => listeners.add(STATE, listener),
    onReset: (listener) => listeners.add(RESET, listener),
    onDropped: (listener) => listeners.add(DROPPED, listener),
    onLeft: (listener) => listeners.add(LEFT, listener),
    join: (group, options) => change('join', group, options),
    leave: (group) => change('leave', group),
    send: (message) => request({ send: message }),
    publish: (group, message) => request({ publish: { group, message } }),
    close() {
      isDone = true
      finish(closedError())
    },
  }
}

function closedError(): ClientError {
  return new ClientError('closed', 'Closed', { comeBack: false })
}
