/**
 * What hubs say to each other about a connection, sent to the connection's channel. Their types carry the reserved prefix, which
 * no message from outside can have, so a client or a publisher cannot forge one.
 */
import { RESERVED_PREFIX } from '../message.ts'

export type NodeMessage =
  | { readonly type: 'groupcast.close'; readonly code: number; readonly reason: string }
  | { readonly type: 'groupcast.join' | 'groupcast.leave'; readonly group: string }
  /** A message that the client posted to another node. */
  | { readonly type: 'groupcast.uplink'; readonly body: string }

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
