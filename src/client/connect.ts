import type { AnyMessages } from '../message.ts'
import type { Client } from './client.ts'
import { type ClientOptions, resolveOptions } from './options.ts'
import { platform } from './platform.ts'
import { createClient } from './reconnecting-client.ts'

/**
 * Connects to the consumer at `url` and stays connected: over WebSocket, or over Server-Sent Events where that fails; after each loss
 * again, from where it was.
 *
 * `M` maps message types to their fields, as for the hub. `url` may be relative to the page, and `http:` or `ws:`.
 *
 * @example
 * const client = connect<Messages>('/events', { groups: ['chat.lobby'] })
 * client.on('chat.message', ({ user, text }, { group }) => show(group, user, text))
 *
 * @throws {TypeError} for a URL that is none, or neither http(s) nor ws(s), and where none of `transports` can be spoken
 */
export function connect<M extends object = AnyMessages>(
  url: string | URL,
  options: ClientOptions = {},
): Client<M> {
  const base = new URL(url, platform.location?.href)
  if (!/^(http|ws)s?:/.test(base.href)) throw new TypeError(`Not http: or ws: ${base}`)
  base.protocol = base.protocol.replace('ws', 'http')
  base.hash = ''
  // At run time all message maps are alike; `M` lives in the compiler alone.
  return createClient(base, resolveOptions(options)) as unknown as Client<M>
}
