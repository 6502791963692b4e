import { MisuseError } from './errors.ts'
import { GroupcastHub } from './hub/hub.ts'
import type { Hub, HubParts } from './hub/hub-api.ts'
import { memoryLayer } from './layers/memory.ts'
import { type AnyMessages, assertSchemas } from './message.ts'
import { quote } from './names.ts'
import { assertKnownOptions } from './options.ts'
import { type NodeServer, nodeBackend } from './transports/node/backend.ts'

/** The options of a hub: all have defaults. */
export type HubOptions<M = AnyMessages, Server = NodeServer> = Partial<HubParts<M, Server>>

const KNOWN = [
  'layer',
  'backend',
  'messages',
  'groups',
  'authenticate',
  'allowedOrigins',
  'allowedHosts',
  'limits',
  'rates',
  'onError',
  'clock',
]

const hasMethods =
  (...names: string[]) =>
  (value: unknown) =>
    typeof value === 'object' &&
    value !== null &&
    names.every((name) => typeof Reflect.get(value, name) === 'function')
const isObject = (value: unknown) => typeof value === 'object' && value !== null

/** What can be seen of an option without using it; the rest is checked where it is used. */
const CHECKS: readonly (readonly [keyof HubOptions, (value: unknown) => boolean, string])[] = [
  [
    'layer',
    hasMethods('start', 'groupAdd', 'groupSend', 'send', 'close'),
    'a channel layer, such as memoryLayer()',
  ],
  ['backend', hasMethods('attach'), 'a server back end, such as nodeBackend()'],
  ['messages', isObject, 'an object of schemas by message type'],
  ['groups', Array.isArray, 'a list of { match, slow, history }'],
  ['authenticate', (value) => typeof value === 'function', 'a function, such as tokens() makes'],
  ['allowedOrigins', Array.isArray, 'a list of origins'],
  ['limits', isObject, 'an object of limits'],
  ['rates', (value) => value === false || isObject(value), 'an object of rates, or false'],
  ['onError', (value) => typeof value === 'function', 'a function'],
  ['clock', hasMethods('now', 'after', 'every'), 'a Clock'],
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
  for (const [name, isValid, allowed] of CHECKS) {
    const value = options[name]
    if (value === undefined || isValid(value)) continue
    throw new MisuseError('invalid-option', `createHub has ${name}: ${quote(value)}: it must be ${allowed}.`)
  }
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
