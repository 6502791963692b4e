/** What is to be begun outside all handlers of uWebSockets.js. */
export interface Waiting {
  begin(): void
  /** Hears what `begin` has thrown. */
  failed(error: unknown): void
}

let waiting: Waiting[] = []

/** Whose handler is on the stack, or has returned a moment ago: promises go on before uWebSockets.js does. */
let inside: Waiting | null = null

/** To be called in the handler of a request that is upgraded there, if what it waits for is known when the handler ends. */
export function enter(one: Waiting): void {
  inside = one
  queueMicrotask(leaveSoon)
}

/** The first tick runs after all promises that go on at the handler's end, and before whatever comes next. */
function leaveSoon(): void {
  process.nextTick(leave)
}

function leave(): void {
  inside = null
}

/** Whether uWebSockets.js is in the handler of this one's own request, where it has corked the socket. */
export function isInside(one: Waiting): boolean {
  return inside === one
}

/**
 * Calls `begin` when no handler of uWebSockets.js is on the stack; for all of a turn at once, since a timer for each would cost more than what it
 * begins (bench: connect-storm).
 *
 * Promises go on inside of handlers, at their end, and of other clients than the handler's: what one waits for another may bring about. A WebSocket
 * that is upgraded while uWebSockets.js parses the request of another client is taken for that one, and soon the process is ended (20.30: "Cork
 * buffer must not be held"). And in the handler of a stream's own request one cork holds all that is written; of what does not fit a part may be
 * lost (builds before 20.77).
 */
export function beginOutside(one: Waiting): void {
  if (waiting.push(one) === 1) setImmediate(beginAll)
}

function beginAll(): void {
  const all = waiting
  waiting = []
  for (const one of all) {
    try {
      one.begin()
    } catch (error) {
      one.failed(error)
    }
  }
}
