/** What the HTTP API takes and gives, whichever server back end carries it. */
import type { Registry } from 'prom-client'
import { Refusal } from '../errors.ts'
import type { ErrorContext, History, HistoryQuery, Hub, Sent } from '../hub/hub-api.ts'
import type { ConnectionRequest } from '../transports/backend.ts'
import type { ApiKey } from './keys.ts'

/** The part of a {@link Hub} that the API uses; every hub has it, whatever its messages. */
export interface ApiHub
  extends Pick<
    Hub,
    | 'limits'
    | 'rates'
    | 'status'
    | 'stats'
    | 'groups'
    | 'group'
    | 'closeConnection'
    | 'createTicket'
    | 'revoke'
  > {
  groupSend(group: string, message: { readonly type: string }): Promise<Sent>
  history(group: string, query?: HistoryQuery): Promise<History>
  send(channel: string, message: { readonly type: string }): Promise<void>
}

/** A request as a server back end hands it to the API. */
export interface ApiRequest extends ConnectionRequest {
  readonly body: RequestBody
}

/**
 * The body of a request. Read at most once, by one of the two ways. Chunks stay as they are after they were given: a back end that
 * reuses its memory copies them first. When the client leaves before the end, both ways fail with {@link ClientGone}.
 */
export interface RequestBody extends AsyncIterable<Uint8Array> {
  /**
   * The whole body. A back end that has a faster way than iterating offers it here.
   *
   * @throws {GroupcastError} `message-too-large` for more than `maxBytes`, as soon as that is known
   * @throws {ClientGone}
   */
  collect?(maxBytes: number): Promise<Uint8Array>
}

/** A complete answer, or one whose body is written piece by piece at the client's pace. */
export interface ApiResponse {
  readonly status: number
  /** With `Content-Length` where the body is a string. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | AsyncIterable<string>
}

/** The HTTP API of a hub. */
export interface Api {
  /**
   * Answers a request. Never rejects: failures become answers, and those that are nobody's fault outside go to `onError`.
   *
   * @returns `null`, at once, when the path is none of the API's: the request is somebody else's, and its body was not touched
   */
  handle(request: ApiRequest): Promise<ApiResponse> | null
}

/** How {@link createApi} is configured. */
export interface ApiOptions {
  /** The server's version, for the description and the metrics. */
  readonly version: string
  /** Hears of every failure that the client is only told as `internal-error`. */
  readonly onError: (error: unknown, context: ErrorContext) => void
  /**
   * Keys of which a request needs one (`Authorization: Bearer <key>`); none: no key is needed. A plain text is good for everything. Several are
   * good at once: to replace one, add the new one, use it everywhere, and remove the old one. Default: none.
   */
  readonly apiKeys?: readonly (string | ApiKey)[]
  /** Origins of pages that may call the API besides its own; as for the hub. Default: none. */
  readonly allowedOrigins?: readonly string[]
  /** Names that a request's `Host` may have, against DNS rebinding; `null` allows all. Default: `null`. */
  readonly allowedHosts?: readonly string[] | null
  /** Largest body of a request, and largest line of a streamed one. Default: 1 MiB. */
  readonly maxBodyBytes?: number
  /** Most groups that one publish (a body or a line) can go to. Default: 1024. */
  readonly maxGroupsPerPublish?: number
  /** Where the metrics go besides `/metrics`. Default: a registry of the API's own, which also has the metrics of the process. */
  readonly registry?: Registry
  /** Where the streams are served, for the OpenAPI description; `null` leaves them out. Default: `/events`. */
  readonly eventsPath?: string | null
}

/** The client went away before its body had ended. There is nobody left to tell. */
export class ClientGone extends Refusal {
  constructor() {
    super('bad-request', 'The body ended before it was complete.')
  }
}
