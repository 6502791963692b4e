/** What a message is made of, as one event after another: how JSON and msgpack become each other without an object in between. */
import { quote } from '../../names.ts'

/**
 * Takes values as they are read. Between `openMap` and `closeMap` a `key` comes before each value.
 *
 * Texts rather than objects, because an object would lose what both sides can carry: whole numbers beyond 2^53, the difference of `1` and
 * `1.0`, and (with the codecs of npm) keys named `__proto__`.
 */
export interface ValueSink {
  openMap(): void
  closeMap(): void
  openList(): void
  closeList(): void
  key(text: string): void
  text(text: string): void
  /** A whole number, in decimal digits. */
  integer(digits: string): void
  float(value: number): void
  constant(value: boolean | null): void
  binary(value: Buffer): void
}

/** As deep as Python's msgpack packs: deeper than that, and no Django process could have sent it. */
export const MAX_DEPTH = 511

/** A message that the other side could not read, or that this side cannot. The text says why. */
export class UncarriableError extends Error {
  override readonly name = 'UncarriableError'
}

/** The key under which the core protocol carries whom a message is for. */
export const CHANNEL_KEY = '__asgi_channel__'

/**
 * What consumers of Channels have of their own, by the names that handlers would have. Some end a consumer when they are called with a message, others
 * make it believe that its client has come, gone or written.
 */
const MACHINERY: ReadonlySet<string> = new Set([
  ...['as_asgi', 'base_send', 'channel_layer', 'channel_layer_alias', 'channel_name', 'channel_receive'],
  ...['consumer_class', 'consumer_initkwargs', 'dispatch', 'groups', 'scope', 'send'],
  ...['accept', 'close', 'connect', 'disconnect', 'receive'],
  ...['websocket_connect', 'websocket_disconnect', 'websocket_receive'],
  ...['decode_json', 'encode_json', 'receive_json', 'send_json'],
  ...['body', 'handle', 'http_disconnect', 'http_request', 'send_body', 'send_headers', 'send_response'],
])

/** Why no consumer of Django survives a message of this type; `null` when one may. */
export function typeProblem(type: string): string | null {
  // Channels turns dots into underscores, and takes no handler that starts with one.
  const handler = type.replaceAll('.', '_')
  if (handler.startsWith('_')) return `its type ${quote(type)} starts with ${quote(type[0])}`
  return MACHINERY.has(handler)
    ? `its type ${quote(type)} is no handler of a consumer, but what Channels itself calls ${handler}`
    : null
}
