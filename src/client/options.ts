import type { ClientTransport } from './link.ts'
import {
  type ClientClock,
  type EventTargetLike,
  platform,
  type StorageLike,
  systemClock,
  type WebSocketClass,
} from './platform.ts'

/** The options of `connect`: all have defaults. Times are milliseconds. */
export interface ClientOptions {
  /** Groups to join. */
  readonly groups?: readonly string[]
  /** What to speak, the preferred first; the second is for when the first cannot be opened or is cut. `['websocket', 'sse']`. */
  readonly transports?: readonly ClientTransport[]
  /**
   * Asked before each attempt to connect, where what it throws counts as a failed attempt; and when the token of a connection is about to expire:
   * the new one is sent over the same connection.
   */
  readonly getToken?: () => string | null | undefined | Promise<string | null | undefined>
  /** Begin after this position: what `cursor` of an earlier client said, or the HTTP API. */
  readonly cursor?: string
  /** Whether event streams and posts carry cookies: as for `fetch`, `same-origin`. */
  readonly credentials?: 'omit' | 'same-origin' | 'include'
  /** How long one attempt may take, from the request to `open`: 15 s, for the hub may take 10 s to decide. */
  readonly openTimeoutMs?: number
  /** How long an answer may take: 30 s. */
  readonly replyTimeoutMs?: number
  /** A connection that is silent for this much longer than the hub's `heartbeatMs` is dead: 10 s. */
  readonly silenceMs?: number
  /** How long the transport that failed is not tried first: 5 minutes. */
  readonly fallbackMs?: number
  /** The longest wait before the first attempt to come back; it doubles with each that fails: 1 s. */
  readonly firstWaitMs?: number
  /** What it doubles up to: 30 s. */
  readonly maxWaitMs?: number
  /** The platform's, unless given. Node 20 has none: give it that of the package `ws`, or only SSE is spoken. */
  readonly WebSocket?: WebSocketClass
  /** The platform's, unless given. */
  readonly fetch?: typeof globalThis.fetch
  /** Remembers a transport that failed from page to page: `sessionStorage`, where there is one; `false`: nothing. */
  readonly storage?: StorageLike | false
  /** Where `online`, `pageshow` and `visibilitychange` happen: the window, where there is one; `false`: nowhere. */
  readonly events?: EventTargetLike | false
  /** For tests. */
  readonly clock?: ClientClock
  /** For tests: 0 up to 1, as `Math.random`. */
  readonly random?: () => number
}

/** The options with everything filled in. */
export type Settings = Readonly<
  Omit<Required<ClientOptions>, 'getToken' | 'cursor' | 'storage' | 'events' | 'WebSocket'>
> & {
  readonly getToken?: ClientOptions['getToken']
  readonly cursor: string | null
  readonly storage?: StorageLike | false
  readonly events: EventTargetLike | false | undefined
  readonly WebSocket: WebSocketClass | undefined
}

/** @throws {TypeError} where `transports` has none that can be spoken here */
export function resolveOptions(options: ClientOptions): Settings {
  const { WebSocket = platform.WebSocket } = options
  const settings: Settings = {
    groups: [],
    transports: ['websocket', 'sse'],
    cursor: null,
    credentials: 'same-origin',
    openTimeoutMs: 15_000,
    replyTimeoutMs: 30_000,
    silenceMs: 10_000,
    fallbackMs: 300_000,
    firstWaitMs: 1_000,
    maxWaitMs: 30_000,
    // Always called as a function: as a method of anything but the window, browsers refuse it.
    fetch: platform.fetch,
    clock: systemClock,
    random: Math.random,
    events: platform.addEventListener && (platform as EventTargetLike),
    // An option that is `undefined` is not given.
    ...Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)),
    WebSocket,
  }
  const transports = settings.transports.filter((name) => (name === 'websocket' ? WebSocket : name === 'sse'))
  if (!transports[0]) throw new TypeError('No transport: use sse')
  return { ...settings, transports }
}
