/**
 * What hubs say to each other: about a connection, sent to the connection's channel; about tickets, to the channel of a node; and about
 * identities, to the group of all nodes. Their types carry the reserved prefix, which
 * no message from outside can have, so a client or a publisher cannot forge one.
 */

import type { Identity } from '../identity.ts'
import { RESERVED_PREFIX } from '../message.ts'

/** What a one-time ticket stands for. */
export interface Grant {
  readonly identity: Identity
  /** When its credentials were found good, in milliseconds since 1970. */
  readonly askedAt: number
}

export type NodeMessage =
  | { readonly type: 'groupcast.close'; readonly code: number; readonly reason: string }
  | { readonly type: 'groupcast.join' | 'groupcast.leave'; readonly group: string }
  /** A message that the client posted to another node. */
  | { readonly type: 'groupcast.uplink'; readonly body: string }
  /**
   * All that the identity had up to then, in milliseconds since 1970, is withdrawn. `oldest`: when the oldest revocation was made of which the
   * sender knew before it; absent: of none.
   */
  | {
      readonly type: 'groupcast.revoke'
      readonly identity: string
      readonly at: number
      readonly oldest?: number
    }
  /** A client has shown a ticket to `node` that this node holds. */
  | {
      readonly type: 'groupcast.redeem'
      readonly ticket: string
      readonly node: string
      readonly question: string
    }
  /** The answer; `null`: there is no such ticket any more. */
  | { readonly type: 'groupcast.redeemed'; readonly question: string; readonly grant: Grant | null }

export function encodeNodeMessage(message: NodeMessage): string {
  return JSON.stringify(message)
}

/** `null` for an ordinary message. */
export function parseNodeMessage(json: string): NodeMessage | null {
  // Most messages are not ours: look before parsing.
  if (!json.includes(RESERVED_PREFIX)) return null
  const message = JSON.parse(json) as NodeMessage
  return typeof message.type === 'string' && message.type.startsWith(RESERVED_PREFIX) ? message : null
}
