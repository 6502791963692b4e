/** groupcast: WebSocket, Server-Sent Events and HTTP-stream clients in the same groups. */
export type { Clock } from './clock.ts'
export { createHub, type HubOptions } from './create-hub.ts'
export {
  type Audience,
  ChannelFullError,
  ERRORS,
  type ErrorCode,
  type ErrorEntry,
  errorCodeOf,
  GroupcastError,
  type HasErrorCode,
  isComeBackCode,
  MisuseError,
  Refusal,
} from './errors.ts'
export { type GroupRule, type GroupsConsumerOptions, groupsConsumer, type Who } from './groups-consumer.ts'
export type { HistoryBounds, HistoryOptions } from './history.ts'
export type {
  Connection,
  Consumer,
  DisconnectInfo,
  JoinOptions,
  PathParams,
} from './hub/consumer.ts'
export type { HistogramStats } from './hub/histogram.ts'
export type {
  ErrorContext,
  GroupInfo,
  GroupOptions,
  History,
  HistoryQuery,
  Hub,
  HubParts,
  HubStats,
  HubStatus,
  Sent,
} from './hub/hub-api.ts'
export type {
  PieceOf,
  StreamedMessages,
  StreamedType,
  StreamFields,
  StreamOptions,
} from './hub/message-stream.ts'
export type { Authenticate, AuthenticationRequest, GivenIdentity, Identity } from './identity.ts'
export type {
  Journal,
  JournaledHistory,
  JournalRecord,
  JournalStart,
  KeptGroup,
  KeptPublication,
} from './layers/journal.ts'
export type {
  ChannelLayer,
  LayerCapabilities,
  LayerPublication,
  LayerRecovery,
  LayerSink,
  LayerStart,
  LayerStatus,
  Replay,
  ReplayedPublication,
  ReplayRequest,
} from './layers/layer.ts'
export {
  type MemoryBroker,
  type MemoryBrokerOptions,
  type MemoryLayerOptions,
  memoryBroker,
  memoryLayer,
} from './layers/memory.ts'
export type { AnyMessages, MessageOf, MessageSchemas } from './message.ts'
export { DEFAULT_LIMITS, type Limits } from './options.ts'
export type { GroupAction, GroupClaims } from './permission.ts'
export { DEFAULT_RATES, type RateName, type Rates, type RefusedFor } from './rates.ts'
export type { Pieces, Source } from './source.ts'
export type { StreamOutcome } from './stream-end.ts'
export type { StreamResult } from './streaming/body.ts'
export { streamResponse } from './streaming/node-response.ts'
export type { StreamedResponseOptions, StreamFormatName, StreamResponseOptions } from './streaming/options.ts'
export { streamedResponse } from './streaming/web-response.ts'
export type {
  Attachment,
  ConnectionRequest,
  Gate,
  Link,
  LinkOwner,
  ServerBackend,
} from './transports/backend.ts'
export { type NodeServer, nodeBackend } from './transports/node/backend.ts'
export type { Transport, WireFormat } from './wire/wire-format.ts'
