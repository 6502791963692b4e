import type { ConnectionRequest } from '../transports/backend.ts'

/** Far above any cursor, of which the longest has 128 characters. */
const MAX_LENGTH = 1024

/**
 * The cursor from which a client wants to resume: an `EventSource` that reconnects by itself sends the header (WHATWG HTML, section
 * 9.2.3); others, and polyfills, the query. The header is the newer where there are both. `null`: it is new here.
 *
 * What is no cursor is returned all the same: the client has missed something, and is to be told.
 */
export function requestedCursor(request: ConnectionRequest): string | null {
  const { query } = request
  const given = request.header('last-event-id') || query.get('cursor') || query.get('lastEventId')
  if (given === undefined || given === null || given === '') return null
  return given.slice(0, MAX_LENGTH)
}
