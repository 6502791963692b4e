/** What both transports have in common: how a connection begins, what it tells and how it ends. */
import type { ClientError } from './client-error.ts'

/** What a client can speak. */
export type ClientTransport = 'websocket' | 'sse'

/** Where to connect to. */
export interface Target {
  /** The consumer's URL with the groups and the cursor in its query; always http or https. */
  readonly url: string
  /** Where an SSE client posts what it sends. */
  readonly postUrl: string
  readonly token: string | null | undefined
}

/** What a link tells. Nothing is heard any more once its connection has ended. */
export interface LinkEvents {
  /** Something came, be it a heartbeat. */
  seen(): void
  /** One envelope, as JSON. */
  text(text: string): void
  /** How long the server asks to wait before coming back. */
  retry(ms: number): void
  ended(reason: ClientError): void
}

/** One way to the hub, from the moment it is tried. */
export interface Link {
  /** Sends a command. Rejects where it knows that the command failed; otherwise the reply will tell. */
  send(text: string, connectionId: string, signal: AbortSignal): Promise<void> | undefined
  close(): void
}
