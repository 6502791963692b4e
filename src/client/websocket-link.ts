import { closedWith, lost } from './client-error.ts'
import type { Link, LinkEvents, Target } from './link.ts'
import type { Settings } from './options.ts'
import type { WebSocketClass } from './platform.ts'

/**
 * A WebSocket with envelopes. The token travels as a second subprotocol, the only header that browsers let a page choose.
 *
 * @throws {SyntaxError} and what else the platform's constructor throws, for a token that no subprotocol can carry
 */
export function openWebSocket({ url, token }: Target, { WebSocket }: Settings, events: LinkEvents): Link {
  const protocols = ['groupcast.v1']
  if (token) protocols.push(`groupcast.token.${token}`)
  // Those that have none were sorted out with the options.
  const socket = new (WebSocket as WebSocketClass)(url.replace('http', 'ws'), protocols)
  let cause: unknown
  socket.addEventListener('message', ({ data }: { data: unknown }) => {
    events.seen()
    events.text(String(data))
  })
  // Browsers say nothing here; `ws` says why, and throws where nobody listens.
  socket.addEventListener('error', ({ error }: { error?: unknown }) => {
    cause = error
  })
  socket.addEventListener('close', ({ code, reason }: { code: number; reason: string }) =>
    // No close frame came, or an empty one: a hub always gives a code, so it was not the hub.
    events.ended(
      [1005, 1006, 1015].includes(code) ? lost('WebSocket ended', cause) : closedWith(code, reason),
    ),
  )
  return {
    send(text) {
      socket.send(text)
      return undefined
    },
    close: () => socket.close(1000),
  }
}
