/** What the page says and does about each transport: one entry a panel. */
import { EventSourceConnection, LibraryConnection, WebSocketConnection } from './connections.js'
import { consumerUrl, eventsUrl, followCommand, publishCommand, withoutOrigin } from './places.js'

/** Stands in commands and code while no group is chosen. */
const EXAMPLE_GROUP = 'lobby'

/** How the page listens: with the client library, or with what the browser has, in one of the two formats of the protocol. */
export const LIBRARY = 'library'
const ENVELOPE = 'envelope'

const orExample = (groups) => (groups.length > 0 ? groups : [EXAMPLE_GROUP])

export const WEBSOCKET = {
  transport: 'websocket',
  title: 'WebSocket',
  /** What the library is told besides the groups: nothing, for a WebSocket is what it prefers. */
  options: {},
  url: (groups) => eventsUrl(orExample(groups), { websocket: true }),
  /** The line that connects, as it could stand in anyone's page. */
  code: (url, format) => `new WebSocket('${url}'${format === ENVELOPE ? ", 'groupcast.v1'" : ''})`,
  connection(groups, format, handlers) {
    if (format === LIBRARY) return libraryConnection(WEBSOCKET, groups, handlers)
    const url = eventsUrl(groups, { websocket: true })
    return new WebSocketConnection({ url, envelope: format === ENVELOPE, handlers })
  },
  /** Why the id may be missing: plain WebSocket frames are messages and nothing else. */
  noConnectionId: 'not told',
  emptyText: 'Publish with the form, or from a terminal:',
  command: (groups, options) => publishCommand(orExample(groups)[0], options),
}

export const SSE = {
  transport: 'sse',
  title: 'Server-Sent Events',
  options: { transports: ['sse'] },
  url: (groups, format) => sseUrl(orExample(groups), format),
  code: (url) => `new EventSource('${url}')`,
  connection(groups, format, handlers) {
    if (format === LIBRARY) return libraryConnection(SSE, groups, handlers)
    return new EventSourceConnection({
      url: sseUrl(groups, format),
      envelope: format === ENVELOPE,
      handlers,
    })
  },
  noConnectionId: 'not told',
  emptyText: 'The same stream in a terminal:',
  command: (groups) => followCommand(orExample(groups)),
}

/** What people call what a connection speaks, in few letters. */
export const NAMES = { websocket: 'WebSocket', sse: 'SSE' }

/** The code with the URL in full, and as short as a page of this server can write it. */
export function codeOf(transport, groups, format) {
  if (format === LIBRARY) return libraryCode(transport, orExample(groups))
  const url = transport.url(groups, format)
  return { full: transport.code(url, format), short: transport.code(withoutOrigin(url), format) }
}

function libraryConnection({ options }, groups, handlers) {
  return new LibraryConnection({ url: consumerUrl(), groups, ...options, handlers })
}

function libraryCode({ options: { transports } }, groups) {
  const list = (names) => `[${names.map((name) => `'${name}'`).join(', ')}]`
  const options = [`groups: ${list(groups)}`, ...(transports ? [`transports: ${list(transports)}`] : [])]
  const call = (url) => `connect('${url}', { ${options.join(', ')} })`
  const lines = [
    "import { connect } from 'groupcast/client'",
    '',
    `const client = ${call(consumerUrl())}`,
    "client.on('*', (message, { group }) => console.log(group, message))",
  ]
  return { full: lines.join('\n'), short: call(withoutOrigin(consumerUrl())) }
}

function sseUrl(groups, format) {
  return eventsUrl(groups, { parameters: format === ENVELOPE ? { envelope: '1' } : {} })
}
