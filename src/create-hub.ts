import { GroupcastHub } from './hub/hub.ts'
import type { Hub, HubParts } from './hub/hub-api.ts'
import { memoryLayer } from './layers/memory.ts'
import { type AnyMessages, assertSchemas } from './message.ts'
import { assertKnownOptions } from './options.ts'
import { type NodeServer, nodeBackend } from './transports/node/backend.ts'

/** The options of a hub: all have defaults. */
export type HubOptions<M = AnyMessages, Server = NodeServer> = Partial<HubParts<M, Server>>

const KNOWN = [
  'layer',
  'backend',
  'messages',
  'groups',
  'allowedOrigins',
  'allowedHosts',
  'limits',
  'onError',
  'clock',
]

/**
 * Creates a hub: the memory layer and the node back end unless others are given.
 *
 * `M` maps message types to their fields; the compiler then checks them from `groupSend` to the handlers. With schemas in
 * `messages` it is inferred from them, and they decide at run time too.
 *
 * @example
 * interface Messages { 'chat.message': { user: string; text: string } }
 * const hub = createHub<Messages>()
 *
 * @throws {MisuseError} `invalid-option` naming the option, the value and what is allowed
 */
export function createHub<M extends object = AnyMessages, Server = NodeServer>(
  options: HubOptions<M, Server> = {},
): Hub<M, Server> {
  assertKnownOptions('createHub', options, KNOWN)
  assertSchemas(options.messages as Readonly<Record<string, unknown>> | undefined)
  const parts = {
    ...options,
    layer: options.layer ?? memoryLayer(),
    // Without a back end of the caller's, `Server` is the default: what the node back end is attached to.
    backend: options.backend ?? (nodeBackend() as unknown as NonNullable<typeof options.backend>),
  }
  // At run time all message maps are alike; `M` lives in the compiler alone.
  return new GroupcastHub(parts as unknown as HubParts<AnyMessages, Server>) as unknown as Hub<M, Server>
}
