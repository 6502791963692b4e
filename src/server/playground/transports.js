/** What the page says and does about each transport: one entry a panel. */
import { EventSourceConnection, WebSocketConnection } from './connections.js'
import { eventsUrl, followCommand, publishCommand, withoutOrigin } from './places.js'

/** Stands in commands and code while no group is chosen. */
const EXAMPLE_GROUP = 'lobby'

const orExample = (groups) => (groups.length > 0 ? groups : [EXAMPLE_GROUP])

export const WEBSOCKET = {
  transport: 'websocket',
  title: 'WebSocket',
  url: (groups) => eventsUrl(orExample(groups), { websocket: true }),
  /** The line that connects, as it could stand in anyone's page. */
  code: (url, envelope) => `new WebSocket('${url}'${envelope ? ", 'groupcast.v1'" : ''})`,
  connection(groups, envelope, handlers) {
    const url = (cursor) => eventsUrl(groups, { websocket: true, parameters: cursor ? { cursor } : {} })
    return new WebSocketConnection({ url, envelope, handlers })
  },
  /** Why the id may be missing: plain WebSocket frames are messages and nothing else. */
  noConnectionId: 'told in envelopes',
  emptyText: 'Publish with the form, or from a terminal:',
  command: (groups, options) => publishCommand(orExample(groups)[0], options),
}

export const SSE = {
  transport: 'sse',
  title: 'Server-Sent Events',
  url: (groups, envelope) => sseUrl(orExample(groups), envelope),
  code: (url) => `new EventSource('${url}')`,
  connection(groups, envelope, handlers) {
    return new EventSourceConnection({ url: () => sseUrl(groups, envelope), envelope, handlers })
  },
  noConnectionId: 'not told',
  emptyText: 'The same stream in a terminal:',
  command: (groups) => followCommand(orExample(groups)),
}

/** The code with the URL in full, and as short as a page of this server can write it. */
export function codeOf(transport, groups, envelope) {
  const url = transport.url(groups, envelope)
  return { full: transport.code(url, envelope), short: transport.code(withoutOrigin(url), envelope) }
}

function sseUrl(groups, envelope) {
  return eventsUrl(groups, { parameters: envelope ? { envelope: '1' } : {} })
}
