/**
 * A wire format turns publications and control objects into the bytes of one transport. Pure: the same input gives the
 * same bytes, so all connections of a format share them.
 */
import type { Publication } from '../publication.ts'

/** What a connection speaks. */
export type Transport = 'websocket' | 'sse' | 'ndjson'

/** Objects of the protocol that are not publications; `docs/protocol.md` describes each. */
export type Control =
  | { readonly open: OpenControl }
  | { readonly reset: { readonly groups: readonly string[]; readonly cursor: string } }
  /** The client has everything up to here, although no message says so. */
  | { readonly cursor: string }
  | { readonly reply: number | string | null; readonly result: unknown }
  | {
      readonly reply: number | string | null
      readonly error: { readonly code: string; readonly message: string; readonly retryAfterMs?: number }
    }
  /** Messages that were dropped because the client reads too slowly; those that follow came after them. */
  | { readonly dropped: { readonly count: number } }
  /** Groups that the client is not in any more: its new token does not allow them. */
  | { readonly left: { readonly groups: readonly string[] } }
  /** The connection ends so soon, unless the client refreshes its token. */
  | { readonly expiring: { readonly inMs: number } }
  /** `retryAfterMs`: when it may come back, where that is known. */
  | { readonly close: { readonly code: number; readonly reason: string; readonly retryAfterMs?: number } }

/** The position that a control object tells the client to resume from; `null` where it tells none. */
export function cursorOf(control: Control): string | null {
  if ('cursor' in control) return control.cursor
  if ('open' in control) return control.open.cursor ?? null
  return 'reset' in control ? control.reset.cursor : null
}

/** The first thing that an envelope connection gets. */
interface OpenControl {
  readonly connection: string
  readonly node: string
  readonly groups: readonly string[]
  readonly cursor?: string
  /** `0`: heartbeats are off. */
  readonly heartbeatMs: number
}

export interface WireFormat {
  /** Unique among the formats of a back end; for texts and tests. */
  readonly name: string
  readonly transport: Transport
  /** Whether messages travel in envelopes. */
  readonly envelope: boolean
  /** The bytes of a publication. Called at most once for each publication. */
  frame(publication: Publication): Buffer
  /**
   * The bytes of a control object, or `null` where this format does not show it.
   * `retryMs` asks an EventSource to wait that long before it reconnects.
   */
  control(control: Control, retryMs?: number): Buffer | null
  /** Applied once to the concatenated frames of a batch, for example the header of a chunk. */
  seal?(bytes: Buffer): Buffer
}
