/**
 * What the client uses of its platform, described by its shape: the rest of the repository is compiled without the browser's globals,
 * and what `ws` exports fits as well as what browsers have.
 */

/** A `WebSocket` class: the browser's, or that of the package `ws`. */
export type WebSocketClass = new (url: string, protocols: string[]) => WebSocketLike

/** The parts of a WebSocket (WHATWG WebSockets, section 3.1) that are used. */
export interface WebSocketLike extends EventTargetLike {
  send(text: string): void
  close(code: number): void
}

/** Whatever events can be listened to on. */
export interface EventTargetLike {
  addEventListener(type: string, listener: EventListenerLike): void
  removeEventListener(type: string, listener: EventListenerLike): void
}

/** Taken from a method, because the compiler compares parameters of methods both ways: so a listener may name what its event has. */
export type EventListenerLike = { listen(event: object): void }['listen']

/** The parts of `sessionStorage` that are used. */
export interface StorageLike {
  getItem(key: string): string | null
  setItem(key: string, value: string): void
}

/** Time as the client sees it. */
export interface ClientClock {
  /** Milliseconds. */
  now(): number
  /** Calls `task` once after `ms`, or earlier where no timer can wait for so long; the returned function cancels it. */
  after(ms: number, task: () => void): () => void
}

/** The globals that are used. Not every platform has all of them. */
interface Platform extends Partial<EventTargetLike> {
  readonly WebSocket?: WebSocketClass
  readonly fetch: typeof globalThis.fetch
  readonly sessionStorage?: StorageLike
  readonly location?: { readonly href: string }
}

/** The global object. Its functions are called on it: browsers refuse them elsewhere ("Illegal invocation"). */
export const platform: Platform = globalThis as Platform

/** 23 days: timers of more than 24.8 fire at once. */
const LONGEST_TIMER_MS = 2_000_000_000

/** The machine's clock. The time of day, because it goes on while a laptop sleeps, and other pages of the tab have the same. */
export const systemClock: ClientClock = {
  now: () => Date.now(),
  after(ms, task) {
    const timer = setTimeout(task, Math.min(ms, LONGEST_TIMER_MS))
    return () => clearTimeout(timer)
  },
}

/** Lets an exception of a listener become one that nobody caught, which every platform reports; the client goes on. */
export function report(error: unknown): void {
  queueMicrotask(() => {
    throw error
  })
}
