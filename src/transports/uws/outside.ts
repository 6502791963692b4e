/** What is to be begun outside all handlers of uWebSockets.js. */
export interface Waiting {
  begin(): void
  /** Hears what `begin` has thrown. */
  failed(error: unknown): void
}

let waiting: Waiting[] = []

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
