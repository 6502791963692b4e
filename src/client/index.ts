/** The client library: `groupcast/client`. No dependencies; the same code in browsers and in Node. */
export type { Client, ClientState, JoinOptions, MessageAt, MessageContext, Reset } from './client.ts'
export { ClientError, type ClientErrorCode } from './client-error.ts'
export { connect } from './connect.ts'
export type { ClientTransport } from './link.ts'
export type { ClientOptions } from './options.ts'
export type {
  ClientClock,
  EventListenerLike,
  EventTargetLike,
  StorageLike,
  WebSocketClass,
  WebSocketLike,
} from './platform.ts'
